"""What every carrier reports, through the real entry points: each life of a call, any order, forged, lost, replayed."""

from __future__ import annotations

import itertools
import json
import random
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import jwt
import pytest
from jwt.warnings import InsecureKeyLengthWarning

from dialplane.carriers.contract import CarrierCredentials
from dialplane.carriers.registry import events_of, webhooks_of
from dialplane.domain.calls import Call, CallEvent, apply_event, settlement_charge
from dialplane.domain.carrier import Placed, Unknown
from dialplane.domain.statuses import CallStatus, DialOutcome
from tests.fakes import elevenlabs as elevenlabs_words
from tests.fakes.carrier_callbacks import (
    ANSWERED,
    BUSY,
    CANCELED,
    CARRIERS,
    DECLINED,
    FAILED,
    FETCHING,
    LIVES,
    NO_ANSWER,
    Leg,
    foreign_secrets,
    new_carrier_call_id,
    own_secrets,
    question,
    reports,
    sign,
    vonage_claims,
)
from tests.fakes.elevenlabs import a_call
from tests.fakes.moto_dynamodb import empty_table
from tests.fakes.world import BASE_URL, World
from tests.functional.carried_calls import DESTINATION, RECEIVED, Customer, a_world_of_carriers
from tests.functional.expectations import everything, unchanged

pytestmark = pytest.mark.usefixtures("forgotten_calls")

FAMILIES = ("twilio", "telnyx", "telnyx-texml", "vonage", "elevenlabs")
"""The carriers whose words differ: a SIP host is reached by Twilio or Telnyx, which report as ever."""
ENDS = {
    ANSWERED: ("completed", "hang_up", "0.060000"),
    BUSY: ("busy", "busy", "0.000000"),
    NO_ANSWER: ("no_answer", "no_answer", "0.000000"),
    DECLINED: ("rejected", "declined", "0.000000"),
    FAILED: ("failed", "carrier_failed", "0.000000"),
    CANCELED: ("canceled", "canceled", "0.000000"),
}
# A conversation's failure says "busy" of who declined as well; the SIP code beneath tells why.
COSTS = {
    "telnyx": {"amount": "0.0140", "currency": "USD"},
    "sip-telnyx": {"amount": "0.0140", "currency": "USD"},
    "vonage": {"amount": "0.01450000", "currency": "EUR"},
    "elevenlabs": {"amount": "296", "currency": "credits"},
}
"""What a carrier's reports say that it takes for the answered call; Twilio's and TeXML's books say it later."""
REFUSED = (403, "Invalid webhook signature")
LOST = Unknown(reason="ReadTimeoutError")


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """A customer of every carrier, shared by the tests of this file."""
    with a_world_of_carriers() as made:
        yield made


@pytest.fixture(autouse=True)
def _own_money(world: World) -> Iterator[None]:
    """Each test has a wallet that nobody else's open calls hold anything of."""
    yield
    world.carrier.commands.clear()
    empty_table(world.tables.wallets)
    empty_table(world.tables.destinations)
    world.stack.wallets.deposit(world.demo.organization_id, micros=50_000_000, currency="USD", note=None)


def shown(customer: Customer, call: Call, leg: Leg) -> dict[str, Any]:
    """The call's document with times as seconds of the call."""
    document = customer.document(call)
    for name in ("answered_at", "ended_at"):
        if document[name] is not None:
            document[name] = (datetime.fromisoformat(document[name]) - leg.began_at).total_seconds()
    return document


def assert_ended(customer: Customer, call: Call, life: str) -> None:
    document = customer.document(call)
    end = (document["status"], document["ended_reason"], document["charge"] and document["charge"]["amount"])
    assert end == ENDS[life], document
    assert document["carrier_cost"] == (COSTS.get(customer.carrier) if life == ANSWERED else document["carrier_cost"])
    hold = document["hold"]["amount"]
    released = f"{float(hold) - float(ENDS[life][2]):.6f}"
    (entry,) = customer.ledger(call)
    assert [entry[name]["amount"] for name in ("hold", "charge", "release")] == [hold, ENDS[life][2], released]
    assert {entry[name]["currency"] for name in ("hold", "charge", "release")} == {"USD"}
    assert customer.world.wallet()["held"]["amount"] == "0.000000"
    assert customer.world.differences() == []


