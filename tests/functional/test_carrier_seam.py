"""What holds for the callbacks of every carrier, whatever its words: seen with a carrier that the test makes up."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Self, cast

import pytest
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from dialplane.carriers.contract import (
    Answer,
    CarrierCredentials,
    Document,
    ForeignAccount,
    InvalidCallback,
    Report,
    SignedRequest,
)
from dialplane.carriers.registry import ENGINES, TRAITS, CarrierTraits
from dialplane.domain.accounts import CarrierAccount
from dialplane.domain.calls import Call, CallEvent
from dialplane.domain.ids import new_id
from dialplane.domain.instructions import Engine, Instructions
from dialplane.domain.statuses import CallStatus
from dialplane.runtime import signed_callbacks
from dialplane.runtime.callback_urls import CallbackAddress
from dialplane.runtime.carrier_accounts import CarrierAccounts
from dialplane.runtime.http import HttpRequest, HttpResponse
from dialplane.runtime.secrets import KeptSecrets
from functions.status import webhook, worker
from functions.twiml import app as twiml_app
from tests.fakes.world import BASE_URL, SECRETS_PREFIX, World
from tests.functional.expectations import a_key, an_assistant, an_organization, everything, stored_call, unchanged

pytestmark = pytest.mark.usefixtures("forgotten_calls")

OWN, OTHER = "own-secret", "other-secret"
PER_CALL, PER_ACCOUNT = "plain", "plain-account"
NUMBERS = itertools.count(1_000)
UNKNOWN_CALL = "call_01J00000000000000000000000"


@dataclass
class PlainCarrier:
    """A carrier whose signature is its account's secret and whose words are JSON; every module of a package in one."""

    SIGNATURE_HEADER: str = "x-plain-signature"
    UNSIGNED_STATUS: int = 429
    seen: list[SignedRequest] = field(default_factory=list)

    def is_authentic(self, credentials: CarrierCredentials, request: SignedRequest) -> bool:
        self.seen.append(request)
        return request.headers["x-plain-signature"] == credentials["secret"]

    def parse_report(self, credentials: CarrierCredentials, body: bytes) -> Report:
        words = self._words(credentials, body)
        return Report(words.get("fields", {}), words.get("call_id"))

    def parse_answer(self, credentials: CarrierCredentials, body: bytes) -> Answer:
        words = self._words(credentials, body)
        return Answer(words["carrier_call_id"], words.get("answered_by"), words.get("answered_by"))

    def to_call_event(self, fields: Any, received_at: datetime) -> CallEvent:
        return CallEvent(
            key=fields["key"],
            source="callback",
            carrier_call_id=fields["id"],
            carrier_status=fields["status"],
            status=CallStatus(fields["status"]),
            occurred_at=received_at,
            duration_seconds=int(fields["duration"]) if "duration" in fields else None,
        )

    def render(self, instructions: Instructions, *, action_url: str | None = None) -> Document:
        return Document("text/plain", f"say {instructions.welcome_message}")

    def hang_up(self) -> Document:
        return Document("text/plain", "hang up")

    def _words(self, credentials: CarrierCredentials, body: bytes) -> Any:
        try:
            words = json.loads(body)
        except ValueError as error:
            raise InvalidCallback("not JSON") from error
        if words.get("account", credentials["secret"]) != credentials["secret"]:
            raise ForeignAccount
        return words


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> PlainCarrier:
    """Two carriers more in the table: one calls back each call's address, the other one address for an account."""
    carrier = PlainCarrier()
    for name, traits in {
        PER_CALL: CarrierTraits("Plain", ENGINES["twilio"], fetches_instructions=True),
        PER_ACCOUNT: CarrierTraits("Plain", ENGINES["twilio"], calls_back_per_account=True, received_status=200),
    }.items():
        monkeypatch.setitem(cast(dict[str, CarrierTraits], TRAITS), name, traits)
        monkeypatch.setitem(cast(dict[str, frozenset[Engine]], ENGINES), name, traits.engines)
    monkeypatch.setattr(signed_callbacks, "webhooks_of", lambda name: carrier)
    monkeypatch.setattr(worker, "events_of", lambda name: carrier)
    monkeypatch.setattr(twiml_app, "instructions_of", lambda name: carrier)
    return carrier


