"""Every file of `events/` through the real handler, its own AWS client and an emulator, a fresh world for each."""

from __future__ import annotations

import json
import os
from base64 import b64decode
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any
from urllib.parse import parse_qsl

import pytest
from twilio.request_validator import RequestValidator

from dialplane.carriers.twilio.api import TwilioApi
from dialplane.carriers.twilio.events import to_call_event
from dialplane.domain.calls import Call
from dialplane.domain.statuses import CallStatus
from dialplane.domain.times import from_text
from dialplane.domain.wallets import reconcile
from dialplane.dynamodb.calls import CallStore
from dialplane.dynamodb.wallets import WalletStore
from dialplane.runtime.carrier_events import CarrierMessage
from functions.initiate import app as initiate_app
from functions.manage import app as manage_app
from functions.status import completion, reconciler, webhook, worker
from functions.twiml import app as twiml_app
from tests.fakes import event_world
from tests.fakes.cold_start import Context
from tests.fakes.emulated import Emulated
from tests.fakes.emulated import emulated as emulated_aws
from tests.fakes.event_files import EXAMPLES, FOLDER, Example, files
from tests.fakes.template import resources

# From the special to the general: the first prefix of a file's name decides.
MODULES: dict[str, ModuleType] = {
    "initiate": initiate_app,
    "twiml": twiml_app,
    "status_webhook": webhook,
    "status_worker": worker,
    "call_completion": completion,
    "reconciler": reconciler,
    "manage": manage_app,
}
BY_NAME = {example.name: example for example in EXAMPLES}


def invoke(name: str) -> Any:
    """Run a file of the folder through its function's handler."""
    module = next(module for prefix, module in MODULES.items() if name.startswith(f"{prefix}_"))
    return module.lambda_handler(json.loads((FOLDER / f"{name}.json").read_text()), Context)


def stored_call(emulated: Emulated, call_id: str) -> Call:
    """A call as it is stored."""
    call = CallStore(emulated.stack.aws, emulated.stack.tables).get(event_world.ORGANIZATION_ID, call_id)
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


def test_the_folder_is_what_the_script_writes() -> None:
    there = {path.relative_to(FOLDER): path.read_text() for path in FOLDER.rglob("*") if path.is_file()}

    assert there == files(), "run: python -m tests.fakes.event_files"


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_each_event_is_answered_as_documented(emulated: Emulated, example: Example) -> None:
    answer = invoke(example.name)

    if example.status is not None:
        assert answer["statusCode"] == example.status, answer["body"]
        answer = answer["body"]
    if isinstance(example.answer, str):
        assert example.answer in str(answer)
    else:
        document = json.loads(answer) if isinstance(answer, str) else answer
        assert {name: document[name] for name in example.answer} == example.answer


@pytest.mark.parametrize(
    "name",
    [each.name for each in EXAMPLES if (each.status or 0) >= 400 or "forged" in each.name or "dry_run" in each.name],
)
def test_what_is_refused_changes_nothing(emulated: Emulated, name: str) -> None:
    before = emulated.items()

    invoke(name)

    assert emulated.items() == before
    assert emulated.queued() == []


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


def test_a_repeated_event_with_a_key_is_the_same_call(emulated: Emulated) -> None:
    first, second = (invoke("initiate_idempotency_key") for _ in range(2))

    assert first["body"] == second["body"]
    assert second["headers"]["idempotent-replayed"] == "true"


def test_an_authentic_callback_is_queued_in_the_carriers_words_without_numbers(emulated: Emulated) -> None:
    invoke("status_webhook_completed")

    (message,) = (CarrierMessage.from_body(body) for body in emulated.queued())
    assert (message.call_id, message.source) == (event_world.RINGING_CALL_ID, "callback")
    assert message.fields["CallDuration"] == "61"
    assert "+1555" not in json.dumps(dict(message.fields))
    assert to_call_event(message.fields, from_text(message.received_at)).status is CallStatus.COMPLETED


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
    events = CallStore(emulated.stack.aws, emulated.stack.tables).events(call.organization_id, call.id)
    assert [event.verdict.value for event in events] == verdicts


def test_a_report_that_comes_late_does_not_bring_a_call_back(emulated: Emulated) -> None:
    invoke("status_worker_out_of_order")

    call = stored_call(emulated, event_world.RINGING_CALL_ID)
    assert call.status is CallStatus.COMPLETED


def test_an_ended_call_is_settled_once(emulated: Emulated) -> None:
    first, second = (invoke("call_completion_ended") for _ in range(2))

    assert (first, second) == ({"outcome": "settled"}, {"outcome": "already_settled"})
    assert stored_call(emulated, event_world.ENDED_CALL_ID).charge_micros == 60_000
    assert json.loads(invoke("manage_reconcile")["body"])["balanced"] is True


def test_every_function_and_every_route_has_an_event() -> None:
    routes = {
        resource["Properties"]["RouteKey"]
        for resource in resources().values()
        if resource["Type"] == "AWS::ApiGatewayV2::Route"
    } - {"$default"}

    assert {next(p for p in MODULES if each.startswith(f"{p}_")) for each in BY_NAME} == set(MODULES)
    assert routes <= {each.event.get("routeKey") for each in EXAMPLES}


def test_header_names_are_in_lower_case_as_api_gateway_hands_them_over() -> None:
    names = {name for each in EXAMPLES for name in each.event.get("headers", {})}

    assert names == {name.lower() for name in names}


def test_twilios_own_validator_accepts_every_signature_but_the_forged_ones() -> None:
    validator = RequestValidator(event_world.AUTH_TOKEN)

    accepted = {
        name: _is_signed(validator, each.event)
        for name, each in BY_NAME.items()
        if "twilio" in str(each.event.get("rawPath"))
    }

    assert {name for name, is_signed in accepted.items() if not is_signed} == {"twiml_forged", "status_webhook_forged"}
    assert len(accepted) == 10


def _is_signed(validator: RequestValidator, event: Mapping[str, Any]) -> bool:

    form = dict(parse_qsl(b64decode(event["body"]).decode(), keep_blank_values=True))
    url = event_world.PUBLIC_BASE_URL + event["rawPath"]
    return bool(validator.validate(url, form, event["headers"]["x-twilio-signature"]))


def test_the_metric_of_stuck_holds_is_the_one_that_the_stacks_alarm_looks_at(
    emulated: Emulated, capsys: pytest.CaptureFixture[str]
) -> None:
    emulated.refill()
    invoke("reconciler_tick")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "StuckHolds" in line]
    (metric,) = lines
    assert metric["service"] == os.environ["POWERTOOLS_SERVICE_NAME"]
    assert metric["_aws"]["CloudWatchMetrics"][0]["Namespace"] == os.environ["POWERTOOLS_METRICS_NAMESPACE"]
