"""Every file of `events/` through the real handler, its own AWS client and an emulator, a fresh world for each."""

from __future__ import annotations

import json
import os
import sys
from base64 import b64decode
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from types import ModuleType
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qsl

import jwt
import pytest
from twilio.request_validator import RequestValidator

from dialplane.carriers.twilio.api import TwilioApi
from dialplane.domain.calls import Call
from dialplane.domain.statuses import CallStatus, DialOutcome
from dialplane.domain.wallets import reconcile
from dialplane.dynamodb.call_log import CallLog
from dialplane.dynamodb.wallets import WalletStore
from dialplane.runtime.carrier_events import CarrierMessage
from functions.conversation import analysis, tasks
from functions.conversation import app as conversation_app
from functions.initiate import app as initiate_app
from functions.initiate import dial as initiate_dial
from functions.manage import app as manage_app
from functions.status import completion, reconciler, webhook, worker
from functions.twiml import app as twiml_app
from tests.fakes import event_files, event_world
from tests.fakes.cold_start import Context
from tests.fakes.emulated import Emulated
from tests.fakes.emulated import emulated as emulated_aws
from tests.fakes.event_builders import records
from tests.fakes.event_example import Example
from tests.fakes.event_files import BY_NAME, EXAMPLES, FOLDER, files
from tests.fakes.template import resources

# From the special to the general: the first prefix of a file's name decides.
MODULES: dict[str, ModuleType] = {
    "initiate": initiate_app,
    "dial": initiate_dial,
    "twiml": twiml_app,
    "status_webhook": webhook,
    "status_worker": worker,
    "call_completion": completion,
    "reconciler": reconciler,
    "manage": manage_app,
    "conversation_tasks": tasks,
    "conversation": conversation_app,
    "call_analysis": analysis,
}


def invoke(name: str) -> Any:
    """Run a file of the folder through its function's handler; one that is made at run time is made now."""
    module = next(module for prefix, module in MODULES.items() if name.startswith(f"{prefix}_"))
    example = BY_NAME[name]
    event = example.at(datetime.now(UTC)) if example.is_made_at_run_time else read(name)
    return module.lambda_handler(event, Context)


def read(name: str) -> Any:
    """The event as its file has it."""
    return json.loads((FOLDER / f"{name}.json").read_text())


def stored_call(emulated: Emulated, call_id: str) -> Call:
    """A call as it is stored."""
    call = CallLog(emulated.stack.aws, emulated.stack.tables).get(event_world.ORGANIZATION_ID, call_id)
    assert call is not None
    return call


@pytest.fixture(scope="module")
def _emulated() -> Iterator[Emulated]:
    with emulated_aws() as made:
        yield made


@pytest.fixture
def emulated(_emulated: Emulated) -> Emulated:
    """The emulated AWS, started over, and handlers that remember nothing."""
    _emulated.refill()
    for module in MODULES.values():
        for name in ("_use_case", "_api", "_endpoint"):
            if hasattr(module, name):
                getattr(module, name).cache_clear()
    return _emulated


def changes_nothing(example: Example) -> bool:
    """Whether the event is refused or only asks; a carrier's refusal of a call leaves the call that was asked for."""
    is_refused = (example.status or 0) >= 400 and example.name not in LEAVE_A_TRACE
    return is_refused or "dry_run" in example.name or "Deny" in str(example.answer)


# Refused by a carrier, after the call or the command was put on record.
LEAVE_A_TRACE = {"initiate_refused_by_the_carrier", "manage_control_transfer_over", "manage_terminate_elevenlabs"}


def test_the_folder_is_what_the_script_writes() -> None:
    there = {path.relative_to(FOLDER): path.read_text() for path in FOLDER.rglob("*") if path.is_file()}

    assert there == files(), "run: python -m tests.fakes.event_files"


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_each_event_is_answered_as_documented(emulated: Emulated, example: Example) -> None:
    assert example.mismatch(invoke(example.name)) == ""
    assert emulated.sent_by_carriers() == []  # nobody is sent to the examples' own, public address


@pytest.mark.parametrize(
    "name",
    [each.name for each in EXAMPLES if changes_nothing(each)],
)
def test_what_is_refused_changes_nothing(emulated: Emulated, name: str) -> None:
    before = emulated.items()

    invoke(name)

    assert emulated.items() == before
    assert (emulated.queued(), emulated.queued_dials()) == ([], [])