@dataclass(frozen=True)
class Customer:
    """An organization with one assistant, and one number in one account."""

    world: World
    account: CarrierAccount
    key: str

    @classmethod
    def of(cls, world: World, carrier: str, *, secret: str = OWN) -> Self:
        organization_id = an_organization(world).id
        account = CarrierAccount(new_id("acct"), organization_id, carrier, "Plain", world.clock.now())
        world.stack.accounts.put(account)
        world.stack.provision.secrets.put(organization_id, account.id, {"secret": secret})
        an_assistant(world, organization_id)
        number = f"+1555010{next(NUMBERS)}"
        world.stack.provision.put_number(organization_id, number, account, assistant_id=1)
        return cls(world, account, a_key(world, organization_id))

    def call(self) -> Call:
        """A call that the carrier has taken."""
        body = {"assistant_id": 1, "to_phone_number": "+15559876543"}
        assert self.world.initiate(body, key=self.key).status == 200
        return stored_call(self.world, self.account.organization_id, list(self.world.carrier.call_ids)[-1])

    def stored(self, call: Call) -> Call:
        """The call as it is now."""
        return stored_call(self.world, self.account.organization_id, call.id)

    def posts(self, words: Any, *, call_id: str | None = None, kind: str = "status", **how: Any) -> HttpResponse:
        """The carrier posts words; ``how``: ``signature``, ``path`` replace what is right."""
        path = {
            "carrier": self.account.carrier,
            "organization_id": self.account.organization_id,
            "carrier_account_id": self.account.id,
        }
        path |= ({"call_id": call_id} if call_id is not None else {}) | how.get("path", {})
        signature = how.get("signature", OWN)
        request = HttpRequest(
            method="POST",
            path="/",
            headers={"x-plain-signature": signature} if signature is not None else {},
            query={},
            path_parameters=path,
            body=words if isinstance(words, bytes) else json.dumps(words).encode(),
            request_id="request",
        )
        app: Any = twiml_app if kind == "twiml" else webhook
        response: HttpResponse = app.build(self.world.settings, self.world.aws, now=self.world.clock.now).respond(
            request
        )
        return response


def fields(call: Call, status: str, **facts: str) -> dict[str, str]:
    return {"key": f"{call.id}:{status}", "id": str(call.carrier_call_id), "status": status, **facts}


ENDED = {"duration": "61"}


# ---- one address for an account -------------------------------------------------------------------------------------


def test_a_call_of_an_account_wide_address_is_the_one_that_the_report_names(world: World, plain: PlainCarrier) -> None:
    customer = Customer.of(world, PER_ACCOUNT)
    first, second = customer.call(), customer.call()
    response = customer.posts({"fields": fields(second, "completed", **ENDED), "call_id": second.id})
    world.drain()
    assert (response.status, response.body) == (200, "")
    assert customer.stored(first).status is CallStatus.QUEUED
    assert (customer.stored(second).status, customer.stored(second).charge_micros) == (CallStatus.COMPLETED, 60_000)
    assert (
        plain.seen[0].url == f"{BASE_URL}/status/{PER_ACCOUNT}/{customer.account.organization_id}/{customer.account.id}"
    )


def test_the_duplicate_twin_is_taken_once(world: World, plain: PlainCarrier) -> None:
    customer = Customer.of(world, PER_ACCOUNT)
    call = customer.call()
    for _ in range(3):
        customer.posts({"fields": fields(call, "completed", **ENDED), "call_id": call.id})
        world.drain()
    assert customer.stored(call).charge_micros == 60_000


def test_the_out_of_order_twin_ends_the_same(world: World, plain: PlainCarrier) -> None:
    customer = Customer.of(world, PER_ACCOUNT)
    call = customer.call()
    for status, facts in (("completed", ENDED), ("ringing", {}), ("in_progress", {})):
        customer.posts({"fields": fields(call, status, **facts), "call_id": call.id})
    world.drain()
    assert (customer.stored(call).status, customer.stored(call).charge_micros) == (CallStatus.COMPLETED, 60_000)


@pytest.mark.parametrize("call_id", ["", "x", "CALL_1", f"{UNKNOWN_CALL}/x", "org_01J00000000000000000000000", "é"])
def test_what_an_account_does_without_us_is_received_and_goes_nowhere(
    world: World, plain: PlainCarrier, call_id: str
) -> None:
    customer = Customer.of(world, PER_ACCOUNT)
    call = customer.call()
    with unchanged(world):
        assert customer.posts({"fields": fields(call, "completed", **ENDED), "call_id": call_id}).status == 200


def test_a_report_that_names_only_the_carriers_call_finds_ours_however_often_it_comes(
    world: World, plain: PlainCarrier
) -> None:
    customer, other = Customer.of(world, PER_ACCOUNT), Customer.of(world, PER_ACCOUNT)
    call = customer.call()
    other.posts({"fields": fields(call, "busy"), "call_id": None})
    world.drain()
    assert customer.stored(call).status is CallStatus.QUEUED, "the other organization has no such call"
    for _ in range(2):
        assert customer.posts({"fields": fields(call, "completed", **ENDED), "call_id": None}).status == 200
        world.drain()
    assert (customer.stored(call).status, customer.stored(call).charge_micros) == (CallStatus.COMPLETED, 60_000)
    customer.posts({"fields": fields(call, "ringing"), "call_id": None})
    world.drain()
    assert customer.stored(call).status is CallStatus.COMPLETED


