"""The pace of a carrier account: dials no closer than its rate, whoever asks, and a refusal that has done nothing."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from threading import Barrier

import pytest

from dialplane.domain.accounts import CallerNumber, CarrierAccount, PresentedKey
from dialplane.domain.carrier import DialRequest
from dialplane.dynamodb.pacing import PaceStore
from tests.fakes.moto_dynamodb import FaultInjector, empty_table, stored_items
from tests.fakes.world import TWILIO_SECRET, World
from tests.functional.expectations import a_key, an_assistant, an_organization, assert_problem, stored_call, unchanged

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
DESTINATION = "+15559876543"


@pytest.fixture(autouse=True)
def _fresh_pace(world: World) -> Iterator[None]:
    yield
    empty_table(world.tables.usage)
    empty_table(world.tables.calls)


def a_paced_caller(world: World, *rates: int | None) -> tuple[str, list[str]]:
    """A customer's key, and a number in an account of its own for each rate."""
    organization = an_organization(world, micros=1_000_000_000)
    an_assistant(world, organization.id)
    provision, numbers = world.stack.provision, []
    for position, rate in enumerate(rates):
        account = provision.create_carrier_account(
            organization.id, carrier="twilio", name="Account", secret=TWILIO_SECRET, calls_per_second=rate
        )
        number = f"+1555010070{position}"
        numbers.append(provision.put_number(organization.id, number, account, assistant_id=1).number)
    return a_key(world, organization.id), numbers


def dial(world: World, key: str, number: str) -> int:
    return world.initiate({"from_phone_number": number, "to_phone_number": DESTINATION}, key=key).status


def dial_moments(world: World) -> list[tuple[str, datetime]]:
    """From here on: the caller number and the moment of every dial, in the order in which the carrier is asked."""
    asked: list[tuple[str, datetime]] = []

    def remember(request: DialRequest, carrier_call_id: str) -> None:
        asked.append((request.caller_number, world.clock.now()))

    world.carrier.on_create = remember
    return asked


@pytest.mark.parametrize("rate", [1, 3, 10])
def test_dials_of_an_account_are_never_closer_than_its_rate_allows(world: World, rate: int) -> None:
    key, (number,) = a_paced_caller(world, rate)
    asked = dial_moments(world)
    for pause in (0.0, 0.0, 0.0, 0.05, 0.0, 0.34, 0.05, 1.0, 0.0, 5.0, 0.0):
        world.clock.sleep(pause)
        assert dial(world, key, number) == 200
    moments = [moment for _, moment in asked]
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    assert min(gaps) * rate >= timedelta(seconds=1)


def test_an_account_that_has_been_idle_saves_up_no_turns(world: World) -> None:
    key, (number,) = a_paced_caller(world, 2)
    asked = dial_moments(world)
    dial(world, key, number)
    world.clock.sleep(3600)
    began = world.clock.now()
    for _ in range(3):
        dial(world, key, number)
    assert [(moment - began).total_seconds() for _, moment in asked[1:]] == [0.0, 0.5, 1.0]


def test_more_than_two_seconds_of_waiting_is_429_with_nothing_held_and_nobody_dialled(world: World) -> None:
    key, (number,) = a_paced_caller(world, 2)
    account = account_of(world, key, number)
    for _ in range(5):  # now, 0.5, 1.0, 1.5 and 2.0 seconds from now are taken
        assert reserve(world, account, now=world.clock.now()) is not None
    with unchanged(world):
        reply = world.initiate({"from_phone_number": number, "to_phone_number": DESTINATION}, key=key)
        problem = assert_problem(reply, 429, "carrier_rate_reached")
    assert "2 calls per second" in problem["detail"]
    world.clock.sleep(int(reply.headers["retry-after"]))
    assert dial(world, key, number) == 200


def test_the_last_turn_within_two_seconds_is_waited_for(world: World) -> None:
    key, (number,) = a_paced_caller(world, 2)
    account = account_of(world, key, number)
    began = world.clock.now()
    for _ in range(4):
        reserve(world, account, now=began)
    asked = dial_moments(world)
    assert dial(world, key, number) == 200
    assert asked[0][1] - began == timedelta(seconds=2)


