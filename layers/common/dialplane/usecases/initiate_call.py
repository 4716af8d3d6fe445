"""Place a call: read once, decide, commit once, dial at most once.

The heart of the dial protocol. The rules lie in ``domain.admission``, the conditions that keep them true under
concurrency in ``dynamodb.admissions``, the dial itself in ``dial_call``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from dialplane.domain.accounts import (
    ApiKey,
    CallerNumber,
    CarrierAccount,
    Organization,
    PresentedKey,
    Scope,
    authenticate,
    check_organization_active,
    check_scope,
)
from dialplane.domain.admission import Decision, Facts, InitiateCall, admit, decide
from dialplane.domain.calls import Call
from dialplane.domain.errors import (
    CallNotPlaced,
    CarrierFailure,
    CarrierRateReached,
    CarrierUnavailable,
    DialplaneError,
    IdempotencyInProgress,
    SetupMissing,
)
from dialplane.domain.idempotency import IdempotencyKey, IdempotencyRecord
from dialplane.domain.ids import new_id, new_socket_token
from dialplane.domain.phone_numbers import mask
from dialplane.domain.statuses import CallStatus, DialOutcome
from dialplane.usecases.dial_call import Carrier, DialCallUseCase, dial_refusal

logger = logging.getLogger(__name__)

_TURN_WAIT_MAX = timedelta(seconds=2)


class FactStore(Protocol):
    """Where facts are read."""

    def load_identity(self, presented: PresentedKey) -> tuple[ApiKey | None, Organization | None]:
        """The key on record and its organization."""

    def load(self, command: InitiateCall) -> Facts:
        """Everything the decision needs, in one read where the request names it all."""


class AdmissionStore(Protocol):
    """Where an admission is committed, in one transaction."""

    def commit(self, call: Call, facts: Facts, key: IdempotencyKey | None) -> IdempotencyRecord | None:
        """Hold the money and write the call, or change nothing.

        Returns the record of the earlier request when the idempotency key is already bound to one. Raises
        DestinationOnDnc, InsufficientBalance, RateLimitExceeded or ActiveCallsLimitReached when a fact has changed
        since it was read.
        """


class PaceStore(Protocol):
    """Where it is known when carrier accounts may be asked for their next call."""

    def next_moment(self, organization_id: str, carrier_account_id: str) -> datetime | None:
        """The account's next free moment, not taken; None when it is free now."""


EnqueueDial = Callable[[Call], None]
"""Leaves the dial to the queue's worker. May have done so even when it raises."""


@dataclass(frozen=True, slots=True)
class Initiated:
    """The call that a request led to, and whether an earlier request with the same key had led to it."""

    call: Call
    is_replay: bool = False


@dataclass(frozen=True, slots=True)
class InitiateCallUseCase:
    """Places calls."""

    facts: FactStore
    admissions: AdmissionStore
    paces: PaceStore
    dialing: DialCallUseCase
    enqueue_dial: EnqueueDial
    now: Callable[[], datetime]

    def initiate(self, command: InitiateCall, *, waits_for_carrier: bool = True) -> Initiated:
        """Place the call that the command asks for.

        Returns a call that was placed, or whose placement is unknown; with ``waits_for_carrier`` off, one that is
        committed and whose dial is on the queue. Raises a DialplaneError for every refusal; after a CarrierFailure the
        hold is released.
        """
        facts = self._load_authorized_facts(command)
        replay = self._replay(command, facts.idempotency_record, waits_for_carrier=waits_for_carrier)
        if replay is not None:
            return replay
        decision = decide(command, facts)
        if decision.refusal is not None:
            raise decision.refusal
        assert decision.plan.caller_number is not None
        number = decision.plan.caller_number
        # The account is opened before anything is held: missing credentials must not leave a trace.
        carrier = self._open_carrier(command, number)
        self._check_pace(facts.carrier_accounts.get(number.carrier_account_id))
        is_queued = not waits_for_carrier
        call = admit(
            command,
            facts,
            decision,
            call_id=new_id("call"),
            now=self.now(),
            socket_token=new_socket_token(),
            is_dial_queued=is_queued,
        )
        earlier = self.admissions.commit(call, facts, command.idempotency_key)
        if earlier is not None:
            # Nothing of this call was written, so nothing of it may go on, whatever the clock says of that record.
            replay = self._replay(command, earlier, waits_for_carrier=waits_for_carrier)
            if replay is not None:
                return replay
            raise IdempotencyInProgress(retry_after_seconds=1)
        logger.info("call_admitted", extra={"call_id": call.id, "destination": mask(call.destination)})
        if is_queued:
            return Initiated(self._leave_to_queue(call))
        return Initiated(self.dialing.dial(carrier, call))

    def dry_run(self, command: InitiateCall) -> Decision:
        """Every gate's verdict and the plan; nothing is written and nobody is called."""
        return decide(command, self._load_authorized_facts(command))

    def refuse(self, presented: PresentedKey, refusal: DialplaneError) -> DialplaneError:
        """The error for a request whose fields are wrong: strangers are told that they are strangers first."""
        self.authorize(presented)
        return refusal

    def authorize(self, presented: PresentedKey) -> None:
        """Raise Unauthenticated or Forbidden unless the key may place calls."""
        self._authorize(presented, *self.facts.load_identity(presented))

    def _load_authorized_facts(self, command: InitiateCall) -> Facts:
        facts = self.facts.load(command)
        self._authorize(command.presented_key, facts.key, facts.organization)
        return facts

    def _authorize(self, presented: PresentedKey, key: ApiKey | None, organization: Organization | None) -> None:
        check_scope(authenticate(presented, key, organization, now=self.now()), Scope.INITIATE_CALLS)
        assert organization is not None
        check_organization_active(organization)

    def _open_carrier(self, command: InitiateCall, number: CallerNumber) -> Carrier:
        try:
            return self.dialing.open_carrier(number.organization_id, number.carrier, number.carrier_account_id)
        except CarrierUnavailable as error:
            if command.uses_default_assistant:
                raise SetupMissing(["carrier account"]) from error
            raise

    def _check_pace(self, account: CarrierAccount | None) -> None:
        """Refuse early what would wait long for its carrier. The slot itself is taken by the dial, which happens."""
        if account is None or account.calls_per_second is None:
            return
        moment = self.paces.next_moment(account.organization_id, account.id)
        if moment is not None and moment > self.now() + _TURN_WAIT_MAX:
            raise CarrierRateReached(account.calls_per_second)

    def _leave_to_queue(self, call: Call) -> Call:
        try:
            self.enqueue_dial(call)
        except Exception:
            # It may be on the queue all the same; the claim lets only one of us dial.
            logger.exception("dial_not_queued", extra={"call_id": call.id})
            return self.dialing.dial_queued(call.organization_id, call.id) or call
        return call

    def _replay(
        self, command: InitiateCall, record: IdempotencyRecord | None, *, waits_for_carrier: bool
    ) -> Initiated | None:
        if record is None or command.idempotency_key is None or not record.is_live(self.now()):
            return None
        record.check_fingerprint(command.idempotency_key)
        call = self.dialing.calls.get(command.presented_key.organization_id, record.result_id)
        assert call is not None, "the record and its call are written in one transaction"
        if not waits_for_carrier:  # the first request was told that the call is on its way, and so is this one
            return Initiated(call, is_replay=True)
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
