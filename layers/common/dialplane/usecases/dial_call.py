"""Ask the carrier for an admitted call, at most once, and record what became of it.

The part of the dial protocol after the commit. It runs in the request itself where the answer names the carrier's call,
and from a queue where it does not; the guarantees are the same.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from dialplane.domain.calls import DIAL_WINDOW, Call
from dialplane.domain.carrier import CreateOutcome, DialRequest, Placed, Rejected, Unknown
from dialplane.domain.conversation_settings import ConversationSettings, OnMachine
from dialplane.domain.errors import (
    CarrierRejected,
    CarrierUnavailable,
    DestinationOnDnc,
    DestinationRefused,
    DialplaneError,
)
from dialplane.domain.ids import new_id
from dialplane.domain.instructions import Instructions
from dialplane.domain.statuses import CallStatus, DialOutcome, EndedReason

if TYPE_CHECKING:  # a request waits for what is loaded here
    from dialplane.usecases.complete_call import SettlementStore

logger = logging.getLogger(__name__)

CARRIER_TIMEOUT = timedelta(seconds=5)
_RATE_LIMIT_BACKOFF_SECONDS = 0.5
_ON_DNC = Rejected(cause="destination_not_permitted", code="do_not_call", message="Put on the list meanwhile.")
_WINDOW_OVER = Rejected(cause="rate_limited", code="dial_window_over", message="The dial window has closed.")
# What waking up from the wait for a slot may take.
_TURN_MARGIN = timedelta(milliseconds=100)


class DialStore(Protocol):
    """Where the outcome of the dial is kept. Each ``record_…`` returns the call as it is afterwards."""

    def get(self, organization_id: str, call_id: str) -> Call | None:
        """The call, strongly consistent."""

    def claim_dial(self, call: Call, claim: str, *, dial_deadline: datetime) -> Call | None:
        """Take the one dial of a call that is still to be dialled; None when it is taken or the call has moved on.

        Raises DestinationOnDnc when the number has been put on a list since the commit; then nothing is taken.
        """

    def record_placed(self, call: Call, placed: Placed, *, at: datetime, next_check_at: datetime) -> Call:
        """Bind the carrier's call to ours, unless a callback already has."""

    def record_unknown(self, call: Call, *, at: datetime, next_check_at: datetime) -> Call:
        """Mark the call unconfirmed, unless a callback has proved it placed."""


class PaceStore(Protocol):
    """Where the moments are handed out at which carrier accounts may be asked for a call."""

    def reserve(
        self, organization_id: str, carrier_account_id: str, *, calls_per_second: int, now: datetime, until: datetime
    ) -> datetime | None:
        """The account's next free moment, taken, or None when it is later than ``until``; then nothing is taken."""


class Carrier(Protocol):
    """The one thing asked of a carrier here."""

    def create_call(self, request: DialRequest) -> CreateOutcome:
        """Ask once for a call; never repeated by itself."""


OpenCarrier = Callable[[str, str, str], Carrier]
"""organization id, carrier, carrier account id -> the account's carrier. Raises CarrierUnavailable."""
CallbackUrls = Callable[[Call], tuple[str, str]]
"""The addresses that the carrier is to fetch instructions from and to post its status to."""


def as_admitted(call: Call) -> Instructions:
    """The instructions of a call, for carriers that fetch them later."""
    return call.instructions