# ---- every life of a call, with its twins ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("carrier", "life"),
    [*itertools.product(FAMILIES, LIVES), *itertools.product(("sip-twilio", "sip-telnyx"), (ANSWERED, DECLINED))],
)
def test_a_call_ends_as_its_carrier_says_and_is_charged_for_connected_time(
    world: World, carrier: str, life: str
) -> None:
    customer = Customer(world, carrier)
    call, leg = customer.dials()
    customer.reports(leg, life)
    assert_ended(customer, call, life)
    assert set(customer.verdicts(call)) <= {"accepted", "conflicting"}


# The other lives' twins have every order below, where it costs less.
@pytest.mark.parametrize("life", [ANSWERED, BUSY])
@pytest.mark.parametrize("carrier", FAMILIES)
def test_the_twins_every_report_twice_and_out_of_order_end_in_the_same_call_ledger_and_wallet(
    world: World, carrier: str, life: str
) -> None:
    customer = Customer(world, carrier)
    plain, plain_leg = customer.dials()
    customer.delivers(plain_leg, reports(plain_leg, life))
    call, leg = customer.dials()
    bodies = reports(leg, life) * 2
    random.Random(f"{carrier} {life}").shuffle(bodies)  # noqa: S311 - repeatable, not secret
    customer.delivers(leg, bodies)
    assert_ended(customer, call, life)
    assert shown(customer, call, leg) == shown(customer, plain, plain_leg)
    assert customer.ledger(call) == customer.ledger(plain)


@pytest.mark.parametrize("carrier", FETCHING)
def test_the_callee_hears_the_instructions_in_the_middle_of_the_reports(world: World, carrier: str) -> None:
    customer = Customer(world, carrier)
    call, leg = customer.dials()
    bodies = reports(leg, ANSWERED)
    customer.delivers(leg, bodies[:2], drain_each=True)
    for _ in range(2):
        said = customer.asks(leg)
        assert said.status == 200
        assert "Hello there, this is Example Dental" in said.body
    customer.delivers(leg, bodies[2:], drain_each=True)
    assert_ended(customer, call, ANSWERED)
    assert "Example Dental" not in customer.asks(leg).body, "a call that is over is told to hang up"


# ---- every order, without the plumbing ------------------------------------------------------------------------------

ORDERS_MAX = 200
_SHOWN = (
    "status",
    "carrier_call_id",
    "dial_outcome",
    "answered_at",
    "ended_at",
    "duration_seconds",
    "ended_reason",
    "sip_response_code",
    "carrier_cost",
    "carrier_cost_currency",
    "charge_micros",
)
_BEGAN_AT = elevenlabs_words.STARTED
_RECEIVED_AT = _BEGAN_AT + timedelta(minutes=2)


def events(carrier: str, life: str) -> list[CallEvent]:
    """What a carrier reports of a life, in canonical words."""
    secret = own_secrets()[carrier]
    call_id, carrier_call_id = elevenlabs_words.CALL_ID, new_carrier_call_id(carrier, 1)
    leg = Leg(carrier, secret, call_id, carrier_call_id, "+15551234567", DESTINATION, _BEGAN_AT)
    credentials, webhooks = CarrierCredentials(secret), webhooks_of(carrier)
    parsed = (webhooks.parse_report(credentials, body).fields for body in reports(leg, life))
    return [events_of(carrier).to_call_event(fields, _RECEIVED_AT) for fields in parsed if fields]


