"""The life of a simulated call as the customer's application sees it: TwiML fetches, status callbacks, WebSockets."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any
from xml.sax.saxutils import quoteattr

import pytest
import requests
from aiohttp import web
from twilio.base.exceptions import TwilioRestException
from twilio.request_validator import RequestValidator
from twilio.rest import Client
from twilio.rest.api.v2010.account.call import CallInstance

from sandbox.carriers import SimulatedCarriers
from tests.sandbox.voice_application import Answer, Received, VoiceApplication, eventually, sdk_client

ACCOUNT = "AC" + "1" * 32
TOKEN = "auth-token"
ACCOUNTS = {"twilio": [{"account_sid": ACCOUNT, "auth_token": TOKEN}]}
CALLER = "+15551234567"
CALLEE = "+15559876543"
ALL_EVENTS = ["initiated", "ringing", "answered", "completed"]
SAY = "<Say>Good morning, this is a reminder of your appointment.</Say>"
ENDED = ("completed", "busy", "failed", "no-answer", "canceled")
LONG_PAUSE = '<Pause length="600"/>'


@pytest.fixture(scope="module")
def application() -> Iterator[VoiceApplication]:
    with VoiceApplication() as running:
        yield running


@pytest.fixture(scope="module")
def carriers() -> Iterator[SimulatedCarriers]:
    with SimulatedCarriers(ACCOUNTS, speed=100, calls_per_second=1000) as running:
        yield running


def lasted(call: CallInstance, seconds: int) -> bool:
    """Whether a call lasted simulated seconds; the application's real answering time comes on top, hence the slack."""
    return seconds <= int(call.duration) <= seconds + 3


class Caller:
    """Places calls through the SDK and tells what became of them."""

    def __init__(self, carriers: SimulatedCarriers, application: VoiceApplication) -> None:
        self.client: Client = sdk_client(carriers.url, ACCOUNT, TOKEN)
        self.carriers = carriers
        self.application = application

    def place(self, twiml: str = SAY, to: str = CALLEE, **parameters: Any) -> CallInstance:
        url = self.application.serve("/twiml", twiml)
        return self.client.calls.create(
            **{
                "to": to,
                "from_": CALLER,
                "url": url,
                "status_callback": self.application.url("/status"),
                "status_callback_event": ALL_EVENTS,
                **parameters,
            }
        )

    def place_and_end(self, *arguments: Any, **parameters: Any) -> CallInstance:
        return self.ended(self.place(*arguments, **parameters).sid)

    def ended(self, sid: str) -> CallInstance:
        def call() -> CallInstance | None:
            fetched = self.client.calls(sid).fetch()
            return fetched if fetched.status in ENDED else None

        ended: CallInstance = eventually(call)
        return ended

    def callbacks(self, count: int) -> list[Received]:
        eventually(lambda: len(self.application.at("/status")) >= count)
        return self.application.at("/status")

    def statuses(self, count: int) -> list[str]:
        return [callback.form["CallStatus"] for callback in self.callbacks(count)]

    def sent(self) -> list[dict[str, Any]]:
        entries = requests.get(f"{self.carriers.url}/_requests", timeout=5).json()
        return [entry for entry in entries if entry["direction"] == "out"]

    def settled(self) -> None:
        """Wait until every request that was sent had its reply, and the status callbacks are all in."""
        eventually(lambda: all(entry["status"] is not None for entry in self.sent()))

    def errors(self, sid: str) -> list[int]:
        return [int(notification.error_code) for notification in self.client.calls(sid).notifications.list()]


@pytest.fixture
def caller(carriers: SimulatedCarriers, application: VoiceApplication) -> Caller:
    requests.post(f"{carriers.url}/_reset", timeout=5)
    application.clear()
    return Caller(carriers, application)


def test_an_answered_call_fetches_its_twiml_and_reports_every_event(caller: Caller) -> None:
    call = caller.place_and_end()
    assert sorted(caller.statuses(4)) == sorted(["initiated", "ringing", "in-progress", "completed"])
    assert call.status == "completed"
    assert lasted(call, 4)
    fetch = caller.application.at("/twiml")[0]
    assert fetch.method == "POST"
    assert fetch.headers["Content-Type"].startswith("application/x-www-form-urlencoded")
    assert {name: fetch.form[name] for name in ("CallSid", "AccountSid", "From", "To", "Caller", "Called")} == {
        "CallSid": call.sid,
        "AccountSid": ACCOUNT,
        "From": CALLER,
        "Caller": CALLER,
        "To": CALLEE,
        "Called": CALLEE,
    }
    assert (fetch.form["CallStatus"], fetch.form["Direction"]) == ("in-progress", "outbound-api")
    assert (fetch.form["ToCountry"], fetch.form["FromCity"]) == ("US", "")
    assert "AnsweredBy" not in fetch.form


