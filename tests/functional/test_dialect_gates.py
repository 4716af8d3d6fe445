"""Which refusal comes first in each dialect: a request that violates two gates is told the earlier one's.

The violations stand in the order of the contract, each with the status and the word of every dialect; ``None`` where a
dialect has no such thing to violate. ``test_gate_order`` has Burki's in more detail. Where we deviate:

- The limits of a key are counted by the commit, together with the call, because a count that is not part of the
  transaction would let two requests at once pass; so 429 is told last and not before the fields.
- Burki's 422 has a list in ``detail`` that its clients read; what is wrong with a text is a text, so it is 400 there.
- The tester's types are looked at after its description and its number are there, for that is what the original tells.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from dialplane.domain.accounts import PresentedKey
from tests.fakes.world import Reply, World
from tests.functional.dialects import (
    BURKI,
    DESTINATION,
    HMS,
    NEWER_DIALECTS,
    TESTER,
    Customer,
    Dialect,
    a_customer,
    account_of,
    change_assistant,
    every_newer_dialect,
)
from tests.functional.expectations import a_key, put_back, unchanged


@pytest.fixture(scope="module")
def customer(world: World) -> Customer:
    return a_customer(world, "+12125550100", micros=1_000_000)


@pytest.fixture(autouse=True)
def _unspoilt(world: World, customer: Customer) -> Iterator[None]:
    """Every test begins with the customer as it was made."""
    with put_back(world):
        yield


@dataclass
class Request:
    """A request that every gate would let pass, until violations spoil it."""

    world: World
    dialect: Dialect
    customer: Customer
    key: str | None
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)
    is_broken: bool = False

    def send(self) -> Reply:
        raw = json.dumps(self.body).encode() + b"}" if self.is_broken else self.body
        return self.dialect.send(self.world, raw, key=self.key, headers=self.headers)

    @property
    def provision(self) -> Any:
        return self.world.stack.provision


def a_fine_request(world: World, dialect: Dialect, customer: Customer) -> Request:
    return Request(world, dialect, customer, customer.key, dialect.body())


def broken_json(request: Request) -> None:
    request.is_broken = True


def no_key(request: Request) -> None:
    request.key = None


def scope_missing(request: Request) -> None:
    if request.key is not None:
        request.key = a_key(request.world, request.customer.organization_id, "can_read_calls")


def organization_suspended(request: Request) -> None:
    request.provision.suspend_organization(request.customer.organization_id)


def field_missing(request: Request) -> None:
    name = {"klen": "agent_id", "hms": "destination", "tester": "business_description"}[request.dialect.name]
    del request.body[name]


def wrong_type(request: Request) -> None:
    request.body[{"klen": "contact_id", "hms": "variables", "tester": "scenario"}[request.dialect.name]] = ["x"]


def modes_contradict(request: Request) -> None:
    request.body["assistant"] = {"first_message": "Hello."}


def number_malformed(request: Request) -> None:
    if request.dialect.destination_field in request.body:
        request.body[request.dialect.destination_field] = "sip:ada@example.test"


def key_reused(request: Request) -> None:
    request.headers["idempotency-key"] = "used-before"
    used = request.dialect.body("+15550100299")
    assert request.dialect.send(request.world, used, key=request.key, headers=request.headers).status == 200


def number_foreign(request: Request) -> None:
    request.body["number_id"] = "num_15557654321"


def assistant_unknown(request: Request) -> None:
    field_name = next(name for name in ("agent_id", "assistant_id", "") if name in request.body or not name)
    if field_name:
        request.body[field_name] = "nobody"


def number_receives_only(request: Request) -> None:
    organization_id = request.customer.organization_id
    account = account_of(request.world, organization_id)
    request.provision.put_number(organization_id, request.customer.number, account, can_dial_out=False)
    if request.dialect is HMS:
        request.body["number_id"] = request.customer.number


def nobody_set_up(request: Request) -> None:
    request.provision.update_organization(request.customer.organization_id, default_assistant_id=None)


def configuration_contradicts(request: Request) -> None:
    request.body["assistant_override"] = {"llm_config": {"provider": "openai"}}


def variable_missing(request: Request) -> None:
    change_assistant(request.world, request.customer, welcome_message="Hello {{ nobody }}.")


def destination_on_dnc(request: Request) -> None:
    number = str(request.body.get(request.dialect.destination_field))
    number = number if number.startswith("+") else DESTINATION
    key = a_key(request.world, request.customer.organization_id)
    assert request.world.manage("PUT /dnc/{number}", f"/dnc/{number}", key=key).status == 200


def country_not_allowed(request: Request) -> None:
    if request.dialect.destination_field in request.body:
        request.body[request.dialect.destination_field] = "+442079460123"


def balance_too_low(request: Request) -> None:
    request.provision.update_organization(request.customer.organization_id, rate_micros_per_minute=1_000_000)


def line_full(request: Request) -> None:
    request.provision.update_organization(request.customer.organization_id, active_calls_max=1)
    body = request.dialect.body("+15550100298")
    assert request.dialect.send(request.world, body, key=request.customer.key).status in (200, 429)


def key_used_up(request: Request) -> None:
    organization_id = request.customer.organization_id
    request.key = request.provision.create_key(organization_id, name="Limited", calls_per_minute_max=1).text
    body = request.dialect.body("+15550100297")
    assert request.dialect.send(request.world, body, key=request.key).status == 200


# what spoils the request, and what Klen, HMS and the tester answer
VIOLATIONS: list[Any] = [
    (broken_json, (400, "invalid_json"), (400, "invalid_json"), (400, "The body is not valid JSON")),
    (
        no_key,
        (401, "authentication_required"),
        (401, "authentication_required"),
        (401, "No API key was sent."),
    ),
    (scope_missing, (403, "permission_denied"), (403, "permission_denied"), (403, "The API key doesn't have")),
    (
        organization_suspended,
        (403, "organization_suspended"),
        (403, "organization_suspended"),
        (403, "This organization is suspended."),
    ),
    (
        field_missing,
        (400, "missing_agent_id"),
        (422, "missing_field"),
        (400, "Provide a business description first."),
    ),
    (wrong_type, (400, "validation_error"), (422, "invalid_fields"), (400, "scenario: ")),
    (modes_contradict, None, (400, "invalid_value"), None),
    (
        number_malformed,
        (400, "invalid_phone_number"),
        (422, "invalid_phone_number"),
        (400, "Phone number must be in E.164 format, for example +15551234567."),
    ),
    (
        key_reused,
        (422, "idempotency_key_reused"),
        (422, "idempotency_key_reused"),
        (422, "This Idempotency-Key was used with a different request body."),
    ),
    (number_foreign, None, (404, "caller_number_foreign"), None),
    (number_receives_only, (404, "no_phone_number"), (403, "number_cannot_dial_out"), None),
    (assistant_unknown, (404, "agent_not_found"), (404, "assistant_foreign"), None),
    (nobody_set_up, None, None, (500, "Missing required environment variables: ")),
    (configuration_contradicts, None, (422, "invalid_configuration"), None),
    (variable_missing, (422, "missing_variables"), (422, "missing_variables"), None),
    (destination_on_dnc, (403, "do_not_call"), (403, "do_not_call"), (403, "The destination is on the do-not-call")),
    (
        country_not_allowed,
        (403, "destination_not_allowed"),
        (403, "destination_not_allowed"),
        (403, "The destination belongs to GB"),
    ),
    (
        balance_too_low,
        (402, "insufficient_funds"),
        (402, "insufficient_balance"),
        (402, "Insufficient balance. Please add funds"),
    ),
    (
        line_full,
        (429, "active_calls_limit_reached"),
        (429, "active_calls_limit_reached"),
        (429, "All 1 simultaneous calls"),
    ),
    (key_used_up, (429, "rate_limit_exceeded"), (429, "rate_limit_exceeded"), (429, "This API key may make 1 calls")),
]
# Two wrongs that are one: there is no assistant whose texts, number or price could be wrong as well.
EXCLUSIVE = [
    {number_foreign, number_receives_only},
    {assistant_unknown, number_receives_only},
    {assistant_unknown, configuration_contradicts},
    {assistant_unknown, variable_missing},
    {assistant_unknown, balance_too_low},
    {modes_contradict, assistant_unknown},
    {modes_contradict, configuration_contradicts},
    {nobody_set_up, balance_too_low},
]
# Calls are made before anything is wrong, with keys that may; and a destination is moved before it is listed.
APPLIED_FIRST = (key_reused, key_used_up, line_full, country_not_allowed)


def of(dialect: Dialect) -> list[tuple[Callable[[Request], None], tuple[int, str]]]:
    """The dialect's own column."""
    column = {"klen": 1, "hms": 2, "tester": 3}[dialect.name]
    return [(row[0], row[column]) for row in VIOLATIONS if row[column] is not None]