def lived(call: Call, order: Sequence[CallEvent | None]) -> Call:
    """The call after these reports in this order, settled as soon as that is possible; None asks for instructions."""
    for event in order:
        if event is not None:
            call = apply_event(call, event, received_at=_RECEIVED_AT).call
        elif not call.status.is_terminal:
            # What the conditional write of the instructions does.
            bound = replace(call, carrier_call_id=call.carrier_call_id or order_id(order))
            answered_at = call.answered_at or _RECEIVED_AT
            call = replace(
                bound, status=CallStatus.IN_PROGRESS, answered_at=answered_at, dial_outcome=DialOutcome.PLACED
            )
        charge = settlement_charge(call) if call.status.is_terminal else None
        if call.is_open and charge is not None:
            call = replace(call, charge_micros=charge, settled_at=_RECEIVED_AT)
    return call


def order_id(order: Sequence[CallEvent | None]) -> str:
    return next(event.carrier_call_id for event in order if event is not None)


@pytest.mark.parametrize("life", LIVES)
@pytest.mark.parametrize("carrier", FAMILIES)
@pytest.mark.parametrize("is_bound", [True, False])
def test_every_order_of_the_reports_single_and_doubled_ends_in_the_same_call(
    carrier: str, life: str, is_bound: bool
) -> None:
    told: list[CallEvent | None] = [*events(carrier, life)]
    call = a_call(carrier=carrier, status=CallStatus.QUEUED, carrier_call_id=order_id(told) if is_bound else None)
    asks: list[CallEvent | None] = [None] if life == ANSWERED and carrier in FETCHING else []
    luck = random.Random(f"{carrier} {life}")  # noqa: S311 - repeatable, not secret
    doubled = (luck.sample(told * 2 + asks, 2 * len(told) + len(asks)) for _ in range(ORDERS_MAX))
    ends = set()
    for order in itertools.chain(itertools.permutations(told + asks), itertools.permutations(told), doubled):
        end = lived(call, order)
        ends.add(repr([(name, getattr(end, name)) for name in _SHOWN]))
    assert len(ends) == 1, "\n".join(sorted(ends))
    assert f"'charge_micros', {60_000 if life == ANSWERED else 0}" in ends.pop()


# ---- forged ---------------------------------------------------------------------------------------------------------

Forgery = Callable[[Customer, Leg, bytes], dict[str, Any]]
"""What is wrong with a request: arguments of ``Customer.posts``."""


def signed_by(secret: str, *, after: float = 0.0) -> Forgery:
    """Signed by the account itself or by somebody else's, so many seconds from now."""

    def forge(customer: Customer, leg: Leg, body: bytes) -> dict[str, Any]:
        secrets = own_secrets() if secret == "own" else foreign_secrets()
        at = customer.world.clock.now() + timedelta(seconds=after)
        url = customer.address(leg.call_id).url(BASE_URL)
        return {"headers": sign(customer.carrier, secrets[customer.carrier], url, body, at)}

    return forge


def with_headers(**headers: str) -> Forgery:
    return lambda customer, leg, body: {"headers": {name.replace("_", "-"): text for name, text in headers.items()}}


def one_byte_changed(customer: Customer, leg: Leg, body: bytes) -> dict[str, Any]:
    headers = signed_by("own")(customer, leg, body)
    position = body.index(leg.carrier_call_id.encode()[-6:]) if leg.carrier_call_id.encode()[-6:] in body else 20
    return {**headers, "body": body[:position] + bytes([body[position] ^ 1]) + body[position + 1 :]}


def token(algorithm: str | None = "HS256", *, key: str | None = "", **changes: Any) -> Forgery:
    """A JWT that is not quite Vonage's."""

    def forge(customer: Customer, leg: Leg, body: bytes) -> dict[str, Any]:
        claims = vonage_claims(customer.secret, body, customer.world.clock.now(), **changes)
        secret = customer.secret["signature_secret"] if key == "" else key
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InsecureKeyLengthWarning)
            presented = jwt.encode(claims, secret, algorithm=algorithm)
        return {"headers": {"authorization": f"Bearer {presented}"}}

    return forge


