"""Ask the carrier about calls that have been silent too long, and finish what a crash left behind.

Nothing about a call depends on a callback, a queue or a workflow having worked: whatever they lost is found here. What
the carrier says goes into the same queue as its callbacks; only a call that was never placed is ended here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from dialplane.domain.calls import Call, as_reported, settlement_charge
from dialplane.domain.carrier import CarrierCall
from dialplane.domain.errors import CarrierUnavailable
from dialplane.domain.statuses import CallStatus, DialOutcome, EndedReason
from dialplane.usecases.complete_call import CompleteCallUseCase, CompletionOutcome, SettlementStore

logger = logging.getLogger(__name__)

CHECKS_PER_RUN = 100
_INTERVAL_DOUBLINGS_MAX = 3
_CLOCK_TOLERANCE = timedelta(seconds=5)
# The longest that any carrier takes, after a call's end, to show which addresses it requested for it.
_RECORD_DELAY = timedelta(minutes=15)


class CarrierRecords(Protocol):
    """What a carrier can be asked about past and present calls. Raises CarrierUnavailable when it cannot answer."""

    @property
    def list_keeps(self) -> timedelta | None:
        """How long a call stays in ``list_calls``; None where the carrier names no end. Older calls prove nothing by
        being absent.
        """

    def fetch_call(self, carrier_call_id: str) -> CarrierCall | None:
        """One call by the carrier's id."""

    def list_calls(self, *, destination: str, caller_number: str, created_after: datetime) -> Sequence[CarrierCall]:
        """The account's calls between two numbers, queued ones included."""

    def requested_urls(self, carrier_call_id: str) -> Sequence[str]:
        """The addresses that the carrier has called for a call: they carry our call id."""


class ReconciliationStore(Protocol):
    """Where due calls are found."""

    def due_for_check(self, now: datetime, *, limit: int) -> Sequence[str]:
        """References to open calls whose next check is due, the longest due first."""

    def due_call(self, reference: str, now: datetime) -> Call | None:
        """The call behind a reference as it is now; None when its check is not due any more."""

    def find_by_carrier_call_id(self, organization_id: str, carrier_call_id: str) -> Call | None:
        """The call that a carrier's call is bound to."""

    def schedule_check(
        self, call: Call, *, next_check_at: datetime, checks_made: int, times_not_found: int = 0
    ) -> Call | None:
        """Set the time of the next check; the call as it is then, or None when it has changed since it was read."""


@dataclass(frozen=True, slots=True)
class ReconciliationSummary:
    """What one run did: calls looked at, reports fed back, calls not found yet, calls found never placed, calls
    settled, calls failed.
    """

    checked: int = 0
    reported: int = 0
    not_found: int = 0
    not_placed: int = 0
    settled: int = 0
    failed: int = 0
    stuck: int = 0
    """Calls that are open longer than any call of theirs may last: somebody must look."""


OpenRecords = Callable[[str, str, str], CarrierRecords]
Enqueue = Callable[[Call, Mapping[str, str]], None]
"""Puts the carrier's words about a call on the queue that callbacks use."""


