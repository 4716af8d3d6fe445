"""One small deployment that lives through schedules of bad luck, with the checkers looking on.

A schedule is data: what the carrier does, which callbacks arrive, how the client behaves, how much money there is, and
at which I/O point a process dies or somebody else acts. Time moves only here.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.sqs.models import sqs_backends
from moto.stepfunctions.models import stepfunctions_backends

from functions.initiate import dial
from functions.status import completion, worker
from tests.fakes.moto_dynamodb import Crash, FaultInjector, empty_table
from tests.fakes.world import Reply, World, a_world
from tests.simulation.checkers import HOLD_MICROS, Attempt, Checkers, Violation, require
from tests.simulation.truthful_carrier import (
    ANSWERED,
    LOST_NOT_PLACED,
    LOST_PLACED,
    PLACED,
    RATE_LIMITED,
    REJECTED,
    Leg,
    TruthfulCarrier,
)

T = TypeVar("T")
logger = logging.getLogger(__name__)

BODY = {"from_phone_number": "+15551234567", "to_phone_number": "+15559876543"}
CHANGED_BODY = {**BODY, "welcome_message": "Another text."}
# The same two requests in the dialect whose answer does not wait for the carrier.
KLEN_BODY = {"phone_number": "+15559876543", "agent_id": 123}
CHANGED_KLEN_BODY = {**KLEN_BODY, "contact_id": 7}
DESTINATION = BODY["to_phone_number"]
SERVICES = ("dynamodb", "sqs", "secretsmanager", "stepfunctions")
SCRIPTS: Mapping[str, tuple[str, ...]] = {
    "placed": (PLACED,),
    "rejected": (REJECTED,),
    "unknown but placed": (LOST_PLACED,),
    "unknown, not placed": (LOST_NOT_PLACED,),
    "rate limited, then placed": (RATE_LIMITED, PLACED),
    # For clients with a second key: two calls between the same numbers, and only the carrier knows which is which.
    "unknown twice, both placed": (LOST_PLACED, LOST_PLACED),
    "unknown twice, first placed": (LOST_PLACED, LOST_NOT_PLACED),
    "unknown twice, second placed": (LOST_NOT_PLACED, LOST_PLACED),
}
CALLBACKS = ("all", "none", "reversed", "only terminal", "duplicated", "completed first")
CLIENTS = ("asks once", "retries", "takes another key", "changes the body")
FUNDS: Mapping[str, int] = {"ample": 50_000_000, "scarce": HOLD_MICROS}
_MAX_RECEIVES = 5
_FIRST_TICK = timedelta(seconds=12)
"""The schedule's minute is not ours: the first tick may come when the dial window has just closed."""
_TICK = timedelta(seconds=60)
_TICKS_MAX = 120


@dataclass(frozen=True)
class Schedule:
    """One life, and what goes wrong in it. ``act_at`` is the I/O point at which ``action`` is done by somebody else."""

    script: str = "placed"
    callbacks: str = "all"
    client: str = "asks once"
    funds: str = "ample"
    life: str = ANSWERED
    crash_at: int | None = None
    act_at: int | None = None
    action: str = ""
    conflict_probability: float = 0.0
    lost_reply_probability: float = 0.0
    seed: int = 0
    dials_are_queued: bool = False
    """True for a client whose requests are answered after the commit; then the dial's message comes from a queue,"""
    dial_deliveries: int = 1
    """so many times,"""
    dial_delay_seconds: float = 0.0
    """this late."""

    @property
    def bodies(self) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """The client's request, and the one with which it changes its mind."""
        return (KLEN_BODY, CHANGED_KLEN_BODY) if self.dials_are_queued else (BODY, CHANGED_BODY)

    @property
    def luck_is_bad(self) -> bool:
        """True when calls to AWS fail at random."""
        return bool(self.conflict_probability or self.lost_reply_probability)