_BAD_SIGNATURES = {
    "twilio": with_headers(x_twilio_signature="A" * 28),
    "sip-twilio": with_headers(x_twilio_signature="é"),
    "telnyx": with_headers(telnyx_signature_ed25519="A" * 86 + "==", telnyx_timestamp="1795186800"),
    "sip-telnyx": with_headers(telnyx_signature_ed25519="A" * 86 + "=="),
    "telnyx-texml": with_headers(telnyx_signature_ed25519="\x00", telnyx_timestamp="x"),
    "vonage": with_headers(authorization="Bearer a.b.c"),
    "elevenlabs": with_headers(elevenlabs_signature="t=1795186800,v0=00"),
}
FORGERIES: list[tuple[str, str, Forgery]] = [
    *((carrier, "signed for another organization", signed_by("foreign")) for carrier in CARRIERS),
    *((carrier, "one byte changed", one_byte_changed) for carrier in FAMILIES),
    *((carrier, "no such signature", forgery) for carrier, forgery in _BAD_SIGNATURES.items()),
    *(
        (carrier, f"{seconds} seconds from now", signed_by("own", after=seconds))
        for carrier, tolerance in {"telnyx": 300, "telnyx-texml": 300, "vonage": 300, "elevenlabs": 1_800}.items()
        for seconds in (-tolerance - 2, tolerance + 2)
    ),
    ("vonage", "alg none", token(None, key=None)),
    ("vonage", "another alg", token("HS512")),
    ("vonage", "another alg, shorter", token("HS384")),
    ("vonage", "payload_hash of another body", token(payload_hash="0" * 64)),
    ("vonage", "no payload_hash", token(payload_hash=None)),
    ("vonage", "no iat", token(iat=None)),
    ("vonage", "another api_key", token(api_key="other")),
    ("vonage", "another application", token(application_id="other")),
    ("vonage", "expired", token(exp=1)),
]


@pytest.mark.parametrize(
    ("carrier", "wrong", "forgery"), FORGERIES, ids=[f"{each[0]}: {each[1]}" for each in FORGERIES]
)
def test_what_the_account_did_not_sign_is_403_in_the_same_words_and_leaves_no_trace(
    world: World, carrier: str, wrong: str, forgery: Forgery
) -> None:
    customer = Customer(world, carrier)
    call, leg = customer.dials()
    with unchanged(world):
        for body in reports(leg, ANSWERED):
            answer = customer.posts(leg, **{"body": body, **forgery(customer, leg, body)})
            assert (answer.status, answer.body) == REFUSED, wrong
        if carrier in FETCHING and wrong != "one byte changed":
            asked = forgery(customer, leg, question(leg))
            answer = customer.posts(leg, question(leg), kind="twiml", headers=asked["headers"])
            assert (answer.status, answer.body) == REFUSED
        world.drain()
    assert customer.stored(call) == call


@pytest.mark.parametrize("carrier", CARRIERS)
def test_an_unsigned_request_is_refused_and_vonages_asked_for_again(world: World, carrier: str) -> None:
    customer = Customer(world, carrier)
    _, leg = customer.dials()
    status = 429 if carrier == "vonage" else 403
    with unchanged(world):
        for body in reports(leg, ANSWERED):
            answer = customer.posts(leg, body, headers={})
            assert (answer.status, answer.body) == (status, REFUSED[1])
        if carrier in FETCHING:
            assert customer.posts(leg, question(leg), kind="twiml", headers={}).status == status


@pytest.mark.parametrize("carrier", FAMILIES)
def test_times_within_the_tolerance_are_authentic(world: World, carrier: str) -> None:
    customer = Customer(world, carrier)
    call, leg = customer.dials()
    tolerance = 1_790 if carrier == "elevenlabs" else 290
    bodies = reports(leg, ANSWERED)
    for seconds in (-tolerance, tolerance):
        for body in bodies:
            answer = customer.posts(leg, body, **signed_by("own", after=seconds)(customer, leg, body))
            assert answer.status == RECEIVED.get(carrier, 204)
    world.drain()
    assert_ended(customer, call, ANSWERED)


