"""Real threads on one wallet, one key, one number: what DynamoDB's conditions promise, they keep under pressure."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest

from dialplane.domain.accounts import Organization
from dialplane.dynamodb.wallets import WalletStore
from dialplane.runtime import clock
from tests.fakes.clock import FakeClock
from tests.fakes.world import Reply
from tests.simulation.checkers import HOLD_MICROS, Attempt
from tests.simulation.simulation import BODY, CHANGED_BODY, DESTINATION, Schedule, Simulation

pytestmark = pytest.mark.timeout(120)


@dataclass
class RealClock(FakeClock):
    """The machine's own clock, for tests in which real threads wait for one another."""

    def now(self) -> datetime:
        return clock.now()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@pytest.fixture
def race(simulation: Simulation) -> Iterator[Simulation]:
    """The deployment with its plain client; nothing looks into the tables while threads write to them."""
    simulation.start(Schedule())
    for service, operation in (("dynamodb", "ListTables"), ("sqs", "ListQueues"), ("secretsmanager", "ListSecrets")):
        simulation.world.aws.call(service, operation, {})  # clients are made before the threads start
    io, receives, simulation.carrier.io = simulation.carrier.io, simulation.carrier.receives, lambda name: None
    simulation.carrier.receives = lambda request: None
    yield simulation
    simulation.carrier.io, simulation.carrier.receives = io, receives
    simulation.carrier.on_create = lambda request, carrier_call_id: None


def dial(simulation: Simulation, key: str | None = None, body: Mapping[str, Any] = BODY) -> Reply:
    """A client's request from any thread, kept on the client's own list."""
    attempt = Attempt(key, DESTINATION, body)
    simulation.attempts.append(attempt)
    attempt.reply = simulation.world.initiate(body, headers={"idempotency-key": key} if key is not None else {})
    return attempt.reply


def at_once(tasks: list[Callable[[], Reply]], threads: int) -> list[Reply]:
    """Run the tasks on this many threads that start together."""
    barrier = threading.Barrier(threads)

    def run(task: Callable[[], Reply], is_first: bool) -> Reply:
        if is_first:
            barrier.wait()
        return task()

    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(run, task, number < threads) for number, task in enumerate(tasks)]
        return [future.result() for future in futures]


def finish(simulation: Simulation) -> None:
    """Let every call live to its end and check everything from outside."""
    for leg in simulation.carrier.legs:
        simulation.deliver_callbacks(leg, "only terminal")
    simulation.run_until_quiet()


def test_200_creates_at_once_on_a_wallet_that_affords_7_are_7_dials_and_193_refusals(race: Simulation) -> None:
    race.start(Schedule(), micros=7 * HOLD_MICROS)
    replies = at_once([lambda: dial(race)] * 200, threads=32)
    assert Counter(reply.status for reply in replies) == {200: 7, 402: 193}
    assert len(race.carrier.requests) == 7
    assert all(reply.json["code"] == "insufficient_balance" for reply in replies if reply.status == 402)
    race.checkers.at_every_instant()
    finish(race)


def test_64_threads_with_one_idempotency_key_are_one_dial_and_one_answer(race: Simulation) -> None:
    race.carrier.on_create = lambda request, carrier_call_id: time.sleep(0.2)
    replies = at_once([lambda: dial(race, "one")] * 64, threads=64)
    assert set(Counter(reply.status for reply in replies)) <= {200, 409}
    assert len(race.carrier.requests) == 1
    first = [reply for reply in replies if reply.status == 200 and "idempotent-replayed" not in reply.headers]
    assert len(first) == 1
    later = at_once([lambda: dial(race, "one")] * 16, threads=16)
    assert {reply.body for reply in (*later, *(each for each in replies if each.status == 200))} == {first[0].body}
    assert {reply.headers["idempotent-replayed"] for reply in later} == {"true"}
    assert len(race.carrier.requests) == 1
    finish(race)


def test_of_two_bodies_with_one_key_one_is_dialled_and_the_other_refused(race: Simulation) -> None:
    bodies = [BODY, CHANGED_BODY] * 16
    replies = at_once([partial(dial, race, "one", body) for body in bodies], threads=32)
    answers = {name: {r.status for b, r in zip(bodies, replies, strict=True) if b is body} for name, body in _BODIES}
    assert 200 in answers["original"] or 200 in answers["changed"]
    refused, served = sorted(answers.values(), key=lambda statuses: 200 in statuses)
    assert refused == {422}
    assert served <= {200, 409}
    assert len(race.carrier.requests) == 1
    finish(race)