def test_a_key_that_is_over_its_limit_takes_no_turn(world: World) -> None:
    key, (number,) = a_paced_caller(world, 1)
    organization_id = PresentedKey.parse(key).organization_id
    limited = world.stack.provision.create_key(organization_id, name="Limited", calls_per_minute_max=1).text
    assert dial(world, limited, number) == 200
    world.clock.sleep(1)
    began = world.clock.now()
    assert [dial(world, limited, number) for _ in range(5)] == [429] * 5
    assert dial(world, key, number) == 200
    assert world.clock.now() == began


def test_queued_dials_keep_the_pace_when_they_are_dialled(world: World) -> None:
    key, (number,) = a_paced_caller(world, 1)
    asked = dial_moments(world)
    for _ in range(4):
        reply = world.post("/calls", {"phone_number": DESTINATION, "agent_id": 1}, key=key)
        assert reply.status == 200, reply.body
    world.dial_queued()
    assert [caller for caller, _ in asked] == [number] * 4
    assert min(later - earlier for (_, earlier), (_, later) in pairwise(asked)) >= timedelta(seconds=1)


def test_a_turn_that_comes_after_the_dial_window_releases_the_hold_and_dials_nobody(world: World) -> None:
    key, (number,) = a_paced_caller(world, 1)
    account = account_of(world, key, number)
    reply = world.post("/calls", {"phone_number": DESTINATION, "agent_id": 1}, key=key)
    for _ in range(7):
        reserve(world, account, now=world.clock.now(), waits_seconds=9.0)
    asked = dial_moments(world)
    world.dial_queued()
    call = stored_call(world, account.organization_id, reply.json["call_id"])
    assert (asked, call.dial_error, call.is_open) == ([], "rate_limited:carrier_rate_reached", False)


def test_a_dial_that_comes_too_late_takes_no_turn_from_others(world: World) -> None:
    key, (number,) = a_paced_caller(world, 1)
    account = account_of(world, key, number)
    reply = world.post("/calls", {"phone_number": DESTINATION, "agent_id": 1}, key=key)
    world.clock.sleep(61)
    world.dial_queued()
    call = stored_call(world, account.organization_id, reply.json["call_id"])
    assert call.dial_error == "rate_limited:dial_window_over"
    assert PaceStore(world.aws, world.tables).next_moment(account.organization_id, account.id) is None


def test_accounts_do_not_wait_for_one_another(world: World) -> None:
    key, (first, second) = a_paced_caller(world, 1, 1)
    other_key, (others,) = a_paced_caller(world, 1)
    began = world.clock.now()
    assert [dial(world, key, first), dial(world, key, second), dial(world, other_key, others)] == [200] * 3
    assert world.clock.now() == began


def test_a_request_that_is_refused_takes_no_turn(world: World) -> None:
    key, (number,) = a_paced_caller(world, 1)
    body = {"from_phone_number": number, "to_phone_number": "+31612345678"}  # not one of its countries
    assert_problem(world.initiate(body, key=key), 403, "destination_not_allowed")
    began = world.clock.now()
    assert dial(world, key, number) == 200
    assert world.clock.now() == began


def test_a_dry_run_takes_no_turn(world: World) -> None:
    key, (number,) = a_paced_caller(world, 1)
    body = {"from_phone_number": number, "to_phone_number": DESTINATION, "dry_run": True}
    with unchanged(world):
        assert world.initiate(body, key=key).status == 200


def test_a_replay_takes_no_turn(world: World) -> None:
    key, (number,) = a_paced_caller(world, 1)
    body = {"from_phone_number": number, "to_phone_number": DESTINATION}
    first = world.initiate(body, key=key, headers={"idempotency-key": "k"})
    began = world.clock.now()
    replay = world.initiate(body, key=key, headers={"idempotency-key": "k"})
    assert (replay.json, replay.headers["idempotent-replayed"]) == (first.json, "true")
    assert world.clock.now() == began