@pytest.mark.parametrize("carrier", FAMILIES)
def test_a_genuine_request_is_good_at_no_other_accounts_address(world: World, carrier: str) -> None:
    """Whoever has a signature of one account must not make another one's calls of it."""
    customer = Customer(world, carrier)
    _, leg = customer.dials()
    other_id, provision = world.demo.second_organization_id, world.stack.provision
    theirs = provision.create_carrier_account(
        other_id, carrier=carrier, name="Other", secret=foreign_secrets()[carrier]
    )
    own = customer.address(leg.call_id)
    body = reports(leg, ANSWERED)[-1]
    with unchanged(world):
        for address in (
            replace(own, organization_id=other_id),
            replace(own, carrier_account_id=theirs.id),
            replace(own, organization_id=other_id, carrier_account_id=theirs.id),
            replace(own, carrier_account_id="acct_unknown"),
        ):
            answer = customer.posts(leg, body, address=address, **signed_by("own")(customer, leg, body))
            assert (answer.status, answer.body) == REFUSED
        world.drain()


@pytest.mark.parametrize("carrier", FAMILIES)
def test_another_organizations_own_account_cannot_speak_of_this_organizations_call(world: World, carrier: str) -> None:
    """Its address, its signature, and this organization's call: authentic, and about a call that it does not have."""
    customer = Customer(world, carrier)
    call, leg = customer.dials()
    other_id, provision = world.demo.second_organization_id, world.stack.provision
    secret = foreign_secrets()[carrier]
    theirs = provision.create_carrier_account(other_id, carrier=carrier, name="Other", secret=secret)
    address = replace(customer.address(leg.call_id), organization_id=other_id, carrier_account_id=theirs.id)
    their_leg = replace(leg, secret=secret)
    before = everything(world)
    for body in reports(their_leg, ANSWERED):
        headers = sign(carrier, secret, address.url(BASE_URL), body, world.clock.now())
        answer = customer.posts(leg, body, address=address, headers=headers)
        # The other application's own number among Telnyx's words is the same in both secrets.
        assert answer.status in (RECEIVED.get(carrier, 204), 403)
        world.drain()
    assert everything(world) == before
    assert customer.stored(call) == call


@pytest.mark.parametrize("carrier", ["telnyx", "sip-telnyx"])
def test_a_report_that_names_another_call_than_its_address_is_403(world: World, carrier: str) -> None:
    customer = Customer(world, carrier)
    call, leg = customer.dials()
    _, other_leg = customer.dials()
    with unchanged(world):
        for body in reports(other_leg, ANSWERED):
            answer = customer.posts(leg, body)
            assert (answer.status, answer.body) == REFUSED
    assert customer.stored(call) == call


@pytest.mark.parametrize("carrier", ["telnyx", "telnyx-texml", "vonage"])
def test_a_signature_that_covers_no_address_moves_no_report_to_another_call(world: World, carrier: str) -> None:
    customer = Customer(world, carrier)
    call, leg = customer.dials()
    _, other_leg = customer.dials()
    before = customer.document(call)
    for body in reports(other_leg, ANSWERED):
        customer.posts(leg, body)
    world.drain()
    assert customer.document(call) == before
    assert set(customer.verdicts(call)) <= {"foreign"}


# A SIP host's calls are reported by Twilio or Telnyx, with the same account's keys: there is nothing to tell apart.
_SIBLINGS = {"twilio": "sip-twilio", "sip-twilio": "twilio", "telnyx": "sip-telnyx", "sip-telnyx": "telnyx"}


