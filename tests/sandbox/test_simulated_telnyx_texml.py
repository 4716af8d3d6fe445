"""The simulated TeXML as the official SDK, a bare HTTP client and the customer's application see it."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
import telnyx
from aiohttp import web
from telnyx import Telnyx
from telnyx.lib.webhook_verification import WebhookVerificationError, verify_webhook_signature

from sandbox.carriers import SimulatedCarriers
from sandbox.carriers.telnyx.keys import fixed_signing_keys
from tests.sandbox.telnyx_sdk import API_KEY, KEYS, sdk_client
from tests.sandbox.voice_application import Answer, Received, VoiceApplication, eventually

ACCOUNT_SID = "f5586561-8ff0-4291-a51b-c7dfe4139ff9"
APPLICATION_SID = "1293384261075731499"
SILENT_SID = "1293384261075731500"
ACCOUNT = {
    "api_key": API_KEY,
    "account_sid": ACCOUNT_SID,
    "application_sid": APPLICATION_SID,
    "public_key": KEYS.public_key,
    "signing_key": KEYS.signing_key,
}
ACCOUNTS = {
    "telnyx-texml": [
        ACCOUNT,
        {**ACCOUNT, "application_sid": SILENT_SID, "names_calls": "no"},
        {"api_key": "KEY-other", "account_sid": "other", "application_sid": "1", **vars(fixed_signing_keys(100))},
    ]
}
OWNED = "+15551234567"
CALLEE = "+15559876543"
ALL_EVENTS = "initiated ringing answered completed"
SAY = "<Say>Good morning, this is a reminder of your appointment.</Say>"
LONG_PAUSE = '<Pause length="600"/>'
ENDED = ("completed", "busy", "failed", "no-answer", "canceled")


@pytest.fixture(scope="module")
def application() -> Iterator[VoiceApplication]:
    with VoiceApplication() as running:
        yield running


@pytest.fixture(scope="module")
def carriers() -> Iterator[SimulatedCarriers]:
    owned_numbers = frozenset({OWNED})
    with SimulatedCarriers(ACCOUNTS, speed=100, calls_per_second=1000, owned_numbers=owned_numbers) as running:
        yield running


class Caller:
    """Places calls and tells what became of them."""

    def __init__(self, carriers: SimulatedCarriers, application: VoiceApplication) -> None:
        self.client: Telnyx = sdk_client(carriers.url)
        self.calls = self.client.texml.accounts.calls
        self.carriers = carriers
        self.application = application
        self.path = f"{carriers.url}/v2/texml/Accounts/{ACCOUNT_SID}/Calls"

    def fields(self, document: str = SAY, to: str = CALLEE, **changes: Any) -> dict[str, Any]:
        return {
            "ApplicationSid": APPLICATION_SID,
            "To": to,
            "From": OWNED,
            "Url": self.application.serve("/texml", document),
            "StatusCallback": self.application.url("/status"),
            "StatusCallbackEvent": ALL_EVENTS,
            **changes,
        }

    def post(self, fields: dict[str, Any], key: str = API_KEY) -> requests.Response:
        return requests.post(self.path, json=fields, headers={"Authorization": f"Bearer {key}"}, timeout=5)

    def place(self, document: str = SAY, to: str = CALLEE, **changes: Any) -> str:
        reply = self.post(self.fields(document, to, **changes))
        assert reply.status_code == 200, reply.text
        return str(reply.json()["sid"])

    def place_and_end(self, *arguments: Any, **changes: Any) -> Any:
        return self.ended(self.place(*arguments, **changes))

    def fetch(self, sid: str) -> Any:
        return self.calls.retrieve(sid, account_sid=ACCOUNT_SID)

    def ended(self, sid: str) -> Any:
        def call() -> Any:
            fetched = self.fetch(sid)
            return fetched if fetched.status in ENDED else None

        return eventually(call)

    def answered(self, sid: str) -> None:
        eventually(lambda: self.fetch(sid).status == "in-progress")

    def callbacks(self, count: int) -> list[Received]:
        eventually(lambda: len(self.application.at("/status")) >= count)
        return sorted(self.application.at("/status"), key=lambda callback: int(callback.form["SequenceNumber"]))

    def placed(self) -> int:
        return len(self.calls.retrieve_calls(ACCOUNT_SID).calls or [])


@pytest.fixture
def slowly(carriers: SimulatedCarriers) -> Iterator[None]:
    """Let a call ring for as long as a test needs: TeXML rings for two minutes at most."""
    requests.post(f"{carriers.url}/_speed", json={"speed": 10}, timeout=5)
    yield
    requests.post(f"{carriers.url}/_speed", json={"speed": 100}, timeout=5)


@pytest.fixture
def caller(carriers: SimulatedCarriers, application: VoiceApplication) -> Caller:
    requests.post(f"{carriers.url}/_reset", timeout=5)
    application.clear()
    return Caller(carriers, application)


def test_the_sdk_places_reads_lists_and_ends_a_call(caller: Caller) -> None:
    # This method of the SDK sends the names it is given; those on the wire are the only ones that Telnyx understands.
    placed = caller.calls.calls(ACCOUNT_SID, body=caller.fields(LONG_PAUSE, AsyncAmd=True))  # type: ignore[arg-type]
    assert (placed.from_, placed.to, placed.status) == (OWNED, CALLEE, "queued")
    (listed,) = caller.calls.retrieve_calls(ACCOUNT_SID, to=CALLEE, from_=OWNED).calls or []
    assert listed.sid is not None
    caller.answered(listed.sid)
    ended = caller.calls.update(listed.sid, account_sid=ACCOUNT_SID, status="completed")
    assert (ended.status, ended.sid) == ("completed", listed.sid)
    fetched = caller.fetch(listed.sid)
    assert (fetched.direction, fetched.account_sid) == ("outbound", ACCOUNT_SID)
    assert int(fetched.duration) > 0


def test_an_application_may_get_the_documented_reply_that_names_no_call(caller: Caller) -> None:
    reply = caller.post(caller.fields(ApplicationSid=SILENT_SID)).json()
    assert reply == {"from": OWNED, "to": CALLEE, "status": "queued"}
    named = caller.callbacks(4)[0].form["CallSid"]
    assert caller.fetch(named).sid == named


def test_an_answered_call_fetches_its_document_and_reports_every_event(caller: Caller) -> None:
    call = caller.place_and_end()
    callbacks = caller.callbacks(4)
    assert [callback.form["CallStatus"] for callback in callbacks] == [
        "initiated",
        "ringing",
        "in-progress",
        "completed",
    ]
    assert [callback.form["SequenceNumber"] for callback in callbacks] == ["0", "1", "2", "3"]
    assert {callback.form["CallbackSource"] for callback in callbacks} == {"call-progress-events"}
    for callback in callbacks:
        assert datetime.fromisoformat(callback.form["Timestamp"]).tzinfo is not None
        assert callback.form["CallSid"] == callback.form["CallSidLegacy"] == callback.form["CallControlId"] == call.sid
        assert (callback.form["AccountSid"], callback.form["ConnectionId"]) == (ACCOUNT_SID, APPLICATION_SID)
    terminal = callbacks[-1].form
    assert (terminal["CallDuration"], terminal["HangupCause"], terminal["HangupSource"]) == (
        call.duration,
        "normal_clearing",
        "caller",
    )
    assert "AnsweredTime" in terminal
    assert "CallDuration" not in callbacks[0].form
    fetch = caller.application.at("/texml")[0]
    assert (fetch.method, fetch.form["CallSid"], fetch.form["CallStatus"]) == ("POST", call.sid, "in-progress")
    assert eventually(lambda: caller.fetch(call.sid).price) == "-0.007000"


def test_the_official_check_accepts_every_request(caller: Caller) -> None:
    more = caller.application.serve("/more", SAY)
    caller.place_and_end(
        f'<Redirect method="GET">{more}?n=1</Redirect>',
        UrlMethod="POST",
        MachineDetection="Enable",
        AsyncAmd=True,
        AsyncAmdStatusCallback=caller.application.url("/amd"),
    )
    caller.callbacks(4)
    assert {request.path for request in caller.application.received} == {"/texml", "/more", "/status", "/amd"}
    for request in caller.application.received:
        verify_webhook_signature(request.body, request.headers, KEYS.public_key)
        with pytest.raises(WebhookVerificationError):
            verify_webhook_signature(request.body + b"&CallStatus=forged", request.headers, KEYS.public_key)


def test_without_a_choice_of_events_only_the_end_is_reported(caller: Caller) -> None:
    fields = caller.fields()
    del fields["StatusCallbackEvent"]
    caller.ended(caller.post(fields).json()["sid"])
    (terminal,) = caller.callbacks(1)
    assert (terminal.form["CallStatus"], terminal.form["SequenceNumber"]) == ("completed", "3")


OUTCOMES = [
    ("+15550100101", ("completed", "normal_clearing", "200"), 4),
    ("+15550100102", ("busy", "user_busy", "486"), 2),
    ("+15550100103", ("no-answer", "timeout", "487"), 3),
    ("+15550100104", ("busy", "call_rejected", "603"), 3),
    ("+15550100105", ("failed", "not_found", "404"), 2),
]


@pytest.mark.parametrize(("number", "end", "count"), OUTCOMES)
def test_the_callee_decides_the_outcome(caller: Caller, number: str, end: tuple[str, ...], count: int) -> None:
    call = caller.place_and_end(to=number, Timeout=10)
    terminal = caller.callbacks(count)[-1].form
    assert (call.status, terminal["HangupCause"], terminal["SipHangupCause"]) == end
    assert terminal["CallStatus"] == call.status
    assert (call.duration != "0") == (call.status == "completed") == ("AnsweredTime" in terminal)


def test_the_time_limit_and_an_early_hang_up_are_told_apart(caller: Caller) -> None:
    call = caller.place_and_end(LONG_PAUSE, TimeLimit=30)
    assert (call.duration, caller.callbacks(4)[-1].form["HangupCause"]) == ("30", "time_limit")
    caller.application.clear()
    caller.place_and_end(LONG_PAUSE, to="+15550100122")
    assert caller.callbacks(4)[-1].form["HangupSource"] == "callee"


DELIVERIES = [
    ("+15550100115", ["0", "0", "1", "1", "2", "2", "3", "3"]),
    ("+15550100116", ["3", "2", "1", "0"]),
    ("+15550100117", []),
    ("+15550100118", ["3"]),
    ("+15550100119", ["0", "1", "2"]),
]


@pytest.mark.parametrize(("number", "arriving"), DELIVERIES)
def test_the_scenario_decides_which_callbacks_arrive(caller: Caller, number: str, arriving: list[str]) -> None:
    caller.place_and_end(to=number)
    caller.callbacks(len(arriving))
    time.sleep(0.05)
    arrived = [callback.form["SequenceNumber"] for callback in caller.application.at("/status")]
    assert (arrived if number == "+15550100116" else sorted(arrived)) == arriving


def test_the_end_may_overtake_ringing(caller: Caller) -> None:
    caller.place_and_end(to="+15550100120")
    caller.callbacks(4)
    statuses = [callback.form["CallStatus"] for callback in caller.application.at("/status")]
    assert statuses.index("completed") < statuses.index("ringing")


def test_a_callback_is_repeated_until_it_is_taken(caller: Caller) -> None:
    caller.application.answers["/status"] = [Answer(status=503), Answer(status=200)]
    caller.place_and_end(StatusCallbackEvent="completed")
    first, second = caller.callbacks(2)
    assert first.form == second.form


@pytest.mark.parametrize(
    ("change", "number", "answered_by"),
    [
        ({"MachineDetection": "Enable"}, CALLEE, "human"),
        ({"MachineDetection": "Enable"}, "+15550100106", "machine_start"),
        ({"MachineDetection": "DetectMessageEnd"}, "+15550100106", "machine_end_beep"),
        # Milliseconds: what Twilio would read as most of an hour ends the detection before it found anything.
        ({"MachineDetection": "Enable", "MachineDetectionTimeout": 2000}, "+15550100106", "unknown"),
        ({"MachineDetection": "Disable"}, "+15550100106", None),
    ],
)
def test_machine_detection_comes_before_the_document(
    caller: Caller, change: dict[str, Any], number: str, answered_by: str | None
) -> None:
    call = caller.place_and_end(to=number, **change)
    assert caller.application.at("/texml")[0].form.get("AnsweredBy") == answered_by
    assert call.answered_by == answered_by


def test_detection_beside_the_call_reports_to_its_own_address(caller: Caller) -> None:
    url = caller.application.url("/amd")
    sid = caller.place(to="+15550100106", MachineDetection="Enable", AsyncAmd="true", AsyncAmdStatusCallback=url)
    caller.ended(sid)
    (result,) = eventually(lambda: caller.application.at("/amd"))
    assert (result.form["AnsweredBy"], result.form["MachineDetectionDuration"]) == ("machine_start", "4000")
    assert "AnsweredBy" not in caller.application.at("/texml")[0].form


@pytest.mark.parametrize(("number", "times"), [("+15550100115", 2), ("+15550100117", 0)])
def test_a_verdict_beside_the_call_is_repeated_or_lost_like_every_callback(
    caller: Caller, number: str, times: int
) -> None:
    url = caller.application.url("/amd")
    sid = caller.place(to=number, MachineDetection="Enable", AsyncAmd="true", AsyncAmdStatusCallback=url)
    caller.ended(sid)
    time.sleep(0.1)
    assert [result.form["AnsweredBy"] for result in caller.application.at("/amd")] == ["human"] * times


def test_a_call_may_carry_its_document_or_ask_with_get(caller: Caller) -> None:
    fields = caller.fields(Texml="<Response><Pause length='5'/></Response>")
    del fields["Url"]
    assert 5 <= int(caller.ended(caller.post(fields).json()["sid"]).duration) <= 8
    assert caller.application.at("/texml") == []
    caller.place_and_end(UrlMethod="GET")
    (fetch,) = caller.application.at("/texml")
    assert (fetch.method, "CallSid=" in fetch.url) == ("GET", True)


def test_an_unusable_document_falls_back(caller: Caller) -> None:
    fallback = caller.application.serve("/fallback", SAY)
    caller.application.answers["/broken"] = [Answer(status=500)]
    caller.place_and_end(Url=caller.application.url("/broken"), FallbackUrl=fallback)
    assert caller.application.at("/fallback")[0].form["ErrorCode"] == "11200"


def test_a_new_document_takes_over_an_answered_call(caller: Caller) -> None:
    sid = caller.place(LONG_PAUSE)
    caller.answered(sid)
    caller.calls.update(sid, account_sid=ACCOUNT_SID, texml="<Response><Hangup/></Response>")
    assert caller.ended(sid).status == "completed"


def test_a_transfer_dials_until_either_hangs_up(caller: Caller) -> None:
    sid = caller.place(LONG_PAUSE)
    caller.answered(sid)
    document = f'<Response><Dial callerId="{OWNED}"><Number>+15550100101</Number></Dial></Response>'
    caller.calls.update(sid, account_sid=ACCOUNT_SID, texml=document)
    assert 15 <= int(caller.ended(sid).duration) <= 300


@pytest.mark.parametrize(
    ("number", "status", "seconds"),
    [
        ("<Number>+15550100101</Number>", "completed", "12"),
        ("+15550100102", "busy", "0"),
        ("<Number>+15550100103</Number>", "no-answer", "0"),
        ("<Sip>sip:+15550100104@pbx.example.test</Sip>", "busy", "0"),
        ("<Number>+15550100105</Number>", "failed", "0"),
    ],
)
def test_what_became_of_a_dial_is_told_to_its_action(caller: Caller, number: str, status: str, seconds: str) -> None:
    action = caller.application.serve("/dialled", "<Hangup/>")
    caller.place_and_end(f'<Dial action="{action}" timeout="10">{number}</Dial>')
    form = caller.application.at("/dialled")[0].form
    assert (form["DialCallStatus"], form["DialCallDuration"]) == (status, seconds)


@pytest.mark.usefixtures("slowly")
def test_a_ringing_call_can_be_ended(caller: Caller) -> None:
    sid = caller.place(to="+15550100103", Timeout=120)
    eventually(lambda: len(caller.application.at("/status")) >= 2)
    assert caller.calls.update(sid, account_sid=ACCOUNT_SID, status="completed").status == "canceled"
    assert caller.callbacks(3)[-1].form["HangupCause"] == "originator_cancel"


@pytest.mark.usefixtures("slowly")
def test_an_ended_call_takes_no_updates_and_a_ringing_one_no_document(caller: Caller) -> None:
    ended = caller.place_and_end(to="+15550100102").sid
    ringing = caller.place(to="+15550100103", Timeout=120)
    for sid, change, code in ((ended, {"status": "completed"}, "90018"), (ringing, {"texml": "<Response/>"}, "90034")):
        with pytest.raises(telnyx.UnprocessableEntityError) as refusal:
            caller.calls.update(sid, account_sid=ACCOUNT_SID, **change)  # type: ignore[arg-type]
        assert refusal.value.body["errors"][0]["code"] == code


def test_a_relay_knows_the_call_by_all_its_names(caller: Caller) -> None:
    setups: list[Any] = []

    async def converse(socket: web.WebSocketResponse) -> None:
        setups.append(await socket.receive_json())
        await socket.send_json({"type": "end", "handoffData": "done"})

    caller.application.socket_handler = converse
    action = caller.application.serve("/after", "<Hangup/>")
    relay = f'<ConversationRelay url="{caller.application.socket_url()}"><Parameter name="a" value="b"/>'
    call = caller.place_and_end(f'<Connect action="{action}">{relay}</ConversationRelay></Connect>')
    (setup,) = setups
    assert setup["callSid"] == setup["callControlId"] == call.sid
    assert (setup["accountSid"], setup["callStatus"]) == (ACCOUNT_SID, "active")
    assert setup["customParameters"] == {"a": "b"}
    after = caller.application.at("/after")[0].form
    assert (after["SessionStatus"], after["HandoffData"]) == ("ended", "done")


@pytest.mark.parametrize(
    ("attribute", "code"),
    [
        ('interruptible="yes"', "64101"),
        ('transcriptionProvider="Deepgram"', "64101"),
        ('voice="Polly.Joanna"', "64106"),
        ('voice="ElevenLabs.x"', "64106"),
    ],
)
def test_a_relay_that_asks_for_what_is_not_there_fails(caller: Caller, attribute: str, code: str) -> None:
    action = caller.application.serve("/after", "<Hangup/>")
    relay = f'<ConversationRelay url="{caller.application.socket_url()}" {attribute}/>'
    caller.place_and_end(f'<Connect action="{action}">{relay}</Connect>')
    after = caller.application.at("/after")[0].form
    assert (after["SessionStatus"], after["ErrorCode"]) == ("failed", code)
    assert caller.application.at("/socket") == []


@pytest.mark.parametrize("tells_url", [True, False])
def test_a_recording_is_told_of_once_the_call_is_over(caller: Caller, tells_url: bool) -> None:
    sid = caller.place(LONG_PAUSE, TimeLimit=30)
    caller.answered(sid)
    recording = caller.calls.recordings_json.recordings_json(
        sid,
        account_sid=ACCOUNT_SID,
        recording_channels="dual",
        recording_status_callback=caller.application.url("/recording"),
        play_beep=False,
        send_recording_url=tells_url,
    )
    assert (recording.call_sid, recording.channels, recording.source) == (sid, 2, "StartCallRecordingAPI")
    caller.ended(sid)
    (told,) = eventually(lambda: caller.application.at("/recording"))
    verify_webhook_signature(told.body.decode(), told.headers, KEYS.public_key)
    assert (told.form["CallSid"], told.form["RecordingSid"]) == (sid, recording.sid)
    assert (told.form["RecordingStatus"], told.form["RecordingChannels"]) == ("completed", "2")
    assert 1 <= int(told.form["RecordingDuration"]) <= 30
    assert ("RecordingUrl" in told.form) == tells_url


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"RecordingChannels": "mono"}, "10015"),
        ({"RecordingStatusCallback": "nope"}, "10003"),
        ({"RecordingStatusCallbackEvent": "over"}, "10015"),
        ({"PlayBeep": "no"}, "10015"),
        ({}, "90034"),
    ],
)
def test_only_an_answered_call_is_recorded_and_only_as_documented(
    caller: Caller, slowly: None, fields: dict[str, str], code: str
) -> None:
    sid = caller.place(to="+15550100103")
    headers = {"Authorization": f"Bearer {API_KEY}"}
    reply = requests.post(f"{caller.path}/{sid}/Recordings.json", json=fields, headers=headers, timeout=5)
    assert reply.json()["errors"][0]["code"] == code


BAD_CREATES = [
    ({"ApplicationSid": None}, 422, "10004"),
    ({"ApplicationSid": "1"}, 422, "10015"),
    ({"To": None}, 422, "10004"),
    ({"To": "15559876543"}, 422, "10016"),
    ({"From": "Bob"}, 422, "10016"),
    ({"From": "+15550000001"}, 403, "10010"),
    ({"Url": None}, 422, "10004"),
    ({"Url": "texml"}, 422, "10003"),
    ({"UrlMethod": "PUT"}, 422, "10015"),
    ({"StatusCallback": "nope"}, 422, "10003"),
    ({"StatusCallbackEvent": "initiated,completed"}, 422, "10015"),
    ({"Timeout": 4}, 422, "10015"),
    ({"Timeout": 121}, 422, "10015"),
    ({"TimeLimit": 29}, 422, "10015"),
    ({"TimeLimit": 14_401}, 422, "10015"),
    ({"MachineDetection": "enable"}, 422, "10015"),
    ({"MachineDetectionTimeout": 30}, 422, "10015"),
    ({"AsyncAmd": "yes"}, 422, "10015"),
]


@pytest.mark.parametrize(("change", "status", "code"), BAD_CREATES)
def test_a_bad_create_is_refused_in_telnyxs_envelope(
    caller: Caller, change: dict[str, Any], status: int, code: str
) -> None:
    reply = caller.post({name: value for name, value in caller.fields(**change).items() if value is not None})
    (error,) = reply.json()["errors"]
    assert (reply.status_code, error["code"]) == (status, code)
    assert error["source"]["pointer"].strip("/") in change
    assert caller.placed() == 0


def test_a_form_says_the_same_as_json(caller: Caller) -> None:
    headers = {"Authorization": f"Bearer {API_KEY}"}
    reply = requests.post(caller.path, data=caller.fields(), headers=headers, timeout=5)
    assert caller.ended(reply.json()["sid"]).status == "completed"


@pytest.mark.parametrize(
    ("number", "placed"),
    [
        ("+15550100107", 0),
        ("+15550100108", 0),
        ("+15550100110", 1),
        ("+15550100111", 0),
        ("+15550100112", 1),
        ("+15550100113", 0),
        ("+15550100114", 1),
    ],
)
def test_a_spoiled_create_may_hide_a_call(caller: Caller, number: str, placed: int) -> None:
    headers = {"Authorization": f"Bearer {API_KEY}"}
    try:
        reply = requests.post(caller.path, json=caller.fields(to=number), headers=headers, timeout=0.4)
        assert reply.status_code >= 400
    except (requests.ConnectionError, requests.Timeout):
        pass
    assert caller.placed() == placed


def test_strangers_are_refused_and_see_nothing(caller: Caller) -> None:
    sid = caller.place()
    assert caller.post(caller.fields(), key="KEY-wrong").json()["errors"][0]["code"] == "10009"
    assert caller.post(caller.fields(), key="KEY-other").status_code == 404
    other = sdk_client(caller.carriers.url, "KEY-other").texml.accounts.calls
    with pytest.raises(telnyx.NotFoundError):
        other.retrieve(sid, account_sid="other")
    assert other.retrieve_calls("other").calls == []


def test_unknown_paths_have_telnyxs_envelope_and_are_texmls_in_the_journal(caller: Caller) -> None:
    reply = requests.get(
        f"{caller.carriers.url}/v2/texml/Nothing", headers={"Authorization": f"Bearer {API_KEY}"}, timeout=5
    )
    assert (reply.status_code, reply.json()["errors"][0]["code"]) == (404, "10005")
    entry = requests.get(f"{caller.carriers.url}/_requests", timeout=5).json()[-1]
    assert (entry["carrier"], entry["path"]) == ("telnyx-texml", "/v2/texml/Nothing")


def test_lists_are_filtered_and_paged(caller: Caller) -> None:
    first, second = caller.place(to="+15550100102"), caller.place(to="+15550100102")
    caller.ended(first)
    caller.ended(second)
    assert [call.sid for call in caller.calls.retrieve_calls(ACCOUNT_SID, status="busy").calls or []] == [second, first]
    page = caller.calls.retrieve_calls(ACCOUNT_SID, page_size=1)
    assert page.next_page_uri is not None
    headers = {"Authorization": f"Bearer {API_KEY}"}
    rest = requests.get(f"{caller.carriers.url}{page.next_page_uri}", headers=headers, timeout=5).json()
    assert ([call["sid"] for call in rest["calls"]], rest["next_page_uri"]) == ([first], None)
    today, yesterday = datetime.now(UTC).date(), datetime.now(UTC).date() - timedelta(days=1)
    assert len(caller.calls.retrieve_calls(ACCOUNT_SID, start_time_gt=str(yesterday)).calls or []) == 2
    assert caller.calls.retrieve_calls(ACCOUNT_SID, end_time_lt=str(today)).calls == []
    with pytest.raises(telnyx.UnprocessableEntityError):
        caller.calls.retrieve_calls(ACCOUNT_SID, start_time="yesterday")