def test_callbacks_are_numbered_dated_and_told_apart(caller: Caller) -> None:
    call = caller.place_and_end()
    callbacks = sorted(caller.callbacks(4), key=lambda callback: int(callback.form["SequenceNumber"]))
    assert [callback.form["SequenceNumber"] for callback in callbacks] == ["0", "1", "2", "3"]
    assert [callback.form["CallStatus"] for callback in callbacks] == [
        "initiated",
        "ringing",
        "in-progress",
        "completed",
    ]
    assert {callback.form["CallbackSource"] for callback in callbacks} == {"call-progress-events"}
    assert len({callback.headers["I-Twilio-Idempotency-Token"] for callback in callbacks}) == 4
    assert all(callback.form["Timestamp"].endswith("+0000") for callback in callbacks)
    terminal = callbacks[-1].form
    assert (terminal["CallDuration"], terminal["Duration"], terminal["SipResponseCode"]) == (call.duration, "1", "200")
    assert "CallDuration" not in callbacks[0].form


def test_the_official_validator_accepts_every_request(caller: Caller) -> None:
    caller.place_and_end(
        f'<Redirect method="GET">{caller.application.serve("/more", SAY)}?n=1</Redirect>',
        machine_detection="Enable",
        async_amd="true",
        async_amd_status_callback=caller.application.url("/amd"),
    )
    caller.callbacks(4)
    assert {request.path for request in caller.application.received} == {"/twiml", "/more", "/status", "/amd"}
    validator = RequestValidator(TOKEN)
    for request in caller.application.received:
        signature = request.headers["X-Twilio-Signature"]
        assert validator.validate(request.url, request.form, signature), request
        assert not validator.validate(request.url, {**request.form, "CallStatus": "forged"}, signature)


def test_without_a_choice_of_events_only_the_terminal_one_is_sent_as_number_zero(caller: Caller) -> None:
    url = caller.application.serve("/twiml", SAY)
    call = caller.client.calls.create(
        to=CALLEE, from_=CALLER, url=url, status_callback=caller.application.url("/status")
    )
    caller.ended(call.sid)
    terminal = caller.callbacks(1)
    caller.settled()
    assert [(callback.form["CallStatus"], callback.form["SequenceNumber"]) for callback in terminal] == [
        ("completed", "0")
    ]


def test_a_call_without_status_callback_reports_nothing(caller: Caller) -> None:
    call = caller.client.calls.create(to=CALLEE, from_=CALLER, url=caller.application.serve("/twiml", SAY))
    caller.ended(call.sid)
    assert {request.path for request in caller.application.received} == {"/twiml"}


def test_a_misspelt_event_silences_every_callback_as_twilio_does(caller: Caller) -> None:
    call = caller.place_and_end(status_callback_event=["initiated ringing answered completed"])
    assert caller.application.at("/status") == []
    assert caller.errors(call.sid) == [21626]


OUTCOMES = [
    ("+15550100101", "completed", ["initiated", "ringing", "in-progress", "completed"], "200"),
    ("+15550100102", "busy", ["initiated", "busy"], "486"),
    ("+15550100103", "no-answer", ["initiated", "ringing", "no-answer"], "487"),
    ("+15550100104", "busy", ["initiated", "ringing", "busy"], "603"),
    ("+15550100105", "failed", ["initiated", "failed"], "404"),
    ("+15550100106", "completed", ["initiated", "ringing", "in-progress", "completed"], "200"),
]