@pytest.mark.parametrize("kind", ["status", "twiml"])
@pytest.mark.parametrize("carrier", FAMILIES)
def test_what_an_account_signs_is_good_at_no_address_that_is_not_its_carriers(
    world: World, carrier: str, kind: str
) -> None:
    customer = Customer(world, carrier)
    _, leg = customer.dials()
    right = customer.address(leg.call_id, kind)
    wrong = [replace(right, call_id=None if right.call_id is not None else leg.call_id)]
    wrong += [replace(right, carrier=other) for other in CARRIERS if other not in (carrier, _SIBLINGS.get(carrier))]
    if kind == "twiml" and carrier not in FETCHING:
        wrong.append(right)
    body = reports(leg, ANSWERED)[0] if kind == "status" or carrier not in FETCHING else question(leg)
    with unchanged(world):
        for address in wrong:
            headers = sign(carrier, customer.secret, address.url(BASE_URL), body, world.clock.now())
            answer = customer.posts(leg, body, address=address, headers=headers)
            # The accounts of Call Control and TeXML are signed for alike, and are then not understood.
            assert answer.status in (400, 403, 429) or "<Hangup" in answer.body
            assert "Example Dental" not in answer.body


@pytest.mark.parametrize("kind", ["status", "twiml"])
@pytest.mark.parametrize("carrier", FAMILIES)
def test_an_account_of_another_carrier_than_the_address_names_signs_nothing_and_is_no_fault_of_ours(
    world: World, carrier: str, kind: str
) -> None:
    """Every customer knows its accounts' ids: nobody may raise an alarm, or be served, by mixing them up."""
    customer = Customer(world, carrier)
    _, leg = customer.dials()
    own = customer.address(leg.call_id, kind)
    with unchanged(world):
        for other in CARRIERS:
            account_id = Customer(world, other).account_id
            headers = with_headers(
                x_twilio_signature="A" * 28,
                authorization=f"Bearer e30.e30.{'A' * 43}",
                telnyx_signature_ed25519="A" * 86 + "==",
                telnyx_timestamp=str(int(world.clock.now().timestamp())),
                elevenlabs_signature=f"t={int(world.clock.now().timestamp())},v0={'0' * 64}",
            )(customer, leg, b"")["headers"]
            answer = customer.posts(leg, b"A=1", address=replace(own, carrier_account_id=account_id), headers=headers)
            assert (answer.status, answer.body) == REFUSED, other


@pytest.mark.parametrize(("carrier", "other"), [("telnyx", "telnyx-texml"), ("telnyx-texml", "telnyx")])
def test_a_key_that_signs_for_both_of_telnyxs_applications_lets_neither_speak_for_the_other(
    world: World, carrier: str, other: str
) -> None:
    customer, stranger = Customer(world, carrier), Customer(world, other)
    _, leg = customer.dials()
    address = replace(customer.address(leg.call_id), carrier_account_id=stranger.account_id)
    with unchanged(world):
        for body in reports(leg, ANSWERED):
            headers = sign(carrier, stranger.secret, address.url(BASE_URL), body, world.clock.now())
            answer = customer.posts(leg, body, address=address, headers=headers)
            assert (answer.status, answer.body) == REFUSED


# ---- sizes and types ------------------------------------------------------------------------------------------------


def padded(body: bytes, size: int, *, is_form: bool) -> bytes:
    """The same report with something of this size in it."""
    if is_form:
        return body + b"&Padding=" + b"x" * size
    return json.dumps({**json.loads(body), "padding": "x" * size}).encode()


@pytest.mark.parametrize("carrier", FAMILIES)
def test_a_body_over_64_kb_is_refused_but_for_transcripts(world: World, carrier: str) -> None:
    customer = Customer(world, carrier)
    call, leg = customer.dials()
    is_form = carrier in ("twilio", "sip-twilio", "telnyx-texml")
    body = reports(leg, ANSWERED)[0]
    assert customer.posts(leg, padded(body, 60_000, is_form=is_form)).status == RECEIVED.get(carrier, 204)
    world.drain()
    if carrier == "elevenlabs":
        assert customer.posts(leg, padded(body, 1_000_000, is_form=False)).status == 200
        world.drain()
        assert_ended(customer, call, ANSWERED)
    with unchanged(world):
        size = 7 * 1024 * 1024 if carrier == "elevenlabs" else 66_000
        answer = customer.posts(leg, padded(body, size, is_form=is_form))
        assert (answer.status, answer.body) == REFUSED