@dataclass(frozen=True, slots=True)
class DialCallUseCase:
    """Dials admitted calls."""

    calls: DialStore
    paces: PaceStore
    settlements: SettlementStore
    open_carrier: OpenCarrier
    callback_urls: CallbackUrls
    now: Callable[[], datetime]
    sleep: Callable[[float], None]
    check_interval: timedelta
    told_with_dial: Callable[[Call], Instructions] = as_admitted
    """The instructions for the carriers that are told them with the dial: a conversation's with its WebSocket's url."""

    def dial(self, carrier: Carrier, call: Call) -> Call:
        """Dial a call that nobody else can dial, because its commit was ours or its dial is claimed.

        Returns the call, placed or of unknown placement. Raises a CarrierFailure for a call that certainly was not
        placed; its hold is released then.
        """
        return self._record(call, self._ask_in_window(carrier, call))

    def dial_queued(self, organization_id: str, call_id: str) -> Call | None:
        """Dial a call from the queue, however often it is delivered; None when there is nothing left to do.

        A refusal is no error here: the call ends with it, and whoever asked for it learns it from the call.
        """
        call = self.calls.get(organization_id, call_id)
        if call is None or call.status is not CallStatus.DIALING:
            return None
        is_late = self.now() >= call.dial_deadline
        try:
            claimed = self.calls.claim_dial(call, new_id("dial"), dial_deadline=self.now() + DIAL_WINDOW)
        except DestinationOnDnc:
            self._release(call, _ON_DNC, self.now())
            return self.calls.get(organization_id, call_id)
        if claimed is None:
            logger.info("dial_claimed_before", extra={"call_id": call_id})
            return None
        if is_late:
            self._release(claimed, _WINDOW_OVER, self.now())
            return self.calls.get(organization_id, call_id)
        try:
            return self.dial(self.open_carrier(organization_id, call.carrier, call.carrier_account_id), claimed)
        except CarrierUnavailable as error:
            if error.details.get("call_id") is None:  # the account could not be opened: nothing was asked
                outcome = Rejected(cause="credentials", code="account", message=error.message)
                self._release(claimed, outcome, self.now())
        except DialplaneError:
            pass  # released and on record
        return self.calls.get(organization_id, call_id)

    def _ask_in_window(self, carrier: Carrier, call: Call) -> CreateOutcome:
        """Ask the carrier, within the dial window, until it gives an answer that is not "too many requests".

        That answer alone proves that the request was not processed, so it alone may be followed by another one.
        """
        instructions_url, status_url = self.callback_urls(call)
        request = DialRequest(
            call_id=call.id,
            destination=call.destination,
            caller_number=call.caller_number,
            instructions_url=instructions_url,
            status_url=status_url,
            ring_timeout_seconds=call.ring_timeout_seconds,
            time_limit_seconds=call.time_limit_seconds,
            instructions=self.told_with_dial(call),
            machine_detection=call.machine_detection,
            on_machine=_on_machine(call),
            carrier_number_id=call.carrier_number_id,
        )
        backoff = _RATE_LIMIT_BACKOFF_SECONDS
        while True:
            # Twice, for whoever is late takes no slot from those who are not, and who waited for one may be late then.
            if self._is_window_over(call):
                return _WINDOW_OVER
            if not self._wait_for_turn(call):
                return Rejected(
                    cause="rate_limited", code="carrier_rate_reached", message="No slot in the dial window."
                )
            if self._is_window_over(call):
                return _WINDOW_OVER
            outcome = _ask(carrier, request)
            if not (isinstance(outcome, Rejected) and outcome.cause == "rate_limited"):
                return outcome
            wait = timedelta(seconds=max(backoff, outcome.retry_after_seconds or 0.0))
            if self.now() + wait + CARRIER_TIMEOUT >= call.dial_deadline:
                return outcome
            self.sleep(wait.total_seconds())
            backoff *= 2

    def _is_window_over(self, call: Call) -> bool:
        """The fence: after the window whoever removed this number, paused or stopped us may rely on silence."""
        return self.now() + CARRIER_TIMEOUT >= call.dial_deadline

    def _wait_for_turn(self, call: Call) -> bool:
        """Keep to the carrier account's rate; False when its slot would come too late, or cannot be had."""
        if call.carrier_calls_per_second is None:
            return True
        now = self.now()
        try:
            moment = self.paces.reserve(
                call.organization_id,
                call.carrier_account_id,
                calls_per_second=call.carrier_calls_per_second,
                now=now,
                until=call.dial_deadline - CARRIER_TIMEOUT - _TURN_MARGIN,
            )
        except Exception:
            # Nobody has been asked yet, so this refusal is certain.
            logger.exception("turn_not_taken", extra={"call_id": call.id})
            return False
        if moment is not None and moment > now:
            self.sleep((moment - now).total_seconds())
        return moment is not None

    def _record(self, call: Call, outcome: CreateOutcome) -> Call:
        at = self.now()
        next_check_at = at + self.check_interval
        match outcome:
            case Placed():
                return self._record_placed(call, outcome, at, next_check_at)
            case Rejected():
                raise self._release(call, outcome, at)
            case _:
                logger.warning("dial_outcome_unknown", extra={"call_id": call.id, "reason": outcome.reason})
                return self._record_unknown(call, at, next_check_at)

    def _record_placed(self, call: Call, placed: Placed, at: datetime, next_check_at: datetime) -> Call:
        try:
            return self.calls.record_placed(call, placed, at=at, next_check_at=next_check_at)
        except Exception:
            # The phone rings: an error here would invite a second call. The carrier's first callback binds it instead.
            logger.exception("dial_outcome_not_recorded", extra={"call_id": call.id})
            return replace(
                call,
                carrier_call_id=placed.carrier_call_id,
                carrier_reply_json=placed.reply_json,
                dial_outcome=DialOutcome.PLACED,
            )

    def _record_unknown(self, call: Call, at: datetime, next_check_at: datetime) -> Call:
        try:
            return self.calls.record_unknown(call, at=at, next_check_at=next_check_at)
        except Exception:
            # The phone may ring: an error would invite a second call. The reconciler finds the call past its deadline.
            logger.exception("dial_outcome_not_recorded", extra={"call_id": call.id})
            return replace(call, status=CallStatus.UNCONFIRMED, dial_outcome=DialOutcome.UNKNOWN)

    def _release(self, call: Call, outcome: Rejected, at: datetime) -> DialplaneError:
        rejected = _rejected(call, outcome, at)
        logger.warning("dial_rejected", extra={"call_id": call.id, "error": rejected.dial_error})
        try:
            if not self.settlements.settle(call, rejected, charge_micros=0, at=at):
                self._release_as_it_is_now(call, outcome, at)
        except Exception:
            # The refusal is certain even if the hold stays a little: the reconciler finds no call and releases it.
            logger.exception("hold_not_released", extra={"call_id": call.id})
        return dial_refusal(rejected)

    def _release_as_it_is_now(self, call: Call, outcome: Rejected, at: datetime) -> None:
        """The reconciler has looked at the call meanwhile, as it may once the dial takes long."""
        current = self.calls.get(call.organization_id, call.id)
        if current is not None and current.is_open and current.carrier_call_id is None:
            self.settlements.settle(current, _rejected(current, outcome, at), charge_micros=0, at=at)