@pytest.mark.parametrize(("number", "status", "reported", "sip_response_code"), OUTCOMES)
def test_the_callee_decides_the_outcome(
    caller: Caller, number: str, status: str, reported: list[str], sip_response_code: str
) -> None:
    call = caller.place_and_end(to=number, timeout=10)
    callbacks = sorted(caller.callbacks(len(reported)), key=lambda callback: int(callback.form["SequenceNumber"]))
    assert call.status == status
    assert [callback.form["CallStatus"] for callback in callbacks] == reported
    assert callbacks[-1].form["SipResponseCode"] == sip_response_code
    assert callbacks[-1].form["CallDuration"] == call.duration
    answered = status == "completed"
    assert (call.duration != "0") == answered
    assert len(caller.application.at("/twiml")) == answered


def test_ringing_ends_with_the_timeout(caller: Caller) -> None:
    call = caller.place_and_end(to="+15550100103", timeout=20)
    # Twilio rings about five seconds longer than asked; one second goes by before it rings.
    assert 25 <= (call.end_time - call.date_created).total_seconds() <= 27
    assert call.price is None


def test_the_time_limit_caps_the_call(caller: Caller) -> None:
    call = caller.place_and_end(LONG_PAUSE, time_limit=30)
    assert (call.status, call.duration) == ("completed", "30")


def test_hanging_up_in_the_middle_reports_a_completed_call(caller: Caller) -> None:
    call = caller.place(LONG_PAUSE)
    eventually(lambda: caller.client.calls(call.sid).fetch().status == "in-progress")
    caller.client.calls(call.sid).update(status="completed")
    terminal = next(c for c in caller.callbacks(4) if c.form["CallStatus"] == "completed")
    assert 0 < int(terminal.form["CallDuration"]) < 600


def test_a_callee_may_hang_up_early(caller: Caller) -> None:
    call = caller.place_and_end(LONG_PAUSE, to="+15550100122")
    assert call.status == "completed"
    assert lasted(call, 2)


def test_a_slow_queue_is_reported_as_queue_time(caller: Caller) -> None:
    call = caller.place_and_end(to="+15550100123")
    assert int(call.queue_time) >= 8000
    assert (call.start_time - call.date_created).total_seconds() >= 8


def test_calls_beyond_the_rate_wait_in_the_queue(application: VoiceApplication) -> None:
    with SimulatedCarriers(ACCOUNTS, speed=100, calls_per_second=0.1) as slow:
        client = sdk_client(slow.url, ACCOUNT, TOKEN)
        calls = [client.calls.create(to="+15550100102", from_=CALLER, twiml="<Response/>") for _ in range(3)]
        waits = [int(call.queue_time) for call in calls]
        assert waits[0] == 0
        assert 0 < waits[1] <= 10_000 < waits[2] <= 20_000
        eventually(lambda: all(call.status == "busy" for call in client.calls.list()))


DELIVERIES = [
    ("+15550100115", 8, sorted([0, 1, 2, 3] * 2)),
    ("+15550100117", 0, []),
    ("+15550100118", 1, [3]),
    ("+15550100119", 3, [0, 1, 2]),
]


@pytest.mark.parametrize(("number", "count", "sequence_numbers"), DELIVERIES)
def test_the_scenario_decides_which_callbacks_arrive(
    caller: Caller, number: str, count: int, sequence_numbers: list[int]
) -> None:
    call = caller.place_and_end(to=number)
    callbacks = caller.callbacks(count)
    caller.settled()
    assert sorted(int(callback.form["SequenceNumber"]) for callback in callbacks) == sequence_numbers
    assert call.status == "completed"
    assert len(caller.application.at("/twiml")) == 1
    sent = [entry for entry in caller.sent() if entry["path"] == "/status"]
    assert len(sent) == count


def test_a_duplicated_callback_is_the_same_request_again(caller: Caller) -> None:
    caller.place_and_end(to="+15550100115")
    tokens = [callback.headers["I-Twilio-Idempotency-Token"] for callback in caller.callbacks(8)]
    assert sorted(tokens.count(token) for token in set(tokens)) == [2, 2, 2, 2]


def test_reordered_callbacks_arrive_last_first(caller: Caller) -> None:
    caller.place_and_end(to="+15550100116")
    assert caller.statuses(4) == ["completed", "in-progress", "ringing", "initiated"]


def test_the_terminal_callback_may_overtake_ringing(caller: Caller) -> None:
    caller.place_and_end(to="+15550100120")
    statuses = caller.statuses(4)
    assert statuses.index("completed") < statuses.index("ringing")


