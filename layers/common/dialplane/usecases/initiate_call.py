"""Place a call: read once, decide, commit once, dial at most once, record what became of it.

The heart of the dial protocol. The rules lie in ``domain.admission``, the conditions that keep them true under
concurrency in ``dynamodb.admissions``, the carrier's words in ``carriers``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from dialplane.domain.accounts import (
    ApiKey,
    Organization,
    PresentedKey,
    Scope,
    authenticate,
    check_organization_active,
    check_scope,
)
from dialplane.domain.admission import Decision, Facts, InitiateCall, admit, decide
from dialplane.domain.calls import Call
from dialplane.domain.carrier import CreateOutcome, DialRequest, Placed, Rejected, Unknown
from dialplane.domain.errors import (
    CallNotPlaced,
    CarrierFailure,
    CarrierRejected,
    CarrierUnavailable,
    DestinationRefused,
    DialplaneError,
    IdempotencyInProgress,
)
from dialplane.domain.idempotency import IdempotencyKey, IdempotencyRecord
from dialplane.domain.ids import new_id
from dialplane.domain.phone_numbers import mask
from dialplane.domain.statuses import CallStatus, DialOutcome, EndedReason
from dialplane.usecases.complete_call import SettlementStore

logger = logging.getLogger(__name__)

CARRIER_TIMEOUT = timedelta(seconds=5)
_RATE_LIMIT_BACKOFF_SECONDS = 0.5


class AdmissionStore(Protocol):
    """Where facts are read and an admission is committed, in one transaction."""

    def load_identity(self, presented: PresentedKey) -> tuple[ApiKey | None, Organization | None]:
        """The key on record and its organization."""

    def load_facts(self, command: InitiateCall) -> Facts:
        """Everything the decision needs, in one read where the request names it all."""

    def commit(self, call: Call, organization: Organization, key: IdempotencyKey | None) -> IdempotencyRecord | None:
        """Hold the money and write the call, or change nothing.

        Returns the record of the earlier request when the idempotency key is already bound to one. Raises
        DestinationOnDnc, InsufficientBalance or ActiveCallsLimitReached when a fact has changed since it was read.
        """


class DialStore(Protocol):
    """Where the outcome of the dial is kept. Each returns the call as it is afterwards."""

    def get(self, organization_id: str, call_id: str) -> Call | None:
        """The call, strongly consistent."""

    def record_placed(self, call: Call, carrier_call_id: str, *, at: datetime, next_check_at: datetime) -> Call:
        """Bind the carrier's call to ours, unless a callback already has."""

    def record_unknown(self, call: Call, *, at: datetime, next_check_at: datetime) -> Call:
        """Mark the call unconfirmed, unless a callback has proved it placed."""


class Carrier(Protocol):
    """The one thing asked of a carrier here."""

    def create_call(self, request: DialRequest) -> CreateOutcome:
        """Ask once for a call; never repeated by itself."""


OpenCarrier = Callable[[str, str, str], Carrier]
"""organization id, carrier, carrier account id -> the account's carrier. Raises CarrierUnavailable."""
CallbackUrls = Callable[[Call], tuple[str, str]]
"""The addresses that the carrier is to fetch instructions from and to post its status to."""


@dataclass(frozen=True, slots=True)
class Initiated:
    """The call that a request led to, and whether an earlier request with the same key had led to it."""

    call: Call
    is_replay: bool = False


