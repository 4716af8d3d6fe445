"""The wallet over HTTP: figures, ledger, deposits once only, and the reconciliation that finds what was planted."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fakes.world import ANSWERED_CALL, Reply, World
from tests.functional.expectations import (
    a_caller,
    a_key,
    an_organization,
    assert_problem,
    stored_call,
    unchanged,
)


def deposit(world: World, key: str, amount: str = "1.00", *, idempotency_key: str | None = None, **more: Any) -> Reply:
    headers = {"idempotency-key": idempotency_key} if idempotency_key is not None else {}
    body = {"amount": amount, "currency": "USD", **more}
    return world.manage("POST /wallet/deposits", "/wallet/deposits", key=key, body=body, headers=headers)


def figures(world: World, key: str) -> dict[str, str]:
    document = world.wallet(key=key)
    return {name: document[name]["amount"] for name in ("deposited", "available", "held", "spent")}


def ledger(world: World, key: str, **query: str) -> dict[str, Any]:
    document: dict[str, Any] = world.manage("GET /wallet/ledger", "/wallet/ledger", key=key, query=query).json
    return document


def reconciliation(world: World, key: str) -> dict[str, Any]:
    document: dict[str, Any] = world.manage("GET /wallet/reconcile", "/wallet/reconcile", key=key).json
    return document


@pytest.fixture
def key(world: World) -> str:
    """The key of an organization that has nothing yet."""
    return a_key(world, an_organization(world, micros=0).id)


def test_a_wallet_that_never_had_money_shows_zeros(world: World, key: str) -> None:
    with unchanged(world):
        assert figures(world, key) == dict.fromkeys(("deposited", "available", "held", "spent"), "0.000000")
        assert ledger(world, key) == {"entries": [], "next_cursor": None, "has_more": False}
        assert reconciliation(world, key)["balanced"] is True


def test_a_call_moves_money_from_available_to_held_to_spent(world: World) -> None:
    organization_id, key = a_caller(world, number="+15550100960", micros=1_000_000)
    body = {"assistant_id": 1, "to_phone_number": "+15559876543"}
    call_id = world.initiate(body, key=key).headers["location"].removeprefix("/calls/")
    assert figures(world, key) == {
        "deposited": "1.000000",
        "available": "0.700000",
        "held": "0.300000",
        "spent": "0.000000",
    }
    assert world.wallet(key=key)["active_calls"] == 1
    world.live_through(stored_call(world, organization_id, call_id), *ANSWERED_CALL, duration=121)
    assert figures(world, key) == {
        "deposited": "1.000000",
        "available": "0.910000",
        "held": "0.000000",
        "spent": "0.090000",
    }
    assert world.wallet(key=key)["active_calls"] == 0
    entry = ledger(world, key)["entries"][0]
    assert (entry["kind"], entry["call_id"]) == ("settlement", call_id)
    assert [entry[name]["amount"] for name in ("hold", "charge", "release")] == ["0.300000", "0.090000", "0.210000"]


@pytest.mark.parametrize("amount", ["0.000001", "1", "1.5", "1.50", "999999.999999", "1000000", "007"])
def test_a_deposit_is_exact_to_the_micro_unit(world: World, key: str, amount: str) -> None:
    reply = deposit(world, key, amount, note="From the bank")
    assert reply.status == 201
    whole, _, fraction = amount.partition(".")
    assert figures(world, key)["available"] == f"{int(whole)}.{fraction:0<6}"
    assert reply.json == ledger(world, key)["entries"][0]
    assert (reply.json["kind"], reply.json["note"]) == ("deposit", "From the bank")
    assert reconciliation(world, key)["balanced"] is True


def test_a_deposit_with_a_key_moves_money_once(world: World, key: str) -> None:
    first = deposit(world, key, "2.50", idempotency_key="once")
    assert first.status == 201
    assert "idempotent-replayed" not in first.headers
    with unchanged(world):
        again = deposit(world, key, "2.50", idempotency_key="once")
    assert again.headers["idempotent-replayed"] == "true"
    assert (again.status, again.body) == (first.status, first.body)
    assert figures(world, key)["deposited"] == "2.500000"


@pytest.mark.parametrize("change", [{"amount": "2.51"}, {"amount": "2.5"}, {"note": "x"}])
def test_a_deposit_with_the_same_key_and_another_body_is_422(world: World, key: str, change: dict[str, Any]) -> None:
    deposit(world, key, "2.50", idempotency_key="once")
    with unchanged(world):
        reply = deposit(world, key, **{"amount": "2.50", **change}, idempotency_key="once")
        assert_problem(reply, 422, "idempotency_key_reused")


def test_a_deposits_key_ends_after_a_day_although_its_record_lies_there(world: World, key: str) -> None:
    deposit(world, key, "1", idempotency_key="a-day")
    world.clock.sleep(24 * 3600 - 1)
    with unchanged(world):
        assert "idempotent-replayed" in deposit(world, key, "1", idempotency_key="a-day").headers
    world.clock.sleep(1)
    assert "idempotent-replayed" not in deposit(world, key, "1", idempotency_key="a-day").headers
    assert figures(world, key)["deposited"] == "2.000000"


@pytest.mark.parametrize("idempotency_key", ["", " ", "a b", "é", "x" * 256])
def test_a_malformed_key_moves_no_money(world: World, key: str, idempotency_key: str) -> None:
    with unchanged(world):
        assert_problem(deposit(world, key, idempotency_key=idempotency_key), 400, "invalid_value")


def test_a_refused_deposit_does_not_use_up_its_key(world: World, key: str) -> None:
    with unchanged(world):
        assert_problem(deposit(world, key, "0", idempotency_key="again"), 400, "invalid_value")
    assert deposit(world, key, "1", idempotency_key="again").status == 201


@pytest.mark.parametrize("currency", ["usd", "", "US", "DOLLAR", "\ud800", "U$D"])
def test_the_first_deposit_names_a_currency_that_is_one(world: World, key: str, currency: str) -> None:
    with unchanged(world):
        assert_problem(deposit(world, key, currency=currency), 400, "invalid_value")


def test_a_wallet_keeps_its_currency(world: World, key: str) -> None:
    deposit(world, key)
    with unchanged(world):
        problem = assert_problem(deposit(world, key, currency="EUR"), 400, "invalid_value")
    assert problem["field"] == "currency"
    assert "USD" in problem["detail"]


@pytest.mark.parametrize("limit", [1, 2, 7, 8, 100])
def test_ledger_pages_put_together_are_the_whole_ledger_newest_first(world: World, key: str, limit: int) -> None:
    made = [deposit(world, key, str(number)).json["id"] for number in range(1, 8)]
    found: list[str] = []
    cursor: str | None = None
    while True:
        page = ledger(world, key, limit=str(limit), **({"cursor": cursor} if cursor else {}))
        assert len(page["entries"]) <= limit
        assert page["has_more"] is (page["next_cursor"] is not None)
        found += [entry["id"] for entry in page["entries"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert found == made[::-1]


# ---- reconciliation -------------------------------------------------------------------------------------------------


@pytest.fixture
def busy(world: World) -> tuple[str, str]:
    """An organization with a settled call, an open one and two deposits."""
    organization_id, key = a_caller(world, number="+15550100961", micros=2_000_000)
    deposit(world, key, "1.25")
    body = {"assistant_id": 1, "to_phone_number": "+15559876543"}
    settled, _open = (world.initiate(body, key=key).headers["location"].removeprefix("/calls/") for _ in range(2))
    world.live_through(stored_call(world, organization_id, settled), *ANSWERED_CALL)
    return organization_id, key


def test_books_that_agree_are_balanced(world: World, busy: tuple[str, str]) -> None:
    document = reconciliation(world, busy[1])
    assert (document["balanced"], document["differences"]) == (True, [])
    assert document["wallet"] == world.wallet(key=busy[1])


@pytest.mark.parametrize("figure", ["deposited", "available", "held", "spent", "active_calls"])
@pytest.mark.parametrize("by", [1, -1])
def test_a_planted_difference_of_one_micro_unit_is_found(
    world: World, busy: tuple[str, str], figure: str, by: int
) -> None:
    organization_id, key = busy
    name = figure if figure == "active_calls" else f"{figure}_micros"
    world.aws.call(
        "dynamodb",
        "UpdateItem",
        {
            "TableName": world.tables.wallets,
            "Key": {"pk": {"S": f"ORG#{organization_id}#WALLET"}, "sk": {"S": "BALANCE"}},
            "UpdateExpression": "ADD #figure :by",
            "ExpressionAttributeNames": {"#figure": name},
            "ExpressionAttributeValues": {":by": {"N": str(by)}},
        },
    )
    document = reconciliation(world, key)
    assert document["balanced"] is False
    (difference,) = document["differences"]
    assert difference["figure"] == figure
    assert difference["recorded"] - difference["recomputed"] == by


@pytest.mark.parametrize(
    ("prefix", "wrong"),
    [
        ("HOLD#", {"held", "available", "active_calls"}),
        ("LEDGER#", {"deposited", "available"}),
    ],
)
def test_a_record_that_was_taken_away_is_found(
    world: World, busy: tuple[str, str], prefix: str, wrong: set[str]
) -> None:
    organization_id, key = busy
    pk = {"S": f"ORG#{organization_id}#WALLET"}
    query = {
        "TableName": world.tables.wallets,
        "KeyConditionExpression": "pk = :pk AND begins_with(sk, :prefix)",
        "ExpressionAttributeValues": {":pk": pk, ":prefix": {"S": prefix}},
    }
    item = world.aws.call("dynamodb", "Query", query)["Items"][0]
    delete = {"TableName": world.tables.wallets, "Key": {"pk": pk, "sk": item["sk"]}}
    world.aws.call("dynamodb", "DeleteItem", delete)
    assert {each["figure"] for each in reconciliation(world, key)["differences"]} == wrong


def test_a_first_deposit_in_another_currency_than_the_organizations_is_refused(world: World, key: str) -> None:
    problem = assert_problem(deposit(world, key, "5.00", currency="EUR"), 400, "invalid_value")
    assert problem["field"] == "currency"
    assert world.wallet(key=key)["deposited"] == {"amount": "0.000000", "currency": "USD"}