@pytest.mark.parametrize(
    ("twiml", "seconds"),
    [
        ('<Pause length="5"/>', 5),
        ("<Pause/>", 1),
        ("<Say>one two three four five six seven eight</Say>", 4),
        ('<Say loop="3">one two three four</Say>', 6),
        ("<Play>hold.mp3</Play>", 5),
        ('<Gather timeout="7"><Say>press a key now please</Say></Gather>', 10),
        ('<Pause length="3"/><Hangup/><Pause length="60"/>', 3),
        ('<Pause length="3"/><Reject/><Pause length="60"/>', 3),
        ("", 1),
    ],
)
def test_verbs_take_their_time(caller: Caller, twiml: str, seconds: int) -> None:
    assert lasted(caller.place_and_end(twiml), seconds)


@pytest.mark.parametrize(
    ("number", "seconds"),
    [("+15550100101", 15), ("+15550100102", 0), ("+15550100103", 10), ("+15550100122", 5)],
)
def test_a_dialled_number_rings_and_talks_by_its_own_scenario(caller: Caller, number: str, seconds: int) -> None:
    call = caller.place_and_end(f'<Dial timeout="10"><Number>{number}</Number></Dial><Pause length="1"/>')
    assert lasted(call, seconds + 1)


def test_hanging_up_ends_a_call_that_rings_elsewhere(caller: Caller) -> None:
    call = caller.place_and_end('<Dial timeout="600">+15550100103</Dial>', time_limit=20)
    assert (call.status, call.duration) == ("completed", "20")


def test_a_redirect_leads_to_the_next_document_relative_to_this_one(caller: Caller) -> None:
    caller.application.serve("/next", '<Pause length="3"/>')
    assert lasted(caller.place_and_end("<Redirect>next</Redirect><Pause length='60'/>"), 3)
    assert caller.application.at("/next")[0].method == "POST"


def test_a_gather_may_ask_its_action_for_more(caller: Caller) -> None:
    caller.application.serve("/gathered", '<Pause length="2"/>')
    call = caller.place_and_end('<Gather timeout="1" action="/gathered" actionOnEmptyResult="true"/>')
    assert lasted(call, 3)
    assert caller.application.at("/gathered")[0].form["Digits"] == ""


BAD_TWIML = [
    (Answer(status=500, body="boom", content_type="text/plain"), 11200),
    (Answer(status=404, body="<Response/>"), 11200),
    (Answer(body="<Response><Say>no end"), 12100),
    (Answer(body="<Reply/>"), 12100),
    (Answer(body=""), 12100),
    (Answer(body="<Response><Enqueue>support</Enqueue></Response>"), 12100),
    (Answer(body="<Response><Connect/></Response>"), 12100),
    (Answer(body='<Response><Pause length="x"/></Response>'), 12100),
    (Answer(body="{}", content_type="application/json"), 12300),
]


@pytest.mark.parametrize(("answer", "code"), BAD_TWIML)
def test_unusable_twiml_ends_the_call_and_is_logged(caller: Caller, answer: Answer, code: int) -> None:
    caller.application.answers["/twiml"] = [answer]
    call = caller.place_and_end(url=caller.application.url("/twiml"))
    assert call.status == "completed"
    assert lasted(call, 4)
    assert caller.errors(call.sid) == [code]


def test_unusable_twiml_leads_to_the_fallback_url(caller: Caller) -> None:
    caller.application.answers["/twiml"] = [Answer(status=503)]
    fallback = caller.application.serve("/fallback", '<Pause length="2"/>')
    call = caller.place_and_end(url=caller.application.url("/twiml"), fallback_url=fallback)
    assert lasted(call, 2)
    form = caller.application.at("/fallback")[0].form
    assert (form["ErrorCode"], form["ErrorUrl"]) == ("11200", caller.application.url("/twiml"))


def test_an_unreachable_application_is_tried_twice_and_the_call_ends(caller: Caller) -> None:
    call = caller.place_and_end(url="http://127.0.0.1:1/twiml", status_callback=None, status_callback_event=None)
    assert call.status == "completed"
    assert [(entry["status"], entry["error"]) for entry in caller.sent()] == [(None, "ct")] * 2
    assert caller.errors(call.sid) == [11200]