def test_the_worlds_own_wallet_agrees_with_its_ledger(emulated: Emulated) -> None:
    wallets = WalletStore(emulated.stack.aws, emulated.stack.tables)
    wallet = wallets.get(event_world.ORGANIZATION_ID)
    assert wallet is not None

    holds, ledger = wallets.open_holds(wallet.organization_id), wallets.ledger(wallet.organization_id)

    assert reconcile(wallet, holds, ledger) == []


def test_a_placed_call_is_the_carriers(emulated: Emulated) -> None:
    answer = invoke("initiate_seed2_override")

    call = stored_call(emulated, answer["headers"]["location"].removeprefix("/calls/"))
    assert call.carrier_call_id == json.loads(answer["body"])["call_sid"]
    assert (call.assistant_id, call.status) == (456, CallStatus.QUEUED)
    twilio = TwilioApi(event_world.ACCOUNT_SID, event_world.AUTH_TOKEN, base_url=emulated.carrier_url)
    assert call.carrier_call_id is not None
    assert twilio.fetch_call(call.carrier_call_id) is not None


def test_a_flow_on_the_number_holds_the_conversation_and_the_named_assistant_goes_before_it(emulated: Emulated) -> None:
    flow, named = (
        stored_call(emulated, invoke(name)["headers"]["location"].removeprefix("/calls/"))
        for name in ("initiate_flow", "initiate_hms_flow")
    )

    assert (flow.flow_id, flow.instructions.engine) == (77, "relay")
    assert (named.flow_id, named.instructions.engine) == (None, "say")


def test_a_repeated_event_with_a_key_is_the_same_call(emulated: Emulated) -> None:
    first, second = (invoke("initiate_idempotency_key") for _ in range(2))

    assert first["body"] == second["body"]
    assert second["headers"]["idempotent-replayed"] == "true"


QUEUED = {
    "status_webhook_completed": "status_worker_completed",
    "status_webhook_sip_twilio_completed": "status_worker_sip_twilio_completed",
    "status_webhook_telnyx_answered": "status_worker_telnyx_answered_late",
    "status_webhook_telnyx_texml_completed": "status_worker_telnyx_texml_completed",
    "status_webhook_vonage_completed": "status_worker_vonage_completed",
    "status_webhook_elevenlabs_transcription": "status_worker_elevenlabs_transcription",
    "status_webhook_elevenlabs_failure": "status_worker_elevenlabs_failure",
}


@pytest.mark.parametrize(("name", "worker_name"), QUEUED.items(), ids=list(QUEUED))
def test_an_authentic_callback_is_queued_in_the_carriers_words_without_numbers(
    emulated: Emulated, name: str, worker_name: str
) -> None:
    invoke(name)

    (body,) = emulated.queued()
    assert "+1555" not in body
    assert "pizza" not in body
    (record,) = BY_NAME[worker_name].stored["Records"]
    queued, documented = (CarrierMessage.from_body(text) for text in (body, record["body"]))
    assert replace(queued, received_at="") == replace(documented, received_at="")


NOT_QUEUED = ("status_webhook_telnyx_other", "status_webhook_elevenlabs_audio")


@pytest.mark.parametrize("name", NOT_QUEUED)
def test_what_says_nothing_about_a_call_is_received_and_not_queued(emulated: Emulated, name: str) -> None:
    invoke(name)

    assert emulated.queued() == []


# By carrier: the files with its end, its end again and what was sent before; then the call as they leave it.
REPORTED: dict[str, tuple[tuple[str, ...], CallStatus, int | None]] = {
    "twilio": (("completed", "duplicate", "out_of_order"), CallStatus.COMPLETED, 61),
    "telnyx": (
        ("telnyx_hangup", "telnyx_duplicate", "telnyx_cost", "telnyx_out_of_order"),
        CallStatus.COMPLETED,
        61,
    ),
    "telnyx-texml": (
        ("telnyx_texml_completed", "telnyx_texml_duplicate", "telnyx_texml_out_of_order"),
        CallStatus.COMPLETED,
        61,
    ),
    "vonage": (
        ("vonage_completed", "vonage_duplicate", "vonage_answered", "vonage_out_of_order"),
        CallStatus.COMPLETED,
        61,
    ),
    "elevenlabs": (("elevenlabs_transcription", "elevenlabs_duplicate"), CallStatus.COMPLETED, 61),
}