CONTENT_TYPES = ("text/plain", "multipart/form-data", "application/xml", "x" * 10_000)


@pytest.mark.parametrize("carrier", FAMILIES)
def test_what_is_signed_counts_and_not_what_it_is_called_but_with_twilio_whose_signature_depends_on_it(
    world: World, carrier: str
) -> None:
    customer = Customer(world, carrier)
    _, leg = customer.dials()
    for content_type in CONTENT_TYPES:
        answer = customer.posts(leg, reports(leg, ANSWERED)[0], content_type=content_type)
        assert answer.status == (403 if carrier == "twilio" else RECEIVED.get(carrier, 204))
    world.drain()


NO_REPORTS = (b"", b"{", b"null", b"[]", b'"x"', b"\xff\xfe", b"[" * 60_000, b"&" * 60_000, b"%00=%00")


@pytest.mark.parametrize("carrier", FAMILIES)
def test_an_authentic_body_of_anything_is_no_report_and_leaves_no_trace(world: World, carrier: str) -> None:
    customer = Customer(world, carrier)
    _, leg = customer.dials()
    with unchanged(world):
        for body in NO_REPORTS:
            assert customer.posts(leg, body).status in (400, 403)
            if carrier in FETCHING:
                answer = customer.posts(leg, body, kind="twiml")
                assert answer.status in (200, 403)
                assert "Example Dental" not in answer.body
        world.drain()


# ---- replays --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("carrier", FAMILIES)
def test_a_genuine_request_that_somebody_sends_again_changes_nothing(world: World, carrier: str) -> None:
    customer = Customer(world, carrier)
    call, leg = customer.dials()
    url, now = customer.address(leg.call_id).url(BASE_URL), world.clock.now()
    recorded = [(body, sign(carrier, customer.secret, url, body, now)) for body in reports(leg, ANSWERED)]
    for body, headers in recorded:
        customer.posts(leg, body, headers=headers)
    world.drain()
    assert_ended(customer, call, ANSWERED)
    before, wallet, ledger = customer.document(call), world.wallet(), customer.ledger(call)
    for later in (timedelta(minutes=4), timedelta(hours=1)):
        world.clock.moment += later
        for body, headers in recorded:
            is_fresh = later == timedelta(minutes=4) or carrier in ("twilio", "sip-twilio")
            status = customer.posts(leg, body, headers=headers).status
            assert status == (RECEIVED.get(carrier, 204) if is_fresh else 403)
        world.drain()
        assert (customer.document(call), world.wallet(), customer.ledger(call)) == (before, wallet, ledger)


# ---- lost answers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("carrier", FAMILIES)
def test_any_authentic_report_that_names_our_call_binds_one_whose_answer_was_lost(world: World, carrier: str) -> None:
    customer = Customer(world, carrier)
    naming_us = 1 if carrier == "elevenlabs" else len(reports(customer.leg(a_call(), "x"), ANSWERED))
    for index in range(naming_us):
        call, leg = customer.dials(LOST)
        assert (call.status, call.carrier_call_id) == (CallStatus.UNCONFIRMED, None)
        customer.delivers(leg, [reports(leg, ANSWERED)[index]])
        bound = customer.stored(call)
        assert (bound.carrier_call_id, bound.dial_outcome) == (leg.carrier_call_id, DialOutcome.PLACED)


@pytest.mark.parametrize("carrier", FAMILIES)
def test_a_call_whose_answer_was_lost_ends_as_its_carrier_says(world: World, carrier: str) -> None:
    customer = Customer(world, carrier)
    call, leg = customer.dials(LOST)
    customer.reports(leg, ANSWERED)
    assert_ended(customer, call, ANSWERED)


