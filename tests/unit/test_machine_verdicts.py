"""Answering machines in a conversation: looked for beside it, and what is told of them in any order and twice."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, get_type_hints
from urllib.parse import parse_qsl, urlencode

import pytest
from telnyx.types.texml.accounts.call_calls_params import BodyWithURL
from twilio.rest import Client

from dialplane.carriers.contract import InvalidCallback
from dialplane.carriers.registry import events_of, webhooks_of
from dialplane.carriers.twilio.api import TwilioApi
from dialplane.domain.calls import Call, CallEvent, apply_event
from dialplane.domain.carrier import DialRequest
from dialplane.domain.conversation_settings import OnMachine
from dialplane.domain.instructions import Engine, Instructions
from dialplane.domain.statuses import CallStatus, Verdict
from tests.fakes.scripted_http import ScriptedServer, scripted_server
from tests.fakes.telnyx import CALL_CONTROL_ID, NOW
from tests.fakes.telnyx import event as telnyx_event
from tests.unit import test_telnyx_api, test_telnyx_texml_api, test_telnyx_texml_webhooks, test_twilio_api
from tests.unit.test_telnyx_events import a_call
from tests.unit.test_telnyx_webhooks import CREDENTIALS as TELNYX
from tests.unit.test_twilio_webhooks import ACCOUNT_SID, CALL_SID
from tests.unit.test_twilio_webhooks import CREDENTIALS as TWILIO

TEXML = test_telnyx_texml_webhooks.CREDENTIALS
TEXML_ACCOUNT_SID = test_telnyx_texml_webhooks.ACCOUNT_SID
URLS: dict[Engine, str] = {"conversation": "wss://talk.test/live?call=a.b.c.d.e", "relay": "wss://relay.test/ws"}


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as scripted:
        yield scripted


def asked(dial: DialRequest, engine: Engine = "conversation", on_machine: OnMachine = "continue") -> DialRequest:
    instructions = Instructions(engine=engine, welcome_message="Hello.", url=URLS.get(engine))
    return replace(dial, instructions=instructions, machine_detection=True, on_machine=on_machine)


# ---- the dial -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("engine", "on_machine", "options"),
    [
        ("say", "continue", {"machine_detection": "Enable"}),
        ("relay", "leave_message", {"machine_detection": "Enable"}),
        ("conversation", "continue", {"machine_detection": "Enable"}),
        ("conversation", "hang_up", {"machine_detection": "Enable"}),
        ("conversation", "leave_message", {"machine_detection": "DetectMessageEnd"}),
    ],
)
def test_a_dial_with_detection_is_what_twilios_sdk_would_send(
    server: ScriptedServer, engine: Engine, on_machine: OnMachine, options: dict[str, str]
) -> None:
    dial, capture = test_twilio_api.DIAL, test_twilio_api.CapturingHttpClient()
    beside = {
        "async_amd": "true",
        "async_amd_status_callback": dial.status_url,
        "async_amd_status_callback_method": "POST",
    }
    Client(ACCOUNT_SID, "token", http_client=capture).calls.create(
        to=dial.destination,
        from_=dial.caller_number,
        url=dial.instructions_url,
        method="POST",
        status_callback=dial.status_url,
        status_callback_method="POST",
        status_callback_event=["initiated", "ringing", "answered", "completed"],
        timeout=dial.ring_timeout_seconds,
        time_limit=dial.time_limit_seconds,
        **options,
        **(beside if engine == "conversation" else {}),
    )
    server.script = [test_twilio_api.CREATED]
    TwilioApi(ACCOUNT_SID, "token", server.url).create_call(asked(dial, engine, on_machine))
    assert capture.prepared is not None
    assert server.received[0].body.decode() == capture.prepared.body


@pytest.mark.parametrize(
    ("engine", "on_machine", "detection"),
    [
        ("say", "leave_message", "detect"),
        ("conversation", "continue", "detect"),
        ("conversation", "hang_up", "detect"),
        ("conversation", "leave_message", "greeting_end"),
    ],
)
def test_telnyx_goes_on_listening_to_a_machine_only_for_a_message(
    server: ScriptedServer, engine: Engine, on_machine: OnMachine, detection: str
) -> None:
    server.script = [test_telnyx_api.PLACED]
    test_telnyx_api.opened(server).create_call(asked(test_telnyx_api.DIAL, engine, on_machine))
    assert server.received[0].json["answering_machine_detection"] == detection


@pytest.mark.parametrize(
    ("on_machine", "mode"), [("continue", "Enable"), ("hang_up", "Enable"), ("leave_message", "DetectMessageEnd")]
)
def test_texml_is_asked_in_words_that_its_sdk_knows_and_not_to_fall_silent(
    server: ScriptedServer, on_machine: OnMachine, mode: str
) -> None:
    dial = test_telnyx_texml_api.DIAL
    server.script = [test_telnyx_texml_api.PLACED] * 2
    api = test_telnyx_texml_api.opened(server.url)
    api.create_call(dial)
    api.create_call(asked(dial, on_machine=on_machine))
    plain, sent = (json.loads(request.body) for request in server.received)
    added = {name: value for name, value in sent.items() if plain.get(name) != value}
    assert added == {
        "MachineDetection": mode,
        "AsyncAmd": True,
        "AsyncAmdStatusCallback": dial.status_url,
        "AsyncAmdStatusCallbackMethod": "POST",
        "CancelPlaybackOnMachineDetection": False,
        "CancelPlaybackOnDetectMessageEnd": False,
    }
    known = {
        extra.alias
        for hint in get_type_hints(BodyWithURL, include_extras=True).values()
        for extra in getattr(hint, "__metadata__", ())
    }
    assert set(added) <= known


# ---- the verdict ----------------------------------------------------------------------------------------------------


def twilio(answered_by: str) -> CallEvent:
    """What Twilio posts: no CallStatus, no SequenceNumber."""
    form = {
        "AccountSid": ACCOUNT_SID,
        "CallSid": CALL_SID,
        "AnsweredBy": answered_by,
        "MachineDetectionDuration": "4021",
    }
    return told("twilio", TWILIO, urlencode(form).encode())


def texml(answered_by: str) -> CallEvent:
    form = {
        "AccountSid": TEXML_ACCOUNT_SID,
        "AnsweredBy": answered_by,
        "CallSid": CALL_CONTROL_ID,
        "CallSidLegacy": CALL_CONTROL_ID,
        "ConnectionId": "1234567890",
        "MachineDetectionDuration": "2500",
    }
    return told("telnyx-texml", TEXML, urlencode(form).encode())


def told(carrier: str, credentials: Any, body: bytes) -> CallEvent:
    return events_of(carrier).to_call_event(webhooks_of(carrier).parse_report(credentials, body).fields, NOW)


WORDS: Mapping[str, str] = {
    "human": "human",
    "machine_start": "machine",
    "machine_end_beep": "machine_beep",
    "machine_end_silence": "machine_silence",
    "machine_end_other": "machine",
    "fax": "fax",
    "unknown": "unknown",
    "robot": "unknown",
}


@pytest.mark.parametrize("report", [twilio, texml])
@pytest.mark.parametrize(("raw", "canonical"), WORDS.items())
def test_a_verdict_is_no_state_of_the_call(report: Any, raw: str, canonical: str) -> None:
    event = report(raw)
    assert (event.answered_by, event.answered_by_raw) == (canonical, raw)
    assert (event.status, event.sequence, event.duration_seconds, event.is_final_record) == (None, None, None, False)
    assert event.carrier_status == f"answered-by:{raw}"


def in_progress(carrier: str, carrier_call_id: str) -> Call:
    return replace(a_call(carrier=carrier), carrier_call_id=carrier_call_id, status=CallStatus.IN_PROGRESS)


@pytest.mark.parametrize(
    ("carrier", "name", "report"), [("twilio", CALL_SID, twilio), ("telnyx-texml", CALL_CONTROL_ID, texml)]
)
def test_a_verdict_that_comes_twice_counts_once_and_changes_nothing_else(carrier: str, name: str, report: Any) -> None:
    call = in_progress(carrier, name)
    first = apply_event(call, report("machine_end_beep"), received_at=NOW)
    again = apply_event(first.call, report("machine_end_beep"), received_at=NOW)
    assert (first.verdict, again.verdict) == (Verdict.ACCEPTED, Verdict.DUPLICATE)
    assert again.call == first.call
    assert (first.call.status, first.call.answered_by) == (CallStatus.IN_PROGRESS, "machine_beep")


@pytest.mark.parametrize("late", [CallStatus.COMPLETED, CallStatus.BUSY])
def test_a_verdict_that_comes_after_the_end_is_kept_and_reopens_nothing(late: CallStatus) -> None:
    call = replace(in_progress("twilio", CALL_SID), status=late, ended_at=NOW)
    after = apply_event(call, twilio("machine_start"), received_at=NOW).call
    assert (after.status, after.ended_at, after.answered_by) == (late, NOW, "machine")


def test_a_verdict_about_another_carrier_call_is_foreign() -> None:
    call = in_progress("twilio", "CA" + "9" * 32)
    assert apply_event(call, twilio("human"), received_at=NOW).verdict is Verdict.FOREIGN


def test_a_verdict_never_comes_as_a_request_for_instructions_without_a_call() -> None:
    for carrier, credentials in (("twilio", TWILIO), ("telnyx-texml", TEXML)):
        with pytest.raises(InvalidCallback):
            webhooks_of(carrier).parse_report(credentials, urlencode({"AnsweredBy": "human"}).encode())


def telnyx(event_type: str, result: str) -> CallEvent:
    return told("telnyx", TELNYX, telnyx_event(event_type, result=result))


DETECTED = telnyx("call.machine.detection.ended", "machine")
BEEP = telnyx("call.machine.greeting.ended", "beep_detected")
SILENCE = telnyx("call.machine.greeting.ended", "ended")
HUMAN = telnyx("call.machine.detection.ended", "human")


@pytest.mark.parametrize(
    ("events", "answered_by"),
    [
        ((DETECTED,), "machine"),
        ((DETECTED, BEEP), "machine_beep"),
        ((DETECTED, SILENCE), "machine_silence"),
        ((HUMAN,), "human"),
    ],
    ids=["detected", "beep", "silence", "human"],
)
def test_in_every_order_and_twice_a_call_keeps_the_most_that_is_known(
    events: tuple[CallEvent, ...], answered_by: str
) -> None:
    for order in itertools.permutations(events * 2):
        call = in_progress("telnyx", CALL_CONTROL_ID)
        for event in order:
            call = apply_event(call, event, received_at=NOW).call
        assert call.answered_by == answered_by
        assert call.answered_by_raw is not None


def test_the_first_verdict_stands_otherwise() -> None:
    call = apply_event(in_progress("telnyx", CALL_CONTROL_ID), HUMAN, received_at=NOW).call
    assert apply_event(call, BEEP, received_at=NOW).call.answered_by == "human"


def test_the_form_of_the_dial_still_names_everything_once() -> None:
    with scripted_server() as scripted:
        scripted.script = [test_twilio_api.CREATED]
        request = asked(test_twilio_api.DIAL, on_machine="leave_message")
        TwilioApi(ACCOUNT_SID, "token", scripted.url).create_call(request)
        names = [name for name, _ in parse_qsl(scripted.received[0].body.decode())]
    assert [name for name in names if name != "StatusCallbackEvent"] == list(
        dict.fromkeys(name for name in names if name != "StatusCallbackEvent")
    )
