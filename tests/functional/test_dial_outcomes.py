"""What a client is told when our own side fails or is overtaken in the middle of a dial."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dialplane.domain.carrier import DialRequest, Rejected, Unknown
from dialplane.domain.idempotency import IdempotencyRecord
from dialplane.dynamodb.admissions import AdmissionStore
from dialplane.dynamodb.calls import CallStore
from tests.fakes.moto_dynamodb import FaultInjector
from tests.fakes.world import World
from tests.functional.expectations import SEED2, assert_problem


def test_an_unknown_outcome_that_cannot_be_recorded_is_still_told_as_unknown(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the database is away")

    world.carrier.outcomes.append(Unknown(reason="ReadTimeout"))
    monkeypatch.setattr(CallStore, "record_unknown", broken)
    reply = world.initiate(SEED2)
    assert (reply.status, reply.json["status"]) == (202, "unknown")
    assert reply.headers["location"] == f"/calls/{reply.json['call_id']}"


def test_a_commit_that_other_transactions_keep_out_is_told_as_busy_and_changes_nothing(world: World) -> None:
    dials, before = len(world.carrier.requests), world.fingerprint()
    aws = world.injected(FaultInjector(conflict_probability=1.0), sleep=lambda _: None)
    reply = world.initiate(SEED2, aws=aws)
    assert_problem(reply, 503, "service_busy")
    assert reply.headers["retry-after"] == "1"
    assert (len(world.carrier.requests), world.fingerprint()) == (dials, before)


def test_a_rejected_call_that_the_reconciler_has_touched_meanwhile_gives_back_its_hold(world: World) -> None:
    held = world.wallet()["held"]

    def touch(request: DialRequest, _: str) -> None:
        call = world.call(request.status_url.rsplit("/", 1)[1])
        store = CallStore(world.aws, world.tables)
        store.schedule_check(call, next_check_at=call.dial_deadline, checks_made=1)

    world.carrier.outcomes.append(Rejected(cause="other", code="21000", message="no"))
    world.carrier.on_create = touch
    assert_problem(world.initiate(SEED2), 502, "carrier_rejected")
    assert world.last_call().dial_outcome == "rejected"
    assert world.wallet()["held"] == held
    assert world.differences() == []


def test_a_record_that_stopped_a_commit_stops_the_dial_even_when_it_looks_expired(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    dials = len(world.carrier.requests)
    expired = IdempotencyRecord(scope_sha256="0" * 64, fingerprint="0" * 64, result_id="call_x", expires_at=0)
    monkeypatch.setattr(AdmissionStore, "commit", lambda *_: replace(expired))
    assert_problem(world.initiate(SEED2, headers={"idempotency-key": "k"}), 409, "idempotency_in_progress")
    assert len(world.carrier.requests) == dials