def test_an_account_without_a_rate_costs_no_request_and_no_wait(world: World) -> None:
    key, (paced, free) = a_paced_caller(world, 1_000, None)
    asked: dict[str, list[str]] = {}
    for number in (paced, free):
        injector = FaultInjector()
        body = {"from_phone_number": number, "to_phone_number": DESTINATION}
        assert world.initiate(body, key=key, aws=world.injected(injector)).status == 200
        asked[number] = injector.operations
    writes = {number: [name for name in names if name != "BatchGetItem"] for number, names in asked.items()}
    assert writes[free] == ["TransactWriteItems", "UpdateItem"]  # the commit, the carrier's answer
    assert writes[paced] == ["GetItem", "TransactWriteItems", "UpdateItem", "UpdateItem"]


# ---- the moments themselves, where threads and lost replies meet ----------------------------------------------------


def account_of(world: World, key: str, number: str) -> CarrierAccount:
    organization_id = PresentedKey.parse(key).organization_id
    stored = world.stack.accounts.find(CallerNumber, organization_id, number)
    assert stored is not None
    account = world.stack.accounts.find(CarrierAccount, organization_id, stored.carrier_account_id)
    assert account is not None
    return account


def reserve(
    world: World,
    account: CarrierAccount,
    *,
    now: datetime = NOW,
    waits_seconds: float = 2.0,
    store: PaceStore | None = None,
) -> datetime | None:
    assert account.calls_per_second is not None
    return (store or PaceStore(world.aws, world.tables)).reserve(
        account.organization_id,
        account.id,
        calls_per_second=account.calls_per_second,
        now=now,
        until=now + timedelta(seconds=waits_seconds),
    )


def an_account(calls_per_second: int) -> CarrierAccount:
    return CarrierAccount("acct_1", "org_1", "twilio", "Account", NOW, calls_per_second)


def test_sixteen_requests_at_once_get_sixteen_moments_in_a_row(world: World) -> None:
    account, start = an_account(10), Barrier(16)

    def ask(_: int) -> datetime | None:
        start.wait()
        return reserve(world, account)

    with ThreadPoolExecutor(16) as pool:
        moments = list(pool.map(ask, range(16)))
    given = sorted(moment for moment in moments if moment is not None)
    assert given == [NOW + timedelta(seconds=position / 10) for position in range(16)]


def test_no_more_moments_are_given_than_there_is_time_for(world: World) -> None:
    account, start = an_account(5), Barrier(16)

    def ask(_: int) -> datetime | None:
        start.wait()
        return reserve(world, account, waits_seconds=1.0)

    with ThreadPoolExecutor(16) as pool:
        moments = list(pool.map(ask, range(16)))
    given = sorted(moment for moment in moments if moment is not None)
    assert given == [NOW + timedelta(seconds=position / 5) for position in range(6)]  # 0.0 to 1.0 seconds from now


def test_a_lost_reply_wastes_one_moment_and_gives_none_twice(world: World) -> None:
    account = an_account(10)
    for seed in range(6):
        empty_table(world.tables.usage)
        injector = FaultInjector(seed=seed, lost_reply_probability=0.3)
        unlucky = PaceStore(world.injected(injector, sleep=lambda _: None), world.tables)
        given = [reserve(world, account, store=unlucky) for _ in range(6)]
        moments = [moment for moment in given if moment is not None]
        gaps = [later - earlier for earlier, later in pairwise(moments)]
        assert all(gap >= timedelta(seconds=0.1) for gap in gaps), seed
        if len(moments) == len(given):
            wasted = (moments[-1] - NOW) / timedelta(seconds=0.1) - (len(moments) - 1)
            assert wasted <= injector.lost_replies, seed


def test_a_clock_that_is_behind_takes_its_turn_after_those_who_were_ahead(world: World) -> None:
    account = an_account(2)
    ahead = NOW + timedelta(seconds=1)
    assert reserve(world, account, now=ahead) == ahead
    assert reserve(world, account, now=NOW) == ahead + timedelta(seconds=0.5)


def test_the_pace_of_an_account_is_forgotten_when_nobody_calls(world: World) -> None:
    reserve(world, an_account(2))
    (item,) = stored_items(world.tables.usage)
    assert item["expires_at"] > NOW.timestamp() + 2
