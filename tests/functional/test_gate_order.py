"""Which refusal comes first: a request that violates two gates is told the earlier one's.

The violations below stand in the order of the contract; every pair of them that one request can have is tried.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from dialplane.domain.accounts import Organization
from tests.fakes.world import World
from tests.functional.expectations import (
    SEED2,
    a_key,
    a_number,
    an_assistant,
    an_organization,
    assert_problem,
    unchanged,
)


@dataclass
class Request:
    """A request that every gate would let pass, until violations spoil it."""

    world: World
    organization: Organization
    key: str | None
    body: dict[str, Any]
    raw: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)


def broken_json(request: Request) -> None:
    request.raw = json.dumps(request.body).encode() + b"}"


def no_key(request: Request) -> None:
    request.key = None


def scope_missing(request: Request) -> None:
    if request.key is not None:
        request.key = a_key(request.world, request.organization.id, "can_read_calls")


def organization_suspended(request: Request) -> None:
    world, id_ = request.world, request.organization.id
    world.stack.provision.create_organization(Organization(id=id_, name="Suspended", is_active=False))


def wrong_type(request: Request) -> None:
    request.body["agenda"] = 5


def field_missing(request: Request) -> None:
    del request.body["to_phone_number"]


def number_malformed(request: Request) -> None:
    request.body["from_phone_number"] = "5550100"


def key_reused(request: Request) -> None:
    request.headers["idempotency-key"] = "used-before"
    used = {"assistant_id": 1, "to_phone_number": "+15550100299"}
    assert request.world.initiate(used, key=request.key, headers=request.headers).status == 200


def caller_number_foreign(request: Request) -> None:
    request.body["from_phone_number"] = "+15557654321"


def assistant_foreign(request: Request) -> None:
    request.body["assistant_id"] = 789


def variable_missing(request: Request) -> None:
    request.body["welcome_message"] = "Hello {{ nobody }}."


def destination_on_dnc(request: Request) -> None:
    number = request.body.get("to_phone_number", "+15550100200")
    request.world.manage("PUT /dnc/{number}", f"/dnc/{number}", key=a_key(request.world, request.organization.id))


def country_not_allowed(request: Request) -> None:
    if "to_phone_number" in request.body:
        request.body["to_phone_number"] = "+442079460123"


def balance_too_low(request: Request) -> None:
    an_assistant(request.world, request.organization.id, 2, max_duration_seconds=14_400)
    request.body.setdefault("assistant_id", 2)


# name, what spoils the request, what the contract answers
VIOLATIONS: list[tuple[Callable[[Request], None], int, str]] = [
    (broken_json, 422, "invalid_json"),
    (no_key, 401, "authentication_required"),
    (scope_missing, 403, "permission_denied"),
    (organization_suspended, 403, "organization_suspended"),
    (wrong_type, 422, "invalid_fields"),
    (field_missing, 400, "missing_field"),
    (number_malformed, 400, "invalid_phone_number"),
    (key_reused, 422, "idempotency_key_reused"),
    (caller_number_foreign, 403, "caller_number_foreign"),
    (assistant_foreign, 403, "assistant_foreign"),
    (variable_missing, 400, "missing_variables"),
    (destination_on_dnc, 403, "do_not_call"),
    (country_not_allowed, 403, "destination_not_allowed"),
    (balance_too_low, 402, "insufficient_balance"),
]
# Two wrongs that are one: a number cannot be malformed and foreign, an assistant cannot be foreign and too expensive.
EXCLUSIVE = [{number_malformed, caller_number_foreign}, {assistant_foreign, balance_too_low}]
# A key is used before anything is wrong, and a destination is moved before it is listed.
APPLIED_FIRST = (key_reused, field_missing, country_not_allowed)


@pytest.fixture(scope="module")
def numbers() -> Any:
    """Caller numbers that no other test uses."""
    return (f"+1555010{suffix}" for suffix in range(1000, 10_000))


def a_fine_request(world: World, number: str) -> Request:
    organization = an_organization(world, micros=1_000_000)
    an_assistant(world, organization.id, caller_number=number)
    a_number(world, organization.id, number, assistant_id=1)
    key = a_key(world, organization.id)
    return Request(world, organization, key, {"from_phone_number": number, "to_phone_number": "+15550100200"})


def send(request: Request) -> Any:
    body = request.raw if request.raw is not None else request.body
    return request.world.initiate(body, key=request.key, headers=request.headers)


PAIRS = [
    pytest.param(first, second, id=f"{first[0].__name__}-{second[0].__name__}")
    for first, second in itertools.combinations(VIOLATIONS, 2)
    if {first[0], second[0]} not in EXCLUSIVE
]


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_a_request_that_violates_two_gates_is_told_the_earlier_one(
    world: World, numbers: Any, first: Any, second: Any
) -> None:
    request = a_fine_request(world, next(numbers))
    for violate, _, _ in sorted((first, second), key=lambda violation: violation[0] not in APPLIED_FIRST):
        violate(request)
    if broken_json in (first[0], second[0]):
        broken_json(request)
    with unchanged(world):
        assert_problem(send(request), first[1], first[2])


def test_a_request_without_violations_passes(world: World, numbers: Any) -> None:
    assert send(a_fine_request(world, next(numbers))).status == 200


@pytest.mark.parametrize("violation", VIOLATIONS, ids=lambda violation: violation[0].__name__)
def test_each_violation_alone_is_refused(world: World, numbers: Any, violation: Any) -> None:
    request = a_fine_request(world, next(numbers))
    violation[0](request)
    with unchanged(world):
        assert_problem(send(request), violation[1], violation[2])


def test_the_limit_of_active_calls_comes_after_the_balance(world: World, numbers: Any) -> None:
    organization = an_organization(world, micros=600_000, active_calls_max=1)
    number = next(numbers)
    an_assistant(world, organization.id, caller_number=number)
    a_number(world, organization.id, number, assistant_id=1)
    key = a_key(world, organization.id)
    body = {**SEED2, "from_phone_number": number}
    assert world.initiate(body, key=key).status == 200
    with unchanged(world):
        reply = world.initiate(body, key=key)
        assert_problem(reply, 429, "active_calls_limit_reached")
        assert int(reply.headers["retry-after"]) >= 1
    an_assistant(world, organization.id, 2, max_duration_seconds=14_400)
    with unchanged(world):
        assert_problem(world.initiate({**body, "assistant_id": 2}, key=key), 402, "insufficient_balance")


def test_a_carrier_account_without_credentials_is_503_and_holds_nothing(world: World, numbers: Any) -> None:
    request = a_fine_request(world, next(numbers))
    provision = world.stack.provision
    account = provision.create_carrier_account(
        request.organization.id,
        carrier="twilio",
        name="Lost",
        secret={"account_sid": "AC" + "0" * 32, "auth_token": "t"},
    )
    number = provision.put_number(request.organization.id, next(numbers), account, assistant_id=1).number
    name = f"dialplane/carriers/{request.organization.id}/{account.id}"
    secrets = world.session.client("secretsmanager")
    secrets.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    request.body["from_phone_number"] = number
    with unchanged(world):
        assert_problem(send(request), 503, "carrier_unavailable")