PAIRS = [
    pytest.param(dialect, first, second[0], id=f"{dialect.name}-{first[0].__name__}-{second[0].__name__}")
    for dialect in NEWER_DIALECTS
    for first, second in itertools.combinations(of(dialect), 2)
    if {first[0], second[0]} not in EXCLUSIVE
]


def spoil(request: Request, *violations: Callable[[Request], None]) -> None:
    for violate in (*APPLIED_FIRST, *(each for each in violations if each not in APPLIED_FIRST)):
        if violate in violations:
            violate(request)


@pytest.mark.parametrize(("dialect", "first", "second"), PAIRS)
def test_a_request_that_violates_two_gates_is_told_the_earlier_one(
    world: World, customer: Customer, dialect: Dialect, first: Any, second: Any
) -> None:
    request = a_fine_request(world, dialect, customer)
    violate, (status, word) = first
    spoil(request, violate, second)
    with unchanged(world):
        dialect.assert_refused(request.send(), status, word)


@every_newer_dialect
def test_each_violation_alone_is_refused_and_changes_nothing(
    world: World, customer: Customer, dialect: Dialect
) -> None:
    for violate, (status, word) in of(dialect):
        with put_back(world):
            request = a_fine_request(world, dialect, customer)
            spoil(request, violate)
            with unchanged(world):
                reply = request.send()
        dialect.assert_refused(reply, status, word)
        assert ("retry-after" in reply.headers) is (status == 429)
        assert ("www-authenticate" in reply.headers) is (status == 401)


@every_newer_dialect
def test_a_request_without_violations_passes(world: World, customer: Customer, dialect: Dialect) -> None:
    assert a_fine_request(world, dialect, customer).send().status == 200


def test_burkis_variables_are_400_for_422_would_be_a_list(world: World, customer: Customer) -> None:
    request = a_fine_request(world, BURKI, customer)
    variable_missing(request)
    with unchanged(world):
        problem = BURKI.assert_refused(request.send(), 400, "missing_variables")
    assert isinstance(problem["detail"], str)


@every_newer_dialect
def test_a_strangers_wrong_fields_are_not_told(world: World, dialect: Dialect) -> None:
    """A key of nobody and a body in which everything is wrong."""
    stranger = PresentedKey.generate("org_" + "0" * 26).text
    body = {dialect.destination_field: 5, "unknown": 1}
    with unchanged(world):
        word = "invalid_key" if dialect is not TESTER else "The API key is invalid or inactive."
        dialect.assert_refused(dialect.send(world, body, key=stranger), 401, word)