@pytest.mark.parametrize("order", [1, -1], ids=["in order", "last first"])
@pytest.mark.parametrize("carrier", REPORTED)
def test_what_a_carrier_reports_ends_its_call_in_any_order(emulated: Emulated, carrier: str, order: int) -> None:
    names, status, seconds = REPORTED[carrier]
    bodies: list[str] = []
    for name in names[::order]:
        assert BY_NAME[f"status_webhook_{name}"].mismatch(invoke(f"status_webhook_{name}")) == ""
        bodies += emulated.take_queued()
    assert len(bodies) == len(names)

    for body in bodies:
        assert worker.lambda_handler(records(body), Context) == {"batchItemFailures": []}

    call = stored_call(emulated, event_world.RINGING_CALL_IDS[carrier])
    assert (call.status, call.duration_seconds) == (status, seconds)


# The files of the worker: whose call each is about, and how it stands afterwards.
APPLIED = {
    "sip_twilio_completed": ("sip-twilio", CallStatus.COMPLETED, 61),
    "telnyx_answered": ("telnyx", CallStatus.IN_PROGRESS, None),
    "telnyx_answered_late": ("telnyx", CallStatus.IN_PROGRESS, None),
    "telnyx_ended": ("telnyx", CallStatus.COMPLETED, 61),
    "telnyx_duplicate": ("telnyx", CallStatus.COMPLETED, 61),
    "telnyx_out_of_order": ("telnyx", CallStatus.COMPLETED, 61),
    "sip_telnyx_ended": ("sip-telnyx", CallStatus.COMPLETED, 61),
    "telnyx_texml_completed": ("telnyx-texml", CallStatus.COMPLETED, 61),
    "telnyx_texml_out_of_order": ("telnyx-texml", CallStatus.COMPLETED, 61),
    "vonage_completed": ("vonage", CallStatus.COMPLETED, 61),
    "vonage_duplicate": ("vonage", CallStatus.COMPLETED, 61),
    "vonage_out_of_order": ("vonage", CallStatus.COMPLETED, 61),
    "vonage_busy_and_completed": ("vonage", CallStatus.BUSY, 0),
    "elevenlabs_transcription": ("elevenlabs", CallStatus.COMPLETED, 61),
    "elevenlabs_duplicate": ("elevenlabs", CallStatus.COMPLETED, 61),
    "elevenlabs_failure": ("elevenlabs", CallStatus.BUSY, None),
}


@pytest.mark.parametrize("name", APPLIED)
def test_each_carriers_reports_are_applied(emulated: Emulated, name: str) -> None:
    carrier, status, seconds = APPLIED[name]

    invoke(f"status_worker_{name}")

    call = stored_call(emulated, event_world.RINGING_CALL_IDS[carrier])
    assert (call.status, call.duration_seconds) == (status, seconds)


def test_who_answers_a_call_that_speaks_by_command_is_spoken_to(emulated: Emulated) -> None:
    invoke("status_worker_telnyx_answered")
    invoke("status_worker_telnyx_answered_late")  # the same report again, and much too late

    asked = [
        request["url"].rpartition("/")[2] for request in emulated.asked_of_carriers() if "/actions/" in request["url"]
    ]
    assert asked == ["speak", "hangup"]


@pytest.mark.parametrize(
    ("name", "verdicts"),
    [
        ("status_worker_completed", ["accepted"]),
        ("status_worker_duplicate", ["accepted", "duplicate"]),
        ("status_worker_one_bad_message", ["stale", "accepted"]),  # it is ringing already
    ],
)
def test_a_batch_ends_the_call_once_whatever_else_is_in_it(emulated: Emulated, name: str, verdicts: list[str]) -> None:
    invoke(name)

    call = stored_call(emulated, event_world.RINGING_CALL_ID)
    assert (call.status, call.duration_seconds) == (CallStatus.COMPLETED, 61)
    events = CallLog(emulated.stack.aws, emulated.stack.tables).events(call.organization_id, call.id)
    assert [event.verdict.value for event in events] == verdicts


