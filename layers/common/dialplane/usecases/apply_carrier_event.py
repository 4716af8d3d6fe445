"""Take in what a carrier reports about a call, in whatever order and however often it comes.

How reports merge is a rule of ``domain.calls``; here they are kept, and the end of a call sets its completion going.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from dialplane.domain.calls import Call, CallEvent, Transition, apply_event, settlement_charge
from dialplane.domain.statuses import Verdict

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CarrierReport:
    """An authentic report with the ids its path carried. ``message_id`` is the same when a queue delivers it again.

    ``call_id`` is None for a report that names only the carrier's call.
    """

    organization_id: str
    carrier_account_id: str
    call_id: str | None
    message_id: str
    received_at: datetime
    event: CallEvent


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """A carrier's report as it was kept, with what was done about it."""

    received_at: datetime
    source: str
    verdict: Verdict
    carrier_status: str
    carrier_call_id: str | None = None
    status: str | None = None
    sequence: int | None = None
    occurred_at: datetime | None = None
    duration_seconds: int | None = None
    sip_response_code: int | None = None


class EventStore(Protocol):
    """Where calls and what was reported about them are kept."""

    def get(self, organization_id: str, call_id: str) -> Call | None:
        """The call, strongly consistent."""

    def find_by_carrier_call_id(self, organization_id: str, carrier_call_id: str) -> Call | None:
        """The call that a carrier's call is bound to, as of a moment ago."""

    def record_event(self, before: Call, transition: Transition, report: CarrierReport) -> bool:
        """Write the transition and its timeline entry in one transaction.

        False when the call has been changed since ``before`` was read. A message that was recorded before changes
        nothing and counts as written.
        """


StartCompletion = Callable[[Call], None]
"""Starts the completion workflow of a call; starting it twice is harmless."""
FollowUp = Callable[[Call, CarrierReport], None]
"""What a carrier is to be asked for once its report has been applied; the call is as it is then.

Called again when a message is delivered again, whatever the verdict but foreign: asking twice must be harmless.
"""


def no_follow_up(call: Call, report: CarrierReport) -> None:
    """For carriers that need none."""


@dataclass(frozen=True, slots=True)
class ApplyCarrierEventUseCase:
    """Applies one report."""

    calls: EventStore
    start_completion: StartCompletion
    check_interval: timedelta
    follow_up: FollowUp = no_follow_up

    def apply(self, report: CarrierReport) -> Verdict:
        """Merge the report into its call and keep it; returns what was done with it."""
        while True:
            call = self._find(report)
            if call is None:
                logger.warning("event_for_unknown_call", extra={"call_id": report.call_id})
                return Verdict.FOREIGN
            transition = self._transition(call, report)
            if self.calls.record_event(call, transition, report):
                break
        after = transition.call
        logger.info(
            "carrier_event",
            extra={"call_id": after.id, "verdict": transition.verdict.value, "status": after.status.value},
        )
        # Not only on the event that ended the call: some carriers state what it costs in a later one, and the first
        # completion may have failed to start. It is started by name, so only once: with nothing to charge by, it
        # would find facts missing and leave the call to the reconciler.
        if after.status.is_terminal and after.is_open and settlement_charge(after) is not None:
            self.start_completion(after)
        if transition.verdict is not Verdict.FOREIGN:
            self.follow_up(after, report)
        return transition.verdict

    def _find(self, report: CarrierReport) -> Call | None:
        if report.call_id is not None:
            return self.calls.get(report.organization_id, report.call_id)
        names = (report.event.carrier_call_id, report.event.other_carrier_call_id)
        found = (self.calls.find_by_carrier_call_id(report.organization_id, name) for name in names if name)
        return next((call for call in found if call is not None), None)

    def _transition(self, call: Call, report: CarrierReport) -> Transition:
        if call.carrier_account_id != report.carrier_account_id:
            return Transition(call, Verdict.FOREIGN)
        transition = apply_event(call, report.event, received_at=report.received_at)
        if transition.verdict is not Verdict.ACCEPTED or not call.is_open:
            return transition
        return replace(
            transition,
            call=replace(transition.call, next_check_at=report.received_at + self.check_interval, checks_made=0),
        )