@pytest.mark.parametrize(
    ("fragment", "attempts"), [("", 1), ("#rc=2&rp=5xx", 3), ("#rc=0&rp=5xx", 1), ("#rc=1&rp=ct", 1)]
)
def test_a_refused_callback_is_sent_again_only_when_the_url_asks_for_it(
    caller: Caller, fragment: str, attempts: int
) -> None:
    caller.application.answers["/status"] = [Answer(status=503)]
    call = caller.place_and_end(
        status_callback=caller.application.url("/status") + fragment, status_callback_event=["completed"]
    )
    eventually(lambda: 15003 in caller.errors(call.sid))
    received = caller.application.at("/status")
    assert len(received) == attempts
    assert len({request.headers["I-Twilio-Idempotency-Token"] for request in received}) == 1
    assert {request.url for request in received} == {caller.application.url("/status")}


def test_a_callback_that_is_not_answered_in_time_is_given_up(caller: Caller) -> None:
    caller.application.answers["/status"] = [Answer(delay_seconds=2.0)]
    url = caller.application.url("/status") + "#rt=200&rc=1&rp=rt&tt=600"
    call = caller.place_and_end(status_callback=url, status_callback_event=["completed"])
    eventually(lambda: 11200 in caller.errors(call.sid))
    callbacks = [entry for entry in caller.sent() if entry["path"] == "/status"]
    assert [(entry["status"], entry["error"]) for entry in callbacks] == [(None, "rt")] * 2


def test_a_slow_application_counts_in_real_seconds(caller: Caller) -> None:
    caller.application.serve("/slow", "<Hangup/>", delay_seconds=1.1)
    # A hundred times as much, were it simulated.
    assert lasted(caller.place_and_end(url=caller.application.url("/slow")), 1)


DETECTIONS = [
    ("+15550100106", "Enable", None, "machine_start"),
    ("+15550100106", "DetectMessageEnd", None, "machine_end_beep"),
    ("+15550100106", "DetectMessageEnd", 5, "unknown"),
    (CALLEE, "Enable", None, "human"),
]


@pytest.mark.parametrize(("number", "mode", "timeout", "verdict"), DETECTIONS)
def test_machine_detection_comes_before_the_twiml(
    caller: Caller, number: str, mode: str, timeout: int | None, verdict: str
) -> None:
    more = {} if timeout is None else {"machine_detection_timeout": timeout}
    call = caller.place_and_end(to=number, machine_detection=mode, **more)
    fetch = caller.application.at("/twiml")[0]
    assert (call.answered_by, fetch.form["AnsweredBy"]) == (verdict, verdict)
    assert int(fetch.form["MachineDetectionDuration"]) >= 3000
    callbacks = {callback.form["CallStatus"]: callback.form for callback in caller.callbacks(4)}
    assert callbacks["completed"]["AnsweredBy"] == verdict
    assert "AnsweredBy" not in callbacks["in-progress"]


def test_asynchronous_machine_detection_has_a_callback_of_its_own(caller: Caller) -> None:
    call = caller.place_and_end(
        '<Pause length="20"/>',
        to="+15550100106",
        machine_detection="Enable",
        async_amd="true",
        async_amd_status_callback=caller.application.url("/amd"),
    )
    assert "AnsweredBy" not in caller.application.at("/twiml")[0].form
    assert caller.application.at("/amd")[0].form == {
        "AccountSid": ACCOUNT,
        "CallSid": call.sid,
        "AnsweredBy": "machine_start",
        "MachineDetectionDuration": "4000",
    }
    assert call.answered_by == "machine_start"


@pytest.mark.parametrize(("number", "times"), [("+15550100115", 2), ("+15550100117", 0), ("+15550100119", 1)])
def test_a_verdict_beside_the_call_is_repeated_or_lost_like_every_callback(
    caller: Caller, number: str, times: int
) -> None:
    caller.place_and_end(
        '<Pause length="20"/>',
        to=number,
        machine_detection="Enable",
        async_amd="true",
        async_amd_status_callback=caller.application.url("/amd"),
    )
    caller.settled()
    verdicts = caller.application.at("/amd")
    assert [verdict.form["AnsweredBy"] for verdict in verdicts] == ["human"] * times
    assert len({verdict.headers["I-Twilio-Idempotency-Token"] for verdict in verdicts}) == min(times, 1)


