"""What one API key may place in a minute of the clock and on a day: never a call more, and only placed ones count."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any

import pytest

from dialplane.domain.accounts import PresentedKey
from tests.fakes.moto_dynamodb import FaultInjector, empty_table, stored_items
from tests.fakes.world import Reply, World
from tests.functional.expectations import SEED2, assert_problem, unchanged


@pytest.fixture(autouse=True)
def _fresh_usage(world: World) -> Iterator[None]:
    """No call has been counted, and it is 15:00:40 on the next day."""
    world.clock.moment = (world.clock.moment + timedelta(days=1)).replace(hour=15, minute=0, second=40, microsecond=0)
    yield
    empty_table(world.tables.usage)
    empty_table(world.tables.calls)


def a_limited_key(world: World, **limits: int) -> str:
    return world.stack.provision.create_key(world.demo.organization_id, name="Limited", **limits).text  # type: ignore[arg-type]


def dial(world: World, key: str, **changes: Any) -> Reply:
    return world.initiate({**SEED2, **changes}, key=key)


def statuses(world: World, key: str, times: int) -> list[int]:
    return [dial(world, key).status for _ in range(times)]


def test_s1_19_the_call_after_the_limit_of_a_minute_is_429_until_the_minute_ends(world: World) -> None:
    key = a_limited_key(world, calls_per_minute_max=3)
    assert statuses(world, key, 3) == [200] * 3
    with unchanged(world):
        reply = dial(world, key)
        problem = assert_problem(reply, 429, "rate_limit_exceeded")
    assert "3 calls per minute" in problem["detail"]
    assert 20 <= int(reply.headers["retry-after"]) <= 21


def test_after_retry_after_the_next_minute_has_calls_again(world: World) -> None:
    key = a_limited_key(world, calls_per_minute_max=1)
    assert dial(world, key).status == 200
    world.clock.sleep(int(dial(world, key).headers["retry-after"]))
    assert statuses(world, key, 2) == [200, 429]


def test_s1_19_the_call_after_the_limit_of_a_day_is_429_until_midnight(world: World) -> None:
    key = a_limited_key(world, calls_per_day_max=2)
    assert statuses(world, key, 2) == [200] * 2
    world.clock.sleep(3600)
    with unchanged(world):
        reply = dial(world, key)
        problem = assert_problem(reply, 429, "rate_limit_exceeded")
    assert "2 calls per day" in problem["detail"]
    midnight = datetime(world.clock.now().year, world.clock.now().month, world.clock.now().day, tzinfo=UTC)
    left = (midnight + timedelta(days=1) - world.clock.now()).total_seconds()
    assert left <= int(reply.headers["retry-after"]) <= left + 1
    world.clock.sleep(int(reply.headers["retry-after"]))
    assert dial(world, key).status == 200


def test_a_key_with_both_limits_keeps_both(world: World) -> None:
    key = a_limited_key(world, calls_per_minute_max=2, calls_per_day_max=3)
    assert statuses(world, key, 3) == [200, 200, 429]
    world.clock.sleep(60)
    assert statuses(world, key, 1) == [200]
    problem = assert_problem(dial(world, key), 429, "rate_limit_exceeded")
    assert "3 calls per day" in problem["detail"]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"to_phone_number": "+15550199001"}, 403),
        ({"to_phone_number": "+1"}, 400),
        ({"assistant_id": 999}, 403),
        ({"dry_run": True}, 200),
    ],
    ids=["do-not-call", "no number", "assistant of nobody", "dry run"],
)
def test_what_places_no_call_does_not_count(world: World, changes: dict[str, Any], status: int) -> None:
    key = a_limited_key(world, calls_per_minute_max=1)
    for _ in range(3):
        assert dial(world, key, **changes).status == status
    assert statuses(world, key, 2) == [200, 429]


def test_a_replay_does_not_count_and_is_answered_when_the_limit_is_reached(world: World) -> None:
    key = a_limited_key(world, calls_per_minute_max=1)
    header = {"idempotency-key": "limits-1"}
    first = world.initiate(SEED2, key=key, headers=header)
    assert dial(world, key).status == 429
    replay = world.initiate(SEED2, key=key, headers=header)
    assert (replay.status, replay.json, replay.headers["idempotent-replayed"]) == (200, first.json, "true")


def test_other_keys_of_the_organization_are_free(world: World) -> None:
    limited, other = a_limited_key(world, calls_per_minute_max=1), a_limited_key(world, calls_per_minute_max=1)
    assert statuses(world, limited, 2) == [200, 429]
    assert statuses(world, other, 1) == [200]
    assert statuses(world, world.demo.api_key, 2) == [200, 200]


def test_a_key_without_limits_writes_no_count(world: World) -> None:
    assert dial(world, world.demo.api_key).status == 200
    assert stored_items(world.tables.usage) == []


def test_counts_are_removed_when_their_period_is_over(world: World) -> None:
    key = a_limited_key(world, calls_per_minute_max=5, calls_per_day_max=5)
    dial(world, key)
    now = world.clock.now().timestamp()
    ends = sorted(int(item["expires_at"]) - now for item in stored_items(world.tables.usage))
    assert ends == [20, (9 * 3600) - 40]


def test_a_commit_whose_reply_was_lost_counts_once(world: World) -> None:
    key = a_limited_key(world, calls_per_day_max=100)
    injector = FaultInjector(seed=7, lost_reply_probability=0.4)
    aws = world.injected(injector, sleep=lambda _: None)
    placed = sum(world.initiate(SEED2, key=key, aws=aws).status == 200 for _ in range(5))
    (item,) = stored_items(world.tables.usage)
    assert injector.lost_replies > 0
    assert (placed, item["calls"]) == (5, 5)


def test_thirty_two_requests_at_once_never_exceed_the_limit(world: World) -> None:
    key, start = a_limited_key(world, calls_per_minute_max=5), Barrier(32)
    dials = len(world.carrier.requests)

    def ask(_: int) -> int:
        start.wait()
        return dial(world, key).status

    with ThreadPoolExecutor(32) as pool:
        answered = list(pool.map(ask, range(32)))
    assert sorted(answered) == [200] * 5 + [429] * 27
    assert len(world.carrier.requests) - dials == 5
    (item,) = stored_items(world.tables.usage)
    assert (item["calls"], PresentedKey.parse(key).id in item["pk"] + item["sk"]) == (5, True)


def test_s1_19_a_queued_dial_is_counted_when_it_is_asked_for(world: World) -> None:
    key = a_limited_key(world, calls_per_minute_max=1)
    body = {"phone_number": "+15559876543", "agent_id": 123}
    assert world.post("/calls", body, key=key).status == 200
    refused = world.post("/calls", body, key=key)
    assert (refused.status, refused.json["error"]) == (429, "rate_limit_exceeded")
    assert 20 <= int(refused.headers["retry-after"]) <= 21
