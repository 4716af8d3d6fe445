"""Idempotency-Key on POST /calls/initiate: one key, one call, and the same answer as often as it is asked for."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from dialplane.domain.carrier import Rejected, Unknown
from dialplane.domain.idempotency import RETENTION
from tests.fakes.moto_dynamodb import stored_items
from tests.fakes.world import ANSWERED_CALL, Reply, World
from tests.functional.expectations import (
    SEED2,
    SEED2_CUSTOM,
    a_caller,
    a_key,
    a_number,
    an_assistant,
    an_organization,
    assert_problem,
    unchanged,
)


def keyed(world: World, idempotency_key: str, body: Any = None, **how: Any) -> Reply:
    headers = {"idempotency-key": idempotency_key, **how.pop("headers", {})}
    return world.initiate(SEED2 if body is None else body, headers=headers, **how)


def assert_replayed(first: Reply, again: Reply) -> None:
    """Byte for byte the first answer, and marked as its replay."""
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert (again.status, again.body) == (first.status, first.body)
    assert again.headers["content-type"] == first.headers["content-type"]
    assert again.headers.get("location") == first.headers.get("location")


# ---- replays --------------------------------------------------------------------------------------------------------


def test_a_repeated_request_gets_the_first_answer_and_no_second_call(world: World) -> None:
    first = keyed(world, "success", SEED2_CUSTOM)
    assert first.status == 200
    with unchanged(world):
        for _ in range(3):
            assert_replayed(first, keyed(world, "success", SEED2_CUSTOM))


def test_a_success_is_replayed_the_same_after_the_call_has_ended(world: World) -> None:
    first = keyed(world, "ended")
    call = world.last_call()
    world.live_through(call, *ANSWERED_CALL)
    with unchanged(world):
        assert_replayed(first, keyed(world, "ended"))


@pytest.mark.parametrize(
    ("cause", "status", "code"),
    [
        ("invalid_destination", 400, "destination_refused"),
        ("destination_not_permitted", 400, "destination_refused"),
        ("caller_number_not_owned", 502, "carrier_rejected"),
        ("credentials", 502, "carrier_rejected"),
        ("unreachable", 503, "carrier_unavailable"),
        ("other", 502, "carrier_rejected"),
    ],
)
def test_a_carriers_refusal_is_replayed_without_asking_it_again(
    world: World, cause: Any, status: int, code: str
) -> None:
    world.carrier.outcomes.append(Rejected(cause=cause, code="21000", message="No."))
    first = keyed(world, f"rejected-{cause}", headers={"x-request-id": "the-first"})
    assert_problem(first, status, code)
    with unchanged(world):
        again = keyed(world, f"rejected-{cause}", headers={"x-request-id": "the-second"})
    assert_replayed(first, again)
    assert again.json["request_id"] == "the-first"
    assert again.headers["x-request-id"] == "the-second"
    assert again.headers.get("retry-after") == first.headers.get("retry-after")


def test_an_unknown_outcome_is_202_and_never_dialled_again(world: World) -> None:
    world.carrier.outcomes.append(Unknown("timeout"))
    first = keyed(world, "unknown")
    call = world.last_call()
    assert (first.status, first.json) == (202, {"status": "unknown", "call_id": call.id})
    with unchanged(world):
        assert_replayed(first, keyed(world, "unknown"))
    world.clock.sleep(3_600)
    with unchanged(world):
        assert_replayed(first, keyed(world, "unknown"))


def test_an_unknown_outcome_that_a_callback_proves_placed_becomes_the_success_it_was(world: World) -> None:
    world.carrier.outcomes.append(Unknown("timeout"))
    keyed(world, "proved")
    call = world.last_call()
    world.live_through(call, "initiated")
    with unchanged(world):
        again = keyed(world, "proved")
    assert again.status == 200
    assert again.json == {
        "message": "Call initiated successfully",
        "call_sid": world.call(call.id).carrier_call_id,
    }
    assert again.headers["idempotent-replayed"] == "true"


def test_an_unknown_outcome_that_was_never_placed_is_told_so_and_a_new_key_calls(world: World) -> None:
    world.carrier.outcomes.append(Unknown("timeout"))
    keyed(world, "lost")
    call = world.last_call()
    for _ in range(4):
        world.clock.sleep(600)
        world.reconcile()
    assert world.call(call.id).status == "failed"
    with unchanged(world):
        again = keyed(world, "lost")
        assert_problem(again, 502, "call_not_placed")
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json["call_id"] == call.id
    assert keyed(world, "lost-2").status == 200


# ---- another body ---------------------------------------------------------------------------------------------------

ORIGINAL = {**SEED2_CUSTOM, "assistant_id": 123}
MUTATIONS: list[dict[str, Any]] = [
    {"from_phone_number": "+15551234568"},
    {"to_phone_number": "+15559876544"},
    {"assistant_id": 456},
    {"assistant_id": None},
    {"welcome_message": "Hello {{name}}, it is {{time}}"},
    {"welcome_message": None},
    {"agenda": "Another {{appointment_type}}."},
    {"agenda": ""},
    {"variables": {"name": "John Doe", "time": "11 AM", "appointment_type": "dental"}},
    {"variables": {"name": "John Doe", "time": "10 AM", "appointment_type": "dental", "more": 1}},
    {"variables": {"name": True, "time": "10 AM", "appointment_type": "dental"}},
]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_another_body_under_the_same_key_is_422_and_changes_nothing(world: World, mutation: dict[str, Any]) -> None:
    keyed(world, "mutated", ORIGINAL)
    with unchanged(world):
        assert_problem(keyed(world, "mutated", {**ORIGINAL, **mutation}), 422, "idempotency_key_reused")


@pytest.mark.parametrize("field", [name for name in ORIGINAL if name != "to_phone_number"])
def test_leaving_a_field_out_is_another_body_too(world: World, field: str) -> None:
    keyed(world, "mutated", ORIGINAL)
    body = {name: value for name, value in ORIGINAL.items() if name != field}
    with unchanged(world):
        assert_problem(keyed(world, "mutated", body), 422, "idempotency_key_reused")


def test_one_and_true_are_different_bodies(world: World) -> None:
    keyed(world, "types", {**SEED2, "variables": {"n": 1}})
    with unchanged(world):
        reply = keyed(world, "types", {**SEED2, "variables": {"n": True}})
        assert_problem(reply, 422, "idempotency_key_reused")


def test_white_space_and_the_order_of_fields_do_not_make_another_body(world: World) -> None:
    first = keyed(world, "layout", b'{"from_phone_number":"+15551234567","to_phone_number":"+15559876543"}')
    with unchanged(world):
        again = keyed(
            world, "layout", b'{ "to_phone_number" : "+15559876543",\n"from_phone_number":"\\u002b15551234567" }'
        )
        assert_replayed(first, again)


def test_the_mismatch_is_told_before_any_gate(world: World) -> None:
    keyed(world, "gates")
    with unchanged(world):
        reply = keyed(world, "gates", {**SEED2, "from_phone_number": "+15557654321"})
        assert_problem(reply, 422, "idempotency_key_reused")


# ---- in flight ------------------------------------------------------------------------------------------------------


def test_a_repetition_while_the_first_is_being_dialled_is_409_with_retry_after(world: World) -> None:
    meanwhile: list[Reply] = []
    world.carrier.on_create = lambda request, carrier_call_id: meanwhile.append(keyed(world, "in-flight"))
    first = keyed(world, "in-flight")
    (during,) = meanwhile
    assert_problem(during, 409, "idempotency_in_progress")
    assert int(during.headers["retry-after"]) >= 1
    assert "idempotent-replayed" not in during.headers
    world.carrier.on_create = lambda request, carrier_call_id: None
    with unchanged(world):
        assert_replayed(first, keyed(world, "in-flight"))


def test_another_body_while_the_first_is_being_dialled_is_422(world: World) -> None:
    meanwhile: list[Reply] = []
    other = {**SEED2, "to_phone_number": "+15559876599"}
    world.carrier.on_create = lambda request, carrier_call_id: meanwhile.append(keyed(world, "in-flight-2", other))
    keyed(world, "in-flight-2")
    assert_problem(meanwhile[0], 422, "idempotency_key_reused")


def test_a_dial_that_crashed_is_409_while_its_window_is_open_and_202_after_it(world: World) -> None:
    world.carrier.outcomes.append(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        keyed(world, "crashed")
    call = world.last_call()
    with unchanged(world):
        assert_problem(keyed(world, "crashed"), 409, "idempotency_in_progress")
        world.clock.moment = call.dial_deadline
        reply = keyed(world, "crashed")
    assert (reply.status, reply.json) == (202, {"status": "unknown", "call_id": call.id})


# ---- what is not remembered -----------------------------------------------------------------------------------------


def test_a_402_is_not_stored_so_that_paying_in_makes_the_same_request_succeed(world: World) -> None:
    organization_id, key = a_caller(world, micros=100, number="+15550100910")
    body = {"assistant_id": 1, "to_phone_number": "+15559876543"}
    with unchanged(world):
        assert_problem(keyed(world, "k", body, key=key), 402, "insufficient_balance")
    world.stack.wallets.deposit(organization_id, micros=10**6, currency="USD", note=None)
    reply = keyed(world, "k", body, key=key)
    assert reply.status == 200
    assert "idempotent-replayed" not in reply.headers


def test_a_403_is_not_stored(world: World) -> None:
    body = {**SEED2, "to_phone_number": "+15550100211"}
    world.manage("PUT /dnc/{number}", "/dnc/+15550100211")
    with unchanged(world):
        assert_problem(keyed(world, "dnc", body), 403, "do_not_call")
    world.manage("DELETE /dnc/{number}", "/dnc/+15550100211")
    assert keyed(world, "dnc", body).status == 200


def test_a_404_is_not_stored(world: World) -> None:
    organization = an_organization(world)
    an_assistant(world, organization.id)
    a_number(world, organization.id, "+15550100912")
    key = a_key(world, organization.id)
    body = {**SEED2, "from_phone_number": "+15550100912"}
    with unchanged(world):
        assert_problem(keyed(world, "k", body, key=key), 404, "assistant_not_found")
    a_number(world, organization.id, "+15550100912", assistant_id=1)
    assert keyed(world, "k", body, key=key).status == 200


@pytest.mark.parametrize(
    "refused",
    [
        {**SEED2, "to_phone_number": "nonsense"},
        {**SEED2, "welcome_message": "{{nobody}}"},
        {**SEED2, "agenda": 5},
        {"to_phone_number": "+15559876543"},
    ],
)
def test_a_request_with_bad_input_does_not_use_up_its_key(world: World, refused: dict[str, Any]) -> None:
    key = json.dumps(refused, separators=(",", ":"))
    with unchanged(world):
        assert keyed(world, key, refused).status in (400, 422)
    assert keyed(world, key).status == 200


def test_a_429_is_not_stored(world: World) -> None:
    _, key = a_caller(world, number="+15550100913", active_calls_max=1)
    body = {"assistant_id": 1, "to_phone_number": "+15559876543"}
    first = world.initiate(body, key=key)
    with unchanged(world):
        assert_problem(keyed(world, "k", body, key=key), 429, "active_calls_limit_reached")
    call_id = first.headers["location"].removeprefix("/calls/")
    assert world.get_call(call_id, key=key).status == 200


def test_a_dry_run_neither_uses_nor_binds_a_key(world: World) -> None:
    with unchanged(world):
        assert keyed(world, "dry", {**SEED2, "dry_run": True}).json["dry_run"] is True
    first = keyed(world, "dry")
    assert first.status == 200
    with unchanged(world):
        assert keyed(world, "dry", {**SEED2, "dry_run": True}).json["dry_run"] is True


# ---- 24 hours -------------------------------------------------------------------------------------------------------


def test_a_key_ends_after_24_hours_by_the_clock_although_its_record_still_lies_there(world: World) -> None:
    first = keyed(world, "a-day")
    world.clock.sleep(RETENTION.total_seconds() - 1)
    with unchanged(world):
        assert_replayed(first, keyed(world, "a-day"))
        assert_problem(keyed(world, "a-day", {**SEED2, "agenda": "x"}), 422, "idempotency_key_reused")
    world.clock.sleep(1)
    dials = len(world.carrier.requests)
    second = keyed(world, "a-day", {**SEED2, "agenda": "x"})
    assert (second.status, len(world.carrier.requests)) == (200, dials + 1)
    assert "idempotent-replayed" not in second.headers
    assert second.json["call_sid"] != first.json["call_sid"]
    with unchanged(world):
        assert_replayed(second, keyed(world, "a-day", {**SEED2, "agenda": "x"}))


def test_the_record_says_when_it_may_be_deleted(world: World) -> None:
    keyed(world, "ttl")
    call = world.last_call()
    (record,) = (each for each in stored_items(world.tables.idempotency) if each["result_id"] == call.id)
    assert int(record["expires_at"]) == int((call.created_at + timedelta(hours=24)).timestamp())


# ---- syntax and scope -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", " ", "a b", "a\tb", "a\n", "é", "\x00", "x" * 256, "١٢٣"], ids=ascii)
def test_a_malformed_key_is_400(world: World, text: str) -> None:
    with unchanged(world):
        assert_problem(keyed(world, text), 400, "invalid_value")


@pytest.mark.parametrize("text", ["x", "!", "~" * 255, "0f1c9d2e-7c1b-4a0e-9b77-0d5a3f6f2b11", '"quoted"'], ids=ascii)
def test_one_to_255_visible_ascii_characters_are_a_key(world: World, text: str) -> None:
    first = keyed(world, text)
    assert first.status == 200
    assert_replayed(first, keyed(world, text))


def test_keys_are_told_apart_exactly(world: World) -> None:
    keyed(world, "case-a")
    dials = len(world.carrier.requests)
    keyed(world, "CASE-A")
    assert len(world.carrier.requests) == dials + 1


def test_two_organizations_may_use_the_same_key(world: World) -> None:
    mine = keyed(world, "shared")
    body = {"from_phone_number": "+15557654321", "to_phone_number": "+15559876543"}
    theirs = keyed(world, "shared", body, key=world.demo.second_api_key)
    assert theirs.status == 200
    assert "idempotent-replayed" not in theirs.headers
    assert mine.json["call_sid"] != theirs.json["call_sid"]


def test_two_api_keys_of_one_organization_share_their_idempotency_keys(world: World) -> None:
    first = keyed(world, "rotated")
    rotated = a_key(world, world.demo.organization_id)
    with unchanged(world):
        assert_replayed(first, keyed(world, "rotated", key=rotated))


def test_a_deposit_and_a_call_may_use_the_same_key(world: World) -> None:
    keyed(world, "routes")
    reply = world.manage(
        "POST /wallet/deposits",
        "/wallet/deposits",
        body={"amount": "1.00", "currency": "USD"},
        headers={"idempotency-key": "routes"},
    )
    assert reply.status == 201
    assert "idempotent-replayed" not in reply.headers


def test_without_a_key_every_request_is_a_new_call(world: World) -> None:
    dials = len(world.carrier.requests)
    assert world.initiate(SEED2).json != world.initiate(SEED2).json
    assert len(world.carrier.requests) == dials + 2


# ---- too many requests: the one refusal that proves that nothing was processed --------------------------------------

TOO_MANY = Rejected(cause="rate_limited", code="20429", message="Too many requests")


def test_a_dial_that_was_not_processed_is_repeated_within_its_window_and_gets_one_answer(world: World) -> None:
    world.carrier.outcomes += [TOO_MANY, TOO_MANY]
    dials = len(world.carrier.requests)
    first = keyed(world, "busy-carrier")
    assert (first.status, len(world.carrier.requests)) == (200, dials + 3)
    assert len(set(list(world.carrier.call_ids)[dials:])) == 1
    with unchanged(world):
        assert_replayed(first, keyed(world, "busy-carrier"))


def test_a_carrier_that_stays_busy_is_503_before_the_window_closes_and_the_hold_is_released(world: World) -> None:
    world.carrier.outcomes += [TOO_MANY] * 50
    before, wallet = world.clock.now(), world.wallet()
    reply = keyed(world, "busier-carrier")
    problem = assert_problem(reply, 503, "carrier_unavailable")
    assert int(reply.headers["retry-after"]) >= 1
    assert world.clock.now() - before < timedelta(seconds=10)
    assert world.wallet() == wallet
    assert world.get_call(problem["call_id"]).json["ended_reason"] == "carrier_rejected"