def test_asynchronous_machine_detection_without_callback_is_a_warning(caller: Caller) -> None:
    call = caller.place_and_end(machine_detection="Enable", async_amd="true")
    assert caller.errors(call.sid) == [21262]


def test_the_sdk_lists_a_calls_events(caller: Caller) -> None:
    call = caller.place_and_end()
    caller.callbacks(4)
    caller.settled()
    events = caller.client.calls(call.sid).events.list()
    urls = [event.request["url"] for event in events]
    assert sorted(urls) == sorted([caller.application.url("/twiml")] + [caller.application.url("/status")] * 4)
    fetch = events[urls.index(caller.application.url("/twiml"))]
    assert fetch.request["method"] == "POST"
    assert fetch.request["parameters"]["call_sid"] == call.sid
    assert fetch.response["response_code"] == 200
    assert "<Say>" in fetch.response["response_body"]


def test_everything_sent_is_in_the_journal_with_its_reply(caller: Caller) -> None:
    call = caller.place_and_end()
    caller.callbacks(4)
    caller.settled()
    sent = caller.sent()
    assert sorted(entry["path"] for entry in sent) == ["/status"] * 4 + ["/twiml"]
    assert {entry["call_id"] for entry in sent} == {call.sid}
    assert {entry["status"] for entry in sent} == {200, 204}
    assert all(entry["form"]["CallSid"] == call.sid and entry["carrier"] == "twilio" for entry in sent)
    assert [entry["at"] for entry in sent] == sorted(entry["at"] for entry in sent)


def relay(application: VoiceApplication, attributes: str = "", url: str | None = None) -> str:
    return (
        f"<Connect{attributes}><ConversationRelay url={quoteattr(url or application.socket_url())}>"
        '<Parameter name="call_id" value="c_1"/></ConversationRelay></Connect>'
    )


def test_a_relay_session_is_set_up_prompted_and_ended_by_the_callee(caller: Caller) -> None:
    caller.application.serve("/action", "")
    call = caller.place_and_end(relay(caller.application, ' action="/action"'))
    setup, prompt = caller.application.socket_frames
    assert (setup["type"], setup["callSid"], setup["customParameters"]) == ("setup", call.sid, {"call_id": "c_1"})
    assert (setup["from"], setup["to"], setup["direction"]) == (CALLER, CALLEE, "outbound-api")
    assert (prompt["type"], prompt["last"]) == ("prompt", True)
    assert call.status == "completed"
    assert lasted(call, 12)
    eventually(lambda: caller.application.at("/action"))
    form = caller.application.at("/action")[0].form
    assert (form["SessionStatus"], form["SessionId"], form["CallStatus"]) == (
        "completed",
        setup["sessionId"],
        "completed",
    )
    handshake = caller.application.at("/socket")[0]
    assert RequestValidator(TOKEN).validate(
        handshake.url.replace("http:", "ws:"), {}, handshake.headers["X-Twilio-Signature"]
    )


def test_an_application_may_end_a_relay_session_and_the_action_takes_over(caller: Caller) -> None:
    async def answer_and_end(socket: web.WebSocketResponse) -> None:
        await socket.receive()
        await socket.send_json({"type": "text", "token": "Hello", "last": True})
        await socket.send_json({"type": "nonsense"})
        assert (await socket.receive()).json()["type"] == "error"
        await socket.send_json({"type": "end", "handoffData": json.dumps({"reason": "done"})})

    caller.application.socket_handler = answer_and_end
    caller.application.serve("/action", '<Pause length="4"/>')
    call = caller.place_and_end(relay(caller.application, ' action="/action"'), to="+15550100121")
    form = caller.application.at("/action")[0].form
    assert (form["SessionStatus"], form["HandoffData"]) == ("ended", '{"reason": "done"}')
    assert (call.status, caller.errors(call.sid)) == ("completed", [64107])


def test_a_relay_session_may_be_cut_by_the_application(caller: Caller) -> None:
    async def leave(socket: web.WebSocketResponse) -> None:
        await socket.receive()
        await socket.close()

    caller.application.socket_handler = leave
    call = caller.place_and_end(relay(caller.application) + '<Pause length="3"/>', to="+15550100121")
    assert caller.errors(call.sid) == [64105]
    assert int(call.duration) >= 3


def test_a_long_conversation_ends_with_the_time_limit(caller: Caller) -> None:
    call = caller.place_and_end(relay(caller.application), to="+15550100121", time_limit=90)
    assert (call.status, call.duration) == ("completed", "90")


