"""The do-not-call list: once an addition is acknowledged, no dial to the number is sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest

from dialplane.aws.boto import BotoAwsClient
from dialplane.dynamodb.tables import platform_destination_key
from tests.fakes.world import Reply, World
from tests.functional.expectations import SEED2, a_caller, assert_problem, unchanged

_NUMBERS = (f"+1555016{suffix:04d}" for suffix in range(10_000))


@pytest.fixture
def number() -> str:
    """A number that no other test calls."""
    return next(_NUMBERS)


def dnc(world: World, method: str, number: str, **how: Any) -> Reply:
    return world.manage(f"{method} /dnc/{{number}}", f"/dnc/{number}", **how)


def dial(world: World, number: str, **how: Any) -> Reply:
    return world.initiate({**SEED2, "to_phone_number": number}, **how)


def test_an_entry_is_put_shown_and_taken_off(world: World, number: str) -> None:
    assert_problem(dnc(world, "GET", number), 404, "dnc_entry_not_found")
    put = dnc(world, "PUT", number, body={"reason": "Asked on the phone"})
    assert put.status == 200
    assert put.json == {
        "number": number,
        "reason": "Asked on the phone",
        "source": "api",
        "added_at": put.json["added_at"],
    }
    assert dnc(world, "GET", number).json == put.json
    gone = dnc(world, "DELETE", number)
    assert (gone.status, gone.body) == (204, "")
    assert_problem(dnc(world, "GET", number), 404, "dnc_entry_not_found")


@pytest.mark.parametrize("body", [None, {}, {"reason": None}, {"reason": ""}])
def test_a_reason_is_optional(world: World, number: str, body: Any) -> None:
    assert dnc(world, "PUT", number, body=body).status == 200


def test_the_duplicate_twin_the_first_entry_stands(world: World, number: str) -> None:
    first = dnc(world, "PUT", number, body={"reason": "first"})
    world.clock.sleep(60)
    with unchanged(world):
        assert dnc(world, "PUT", number, body={"reason": "second"}).json == first.json


def test_taking_off_twice_is_404(world: World, number: str) -> None:
    dnc(world, "PUT", number)
    dnc(world, "DELETE", number)
    with unchanged(world):
        assert_problem(dnc(world, "DELETE", number), 404, "dnc_entry_not_found")


def test_a_number_may_come_percent_encoded(world: World, number: str) -> None:
    dnc(world, "PUT", number.replace("+", "%2B"))
    assert dnc(world, "GET", number).json["number"] == number


def test_a_listed_number_is_not_dialled_and_one_taken_off_is(world: World, number: str) -> None:
    dnc(world, "PUT", number)
    with unchanged(world):
        problem = assert_problem(dial(world, number), 403, "do_not_call")
    assert number not in str(problem)
    dnc(world, "DELETE", number)
    assert dial(world, number).status == 200


def test_the_platforms_own_list_binds_every_organization(world: World, number: str) -> None:
    entry = {"dnc": {"M": {"number": {"S": number}}}}
    item = {**platform_destination_key(number).attributes, **entry}
    world.aws.call("dynamodb", "PutItem", {"TableName": world.tables.destinations, "Item": item})
    with unchanged(world):
        assert_problem(dial(world, number), 403, "do_not_call")
        theirs = {"from_phone_number": "+15557654321", "to_phone_number": number}
        assert_problem(world.initiate(theirs, key=world.demo.second_api_key), 403, "do_not_call")


def test_an_addition_is_acknowledged_only_when_a_dial_under_way_is_over(world: World, number: str) -> None:
    """The dial of the first request never ends, so the acknowledgement waits until its window has closed."""
    acknowledged_at = []

    def meanwhile(request: Any, carrier_call_id: str) -> None:
        assert dnc(world, "PUT", number).status == 200
        acknowledged_at.append(world.clock.now())

    world.carrier.on_create = meanwhile
    dial(world, number)
    assert acknowledged_at[0] >= world.last_call().dial_deadline
    with unchanged(world):
        assert_problem(dial(world, number), 403, "do_not_call")


def test_an_addition_does_not_wait_for_calls_that_are_placed(world: World, number: str) -> None:
    dial(world, number)
    before = world.clock.now()
    assert dnc(world, "PUT", number).status == 200
    assert world.clock.now() - before < timedelta(seconds=1)


# ---- what changes between the read and the commit -------------------------------------------------------------------


class Meanwhile(BotoAwsClient):
    """The client of a world; just before its first transaction, somebody else is faster."""

    def __init__(self, inner: BotoAwsClient, happens: Callable[[], Any]) -> None:
        self._inner, self._happens = inner, happens
        self._has_happened = False

    def call(self, service: str, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        if operation == "TransactWriteItems" and not self._has_happened:
            self._has_happened = True
            self._happens()
        return self._inner.call(service, operation, params)


def test_a_number_listed_between_the_read_and_the_commit_is_not_dialled(world: World, number: str) -> None:
    dials, wallet = len(world.carrier.requests), world.wallet()
    aws = Meanwhile(world.aws, lambda: dnc(world, "PUT", number))
    assert_problem(dial(world, number, aws=aws), 403, "do_not_call")
    assert (len(world.carrier.requests), world.wallet()) == (dials, wallet)


def test_a_number_listed_by_the_platform_meanwhile_is_not_dialled(world: World, number: str) -> None:
    item = {**platform_destination_key(number).attributes, "dnc": {"M": {}}}
    put = {"TableName": world.tables.destinations, "Item": item}
    dials = len(world.carrier.requests)
    aws = Meanwhile(world.aws, lambda: world.aws.call("dynamodb", "PutItem", put))
    assert_problem(dial(world, number, aws=aws), 403, "do_not_call")
    assert len(world.carrier.requests) == dials


def test_money_that_another_call_took_meanwhile_is_402(world: World) -> None:
    _, key = a_caller(world, number="+15550100970", micros=500_000)
    body = {"assistant_id": 1, "to_phone_number": "+15559876543"}
    aws = Meanwhile(world.aws, lambda: world.initiate(body, key=key))
    problem = assert_problem(world.initiate(body, key=key, aws=aws), 402, "insufficient_balance")
    assert (problem["balance"], problem["required"]) == ("0.200000", "0.300000")


def test_the_last_free_line_taken_meanwhile_is_429(world: World) -> None:
    _, key = a_caller(world, number="+15550100971", active_calls_max=1)
    body = {"assistant_id": 1, "to_phone_number": "+15559876543"}
    aws = Meanwhile(world.aws, lambda: world.initiate(body, key=key))
    assert_problem(world.initiate(body, key=key, aws=aws), 429, "active_calls_limit_reached")


def test_an_idempotency_key_bound_meanwhile_makes_this_request_the_replay(world: World, number: str) -> None:
    headers = {"idempotency-key": f"race-{number}"}
    first: list[Reply] = []
    aws = Meanwhile(world.aws, lambda: first.append(dial(world, number, headers=headers)))
    dials = len(world.carrier.requests)
    second = dial(world, number, headers=headers, aws=aws)
    assert (second.status, second.body) == (200, first[0].body)
    assert second.headers["idempotent-replayed"] == "true"
    assert len(world.carrier.requests) == dials + 1