def test_a_report_that_names_no_call_of_the_organization_changes_nothing(world: World, plain: PlainCarrier) -> None:
    """Another organization's call is as unknown here as one that never was."""
    customer, other = Customer.of(world, PER_ACCOUNT), Customer.of(world, PER_ACCOUNT)
    theirs = other.call()
    before = everything(world)
    for call_id in (theirs.id, UNKNOWN_CALL):
        assert customer.posts({"fields": fields(theirs, "completed", **ENDED), "call_id": call_id}).status == 200
        world.drain()
    assert everything(world) == before


def test_another_account_of_the_organization_is_foreign_to_the_call(world: World, plain: PlainCarrier) -> None:
    customer = Customer.of(world, PER_ACCOUNT)
    call = customer.call()
    account = replace(customer.account, id=new_id("acct"))
    world.stack.accounts.put(account)
    world.stack.provision.secrets.put(account.organization_id, account.id, {"secret": OWN})
    customer.posts({"fields": fields(call, "completed"), "call_id": call.id}, path={"carrier_account_id": account.id})
    world.drain()
    assert customer.stored(call).status is CallStatus.QUEUED


# ---- whose request it is --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("carrier", [PER_CALL, PER_ACCOUNT])
def test_a_webhook_of_another_organization_or_account_is_refused_alike(
    world: World, plain: PlainCarrier, carrier: str
) -> None:
    customer, other = Customer.of(world, carrier), Customer.of(world, carrier, secret=OTHER)
    call = customer.call()
    call_id = call.id if carrier == PER_CALL else None
    words = {"fields": fields(call, "completed", **ENDED), "call_id": call.id}
    for how in (
        {"signature": OTHER},
        {"signature": "forged"},
        {"path": {"organization_id": other.account.organization_id}},
        {"path": {"carrier_account_id": other.account.id}},
        {"path": {"organization_id": other.account.organization_id, "carrier_account_id": other.account.id}},
        {"path": {"organization_id": "org_unknown"}},
    ):
        with unchanged(world):
            response = customer.posts(words, call_id=call_id, **how)
        assert (response.status, response.body) == (403, "Invalid webhook signature")