@dataclass
class Simulation:
    """The deployment, its carrier, its client and the checkers."""

    world: World
    carrier: TruthfulCarrier
    injector: FaultInjector
    checkers: Checkers
    schedule: Schedule = field(default_factory=Schedule)
    attempts: list[Attempt] = field(default_factory=list)
    crashes: int = 0
    reached: Counter[str] = field(default_factory=Counter)
    _faulty: Any = None
    _plain: Any = None
    _sqs: Any = None
    _received: Counter[str] = field(default_factory=Counter)
    _completed: set[str] = field(default_factory=set)
    points_of_first_request: int = 0
    _points_of_story: int = 0
    _is_acting: bool = False
    _seen_within: list[Violation] = field(default_factory=list)

    # ---- a whole schedule -------------------------------------------------------------------------------------------

    def run(self, schedule: Schedule) -> int:
        """Live through it and check everything; returns how many I/O points there were."""
        try:
            self.start(schedule)
            self._story()
        except Violation as violation:
            violation.add_note(f"{schedule}\nI/O: {self.injector.operations}")
            raise
        return self._points_of_story

    def _story(self) -> None:
        client = self.schedule.client
        self.request("first key")
        self.points_of_first_request = self.injector.points
        if client == "retries":
            self.request("first key")
        elif client == "takes another key":
            self.request("second key")
        elif client == "changes the body":
            self.request("first key", changed=True)
        for leg in list(self.carrier.legs):
            self.deliver_callbacks(leg, self.schedule.callbacks)
        if client == "retries":
            self.request("first key")
        self.run_until_quiet()
        self._points_of_story = self.injector.points
        self.check_replays()

    def start(self, schedule: Schedule, *, micros: int | None = None) -> None:
        """Begin with empty tables, this much money or what the schedule says, and this schedule's luck."""
        world = self.world
        tables = world.tables
        for table in (tables.calls, tables.wallets, tables.idempotency, tables.destinations):
            empty_table(table)
        for name in ("carrier-events", "dials"):  # PurgeQueue is allowed once a minute
            queue = sqs_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].queues[name]
            queue._messages.clear()
            queue.pending_messages.clear()
        _state_machine().executions.clear()
        world.clock.moment = datetime.fromisoformat("2026-11-20T15:00:00+00:00")
        self.carrier.reset(SCRIPTS[schedule.script], schedule.life)
        self.schedule, self.attempts, self.crashes = Schedule(), [], 0
        self._received.clear()
        self._completed.clear()
        self._seen_within.clear()
        self.checkers.seen_calls, self.checkers.acknowledged_dnc = {}, set()
        self._arm(Schedule())
        funds = FUNDS[schedule.funds] if micros is None else micros
        self.deposit(funds)
        assert self.checkers.wallet_items()[0]["available_micros"] == funds
        self.schedule = schedule
        self._arm(schedule)

    def _arm(self, schedule: Schedule) -> None:
        injector = self.injector
        injector.crash_at, injector.points = schedule.crash_at, 0
        injector.conflict_probability = schedule.conflict_probability
        injector.lost_reply_probability = schedule.lost_reply_probability
        injector.seed = schedule.seed
        injector.operations.clear()
        injector.__post_init__()

    # ---- steps ------------------------------------------------------------------------------------------------------

    def deposit(self, micros: int) -> None:
        """Pay money in."""
        amount = f"{micros // 1_000_000}.{micros % 1_000_000:06d}"
        body = {"amount": amount, "currency": "USD"}
        with self._dying():
            self.world.manage("POST /wallet/deposits", "/wallet/deposits", body=body)

    def request(self, key: str | None, *, changed: bool = False, body: Mapping[str, Any] | None = None) -> Reply | None:
        """One request of the client, with its key; None when the process died."""
        reply: Reply | None = None
        body = body if body is not None else self.schedule.bodies[changed]
        attempt = Attempt(key, str(body.get("to_phone_number", DESTINATION)), body)
        self.attempts.append(attempt)
        if not self._is_acting:
            self.checkers.lowest_available = self.checkers.wallet_items()[0]["available_micros"]
        with self._dying():
            reply = attempt.reply = self._ask(body, _key(key) if key is not None else {})
        if reply is not None:
            self.reached[f"answer {reply.status}"] += 1
            self.checkers.on_reply(reply, luck_is_bad=self.schedule.luck_is_bad)
        self._look()
        self.deliver_dials()
        return reply

    def _ask(self, body: Mapping[str, Any], headers: Mapping[str, str]) -> Reply:
        return self.world.post("/calls" if "phone_number" in body else "/calls/initiate", body, headers=headers)

    def deliver_dials(self) -> None:
        """Let the queue of dials be worked off: late and more than once, if the schedule says so."""
        messages = self._sqs.receive_message(QueueUrl=self.world.dials_queue_url, MaxNumberOfMessages=10)
        for message in messages.get("Messages", []):
            self._sqs.delete_message(QueueUrl=self.world.dials_queue_url, ReceiptHandle=message["ReceiptHandle"])
            self.wait(self.schedule.dial_delay_seconds)
            record = SQSRecord({"messageId": message["MessageId"], "body": message["Body"]})
            # A delivery whose worker died is followed by another one.
            for _ in range(self.schedule.dial_deliveries + 1):
                before = self.crashes
                with self._dying(), _failing():
                    use_case = dial.build(
                        self.world.settings, self.world.aws, now=self.world.clock.now, sleep=self.world.clock.sleep
                    )
                    dial.dial_record(record, use_case)
                self._look()
                if self.schedule.dial_deliveries == 1 and self.crashes == before:
                    break

    def deliver_callbacks(self, leg: Leg, mode: str) -> None:
        """Let the carrier's requests about a call arrive as the mode says, each at its time or later."""
        if mode == "none":
            return
        if mode not in ("only terminal", "completed first") and "in-progress" in dict(leg.moments):
            self.ask_at(leg, dict(leg.moments)["in-progress"])
        reports = leg.reports()
        order = {
            "all": reports,
            "duplicated": [report for report in reports for _ in range(2)],
            "reversed": reports[::-1],
            "only terminal": reports[-1:],
            "completed first": [reports[-1], *reports[:-1]],
        }[mode]
        for at, form in order:
            self.wait_until(at)
            self.callback(leg, form)
            self.drain()

    def ask_at(self, leg: Leg, at: datetime) -> None:
        """The carrier asks what to say when the callee answers, and does it."""
        if self.world.clock.now() >= leg.ended_at:  # nobody is on the line any more
            return
        self.wait_until(at)
        twiml = self.fetch_instructions(leg)
        # An error is read out to the callee and ends the call, and so does the order to hang up.
        is_refused = twiml is None or twiml.status != 200 or "<Response><Hangup" in twiml.body
        if is_refused and self.world.clock.now() < leg.ended_at:
            leg.hung_up_at = self.world.clock.now() + timedelta(seconds=1)

    def fetch_instructions(self, leg: Leg) -> Reply | None:
        """The carrier asks what to say."""
        twiml: Reply | None = None
        with self._plain_world():
            call = self.world.call(leg.call_id)
        with self._dying():
            twiml = self.world.fetch_instructions(call, carrier_call_id=leg.carrier_call_id)
        self._look()
        return twiml

    def callback(self, leg: Leg, form: Mapping[str, str], **how: Any) -> Reply | None:
        """The carrier posts a status; what is not answered 2xx is lost."""
        reply: Reply | None = None
        with self._plain_world():
            call = self.world.call(leg.call_id)
        with self._dying():
            reply = self.world.callback(call, form, **{"carrier_call_id": leg.carrier_call_id, **how})
        self._look()
        return reply

    def tick(self) -> None:
        """One run of the reconciler."""
        with self._dying(), _failing():
            self.world.reconcile()
        self._look()

    def block(self, number: str) -> None:
        """Put a number on the do-not-call list; it counts from its acknowledgement."""
        reply: Reply | None = None
        with self._dying():
            reply = self.world.manage("PUT /dnc/{number}", f"/dnc/{number}", body={})
        if reply is not None and reply.status == 200:
            self.checkers.acknowledged_dnc.add(number)
        self._look()

    def unblock(self, number: str) -> None:
        """Take a number off the list."""
        self.checkers.acknowledged_dnc.discard(number)
        with self._dying():
            self.world.manage("DELETE /dnc/{number}", f"/dnc/{number}")
        self._look()

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.world.clock.sleep(seconds)

    def drain(self) -> None:
        """Deliver the queue and run the workflow until both are empty. What fails is delivered again, five times."""
        while self._deliver() or self._complete():
            pass

    def run_until_quiet(self) -> None:
        """Tick minute by minute until nothing is open. I7 bounds the time."""
        self.drain()
        for number in range(_TICKS_MAX):
            if all("settled_at" in call for call in self.checkers.calls().values()):
                break
            self.wait((_TICK if number else _FIRST_TICK).total_seconds())
            self.tick()
            self.drain()
        else:
            self.reached["never quiet"] += 1
        self.checkers.when_quiet(self.carrier.legs)
        self.reached[f"ends with {len(self.carrier.legs)} dials"] += 1
        if self.crashes:
            self.reached["crashed"] += 1

    def check_replays(self) -> None:
        """I12: with everything quiet, a key that was answered gets the same answer as before, byte for byte."""
        self._arm(Schedule())
        dials = len(self.carrier.requests)
        settled = {
            a.key: a for a in self.attempts if a.key and a.reply is not None and a.reply.status in (200, 202, 502)
        }
        for key, attempt in settled.items():
            first, second = (self._ask(attempt.body, _key(key)) for _ in range(2))
            require("I12", (first.status, first.body) == (second.status, second.body), f"{first} then {second}")
            require("I12", first.headers.get("idempotent-replayed") == "true", f"not marked as a replay: {first}")
            for earlier in self.attempts:
                final = (200,) if self.schedule.luck_is_bad else (200, 502)
                if earlier.key == key and earlier.reply is not None and earlier.reply.status in final:
                    same = (first.status, first.body) == (earlier.reply.status, earlier.reply.body)
                    require("I12", same, f"{earlier.reply} was replayed as {first}")
            self.reached[f"replay {first.status}"] += 1
        require("I12", len(self.carrier.requests) == dials, "a replay dialled")
        self._look()

    def act(self, action: str) -> None:
        """What somebody else does meanwhile, on a healthy process."""
        match action:
            case "same key":
                self.request("first key")
            case "other key":
                self.request("second key")
            case "changed body":
                self.request("first key", changed=True)
            case "deposit":
                self.deposit(1_000_000)
            case "tick":
                self.tick()
            case "callbacks":
                for leg in list(self.carrier.legs):
                    for at, form in leg.reports():
                        self.wait_until(at)
                        self.callback(leg, form)
                self.drain()
            case "dnc":
                self.block(DESTINATION)
            case "redeliver":
                for call in self.checkers.calls().values():
                    completion.build(self.world.settings, self.world.aws, now=self.world.clock.now).complete(
                        call["organization_id"], call["id"]
                    )
            case _:
                raise ValueError(action)

    # ---- inside -----------------------------------------------------------------------------------------------------

    def at_point(self, number: int, name: str) -> None:
        """Every I/O point: look, and let somebody else act if it is time."""
        if self._is_acting:
            return
        self.watch(self.checkers.at_every_instant)
        if number == self.schedule.act_at and not (self.schedule.action == "dnc" and name == "before create_call"):
            # A process that stalls for seconds between its last look at the clock and its request to the carrier can
            # break I3, and nothing but the carrier could stop it: the window and the tolerances are made for that.
            self._is_acting = True
            try:
                with self._plain_world():
                    self.watch(lambda: self.act(self.schedule.action))
            finally:
                self._is_acting = False

    def watch(self, look: Callable[[], None]) -> None:
        """Look from within the code under test, which would take a Violation for a failure of its own."""
        try:
            look()
        except Violation as violation:
            self._seen_within.append(violation)

    @contextlib.contextmanager
    def _plain_world(self) -> Iterator[None]:
        with self.world.running_on(self._plain):
            yield

    @contextlib.contextmanager
    def _dying(self) -> Iterator[None]:
        """Run on the faulty client; a crash ends the process, not the world."""
        with self.world.running_on(self._plain if self._is_acting else self._faulty):
            try:
                yield
            except Crash:
                self.crashes += 1
        self._raise_what_was_seen()

    def _raise_what_was_seen(self) -> None:
        if self._seen_within and not self._is_acting:
            raise self._seen_within[0]

    def _look(self) -> None:
        self.checkers.after_step(self.carrier.legs, self.attempts)

    def wait_until(self, at: datetime) -> None:
        """Let time pass until then, if it has not come yet."""
        self.world.clock.moment = max(self.world.clock.moment, at)

    def _deliver(self) -> int:
        sqs = self._sqs
        url = self.world.queue_url
        messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        for message in messages:
            identity, handle = message["MessageId"], message["ReceiptHandle"]
            if self._apply(identity, message["Body"]) or self._received[identity] >= _MAX_RECEIVES:
                sqs.delete_message(QueueUrl=url, ReceiptHandle=handle)
            else:
                sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=0)
        return len(messages)

    def _apply(self, identity: str, body: str) -> bool:
        self._received[identity] += 1
        is_applied = False
        with self._dying(), _failing():
            record = SQSRecord({"messageId": identity, "body": body})
            worker.apply_record(record, worker.build(self.world.settings, self.world.aws))
            is_applied = True
        self._look()
        return is_applied

    def _complete(self) -> int:
        fresh = [each for each in _state_machine().executions if each.name not in self._completed]
        for execution in fresh:
            self._completed.add(execution.name)
            task = json.loads(execution.execution_input)
            with self._dying(), _failing():
                use_case = completion.build(self.world.settings, self.world.aws, now=self.world.clock.now)
                use_case.complete(task["organization_id"], task["call_id"])
            self._look()
        return len(fresh)