def test_hanging_up_ends_a_conversation(caller: Caller) -> None:
    call = caller.place(relay(caller.application), to="+15550100121")
    eventually(lambda: caller.application.socket_frames)
    assert caller.client.calls(call.sid).update(status="completed").status == "completed"


@pytest.mark.parametrize(
    ("url", "code"),
    [("ws://127.0.0.1:1/socket", 64102), ("ws://example.test/socket", 64101), ("https://127.0.0.1/socket", 64101)],
)
def test_a_relay_that_cannot_be_reached_goes_on_with_the_next_verb(caller: Caller, url: str, code: int) -> None:
    call = caller.place_and_end(relay(caller.application, url=url) + '<Pause length="3"/>')
    assert lasted(call, 3)
    assert caller.errors(call.sid) == [code]


def test_a_failed_relay_tells_its_action(caller: Caller) -> None:
    caller.application.serve("/action", "<Hangup/>")
    caller.place_and_end(
        relay(caller.application, ' action="/action"', url=caller.application.url("/").replace("http", "ws"))
    )
    form = caller.application.at("/action")[0].form
    assert (form["SessionStatus"], form["ErrorCode"]) == ("failed", "64102")


@pytest.mark.parametrize(
    ("attribute", "code"),
    [
        ('interruptible="yes"', 64101),
        ('welcomeGreetingInterruptible="None"', 64101),
        ('dtmfDetection="1"', 64101),
        ('ttsProvider="OpenAI"', 64101),
        ('transcriptionProvider="whisper"', 64101),
        ('language="English"', 64101),
        ('voice="Polly.Joanna"', 64106),
        ('voice="Telnyx.NaturalHD.astra"', 64106),
    ],
)
def test_a_relay_that_asks_for_what_is_not_there_fails_before_a_socket_is_opened(
    caller: Caller, attribute: str, code: int
) -> None:
    caller.application.serve("/action", "<Hangup/>")
    document = relay(caller.application, ' action="/action"')
    call = caller.place_and_end(document.replace("<ConversationRelay", f"<ConversationRelay {attribute}"))
    form = caller.application.at("/action")[0].form
    assert (form["SessionStatus"], form["ErrorCode"]) == ("failed", str(code))
    assert caller.errors(call.sid) == [code]
    assert caller.application.at("/socket") == []


def test_a_relay_may_say_all_that_is_documented_and_what_nobody_knows(caller: Caller) -> None:
    attributes = (
        'language="en-US" ttsLanguage="multi" transcriptionLanguage="es-419" ttsProvider="ElevenLabs" '
        'voice="UgBBYS2sOqTuMpoF3BR0-flash_v2_5" transcriptionProvider="Deepgram" speechModel="nova-3-general" '
        'interruptible="speech" welcomeGreetingInterruptible="none" reportInputDuringAgentSpeech="any" '
        'dtmfDetection="true" hints="Okonkwo,Dialplane" events="speaker-events tokens-played" brandNew="x"'
    )
    document = relay(caller.application).replace("<ConversationRelay", f"<ConversationRelay {attributes}")
    call = caller.place_and_end(document)
    assert caller.errors(call.sid) == []
    assert caller.application.at("/socket") != []


def test_a_recording_is_told_of_once_the_call_is_over(caller: Caller) -> None:
    call = caller.place(LONG_PAUSE, time_limit=30)
    eventually(lambda: caller.client.calls(call.sid).fetch().status == "in-progress")
    recording = caller.client.calls(call.sid).recordings.create(
        recording_channels="dual", recording_status_callback=caller.application.url("/recording")
    )
    assert (recording.status, recording.channels, recording.duration) == ("in-progress", 2, None)
    caller.ended(call.sid)
    (told,) = eventually(lambda: caller.application.at("/recording"))
    assert RequestValidator(TOKEN).validate(told.url, told.form, told.headers["X-Twilio-Signature"])
    path = f"/2010-04-01/Accounts/{ACCOUNT}/Recordings/{recording.sid}"
    assert (told.form["RecordingUrl"], recording.uri) == (f"https://api.twilio.com{path}", f"{path}.json")
    assert (told.form["CallSid"], told.form["RecordingSid"]) == (call.sid, recording.sid)
    assert (told.form["RecordingStatus"], told.form["RecordingChannels"]) == ("completed", "2")
    assert 1 <= int(told.form["RecordingDuration"]) <= 30
    assert "CallStatus" not in told.form
    (listed,) = caller.client.calls(call.sid).recordings.list()
    assert (listed.sid, listed.status, listed.duration) == (
        recording.sid,
        "completed",
        told.form["RecordingDuration"],
    )