def test_a_request_without_a_signature_is_answered_as_its_carrier_wants_and_costs_no_secret(
    world: World, plain: PlainCarrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer = Customer.of(world, PER_CALL)
    call = customer.call()
    monkeypatch.setattr(KeptSecrets, "_fetch", lambda self, name: pytest.fail("a secret was read"))
    for kind in ("status", "twiml"):
        with unchanged(world):
            response = customer.posts({"fields": {}}, call_id=call.id, kind=kind, signature=None)
        assert (response.status, response.body) == (429, "Invalid webhook signature")
    assert plain.seen == []


@pytest.mark.parametrize("kind", ["status", "twiml"])
@pytest.mark.parametrize("carrier", ["alien", "", "twilio.api", "contract"])
def test_an_unknown_carrier_is_403(world: World, plain: PlainCarrier, kind: str, carrier: str) -> None:
    customer = Customer.of(world, PER_CALL)
    call = customer.call()
    response = customer.posts({"fields": {}}, call_id=call.id, kind=kind, path={"carrier": carrier})
    assert response.status == 403


def test_each_carrier_has_its_own_kind_of_address(world: World, plain: PlainCarrier) -> None:
    per_call, per_account = Customer.of(world, PER_CALL), Customer.of(world, PER_ACCOUNT)
    assert per_call.posts({"fields": {}}).status == 403
    assert per_account.posts({"fields": {}}, call_id=UNKNOWN_CALL).status == 403
    assert per_account.posts({"carrier_call_id": "x"}, call_id=UNKNOWN_CALL, kind="twiml").status == 403
    assert per_account.posts({"carrier_call_id": "x"}, kind="twiml").status == 403


def test_a_report_about_another_call_than_its_addresss_is_403(world: World, plain: PlainCarrier) -> None:
    """Signatures that do not cover the address would let a report be sent to another call's."""
    customer = Customer.of(world, PER_CALL)
    call, other = customer.call(), customer.call()
    words = {"fields": fields(call, "completed", **ENDED), "call_id": call.id}
    with unchanged(world):
        assert customer.posts(words, call_id=other.id).status == 403
    assert customer.posts(words, call_id=call.id).status == 204
    world.drain()


# ---- what the request says ------------------------------------------------------------------------------------------


def test_a_report_with_nothing_to_apply_is_received_and_not_queued(world: World, plain: PlainCarrier) -> None:
    customer = Customer.of(world, PER_CALL)
    call = customer.call()
    with unchanged(world):
        assert customer.posts({"fields": {}}, call_id=call.id).status == 204


@pytest.mark.parametrize(("body", "status"), [(b"{", 400), (b'{"account": "other-secret"}', 403)])
def test_a_report_that_is_none_or_of_another_account_is_refused(
    world: World, plain: PlainCarrier, body: bytes, status: int
) -> None:
    customer = Customer.of(world, PER_CALL)
    call = customer.call()
    with unchanged(world):
        assert customer.posts(body, call_id=call.id).status == status


def test_a_rotated_secret_is_found_for_every_carrier(world: World, plain: PlainCarrier) -> None:
    customer = Customer.of(world, PER_CALL)
    call = customer.call()
    seconds = 1_000.0
    accounts = CarrierAccounts(world.aws, SECRETS_PREFIX, lambda: seconds)
    callbacks = signed_callbacks.SignedCallbacks("status", accounts, BASE_URL, world.clock.now)
    address = CallbackAddress("status", PER_CALL, customer.account.organization_id, customer.account.id, call.id)
    request = HttpRequest("POST", "/", {"x-plain-signature": OWN}, {}, {}, b"{}", "request")
    assert callbacks.authenticate(address, request).credentials["secret"] == OWN
    world.stack.provision.secrets.put(customer.account.organization_id, customer.account.id, {"secret": OTHER})
    seconds += 11
    assert callbacks.authenticate(address, request).credentials["secret"] == OWN  # still kept, still good
    rotated = replace(request, headers={"x-plain-signature": OTHER})
    assert callbacks.authenticate(address, rotated).credentials["secret"] == OTHER
    world.stack.provision.secrets.put(customer.account.organization_id, customer.account.id, {"secret": "third"})
    seconds += 11
    with pytest.raises(signed_callbacks.CallbackRefused):  # neither the kept nor the new secret's
        callbacks.authenticate(address, request)


# ---- instructions ---------------------------------------------------------------------------------------------------


def test_instructions_are_in_the_carriers_own_words_and_type(world: World, plain: PlainCarrier) -> None:
    customer = Customer.of(world, PER_CALL)
    call = customer.call()
    words = {"carrier_call_id": call.carrier_call_id, "answered_by": "human"}
    response = customer.posts(words, call_id=call.id, kind="twiml")
    assert (response.status, response.content_type, response.body) == (200, "text/plain", "say Good morning.")
    assert (customer.stored(call).status, customer.stored(call).answered_by) == (CallStatus.IN_PROGRESS, "human")


@pytest.mark.parametrize(
    "body", [b"{", b"{}", b'{"account": "other-secret"}', b'{"carrier_call_id": "of another call"}'], ids=ascii
)
def test_whatever_goes_wrong_with_instructions_is_a_hang_up_in_the_carriers_own_words(
    world: World, plain: PlainCarrier, body: bytes
) -> None:
    customer = Customer.of(world, PER_CALL)
    call = customer.call()
    with unchanged(world):
        response = customer.posts(body, call_id=call.id, kind="twiml")
    assert (response.status, response.content_type, response.body) == (200, "text/plain", "hang up")


def test_instructions_that_cannot_be_worded_are_a_hang_up(
    world: World, plain: PlainCarrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: PlainCarrier, instructions: Instructions) -> Document:
        raise ValueError("no words for this engine")

    monkeypatch.setattr(PlainCarrier, "render", refuse)
    customer = Customer.of(world, PER_CALL)
    call = customer.call()
    response = customer.posts({"carrier_call_id": call.carrier_call_id}, call_id=call.id, kind="twiml")
    assert response.body == "hang up"


# ---- follow-up ------------------------------------------------------------------------------------------------------


def test_what_follows_a_report_is_asked_for_each_time_it_is_delivered_but_never_for_a_foreign_one(
    world: World, plain: PlainCarrier
) -> None:
    customer = Customer.of(world, PER_CALL)
    call = customer.call()
    asked: list[tuple[str, str]] = []
    use_case = replace(
        worker.build(world.settings, world.aws),
        follow_up=lambda after, report: asked.append((after.status.value, report.event.carrier_status)),
    )
    for words in (fields(call, "in_progress"), fields(call, "ringing"), {**fields(call, "completed"), "id": "foreign"}):
        customer.posts({"fields": words}, call_id=call.id)
        record = _message(world)
        for _ in range(2):
            worker.apply_record(record, use_case)
    assert asked == [("in_progress", "in_progress")] * 2 + [("in_progress", "ringing")] * 2


def _message(world: World) -> SQSRecord:
    sqs = world.session.client("sqs")
    (message,) = sqs.receive_message(QueueUrl=world.queue_url)["Messages"]
    sqs.delete_message(QueueUrl=world.queue_url, ReceiptHandle=message["ReceiptHandle"])
    return SQSRecord({"messageId": message["MessageId"], "body": message["Body"]})
