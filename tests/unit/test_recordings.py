"""Recordings: asked for as each carrier's SDK would, reported once however often, never by a link to the audio."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest
from telnyx import Telnyx
from twilio.rest import Client

from dialplane.carriers.contract import CarrierCredentials, ForeignAccount, InvalidCallback
from dialplane.carriers.registry import api_of, events_of, webhooks_of
from dialplane.carriers.twilio.api import TwilioApi
from dialplane.domain.calls import Call, CallEvent, apply_event
from dialplane.domain.errors import CallNotInProgress, CarrierUnavailable, ControlUnsupported
from dialplane.domain.statuses import CallStatus, EndedReason, Verdict
from tests.fakes.elevenlabs import CREDENTIALS as ELEVENLABS
from tests.fakes.scripted_http import Reply, ScriptedServer, scripted_server
from tests.fakes.telnyx import CALL_CONTROL_ID, CALL_ID, CONNECTION_ID, NOW, PUBLIC_KEY
from tests.fakes.telnyx import event as telnyx_event
from tests.unit import test_telnyx_api, test_telnyx_texml_api, test_twilio_api
from tests.unit.test_telnyx_events import a_call
from tests.unit.test_telnyx_texml_webhooks import ACCOUNT_SID as TEXML_ACCOUNT_SID
from tests.unit.test_telnyx_texml_webhooks import CREDENTIALS as TEXML
from tests.unit.test_telnyx_webhooks import CREDENTIALS as TELNYX
from tests.unit.test_twilio_webhooks import ACCOUNT_SID, CALL_SID
from tests.unit.test_twilio_webhooks import CREDENTIALS as TWILIO
from tests.unit.test_vonage_api import APPLICATION_ID, pem

STATUS_URL = "https://dialplane.test/status/twilio/org_1/acc_1/call_1"
RECORDING_SID = "RE" + "d" * 32
RECORDING_ID = "35094891-3290-4142-b2c2-b2eda57534cf"
TWILIO_URL = f"https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT_SID}/Recordings/{RECORDING_SID}"
# What opens a recording to anybody who has it.
OPEN_LINK = "https://telnyx-recordings.s3.amazonaws.com/x.mp3?X-Amz-Signature=abc"


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as scripted:
        yield scripted


# ---- asking ---------------------------------------------------------------------------------------------------------


def test_twilio_is_asked_as_its_sdk_would(server: ScriptedServer) -> None:
    capture = test_twilio_api.CapturingHttpClient()
    Client(ACCOUNT_SID, "token", http_client=capture).calls(CALL_SID).recordings.create(
        recording_channels="dual",
        recording_status_callback=STATUS_URL,
        recording_status_callback_event=["completed"],
        recording_status_callback_method="POST",
    )
    server.script = [Reply(201, {"sid": RECORDING_SID})]
    TwilioApi(ACCOUNT_SID, "token", server.url).start_recording(CALL_SID, status_url=STATUS_URL)
    ours, theirs = server.received[0], capture.prepared
    assert theirs is not None
    assert (ours.method, ours.path, ours.body.decode()) == (theirs.method, theirs.path_url, theirs.body)


def test_telnyx_is_asked_as_its_sdk_would_and_records_once_however_often_it_is_asked(server: ScriptedServer) -> None:
    server.script = [test_telnyx_api.OK] * 3
    Telnyx(api_key="KEY1", base_url=f"{server.url}/v2", max_retries=0).calls.actions.start_recording(
        CALL_CONTROL_ID, channels="dual", format="mp3", command_id=f"{CALL_CONTROL_ID}:record"
    )
    api = test_telnyx_api.opened(server)
    for _ in range(2):
        api.start_recording(CALL_CONTROL_ID, status_url=STATUS_URL)
    theirs, *ours = server.received
    for request in ours:
        test_telnyx_api.assert_same_request(request, theirs)


def test_texml_is_asked_as_its_sdk_would(server: ScriptedServer) -> None:
    server.script = [Reply(200, {"sid": RECORDING_ID})] * 2
    Telnyx(
        api_key="KEY1", base_url=f"{server.url}/v2", max_retries=0
    ).texml.accounts.calls.recordings_json.recordings_json(
        CALL_CONTROL_ID,
        account_sid=TEXML_ACCOUNT_SID,
        recording_channels="dual",
        recording_status_callback=STATUS_URL,
        recording_status_callback_event="completed",
        recording_status_callback_method="POST",
        play_beep=False,
        send_recording_url=False,
    )
    test_telnyx_texml_api.opened(server.url).start_recording(CALL_CONTROL_ID, status_url=STATUS_URL)
    theirs, ours = server.received
    assert (ours.method, ours.path) == (theirs.method, theirs.path)
    assert json.loads(ours.body) == json.loads(theirs.body)


VONAGE = CarrierCredentials({"application_id": APPLICATION_ID, "private_key": pem()})


@pytest.mark.parametrize(("carrier", "secret"), [("vonage", VONAGE), ("elevenlabs", ELEVENLABS)])
def test_other_carriers_say_that_they_cannot(carrier: str, secret: CarrierCredentials) -> None:
    api = api_of(carrier).open_api(secret, timeout_seconds=1.0)
    with pytest.raises(ControlUnsupported):
        api.start_recording("x", status_url=STATUS_URL)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (test_twilio_api.refusal(404, 20404), CallNotInProgress),
        (test_twilio_api.refusal(400, 21220), CallNotInProgress),
        (test_twilio_api.refusal(401, 20003), CarrierUnavailable),
        (Reply(status=0), CarrierUnavailable),
        (Reply(500), CarrierUnavailable),
    ],
)
def test_a_recording_that_cannot_begin_is_an_error(
    server: ScriptedServer, reply: Reply, error: type[Exception]
) -> None:
    server.script = [reply]
    with pytest.raises(error):
        TwilioApi(ACCOUNT_SID, "token", server.url).start_recording(CALL_SID, status_url=STATUS_URL)


# ---- the report -----------------------------------------------------------------------------------------------------


def told(carrier: str, credentials: CarrierCredentials, body: bytes) -> CallEvent:
    return events_of(carrier).to_call_event(webhooks_of(carrier).parse_report(credentials, body).fields, NOW)


def twilio(**changes: str) -> CallEvent:
    form = {
        "AccountSid": ACCOUNT_SID,
        "CallSid": CALL_SID,
        "RecordingSid": RECORDING_SID,
        "RecordingUrl": TWILIO_URL,
        "RecordingStatus": "completed",
        "RecordingDuration": "42",
        "RecordingChannels": "2",
        "RecordingStartTime": "Fri, 20 Nov 2026 14:59:00 +0000",
        "RecordingSource": "StartCallRecordingAPI",
        "RecordingTrack": "both",
        **changes,
    }
    return told("twilio", TWILIO, urlencode(form).encode())


def texml(credentials: CarrierCredentials = TEXML, **changes: str) -> CallEvent:
    form = {
        "AccountSid": TEXML_ACCOUNT_SID,
        "CallSid": CALL_CONTROL_ID,
        "CallSidLegacy": CALL_CONTROL_ID,
        "ConnectionId": "1234567890",
        "RecordingChannels": "2",
        "RecordingDuration": "5",
        "RecordingSid": RECORDING_ID,
        "RecordingSource": "StartCallRecordingAPI",
        "RecordingStatus": "completed",
        "RecordingUrl": OPEN_LINK,
        **changes,
    }
    return told("telnyx-texml", credentials, urlencode(form).encode())


def telnyx(credentials: CarrierCredentials = TELNYX, **changes: Any) -> CallEvent:
    payload = {
        "recording_id": RECORDING_ID,
        "channels": "dual",
        "recording_started_at": "2026-11-20T14:58:00.1Z",
        "recording_ended_at": "2026-11-20T14:59:00.1Z",
        "recording_urls": {"mp3": OPEN_LINK},
        "public_recording_urls": {"mp3": OPEN_LINK},
        **changes,
    }
    return told("telnyx", credentials, telnyx_event("call.recording.saved", **payload))


def test_a_report_says_where_the_recording_is_kept_and_is_no_state() -> None:
    reports = {"twilio": twilio(), "texml": texml(), "telnyx": telnyx()}
    assert {name: (event.recording_id, event.recording_url) for name, event in reports.items()} == {
        "twilio": (RECORDING_SID, TWILIO_URL),
        "texml": (
            RECORDING_ID,
            f"https://api.telnyx.com/v2/texml/Accounts/{TEXML_ACCOUNT_SID}/Recordings/{RECORDING_ID}.json",
        ),
        "telnyx": (RECORDING_ID, f"https://api.telnyx.com/v2/recordings/{RECORDING_ID}"),
    }
    for event in reports.values():
        assert (event.status, event.duration_seconds, event.answered_by) == (None, None, None)
        assert not event.are_instructions_done


def test_telnyx_documents_a_report_that_names_neither_the_call_nor_the_recording() -> None:
    event = telnyx(recording_id=None, call_control_id=None)
    leg = "428c31b6-7af4-4bcb-b7f5-5013ef9657c1"
    assert (event.carrier_call_id, event.recording_id) == ("", leg)
    assert event.recording_url == f"https://api.telnyx.com/v2/recordings?filter[call_leg_id]={leg}"
    after = apply_event(in_progress(CALL_CONTROL_ID), event, received_at=NOW)
    assert (after.verdict, after.call.recording_id) == (Verdict.ACCEPTED, leg)
    assert after.call.carrier_call_id == CALL_CONTROL_ID
    unbound = apply_event(in_progress(None), event, received_at=NOW)
    assert (unbound.verdict, unbound.call.carrier_call_id) == (Verdict.ACCEPTED, None)


def test_where_the_books_are_is_the_accounts_own_address() -> None:
    base = {"api_base_url": "http://127.0.0.1:8090"}
    secret = {"api_key": "KEY", "public_key": PUBLIC_KEY, "connection_id": CONNECTION_ID, **base}
    assert (telnyx(CarrierCredentials(secret)).recording_url or "").startswith("http://127.0.0.1:8090/v2/recordings/")
    secret = {"public_key": PUBLIC_KEY, "account_sid": TEXML_ACCOUNT_SID, **base}
    assert (texml(CarrierCredentials(secret)).recording_url or "").startswith("http://127.0.0.1:8090/v2/texml/")


def test_no_link_that_opens_a_recording_to_anybody_travels_on() -> None:
    reports = [
        webhooks_of("telnyx").parse_report(
            TELNYX, telnyx_event("call.recording.saved", recording_urls={"mp3": OPEN_LINK}, recording_id=RECORDING_ID)
        ),
        webhooks_of("telnyx-texml").parse_report(
            TEXML,
            urlencode(
                {
                    "AccountSid": TEXML_ACCOUNT_SID,
                    "CallSid": CALL_CONTROL_ID,
                    "RecordingSid": RECORDING_ID,
                    "RecordingStatus": "completed",
                    "RecordingUrl": OPEN_LINK,
                }
            ).encode(),
        ),
    ]
    for report in reports:
        assert not any("Amz" in value for value in report.fields.values())


@pytest.mark.parametrize("status", ["absent", "failed", "in-progress", "brand-new"])
def test_a_recording_that_is_not_there_is_none(status: str) -> None:
    for event in (twilio(RecordingStatus=status), texml(RecordingStatus=status)):
        assert (event.recording_id, event.recording_url) == (None, None)
        assert event.carrier_status == f"recording:{status}"


@pytest.mark.parametrize("url", ["ftp://x/y", "https://x/y?sig=1", "javascript:alert(1)", "https://x/" + "y" * 400])
def test_an_address_of_another_form_stays_behind_and_takes_nothing_with_it(url: str) -> None:
    event = twilio(RecordingUrl=url)
    assert (event.recording_id, event.recording_url) == (RECORDING_SID, None)


@pytest.mark.parametrize("changes", [{"RecordingSid": "RE1"}, {"CallSid": "x"}, {"RecordingStatus": "a b"}])
def test_a_value_of_another_form_is_invalid(changes: dict[str, str]) -> None:
    with pytest.raises(InvalidCallback):
        twilio(**changes)


def test_a_report_about_another_account_is_foreign() -> None:
    with pytest.raises(ForeignAccount):
        twilio(AccountSid="AC" + "9" * 32)
    with pytest.raises(ForeignAccount):
        telnyx(connection_id="7")


# ---- what it does to the call ---------------------------------------------------------------------------------------


def in_progress(carrier_call_id: str | None, **changes: Any) -> Call:
    return replace(a_call(), carrier_call_id=carrier_call_id, status=CallStatus.IN_PROGRESS, **changes)


REPORTS = [(CALL_SID, twilio()), (CALL_CONTROL_ID, texml()), (CALL_CONTROL_ID, telnyx())]


@pytest.mark.parametrize(("name", "event"), REPORTS, ids=["twilio", "texml", "telnyx"])
def test_a_report_that_comes_twice_counts_once(name: str, event: CallEvent) -> None:
    first = apply_event(in_progress(name), event, received_at=NOW)
    again = apply_event(first.call, event, received_at=NOW)
    assert (first.verdict, again.verdict) == (Verdict.ACCEPTED, Verdict.DUPLICATE)
    assert again.call == first.call
    assert (first.call.recording_id, first.call.status) == (event.recording_id, CallStatus.IN_PROGRESS)


@pytest.mark.parametrize(("name", "event"), REPORTS, ids=["twilio", "texml", "telnyx"])
def test_a_report_that_comes_after_the_end_is_kept_and_one_before_the_end_survives_it(
    name: str, event: CallEvent
) -> None:
    ended = in_progress(name, answered_at=NOW, ended_at=NOW, duration_seconds=61, settled_at=NOW)
    ended = replace(ended, status=CallStatus.COMPLETED, ended_reason=EndedReason.HANG_UP)
    after = apply_event(ended, event, received_at=NOW).call
    assert replace(after, recording_id=None, recording_url=None, seen_event_keys=ended.seen_event_keys) == replace(
        ended, dial_outcome=after.dial_outcome
    )
    assert after.recording_url == event.recording_url


def test_the_first_recording_stands() -> None:
    call = apply_event(in_progress(CALL_SID), twilio(), received_at=NOW).call
    other = twilio(RecordingSid="RE" + "e" * 32)
    assert apply_event(call, other, received_at=NOW).call.recording_id == RECORDING_SID


def test_after_the_words_were_erased_no_recording_comes_back() -> None:
    erased = in_progress(CALL_SID, transcript_erased_at=NOW)
    after = apply_event(erased, twilio(), received_at=NOW).call
    assert (after.recording_id, after.recording_url) == (None, None)


def test_a_report_belongs_to_the_call_of_its_address() -> None:
    body = telnyx_event("call.recording.saved", recording_id=RECORDING_ID)
    assert webhooks_of("telnyx").parse_report(TELNYX, body).call_id == CALL_ID
