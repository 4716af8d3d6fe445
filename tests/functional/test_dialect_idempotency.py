"""Idempotency-Key and dry_run in each dialect. What one key means at all is in ``test_idempotency``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from dialplane.domain.carrier import Rejected, Unknown
from tests.fakes.moto_dynamodb import stored_items
from tests.fakes.world import Reply, World
from tests.functional.dialects import (
    BURKI,
    HMS,
    KLEN,
    TESTER,
    Customer,
    Dialect,
    a_customer,
    every_dialect,
    every_newer_dialect,
)
from tests.functional.expectations import put_back, unchanged

REUSED = {"tester": "This Idempotency-Key was used with a different request body."}
IN_PROGRESS = {"tester": "A request with this Idempotency-Key is still in progress."}
GATES = ["authentication", "scope", "caller_number", "assistant", "configuration", "texts", "do_not_call"]
GATES += ["destination", "balance", "active_calls"]


@pytest.fixture(scope="module")
def customer(world: World) -> Customer:
    return a_customer(world, "+12125550140", micros=10**9)


@pytest.fixture(autouse=True)
def _unspoilt(world: World, customer: Customer) -> Iterator[None]:
    with put_back(world):
        yield


def keyed(world: World, customer: Customer, dialect: Dialect, body: Any = None, **how: Any) -> Reply:
    headers = {"idempotency-key": how.pop("idempotency_key", "k"), **how.pop("headers", {})}
    return dialect.send(world, dialect.body() if body is None else body, key=customer.key, headers=headers, **how)


def assert_replayed(first: Reply, again: Reply) -> None:
    """Byte for byte the first answer, and marked as its replay."""
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert (again.status, again.body) == (first.status, first.body)
    assert {**again.headers, "x-request-id": ""} == {
        **first.headers,
        "x-request-id": "",
        "idempotent-replayed": "true",
    }


@every_dialect
def test_a_repeated_request_gets_the_first_answer_and_rings_once(
    world: World, customer: Customer, dialect: Dialect
) -> None:
    dials = len(world.carrier.requests)
    first = keyed(world, customer, dialect)
    assert first.status == 200, first.body
    with unchanged(world):
        for _ in range(3):
            assert_replayed(first, keyed(world, customer, dialect))
    world.dial_queued()
    assert len(world.carrier.requests) == dials + 1
    with unchanged(world):
        assert_replayed(first, keyed(world, customer, dialect))


@pytest.mark.parametrize("body", [{"agent_id": 1}, {"agent": {"first_message": "Hello."}}], ids=str)
def test_s3_07_a_replay_says_that_a_name_is_deprecated_as_the_first_answer_did(
    world: World, customer: Customer, body: dict[str, Any]
) -> None:
    body = {"destination": "+15550100200", **body}
    first = keyed(world, customer, HMS, body)
    assert first.headers["deprecation"]
    assert_replayed(first, keyed(world, customer, HMS, body))


@every_dialect
def test_another_body_is_422_in_the_dialects_words(world: World, customer: Customer, dialect: Dialect) -> None:
    keyed(world, customer, dialect)
    word = REUSED.get(dialect.name, "idempotency_key_reused")
    with unchanged(world):
        dialect.assert_refused(keyed(world, customer, dialect, dialect.body("+15550100201")), 422, word)
        spelled = dialect.body() | ({"variables": {}} if dialect is not TESTER else {"scenario": "x"})
        dialect.assert_refused(keyed(world, customer, dialect, spelled), 422, word)


@pytest.mark.parametrize("dialect", [BURKI, TESTER], ids=lambda dialect: dialect.name)
def test_a_repetition_while_the_first_is_being_dialled_is_409(
    world: World, customer: Customer, dialect: Dialect
) -> None:
    meanwhile: list[Reply] = []
    world.carrier.on_create = lambda request, _: meanwhile.append(keyed(world, customer, dialect))
    first = keyed(world, customer, dialect)
    (during,) = meanwhile
    dialect.assert_refused(during, 409, IN_PROGRESS.get(dialect.name, "idempotency_in_progress"))
    assert int(during.headers["retry-after"]) >= 1
    world.carrier.on_create = lambda request, _: None
    assert_replayed(first, keyed(world, customer, dialect))


@pytest.mark.parametrize("dialect", [KLEN, HMS], ids=lambda dialect: dialect.name)
def test_where_the_answer_comes_before_the_dial_a_repetition_meanwhile_is_answered_the_same(
    world: World, customer: Customer, dialect: Dialect
) -> None:
    meanwhile: list[Reply] = []
    world.carrier.on_create = lambda request, _: meanwhile.append(keyed(world, customer, dialect))
    first = keyed(world, customer, dialect)
    world.dial_queued()
    assert_replayed(first, meanwhile[0])


def test_the_testers_carrier_failure_is_replayed_without_asking_again(world: World, customer: Customer) -> None:
    world.carrier.outcomes.append(Rejected(cause="other", code="21000", message="No."))
    first = keyed(world, customer, TESTER)
    assert (first.status, first.json) == (502, {"error": "Twilio API error (21000): No."})
    with unchanged(world):
        assert_replayed(first, keyed(world, customer, TESTER))


def test_the_testers_unknown_outcome_is_replayed_until_it_is_known(world: World, customer: Customer) -> None:
    world.carrier.outcomes.append(Unknown("timeout"))
    first = keyed(world, customer, TESTER)
    assert (first.status, first.json["status"]) == (202, "unknown")
    with unchanged(world):
        assert_replayed(first, keyed(world, customer, TESTER))


def test_a_replay_of_the_testers_says_its_own_scenario_whatever_the_context_is_now(
    world: World, customer: Customer
) -> None:
    body = {"to_number": "+15550100200"}
    world.post("/api/context", {"description": "We bake.", "scenario": "buy bread"}, key=customer.key)
    first = keyed(world, customer, TESTER, body)
    world.post("/api/context", {"description": "We bake.", "scenario": "buy cake"}, key=customer.key)
    assert_replayed(first, keyed(world, customer, TESTER, body))
    assert first.json["scenario"] == "buy bread"


@every_dialect
def test_the_same_key_on_each_dialects_route_is_another_key(world: World, customer: Customer, dialect: Dialect) -> None:
    for other in (BURKI, KLEN, HMS, TESTER):
        reply = keyed(world, customer, other)
        assert reply.status == 200, reply.body
        assert "idempotent-replayed" not in reply.headers
    assert keyed(world, customer, dialect).headers["idempotent-replayed"] == "true"
    assert len(stored_items(world.tables.idempotency)) == 4


def test_on_the_route_that_two_dialects_share_it_is_one_key(world: World, customer: Customer) -> None:
    keyed(world, customer, BURKI)
    with unchanged(world):
        reply = world.initiate(KLEN.body(), key=customer.key, headers={"idempotency-key": "k"})
        KLEN.assert_refused(reply, 422, "idempotency_key_reused")


@every_newer_dialect
@pytest.mark.parametrize("text", ["", " ", "a b", "x" * 256, "é", "\ud800", "a\n"], ids=ascii)
def test_a_key_that_is_none_is_400(world: World, customer: Customer, dialect: Dialect, text: str) -> None:
    word = "Idempotency-Key must be" if dialect is TESTER else "invalid_value"
    with unchanged(world):
        dialect.assert_refused(keyed(world, customer, dialect, idempotency_key=text), 400, word)


@every_newer_dialect
def test_what_is_refused_is_not_remembered(world: World, customer: Customer, dialect: Dialect) -> None:
    world.manage("PUT /dnc/{number}", "/dnc/+15550100200", key=customer.key)
    with unchanged(world):
        assert keyed(world, customer, dialect).status == 403
    world.manage("DELETE /dnc/{number}", "/dnc/+15550100200", key=customer.key)
    reply = keyed(world, customer, dialect)
    assert (reply.status, "idempotent-replayed" in reply.headers) == (200, False)


# ---- dry_run --------------------------------------------------------------------------------------------------------


@every_dialect
@pytest.mark.parametrize("where", ["body", "query"])
def test_dry_run_shows_every_gate_and_changes_nothing(
    world: World, customer: Customer, dialect: Dialect, where: str
) -> None:
    changes = {"dry_run": True} if where == "body" else {}
    query = {"dry_run": "true"} if where == "query" else None
    with unchanged(world):
        reply = keyed(world, customer, dialect, dialect.body(**changes), query=query)
    document = reply.json
    assert (reply.status, document["dry_run"], document["allowed"]) == (200, True, True)
    assert [gate["gate"] for gate in document["gates"]] == GATES
    assert (document["from"], document["to"]) == (customer.number, "+15550100200")
    assert "idempotent-replayed" not in reply.headers
    reply = keyed(world, customer, dialect)
    assert (reply.status, "idempotent-replayed" in reply.headers) == (200, False), "its key is still unused"


@every_newer_dialect
def test_a_dry_run_of_what_would_be_refused_says_why_with_the_code_of_the_catalogue(
    world: World, customer: Customer, dialect: Dialect
) -> None:
    world.manage("PUT /dnc/{number}", "/dnc/+15550100200", key=customer.key)
    with unchanged(world):
        document = dialect.send(world, dialect.body(dry_run=True), key=customer.key).json
    assert (document["allowed"], document["code"]) == (False, "do_not_call")


@every_newer_dialect
def test_a_dry_run_of_bad_input_is_refused_as_without_it(world: World, customer: Customer, dialect: Dialect) -> None:
    for body in (dialect.body("x"), dialect.body(unknown=1), {}):
        with unchanged(world):
            dry, real = (dialect.send(world, {**body, "dry_run": dry}, key=customer.key) for dry in (True, False))
        assert (dry.status, dry.body) == (real.status, real.body)
        assert dry.status in (400, 422)


@every_newer_dialect
@pytest.mark.parametrize("value", ["true", 1, None, []], ids=repr)
def test_dry_run_must_be_true_or_false(world: World, customer: Customer, dialect: Dialect, value: Any) -> None:
    with unchanged(world):
        reply = dialect.send(world, dialect.body(dry_run=value), key=customer.key)
    status = 422 if dialect is HMS else 400
    dialect.assert_refused(
        reply, status, {"klen": "validation_error", "hms": "invalid_fields"}.get(dialect.name, "dry_run: ")
    )
