"""Direct a call step by step, where its carrier fetches no document that it could follow to the end.

Such a call is silent until the carrier is told to speak, unless an engine was connected with the dial, and is silent
again once all is said or the engine has gone: nobody but us ends it. Each step follows a report that has been applied,
and comes again when the report does: every command has a name by which the carrier carries it out once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from dialplane.domain.calls import Call
from dialplane.domain.errors import CallNotInProgress, CarrierUnavailable
from dialplane.domain.instructions import Instructions
from dialplane.domain.statuses import CallStatus, EndedReason
from dialplane.usecases.apply_carrier_event import CarrierReport
from dialplane.usecases.serve_instructions import AnswerStore, InstructionsRequest

logger = logging.getLogger(__name__)

# A callee who has heard nothing for so long is not spoken to any more. It is also well within the time in which
# carriers know a command's name again.
SILENCE_MAX = timedelta(seconds=30)
# Carriers ring a little longer than they are asked to.
RINGING_TOLERANCE = timedelta(seconds=10)


class DirectedCalls(Protocol):
    """A carrier's commands for an answered call. Both raise CarrierUnavailable when they were not taken."""

    def speak(self, carrier_call_id: str, instructions: Instructions, *, command_id: str) -> None:
        """Say the words of the instructions. Raises CallNotInProgress for a call that is over."""

    def hang_up(self, carrier_call_id: str, *, command_id: str) -> None:
        """End the call; one that is over is success."""


OpenCalls = Callable[[Call], DirectedCalls]
"""Opens the commands of a call's carrier account. Raises CarrierUnavailable."""


@dataclass(frozen=True, slots=True)
class DirectCallUseCase:
    """Directs calls by commands."""

    open_calls: OpenCalls
    answers: AnswerStore
    now: Callable[[], datetime]
    check_interval: timedelta

    def follow_up(self, call: Call, report: CarrierReport) -> None:
        """Speak once the callee has answered, hang up once the instructions are done or somebody listens to silence.

        Raises CarrierUnavailable, for the report to be delivered again, when the call could not even be ended.
        """
        if call.carrier_call_id is None or (call.status.is_terminal and not _was_given_up(call, report)):
            return
        if call.status.is_terminal or report.event.are_instructions_done or _is_silent(call, report):
            self._hang_up(call, call.carrier_call_id)
            return
        is_answer = report.event.status is CallStatus.IN_PROGRESS
        if is_answer and call.instructions.engine == "say" and call.instructions_served_at is None:
            self._speak(call, call.carrier_call_id, report)

    def _speak(self, call: Call, carrier_call_id: str, report: CarrierReport) -> None:
        if self.now() - report.received_at > SILENCE_MAX:
            logger.warning("answered_too_long_ago", extra={"call_id": call.id})
            self._hang_up(call, carrier_call_id)
            return
        try:
            _twice(
                lambda: self.open_calls(call).speak(carrier_call_id, call.instructions, command_id=f"{call.id}:speak")
            )
        except CallNotInProgress:
            return
        except CarrierUnavailable as error:
            # Who has answered hears silence: no call is better than this one.
            logger.error("speech_failed", extra={"call_id": call.id, "reason": error.message})
            self._hang_up(call, carrier_call_id)
            return
        at = self.now()
        self.answers.answer(
            InstructionsRequest(call.organization_id, call.carrier_account_id, call.id, carrier_call_id),
            at=at,
            next_check_at=at + self.check_interval,
        )

    def _hang_up(self, call: Call, carrier_call_id: str) -> None:
        _twice(lambda: self.open_calls(call).hang_up(carrier_call_id, command_id=f"{call.id}:hang-up"))


def _was_given_up(call: Call, report: CarrierReport) -> bool:
    """True for a call that was ended as never placed and that rings after all: nobody pays for it or speaks on it."""
    is_alive = report.event.status is not None and not report.event.status.is_terminal
    return is_alive and call.ended_reason is EndedReason.NOT_PLACED and call.instructions.engine != "agent"


def _is_silent(call: Call, report: CarrierReport) -> bool:
    """True for a call that has lasted longer than it can have rung, and to which nobody has spoken.

    The report of its answer was lost. What the carrier's books say of it is that it lasts, and so somebody answered.
    """
    if report.event.source != "reconciler" or call.instructions.engine != "say":
        return False
    rang_out_at = call.dial_deadline + timedelta(seconds=call.ring_timeout_seconds) + RINGING_TOLERANCE
    return call.instructions_served_at is None and report.received_at > rang_out_at


def _twice(command: Callable[[], None]) -> None:
    """Send a command, and once more when it may not have arrived: under the same name it is carried out once."""
    try:
        command()
    except CarrierUnavailable:
        command()
