"""What must always hold, checked from outside: the tables as stored, the carrier's log, the client's own list.

Nothing here uses the product's rules or types: a rule that is wrong in the product must not be wrong here in the same
way. Each violation names its invariant: I1 and I1b money, I2 and I2b dials, I3 do-not-call, I4 states, I7 the end,
I12 replays, I13 refusals for money.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.moto_dynamodb import stored_items
from tests.fakes.world import Reply, World
from tests.simulation.truthful_carrier import Leg

RATE_MICROS_PER_MINUTE = 30_000
HOLD_MICROS = 150_000
"""Five minutes, the time limit of the assistant that every simulated request uses."""

_RANKS = {"dialing": 1, "unconfirmed": 1, "queued": 2, "initiated": 3, "ringing": 4, "in_progress": 5}
_TERMINAL = ("completed", "busy", "no_answer", "failed", "canceled")
_FIGURES = ("deposited_micros", "available_micros", "held_micros", "spent_micros", "active_calls")
_FROZEN_AFTER_SETTLEMENT = ("status", "ended_reason", "charge_micros", "duration_seconds", "settled_at", "ended_at")


class Violation(AssertionError):
    """An invariant does not hold."""

    def __init__(self, invariant: str, message: str) -> None:
        super().__init__(f"{invariant}: {message}")
        self.invariant = invariant


@dataclass
class Attempt:
    """One request of a client and its answer; no answer while it runs, and none ever when the process died."""

    key: str | None
    destination: str
    body: Mapping[str, Any]
    reply: Reply | None = None


def require(invariant: str, holds: bool, message: str) -> None:
    """Raise a Violation unless it holds."""
    if not holds:
        raise Violation(invariant, message)


@dataclass
class Checkers:
    """Looks at a world after every step and remembers what it saw."""

    world: World
    seen_calls: dict[str, dict[str, Any]] = field(default_factory=dict)
    acknowledged_dnc: set[str] = field(default_factory=set)
    lowest_available: int = 0
    """Since the client's request began: a refusal for money must have been true at some instant of it."""
    looks: Counter[str] = field(default_factory=Counter)

    # ---- what is stored ---------------------------------------------------------------------------------------------

    def calls(self) -> dict[str, dict[str, Any]]:
        """The demo organization's calls by id."""
        return {item["id"]: item for item in stored_items(self.world.tables.calls) if item["sk"] == "CALL"}

    def wallet_items(self) -> tuple[dict[str, int], list[dict[str, Any]], list[dict[str, Any]]]:
        """Balance, open holds and ledger of the demo organization."""
        pk = f"ORG#{self.world.demo.organization_id}#WALLET"
        items = [item for item in stored_items(self.world.tables.wallets) if item["pk"] == pk]
        balance = next((item for item in items if item["sk"] == "BALANCE"), dict.fromkeys(_FIGURES, 0))
        figures = {name: int(value) for name, value in balance.items() if name.endswith(("_micros", "_calls"))}
        holds = [item for item in items if item["sk"].startswith("HOLD#")]
        return figures, holds, [item for item in items if item["sk"].startswith("LEDGER#")]

    # ---- at every instant -------------------------------------------------------------------------------------------

    def at_every_instant(self) -> None:
        """I1, I1b and I4: hold between any two reads and writes, not only between requests."""
        self.looks["instants"] += 1
        self._check_money()
        self._check_states()

    def _check_money(self) -> None:
        wallet, holds, ledger = self.wallet_items()
        deposited, available = wallet["deposited_micros"], wallet["available_micros"]
        self.lowest_available = min(self.lowest_available, available)
        held, spent = wallet["held_micros"], wallet["spent_micros"]
        require("I1", deposited == available + held + spent, f"deposited is not available + held + spent: {wallet}")
        require("I1", min(wallet.values()) >= 0, f"a figure is negative: {wallet}")
        open_holds = sum(int(hold["amount_micros"]) for hold in holds)
        require("I1b", held == open_holds, f"held {held}, but the open holds are {open_holds}")
        require("I1b", wallet["active_calls"] == len(holds), f"{wallet['active_calls']} active, {len(holds)} holds")
        settled = [entry for entry in ledger if entry["kind"] == "settlement"]
        paid_in = sum(int(entry["amount_micros"]) for entry in ledger if entry["kind"] == "deposit")
        require("I1b", spent == sum(int(entry["charge_micros"]) for entry in settled), f"spent {spent}: {settled}")
        require("I1b", deposited == paid_in, f"deposited {deposited}, the ledger has {paid_in}")
        twice = [call for call, times in Counter(entry["call_id"] for entry in settled).items() if times > 1]
        require("I1b", not twice, f"settled more than once: {twice}")

    def _check_states(self) -> None:
        calls = self.calls()
        for call_id, before in self.seen_calls.items():
            require("I4", call_id in calls, f"{call_id} has disappeared")
            after = calls[call_id]
            was, now = before["status"], after["status"]
            if was in _TERMINAL:
                # The one correction there is: a "completed" that nobody answered gives way to the reason, unsettled.
                corrected = was == "completed" and "answered_at" not in before and "settled_at" not in before
                require("I4", now == was or (corrected and now in _TERMINAL), f"{call_id} went from {was} to {now}")
            else:
                require("I4", now in _TERMINAL or _RANKS[now] >= _RANKS[was], f"{call_id} went from {was} to {now}")
            if "settled_at" in before:
                changed = [name for name in _FROZEN_AFTER_SETTLEMENT if before.get(name) != after.get(name)]
                require("I4", not changed, f"{call_id} is settled and its {changed} changed")
            bound = before.get("carrier_call_id")
            require("I4", bound in (None, after.get("carrier_call_id")), f"{call_id} changed its carrier call")
        self.seen_calls = calls

    # ---- after a step -----------------------------------------------------------------------------------------------

    def after_step(self, legs: Sequence[Leg], attempts: Sequence[Attempt]) -> None:
        """Also I2, no more accepted dials than the client's own list of keys allows, and I12, one body for a key."""
        self.at_every_instant()
        wanted: dict[str, set[object]] = {}
        for number, attempt in enumerate(attempts):
            wanted.setdefault(attempt.destination, set()).add(number if attempt.key is None else attempt.key)
        for destination, dials in Counter(leg.request.destination for leg in legs).items():
            keys = wanted.get(destination, set())
            require("I2", dials <= len(keys), f"{dials} dials to {destination} for the keys {keys}")
        bodies: dict[str, set[str]] = {}
        for attempt in attempts:
            if attempt.key is not None and attempt.reply is not None and attempt.reply.status in (200, 202):
                bodies.setdefault(attempt.key, set()).add(json.dumps(attempt.body))
        require("I12", all(len(each) == 1 for each in bodies.values()), f"one key served two bodies: {bodies}")
        per_call = Counter(leg.call_id for leg in legs)
        require("I2", max(per_call.values(), default=0) <= 1, f"a call was dialled twice: {per_call}")

    def on_dial(self, destination: str) -> None:
        """I3: the carrier receives a request for this number."""
        require("I3", destination not in self.acknowledged_dnc, f"{destination} was dialled after its DNC entry")

    def on_reply(self, reply: Reply, *, luck_is_bad: bool) -> None:
        """I13 and I14: what a client was just told."""
        require("I14", reply.status != 500 or luck_is_bad, f"500 without a fault: {reply.body}")
        if reply.status == 402:
            lowest = self.lowest_available
            require("I13", lowest < HOLD_MICROS, f"402 for {HOLD_MICROS}, but no less than {lowest} was available")

    # ---- when everything is quiet -----------------------------------------------------------------------------------

    def when_quiet(self, legs: Sequence[Leg]) -> None:
        """I2b and I7: every call has ended, in agreement with the carrier's log, and nothing is held."""
        calls = self.calls()
        by_call = {leg.call_id: leg for leg in legs}
        for call_id in by_call:
            require("I2b", call_id in calls, f"the carrier placed {call_id}, which is not on record")
        for call_id, call in calls.items():
            status = call["status"]
            require("I7", status in _TERMINAL and "settled_at" in call, f"{call_id} is still {status}")
            require("I7", "check_key" not in call, f"{call_id} is settled and still due for checks")
            self._check_against_carrier(call, by_call.get(call_id))
        wallet, holds, _ = self.wallet_items()
        require("I7", wallet["held_micros"] == 0 and not holds, f"held: {wallet} {holds}")
        open_calls = [
            item["open_calls"] for item in stored_items(self.world.tables.destinations) if "open_calls" in item
        ]
        require("I7", not any(open_calls), f"destinations list open calls: {open_calls}")
        self.looks["quiet ends"] += 1

    def _check_against_carrier(self, call: Mapping[str, Any], leg: Leg | None) -> None:
        call_id, charge = call["id"], int(call["charge_micros"])
        if leg is None:
            require("I2b", call.get("carrier_call_id") is None, f"{call_id} is bound to a call that is not its own")
            require("I2b", charge == 0, f"{call_id} was never placed and cost {charge}")
            require("I2b", call["status"] == "failed", f"{call_id} was never placed and is {call['status']}")
            return
        shown = call.get("carrier_call_id")
        require("I2b", shown == leg.carrier_call_id, f"{call_id} is bound to {shown}, not to {leg.carrier_call_id}")
        expected = leg.final_status.replace("-", "_")
        require("I2b", call["status"] == expected, f"{call_id} is {call['status']}; at the carrier it is {expected}")
        minutes = -(-leg.duration_seconds // 60)
        fair = min(minutes * RATE_MICROS_PER_MINUTE, int(call["hold_micros"])) if expected == "completed" else 0
        require("I2b", charge == fair, f"{call_id} cost {charge}; {leg.duration_seconds} s cost {fair}")