def test_a_report_that_comes_late_does_not_bring_a_call_back(emulated: Emulated) -> None:
    invoke("status_worker_out_of_order")

    call = stored_call(emulated, event_world.RINGING_CALL_ID)
    assert call.status is CallStatus.COMPLETED


@pytest.mark.parametrize("name", ["initiate_klen", "initiate_klen_on_the_shared_route", "initiate_hms_transient"])
def test_a_call_of_a_dialect_that_does_not_wait_is_dialled_from_the_queue(emulated: Emulated, name: str) -> None:
    call_id = json.loads(invoke(name)["body"])["call_id"]
    (body,) = emulated.queued_dials()
    assert stored_call(emulated, call_id).status is CallStatus.DIALING

    event = records(body, queue="DialsQueue")
    answers = [initiate_dial.lambda_handler(event, Context) for _ in range(2)]

    assert answers == [{"batchItemFailures": []}] * 2
    assert stored_call(emulated, call_id).status is CallStatus.QUEUED
    assert len(emulated.dialled()) == 1


@pytest.mark.parametrize(("name", "dial"), [("dial_queued", "open"), ("dial_over_telnyx", "telnyx")])
def test_a_queued_dial_is_the_carriers_call(emulated: Emulated, name: str, dial: str) -> None:
    for _ in range(2):
        invoke(name)

    call = stored_call(emulated, event_world.DIALS[dial])
    assert (call.status, call.dial_outcome) == (CallStatus.QUEUED, DialOutcome.PLACED)
    assert [request["call_id"] for request in emulated.dialled()] == [call.carrier_call_id]


@pytest.mark.parametrize("name", ["dial_duplicate", "dial_of_a_dialled_call"])
def test_a_dial_that_was_taken_changes_nothing_and_calls_nobody(emulated: Emulated, name: str) -> None:
    before = emulated.items()

    invoke(name)

    assert emulated.items() == before
    assert emulated.dialled() == []


@pytest.mark.parametrize(
    ("name", "dial", "times"), [("dial_too_late", "late", 0), ("dial_refused_by_the_carrier", "refused", 1)]
)
def test_a_dial_that_comes_to_nothing_gives_the_hold_back(emulated: Emulated, name: str, dial: str, times: int) -> None:
    invoke(name)

    call = stored_call(emulated, event_world.DIALS[dial])
    assert (call.status, call.dial_outcome, call.charge_micros) == (CallStatus.FAILED, DialOutcome.REJECTED, 0)
    assert len(emulated.dialled()) == times
    assert json.loads(invoke("manage_wallet")["body"])["active_calls"] == 15
    assert json.loads(invoke("manage_reconcile")["body"])["balanced"] is True


@pytest.mark.parametrize("carrier", event_world.SECRETS)
def test_a_call_over_each_carrier_is_that_carriers(emulated: Emulated, carrier: str) -> None:
    name = "initiate_seed2_basic" if carrier == "twilio" else f"initiate_over_{carrier.replace('-', '_')}"
    answer = invoke(name)

    call = stored_call(emulated, answer["headers"]["location"].removeprefix("/calls/"))
    assert (call.carrier, call.carrier_account_id) == (carrier, event_world.CARRIER_ACCOUNT_IDS[carrier])
    assert [request["call_id"] for request in emulated.dialled()] == [call.carrier_call_id]


@pytest.mark.usefixtures("emulated")
def test_headers_say_what_the_bodies_of_a_dialect_have_no_words_for() -> None:
    reference, deprecated = (invoke(f"initiate_hms_{name}")["headers"] for name in ("reference", "deprecated_name"))

    assert deprecated["deprecation"].startswith("@")
    assert "deprecation" not in reference
    assert reference["x-caller-number-reason"] == "local_area"


@pytest.mark.usefixtures("emulated")
def test_a_context_is_found_by_the_cookie_that_its_answer_sets() -> None:
    cookie = invoke("initiate_tester_context")["headers"]["set-cookie"].partition(";")[0]

    call = initiate_app.lambda_handler({**read("initiate_tester_without_description"), "cookies": [cookie]}, Context)

    assert json.loads(call["body"])["scenario"] == "order a pizza"