def test_a_conversation_that_never_began_names_nothing_of_ours_and_leaves_an_unconfirmed_call_to_the_reconciler(
    world: World,
) -> None:
    customer = Customer(world, "elevenlabs")
    call, leg = customer.dials(LOST)
    before = everything(world)
    customer.reports(leg, BUSY)
    assert everything(world) == before
    assert customer.stored(call).status is CallStatus.UNCONFIRMED


@pytest.mark.parametrize("carrier", FETCHING)
def test_the_question_what_to_say_binds_a_call_whose_answer_was_lost(world: World, carrier: str) -> None:
    customer = Customer(world, carrier)
    call, leg = customer.dials(LOST)
    assert "Example Dental" in customer.asks(leg).body
    bound = customer.stored(call)
    assert (bound.carrier_call_id, bound.status) == (leg.carrier_call_id, CallStatus.IN_PROGRESS)
    customer.reports(leg, ANSWERED)
    assert_ended(customer, call, ANSWERED)


@pytest.mark.parametrize("carrier", FAMILIES)
@pytest.mark.parametrize("outcome", ["placed", "lost"])
def test_a_whole_call_that_is_faster_than_the_dials_own_answer_is_settled_once(
    world: World, carrier: str, outcome: str
) -> None:
    customer = Customer(world, carrier)
    carrier_call_id = new_carrier_call_id(carrier, 10**9 if outcome == "placed" else 10**9 + 1)

    def before_the_answer(request: Any, _: str) -> None:
        call = world.last_call()
        leg = customer.leg(call, carrier_call_id)
        world.clock.moment += timedelta(seconds=90)
        customer.reports(leg, ANSWERED)

    world.carrier.on_create = before_the_answer
    world.carrier.outcomes.append(Placed(carrier_call_id) if outcome == "placed" else LOST)
    reply = customer.initiates()
    call = world.last_call()
    assert call.carrier_call_id == carrier_call_id
    assert_ended(customer, call, ANSWERED)
    assert len(customer.ledger(call)) == 1
    assert reply.status == 200, reply.body


@pytest.mark.parametrize("carrier", [*FAMILIES, "sip-twilio"])
def test_a_second_carrier_call_for_the_same_call_is_foreign_and_told_to_hang_up(world: World, carrier: str) -> None:
    customer = Customer(world, carrier)
    call, leg = customer.dials()
    second = replace(leg, carrier_call_id=new_carrier_call_id(carrier, 10**12))
    before, wallet = customer.document(call), world.wallet()
    customer.reports(second, ANSWERED)
    assert (customer.document(call), world.wallet()) == (before, wallet)
    assert set(customer.verdicts(call)) == {"foreign"}
    if carrier in FETCHING:
        with unchanged(world):
            answer = customer.asks(second)
        assert answer.status == 200
        assert "Example Dental" not in answer.body
        assert answer.body == "[]" if carrier == "vonage" else "<Hangup" in answer.body
    customer.reports(leg, ANSWERED)
    assert_ended(customer, call, ANSWERED)


# ---- what carriers take ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("carrier", COSTS)
def test_a_carriers_cost_is_kept_in_its_own_currency_and_never_mixed_with_ours(world: World, carrier: str) -> None:
    customer = Customer(world, carrier)
    empty_table(world.tables.calls)
    before = world.wallet()
    call, leg = customer.dials()
    customer.reports(leg, ANSWERED)
    document = customer.document(call)
    assert document["carrier_cost"] == COSTS[carrier]
    assert document["charge"] == {"amount": "0.060000", "currency": "USD"}
    after = world.wallet()
    assert {after[name]["currency"] for name in ("available", "held", "spent", "deposited")} == {"USD"}
    assert float(after["spent"]["amount"]) - float(before["spent"]["amount"]) == pytest.approx(0.06)
    assert COSTS[carrier]["currency"] in ("USD", *(["EUR"] if carrier == "vonage" else ["credits"]))
    for entry in customer.ledger(call):
        assert COSTS[carrier]["amount"] not in json.dumps(entry)