@dataclass(frozen=True, slots=True)
class InitiateCallUseCase:
    """Places calls."""

    admissions: AdmissionStore
    calls: DialStore
    settlements: SettlementStore
    open_carrier: OpenCarrier
    callback_urls: CallbackUrls
    now: Callable[[], datetime]
    sleep: Callable[[float], None]
    check_interval: timedelta

    def initiate(self, command: InitiateCall) -> Initiated:
        """Place the call that the command asks for.

        Returns a call that was placed, or whose placement is unknown. Raises a DialplaneError for every refusal; after
        a CarrierFailure the hold is released.
        """
        facts = self._load_authorized_facts(command)
        if (replay := self._replay(command, facts.idempotency_record)) is not None:
            return replay
        decision = decide(command, facts)
        if decision.refusal is not None:
            raise decision.refusal
        call = admit(command, facts, decision, call_id=new_id("call"), now=self.now())
        # The account is opened before anything is held: missing credentials must not leave a trace.
        carrier = self.open_carrier(call.organization_id, call.carrier, call.carrier_account_id)
        assert facts.organization is not None
        earlier = self.admissions.commit(call, facts.organization, command.idempotency_key)
        if earlier is not None:
            # Nothing of this call was written, so nothing of it may go on, whatever the clock says of that record.
            if (replay := self._replay(command, earlier)) is not None:
                return replay
            raise IdempotencyInProgress(retry_after_seconds=1)
        logger.info("call_admitted", extra={"call_id": call.id, "destination": mask(call.destination)})
        return Initiated(self._record(call, self._dial(carrier, call)))

    def dry_run(self, command: InitiateCall) -> Decision:
        """Every gate's verdict and the plan; nothing is written and nobody is called."""
        return decide(command, self._load_authorized_facts(command))

    def refuse(self, presented: PresentedKey, refusal: DialplaneError) -> DialplaneError:
        """The error for a request whose fields are wrong: strangers are told that they are strangers first."""
        key, organization = self.admissions.load_identity(presented)
        self._authorize(presented, key, organization)
        return refusal

    def _load_authorized_facts(self, command: InitiateCall) -> Facts:
        facts = self.admissions.load_facts(command)
        self._authorize(command.presented_key, facts.key, facts.organization)
        return facts

    def _authorize(self, presented: PresentedKey, key: ApiKey | None, organization: Organization | None) -> None:
        check_scope(authenticate(presented, key, organization, now=self.now()), Scope.INITIATE_CALLS)
        assert organization is not None
        check_organization_active(organization)

    def _replay(self, command: InitiateCall, record: IdempotencyRecord | None) -> Initiated | None:
        if record is None or command.idempotency_key is None or not record.is_live(self.now()):
            return None
        record.check_fingerprint(command.idempotency_key)
        call = self.calls.get(command.presented_key.organization_id, record.result_id)
        assert call is not None, "the record and its call are written in one transaction"
        try:
            return Initiated(self._outcome(call), is_replay=True)
        except CarrierFailure as failure:
            failure.is_replay = True
            raise

    def _outcome(self, call: Call) -> Call:
        """What the first request with this key was or would have been told. Raises what it was refused with."""
        if call.carrier_call_id is not None:
            return call
        if call.dial_outcome is DialOutcome.REJECTED:
            raise dial_refusal(call)
        if call.status.is_terminal:
            raise CallNotPlaced(
                "The carrier never placed this call; its hold was released. Use a new Idempotency-Key to call again.",
                call_id=call.id,
            )
        if call.status is CallStatus.DIALING and self.now() < call.dial_deadline:
            raise IdempotencyInProgress(retry_after_seconds=1)
        return call

    def _dial(self, carrier: Carrier, call: Call) -> CreateOutcome:
        """Ask the carrier, within the dial window, until it gives an answer that is not "too many requests".

        That answer alone proves that the request was not processed, so it alone may be followed by another one.
        """
        instructions_url, status_url = self.callback_urls(call)
        request = DialRequest(
            destination=call.destination,
            caller_number=call.caller_number,
            instructions_url=instructions_url,
            status_url=status_url,
            ring_timeout_seconds=call.ring_timeout_seconds,
            time_limit_seconds=call.time_limit_seconds,
            machine_detection=call.machine_detection,
        )
        backoff = _RATE_LIMIT_BACKOFF_SECONDS
        while True:
            # The fence: after the window whoever removed this number, paused or stopped us may rely on silence.
            if self.now() + CARRIER_TIMEOUT >= call.dial_deadline:
                return Rejected(cause="rate_limited", code="dial_window_over", message="The dial window has closed.")
            outcome = _ask(carrier, request)
            if not (isinstance(outcome, Rejected) and outcome.cause == "rate_limited"):
                return outcome
            wait = timedelta(seconds=max(backoff, outcome.retry_after_seconds or 0.0))
            if self.now() + wait + CARRIER_TIMEOUT >= call.dial_deadline:
                return outcome
            self.sleep(wait.total_seconds())
            backoff *= 2

    def _record(self, call: Call, outcome: CreateOutcome) -> Call:
        at = self.now()
        next_check_at = at + self.check_interval
        match outcome:
            case Placed(carrier_call_id):
                return self._record_placed(call, carrier_call_id, at, next_check_at)
            case Rejected():
                raise self._release(call, outcome, at)
            case _:
                logger.warning("dial_outcome_unknown", extra={"call_id": call.id, "reason": outcome.reason})
                return self._record_unknown(call, at, next_check_at)

    def _record_placed(self, call: Call, carrier_call_id: str, at: datetime, next_check_at: datetime) -> Call:
        try:
            return self.calls.record_placed(call, carrier_call_id, at=at, next_check_at=next_check_at)
        except Exception:
            # The phone rings: an error here would invite a second call. The carrier's first callback binds it instead.
            logger.exception("dial_outcome_not_recorded", extra={"call_id": call.id})
            return replace(call, carrier_call_id=carrier_call_id, dial_outcome=DialOutcome.PLACED)

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