_BODIES = (("original", BODY), ("changed", CHANGED_BODY))


def test_no_more_calls_are_active_than_the_organization_may_have(race: Simulation) -> None:
    accounts = race.world.stack.accounts
    organization = accounts.find(Organization, race.world.demo.organization_id, "")
    assert organization is not None
    accounts.put(replace(organization, active_calls_max=5))
    try:
        replies = at_once([lambda: dial(race)] * 40, threads=20)
    finally:
        accounts.put(organization)
    assert Counter(reply.status for reply in replies) == {200: 5, 429: 35}
    assert len(race.carrier.requests) == 5
    finish(race)


def test_after_a_dnc_addition_is_acknowledged_no_dial_begins(race: Simulation) -> None:
    """I3 by one clock: every request reached the carrier before the addition was answered."""
    before = race.world.clock
    race.world.clock = race.carrier.clock = RealClock()
    begun: list[float] = []
    race.carrier.receives = lambda request: begun.append(time.monotonic())
    race.carrier.on_create = lambda request, carrier_call_id: time.sleep(0.05)
    reached: Counter[int] = Counter()
    try:
        for attempt in range(2):
            begun.clear()
            stop = threading.Event()

            def dial_on(stop: threading.Event = stop) -> None:
                while not stop.is_set():
                    reached[dial(race).status] += 1

            dialers = [threading.Thread(target=dial_on) for _ in range(4)]
            for dialer in dialers:
                dialer.start()
            time.sleep(0.15 * (attempt + 1))
            reply = race.world.manage("PUT /dnc/{number}", f"/dnc/{DESTINATION}", body={})
            acknowledged = time.monotonic()
            time.sleep(0.2)
            stop.set()
            for dialer in dialers:
                dialer.join()
            assert reply.status == 200
            assert begun, "nothing was dialled: the race did not take place"
            assert max(begun) < acknowledged
            race.world.manage("DELETE /dnc/{number}", f"/dnc/{DESTINATION}")
    finally:
        race.world.clock = race.carrier.clock = before
    assert {200, 403} <= set(reached)
    before.moment = clock.now() + timedelta(minutes=5)
    finish(race)


def test_deposits_holds_and_settlements_at_once_never_show_a_wallet_that_does_not_add_up(race: Simulation) -> None:
    store = WalletStore(race.world.aws, race.world.tables)
    organization_id = race.world.demo.organization_id
    stop, seen = threading.Event(), []

    def watch() -> None:
        while not stop.is_set():
            seen.append(store.get(organization_id))

    def deposit() -> Reply:
        body = {"amount": "1.000000", "currency": "USD"}
        return race.world.manage("POST /wallet/deposits", "/wallet/deposits", body=body)

    def settle() -> Reply:
        reply = dial(race)
        call_id = reply.headers["location"].rsplit("/", 1)[1]
        (leg,) = (leg for leg in list(race.carrier.legs) if leg.call_id == call_id)
        form = leg.reports()[-1][1]
        return race.world.callback(race.world.call(call_id), form, carrier_call_id=leg.carrier_call_id)

    watcher = threading.Thread(target=watch)
    watcher.start()

    def drain() -> None:
        while not stop.wait(0.05):
            race.world.drain()

    drainer = threading.Thread(target=drain)
    drainer.start()
    try:
        replies = at_once([deposit, settle] * 20, threads=12)
    finally:
        stop.set()
        watcher.join()
        drainer.join()
    assert Counter(reply.status for reply in replies) == {201: 20, 204: 20}
    assert len(seen) > 20
    for wallet in seen:
        assert wallet is not None
        figures = (wallet.available_micros, wallet.held_micros, wallet.spent_micros)
        assert wallet.deposited_micros == sum(figures)
        assert min(figures) >= 0
    assert len({wallet.held_micros for wallet in seen if wallet is not None}) > 2, "no hold was ever seen: no race"
    finish(race)
    assert race.checkers.wallet_items()[0]["deposited_micros"] == 70_000_000