def test_an_ended_call_is_settled_once(emulated: Emulated) -> None:
    first, second = (invoke("call_completion_ended") for _ in range(2))

    assert (first, second) == ({"outcome": "settled"}, {"outcome": "already_settled"})
    assert stored_call(emulated, event_world.ENDED_CALL_ID).charge_micros == 60_000
    assert json.loads(invoke("manage_reconcile")["body"])["balanced"] is True


def test_every_function_and_every_route_has_an_event() -> None:
    routes = {
        resource["Properties"]["RouteKey"]
        for resource in resources().values()
        if resource["Type"] == "AWS::ApiGatewayV2::Route" and resource["Properties"]["ApiId"] == {"Ref": "HttpApi"}
    }

    assert {next(p for p in MODULES if each.startswith(f"{p}_")) for each in BY_NAME} == set(MODULES)
    assert routes <= {each.stored.get("routeKey") for each in EXAMPLES}


def test_every_event_of_a_websocket_is_there() -> None:
    routes = {
        resource["Properties"]["RouteKey"]
        for resource in resources().values()
        if resource["Type"] == "AWS::ApiGatewayV2::Route" and resource["Properties"]["ApiId"] == {"Ref": "SocketApi"}
    }
    contexts = [each.stored.get("requestContext", {}) for each in EXAMPLES if each.name.startswith("conversation_")]

    assert {context["routeKey"] for context in contexts if context} == routes


def test_header_names_are_in_lower_case_as_an_http_api_hands_them_over() -> None:
    http = [each.stored for each in EXAMPLES if each.stored.get("version") == "2.0"]
    names = {name for event in http for name in event["headers"]}

    assert names == {name.lower() for name in names}


AT_RUN_TIME = [each for each in EXAMPLES if each.is_made_at_run_time]


@pytest.mark.parametrize("example", [each for each in AT_RUN_TIME if each.status], ids=lambda each: each.name)
def test_a_file_that_is_made_at_run_time_is_refused_as_it_lies_there(emulated: Emulated, example: Example) -> None:
    module = webhook if example.name.startswith("status") else twiml_app

    assert module.lambda_handler(read(example.name), Context)["statusCode"] == 403
    assert emulated.queued() == []


def test_the_command_prints_an_event_as_it_is_to_be_invoked_now(capsys: pytest.CaptureFixture[str]) -> None:
    with patch.object(sys, "argv", ["event_files", "sign", "status_webhook_vonage_completed"]):
        event_files.main()

    printed = json.loads(capsys.readouterr().out)
    stored = BY_NAME["status_webhook_vonage_completed"].stored
    assert printed["body"] == stored["body"]
    claims = jwt.decode(
        printed["headers"]["authorization"].removeprefix("Bearer "),
        event_world.SECRETS["vonage"]["signature_secret"],
        algorithms=["HS256"],
    )
    assert abs(claims["iat"] - datetime.now(UTC).timestamp()) < 60


def test_twilios_own_validator_accepts_every_signature_but_the_forged_ones() -> None:
    validator = RequestValidator(event_world.AUTH_TOKEN)

    accepted = {
        name: _is_signed(validator, each.stored)
        for name, each in BY_NAME.items()
        if "twilio/" in str(each.stored.get("rawPath"))
    }

    assert {name for name, is_signed in accepted.items() if not is_signed} == {"twiml_forged", "status_webhook_forged"}
    assert len(accepted) == 12


def _is_signed(validator: RequestValidator, event: Mapping[str, Any]) -> bool:

    form = dict(parse_qsl(b64decode(event["body"]).decode(), keep_blank_values=True))
    url = event_world.PUBLIC_BASE_URL + event["rawPath"]
    return bool(validator.validate(url, form, event["headers"]["x-twilio-signature"]))


def test_the_metric_of_stuck_holds_is_the_one_that_the_stacks_alarm_looks_at(
    emulated: Emulated, capsys: pytest.CaptureFixture[str]
) -> None:
    invoke("reconciler_tick")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "StuckHolds" in line]
    (metric,) = lines
    assert metric["service"] == os.environ["POWERTOOLS_SERVICE_NAME"]
    assert metric["_aws"]["CloudWatchMetrics"][0]["Namespace"] == os.environ["POWERTOOLS_METRICS_NAMESPACE"]