@contextlib.contextmanager
def _failing() -> Iterator[None]:
    """What Lambda does with an exception: somebody else tries again, or nobody."""
    try:
        yield
    except Violation:
        raise
    except Exception:
        logger.debug("an entry point failed", exc_info=True)


def _key(key: str) -> dict[str, str]:
    return {"idempotency-key": key.replace(" ", "-")}


def _state_machine() -> Any:
    return stepfunctions_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].state_machines[0]


@contextlib.contextmanager
def a_simulation() -> Iterator[Simulation]:
    """A deployment to live through any number of schedules, one after the other."""
    carrier = TruthfulCarrier()
    with a_world(carrier) as world:
        carrier.clock = world.clock
        injector = FaultInjector()
        simulation = Simulation(world, carrier, injector, Checkers(world))
        simulation._plain = world.aws
        simulation._sqs = world.session.client("sqs")
        simulation._faulty = world.injected(injector, SERVICES, sleep=lambda seconds: None)
        injector.observe = simulation.at_point
        carrier.io = injector.point
        carrier.receives = lambda request: simulation.watch(lambda: simulation.checkers.on_dial(request.destination))
        yield simulation


def spread(schedules: Sequence[T], at_most: int, seed: int = 0) -> list[T]:
    """A random choice that is the same in every run; SIMULATION_SCALE multiplies its size, ``all`` takes every one."""
    scale = os.environ.get("SIMULATION_SCALE", "1")
    if scale == "all" or len(schedules) <= at_most * int(scale):
        return list(schedules)
    return random.Random(seed).sample(list(schedules), at_most * int(scale))  # noqa: S311 - repeatable, not secret


def scaled(number: int) -> int:
    """A number of repetitions, under SIMULATION_SCALE."""
    scale = os.environ.get("SIMULATION_SCALE", "1")
    return number * (50 if scale == "all" else int(scale))