def test_a_recordings_beginning_is_told_when_it_was_asked_for(caller: Caller) -> None:
    call = caller.place(LONG_PAUSE, to="+15550100115", time_limit=30)
    eventually(lambda: caller.client.calls(call.sid).fetch().status == "in-progress")
    caller.client.calls(call.sid).recordings.create(
        recording_status_callback=caller.application.url("/recording"),
        recording_status_callback_event=["in-progress completed"],
    )
    caller.ended(call.sid)
    eventually(lambda: len(caller.application.at("/recording")) == 4)
    statuses = [told.form["RecordingStatus"] for told in caller.application.at("/recording")]
    assert sorted(statuses) == ["completed"] * 2 + ["in-progress"] * 2, "each is sent twice"


def test_only_an_answered_call_is_recorded(caller: Caller) -> None:
    waiting = caller.place(to="+15550100103")
    ended = caller.place_and_end()
    for call in (waiting, ended):
        with pytest.raises(TwilioRestException) as refusal:
            caller.client.calls(call.sid).recordings.create()
        assert (refusal.value.status, refusal.value.code) == (400, 21220)


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"recording_channels": "stereo"}, 20001),
        ({"recording_track": "none"}, 20001),
        ({"recording_status_callback": "nope"}, 21205),
        ({"recording_status_callback_method": "PUT"}, 21209),
        ({"recording_status_callback_event": ["over"]}, 20001),
    ],
)
def test_a_bad_request_to_record_is_refused(caller: Caller, parameters: dict[str, Any], code: int) -> None:
    call = caller.place(LONG_PAUSE, time_limit=600)
    eventually(lambda: caller.client.calls(call.sid).fetch().status == "in-progress")
    with pytest.raises(TwilioRestException) as refusal:
        caller.client.calls(call.sid).recordings.create(**parameters)
    assert refusal.value.code == code


def test_a_media_stream_connects_starts_carries_audio_and_stops(caller: Caller) -> None:
    async def mark(socket: web.WebSocketResponse) -> None:
        await socket.send_json({"event": "mark", "mark": {"name": "greeted"}})

    caller.application.socket_handler = mark
    stream = (
        f"<Connect><Stream url={quoteattr(caller.application.socket_url())}>"
        '<Parameter name="call_id" value="c_1"/></Stream></Connect>'
    )
    call = caller.place_and_end(stream)
    assert lasted(call, 12)
    eventually(lambda: caller.application.socket_frames[-1]["event"] == "stop")
    connected, start, *rest = caller.application.socket_frames
    assert connected == {"event": "connected", "protocol": "Call", "version": "1.0.0"}
    assert (start["event"], start["start"]["callSid"]) == ("start", call.sid)
    assert start["start"]["customParameters"] == {"call_id": "c_1"}
    assert start["start"]["mediaFormat"] == {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
    assert {"media", "mark", "stop"} == {frame["event"] for frame in rest}
    numbers = [int(frame["sequenceNumber"]) for frame in (start, *rest)]
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_stream_closed_by_the_application_goes_on_with_the_next_verb(caller: Caller) -> None:
    async def leave(socket: web.WebSocketResponse) -> None:
        await socket.receive()
        await asyncio.sleep(0)
        await socket.close()

    caller.application.socket_handler = leave
    stream = f"<Connect><Stream url={quoteattr(caller.application.socket_url())}/></Connect>"
    call = caller.place_and_end(stream + '<Pause length="3"/>', to="+15550100121")
    assert (call.status, caller.errors(call.sid)) == ("completed", [])


def test_a_stream_that_cannot_be_opened_goes_on_with_the_next_verb(caller: Caller) -> None:
    call = caller.place_and_end('<Connect><Stream url="ws://127.0.0.1:1/x"/></Connect><Pause length="3"/>')
    assert lasted(call, 3)
    assert caller.errors(call.sid) == [31920]