@dataclass(frozen=True, slots=True)
class ReconcileCallsUseCase:
    """Reconciles calls with their carriers."""

    calls: ReconciliationStore
    settlements: SettlementStore
    completion: CompleteCallUseCase
    open_records: OpenRecords
    enqueue: Enqueue
    now: Callable[[], datetime]
    check_interval: timedelta
    placement_grace: timedelta

    def run(self, has_time: Callable[[], bool] = lambda: True) -> ReconciliationSummary:
        """Check every call that is due while there is time: one that cannot be checked keeps no other waiting."""
        summary = ReconciliationSummary()
        for reference in self.calls.due_for_check(self.now(), limit=CHECKS_PER_RUN):
            if not has_time():
                logger.warning("checks_postponed", extra={"checked": summary.checked})
                break
            try:
                summary = self._check_due(reference, summary)
            except Exception:
                logger.exception("check_failed", extra={"reference": reference})
                summary = replace(summary, failed=summary.failed + 1)
        return summary

    def _check_due(self, reference: str, summary: ReconciliationSummary) -> ReconciliationSummary:
        due = self.calls.due_call(reference, self.now())
        # Put off before it is made: a check that takes the whole run with it would else be the first of every run.
        call = self._put_off(due) if due is not None else None
        if call is None:
            return summary
        try:
            found = self._check(call)
        except Exception:
            logger.exception("check_failed", extra={"call_id": call.id})
            found = "failed"
        self._count_absence(call, found)
        return replace(
            summary,
            checked=summary.checked + 1,
            stuck=summary.stuck + self._is_stuck(call),
            **({found: getattr(summary, found) + 1} if found else {}),
        )

    def _check(self, call: Call) -> str | None:
        if call.status.is_terminal:
            outcome = self.completion.complete(call.organization_id, call.id)
            if outcome is not CompletionOutcome.FACTS_MISSING:
                return "settled"
        records = self.open_records(call.organization_id, call.carrier, call.carrier_account_id)
        if call.carrier_call_id is not None:
            known = records.fetch_call(call.carrier_call_id)
        else:
            known, undecided = self._recognize(call, self._candidates(call, records), records)
            if not undecided and known is None:
                is_certain = self._is_certainly_not_placed(call, records)
                return "not_placed" if is_certain and self._release(call) else "not_found"
        if known is None:
            return "settled" if self._is_forgotten(call) and self._settle_as_reported(call) else None
        self.enqueue(call, known.fields)
        return "reported"

    def _candidates(self, call: Call, records: CarrierRecords) -> list[CarrierCall]:
        """The carrier's calls that may be ours: between the two numbers, made while we asked, bound to no other one."""
        return [
            candidate
            for candidate in records.list_calls(
                destination=call.destination,
                caller_number=call.caller_number,
                created_after=call.created_at - _CLOCK_TOLERANCE,
            )
            if self._was_created_in_window(call, candidate) and self._is_unclaimed(call, candidate)
        ]

    def _recognize(
        self, call: Call, candidates: Sequence[CarrierCall], records: CarrierRecords
    ) -> tuple[CarrierCall | None, Sequence[CarrierCall]]:
        """The candidate in whose requested addresses our call id stands, and those that have not shown any address.

        Carriers show those addresses late, and until then the only candidate may be somebody else's call between the
        same two numbers; one that has shown other addresses certainly is. Once they are overdue a single candidate
        without any is ours; of several none is taken, and the call stays unconfirmed until they have shown whose they
        are.
        """
        silent: list[CarrierCall] = []
        unreadable: CarrierUnavailable | None = None
        for candidate in candidates:
            try:
                urls = records.requested_urls(candidate.carrier_call_id)
            except CarrierUnavailable as error:  # whose it is stays open, and the next one may be ours
                unreadable = error
                continue
            if any(url.endswith(f"/{call.id}") for url in urls):
                return candidate, ()
            if not urls:
                silent.append(candidate)
        if unreadable is not None:
            raise unreadable
        if len(silent) == 1 and self._is_record_due(silent[0]):
            return silent[0], ()
        return None, silent

    def _is_record_due(self, candidate: CarrierCall) -> bool:
        return candidate.ended_at is not None and self.now() >= candidate.ended_at + _RECORD_DELAY

    def _is_unclaimed(self, call: Call, candidate: CarrierCall) -> bool:
        owner = self.calls.find_by_carrier_call_id(call.organization_id, candidate.carrier_call_id)
        return owner is None or owner.id == call.id

    def _was_created_in_window(self, call: Call, candidate: CarrierCall) -> bool:
        created_at = candidate.created_at
        return created_at is None or created_at <= call.dial_deadline + _CLOCK_TOLERANCE

    def _is_certainly_not_placed(self, call: Call, records: CarrierRecords) -> bool:
        """Twice not found, longer ago than any carrier takes to show a call in its lists, and in lists that still
        reach back to it: of what a carrier has forgotten nothing is known.
        """
        age = self.now() - call.created_at + _CLOCK_TOLERANCE
        is_in_reach = records.list_keeps is None or age < records.list_keeps
        is_overdue = self.now() >= call.dial_deadline + self.placement_grace
        return call.times_not_found >= 1 and is_overdue and is_in_reach

    def _release(self, call: Call) -> bool:
        at = self.now()
        ended = replace(
            call,
            status=CallStatus.FAILED,
            ended_reason=EndedReason.NOT_PLACED,
            ended_at=at,
            dial_outcome=call.dial_outcome or DialOutcome.UNKNOWN,
        )
        logger.warning("call_not_placed", extra={"call_id": call.id})
        return self.settlements.settle(call, ended, charge_micros=0, at=at)

    def _is_forgotten(self, call: Call) -> bool:
        """Bound, over, and unknown to its carrier for longer than any carrier takes to show a call."""
        return call.status.is_terminal and call.ended_at is not None and self.now() >= call.ended_at + _RECORD_DELAY

    def _settle_as_reported(self, call: Call) -> bool:
        ended = as_reported(call)
        charge = settlement_charge(ended)
        assert charge is not None
        logger.warning("call_settled_without_record", extra={"call_id": call.id, "charge_micros": charge})
        return self.settlements.settle(call, ended, charge_micros=charge, at=self.now())

    def _put_off(self, call: Call) -> Call | None:
        wait = self.check_interval * 2 ** min(call.checks_made, _INTERVAL_DOUBLINGS_MAX)
        return self.calls.schedule_check(
            call,
            next_check_at=self.now() + wait,
            checks_made=call.checks_made + 1,
            times_not_found=call.times_not_found,
        )

    def _count_absence(self, call: Call, found: str | None) -> None:
        # A carrier that could not be asked has not said that the call is not there.
        if found in ("not_placed", "settled", "failed"):
            return
        times_not_found = call.times_not_found + 1 if found == "not_found" else 0
        if times_not_found != call.times_not_found:
            assert call.next_check_at is not None
            self.calls.schedule_check(
                call,
                next_check_at=call.next_check_at,
                checks_made=call.checks_made,
                times_not_found=times_not_found,
            )

    def _is_stuck(self, call: Call) -> bool:
        lifetime = timedelta(seconds=call.ring_timeout_seconds + call.time_limit_seconds)
        return self.now() > call.dial_deadline + lifetime + _RECORD_DELAY + 4 * self.placement_grace