def _rejected(call: Call, outcome: Rejected, at: datetime) -> Call:
    return replace(
        call,
        status=CallStatus.FAILED,
        ended_reason=EndedReason.CARRIER_REJECTED,
        ended_at=at,
        dial_outcome=DialOutcome.REJECTED,
        dial_replied_at=at,
        dial_error=f"{outcome.cause}:{outcome.code}",
        dial_error_message=outcome.message,
    )


def _on_machine(call: Call) -> OnMachine:
    if call.conversation_json is None:
        return "continue"
    return ConversationSettings.from_json(call.conversation_json).on_machine


def _ask(carrier: Carrier, request: DialRequest) -> CreateOutcome:
    try:
        return carrier.create_call(request)
    except Exception as error:
        # A fault of ours in the middle of asking: the carrier may have been asked, so nothing may be concluded.
        logger.exception("dial_failed")
        return Unknown(reason=type(error).__name__)


def dial_refusal(call: Call) -> DialplaneError:
    """The error for a call that its carrier rejected; the same for the request itself and for its replays."""
    cause, _, carrier_code = (call.dial_error or "other:").partition(":")
    facts = {
        "carrier_message": call.dial_error_message or "",
        "call_id": call.id,
        "request_id": call.request_id,
        "carrier": call.carrier,
        "carrier_code": carrier_code,
        "cause": cause,
    }
    match cause:
        case "invalid_destination":
            return DestinationRefused("The carrier says that the destination is not a number it can call.", **facts)
        case "destination_not_permitted":
            return DestinationRefused("The carrier account may not call this destination.", **facts)
        case "rate_limited" | "unreachable":
            message = "The carrier could not take the call; nothing was dialled. Call again with a new Idempotency-Key."
            return CarrierUnavailable(message, retry_after_seconds=5, **facts)
        case _:
            return CarrierRejected("Failed to initiate outbound call", **facts)
