"""Give a call that is under way a command: end it, connect the callee with somebody, or have the assistant say or know
something.

Where we hold the conversation the command is left to it, and what becomes of it is put on record there; everywhere else
the carrier is asked. What a carrier makes of it comes back in its reports: no command changes a call by itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from dialplane.domain.accounts import ApiKey, Organization, check_organization_active
from dialplane.domain.admission import check_destination
from dialplane.domain.assistants import is_realtime
from dialplane.domain.calls import Call
from dialplane.domain.commands import OF_CONVERSATIONS, Command, CommandType
from dialplane.domain.dnc import DncEntry
from dialplane.domain.errors import (
    CallNotInProgress,
    CarrierUnavailable,
    CommandNotAvailable,
    ControlUnsupported,
    DestinationOnDnc,
    DialplaneError,
    EntityNotFound,
    IdempotencyInProgress,
    IdempotencyKeyReused,
)
from dialplane.domain.ids import new_id
from dialplane.domain.phone_numbers import PhoneNumber, mask
from dialplane.domain.statuses import CallStatus
from dialplane.domain.times import to_text
from dialplane.usecases.browse_calls import ACCEPTED, APPLIED, UNSUPPORTED, RecordedCommand

COMMANDS_PER_MINUTE_MAX = 10
CARRIER_TIMEOUT = timedelta(seconds=10)
"""How long the carrier is waited for, in sum."""
_GIVEN_UP = timedelta(seconds=30)
"""After this long nobody is working on a command any more that the carrier was to be asked about."""


@dataclass(frozen=True, slots=True)
class Given:
    """A command that was taken.

    ``result`` is what was known of it when it was answered: ``accepted`` by the conversation, ``applied`` by the
    carrier, or ``unsupported``. ``remaining`` is how many more the call takes until ``resets_in_seconds`` are over.
    """

    command_id: str
    result: str
    is_reliable: bool
    remaining: int
    resets_in_seconds: int
    is_replay: bool = False


class Commands(Protocol):
    """Where commands are counted and kept."""

    def find(self, call: Call, command_id: str, *, at: datetime) -> tuple[RecordedCommand | None, int]:
        """The command with this id, if the call was given one, and how many it was given in this minute."""

    def begin(self, call: Call, command: RecordedCommand, *, per_minute_max: int) -> RecordedCommand | None:
        """Count the command and put it on record, or change nothing.

        Returns the command that the call was given by the same id already. Raises CommandsLimitReached.
        """

    def finish(self, organization_id: str, call_id: str, command_id: str, *, result: str) -> bool:
        """Put the result of an accepted command on record."""


class Tasks(Protocol):
    """The queue of what is to be done about conversations."""

    def put(self, task: Mapping[str, Any], *, delay_seconds: int = 0) -> None:
        """Have a task delivered, at least once."""


class Organizations(Protocol):
    """Where organizations are found."""

    def find(self, entity_type: type[Organization], organization_id: str) -> Organization | None:
        """The organization, strongly consistent."""


class Destinations(Protocol):
    """Where the do-not-call lists are read. An ``organization_id`` of None means the platform's list."""

    def find_dnc_entry(self, organization_id: str | None, number: str) -> DncEntry | None:
        """The entry, strongly consistent."""

    def open_transfer(self, organization_id: str, number: str, *, until: datetime) -> bool:
        """Let whoever adds the number to the organization's list wait until then; False when it is on the list."""


class Carrier(Protocol):
    """A carrier account as far as commands need it.

    Raises CarrierUnavailable when it cannot be asked, and ControlUnsupported when it has no such request.
    """

    def end_call(self, carrier_call_id: str) -> None:
        """Hang up; a call that has ended is success."""

    def transfer_call(
        self, carrier_call_id: str, *, destination: str, caller_number: str, message: str | None, status_url: str
    ) -> None:
        """Connect the callee with ``destination``, and report to ``status_url`` what comes of it.

        Raises CallNotInProgress when the call is over.
        """


@dataclass(frozen=True, slots=True)
class ControlCallUseCase:
    """Gives commands. ``open_carrier`` takes an organization, a carrier's name and a carrier account."""

    commands: Commands
    organizations: Organizations
    destinations: Destinations
    tasks: Tasks
    open_carrier: Callable[[str, str, str], Carrier]
    status_url: Callable[[Call], str]
    now: Callable[[], datetime]

    def control(self, key: ApiKey, call: Call, command: Command, *, command_id: str | None = None) -> Given:
        """Give a call in progress a command; one that comes again with the same id is answered again, and not given.

        Raises CallNotInProgress, CommandNotAvailable, CommandsLimitReached, IdempotencyKeyReused,
        IdempotencyInProgress, what the carrier raises, and for a transfer whatever a call to its destination would be
        refused with.
        """
        at = self.now()
        is_left = _is_conversing(call)
        recorded = RecordedCommand(
            id=command_id or new_id("cmd"),
            command=command.type.value,
            at=at,
            api_key_id=key.id,
            destination=mask(command.destination.e164) if command.destination is not None else None,
            fingerprint=command.fingerprint,
            is_left_to_conversation=is_left,
        )
        earlier, used = self.commands.find(call, recorded.id, at=at)
        if earlier is not None:
            return self._again(call, command, recorded, earlier, used)
        if call.status is not CallStatus.IN_PROGRESS:
            raise CallNotInProgress(call.status.value)
        is_unsupported = command.type in OF_CONVERSATIONS and not is_left
        if is_unsupported and not _is_realtime(call):
            raise CommandNotAvailable(command.type.value)
        if command.destination is not None:
            self._check_destination(call.organization_id, command.destination)
        earlier = self.commands.begin(call, recorded, per_minute_max=COMMANDS_PER_MINUTE_MAX)
        if earlier is not None:
            return self._again(call, command, recorded, earlier, used)
        if is_left:
            self._leave_to_conversation(call, command, recorded)
            return _given(call, command, recorded, ACCEPTED, used + 1)
        if is_unsupported:
            self.commands.finish(call.organization_id, call.id, recorded.id, result=UNSUPPORTED)
            return _given(call, command, recorded, UNSUPPORTED, used + 1)
        self._ask_carrier(call, command, recorded)
        return _given(call, command, recorded, APPLIED, used + 1)

    def terminate(self, key: ApiKey, call: Call) -> None:
        """End a call that the carrier has and that is not over: its phone may still ring.

        Raises CallNotInProgress, CommandsLimitReached and what the carrier raises.
        """
        if call.status.is_terminal or call.carrier_call_id is None:
            raise CallNotInProgress(call.status.value)
        command = Command(CommandType.END_CALL)
        recorded = RecordedCommand(id=new_id("cmd"), command=command.type.value, at=self.now(), api_key_id=key.id)
        self.commands.begin(call, recorded, per_minute_max=COMMANDS_PER_MINUTE_MAX)
        self._ask_carrier(call, command, recorded)

    def _check_destination(self, organization_id: str, destination: PhoneNumber) -> None:
        """The callee is connected with somebody on this organization's account: its rules for calls hold."""
        organization = self.organizations.find(Organization, organization_id)
        if organization is None:
            raise EntityNotFound("organization", organization_id)
        check_organization_active(organization)
        if any(self.destinations.find_dnc_entry(owner, destination.e164) for owner in (organization_id, None)):
            raise DestinationOnDnc
        check_destination(destination, organization)

    def _leave_to_conversation(self, call: Call, command: Command, recorded: RecordedCommand) -> None:
        try:
            self.tasks.put(_task(call, command, recorded))
        except Exception:
            # It may be on the queue all the same; then the conversation finds that it has a result, and lets it be.
            self.commands.finish(call.organization_id, call.id, recorded.id, result=DialplaneError.code)
            raise

    def _ask_carrier(self, call: Call, command: Command, recorded: RecordedCommand) -> None:
        try:
            self._tell_carrier(call, command)
        except DialplaneError as error:
            self.commands.finish(call.organization_id, call.id, recorded.id, result=error.code)
            raise
        self.commands.finish(call.organization_id, call.id, recorded.id, result=APPLIED)

    def _tell_carrier(self, call: Call, command: Command) -> None:
        assert call.carrier_call_id is not None
        carrier = self.open_carrier(call.organization_id, call.carrier, call.carrier_account_id)
        if command.destination is None:
            carrier.end_call(call.carrier_call_id)
        else:
            self._open_transfer(call.organization_id, command.destination)
            carrier.transfer_call(
                call.carrier_call_id,
                destination=command.destination.e164,
                caller_number=call.caller_number,
                message=command.content,
                status_url=self.status_url(call),
            )

    def _open_transfer(self, organization_id: str, destination: PhoneNumber) -> None:
        """From here on an addition to either list is acknowledged only when this dial is over, too."""
        until = self.now() + CARRIER_TIMEOUT
        if not self.destinations.open_transfer(organization_id, destination.e164, until=until):
            raise DestinationOnDnc
        if self.destinations.find_dnc_entry(None, destination.e164) is not None:
            raise DestinationOnDnc

    def _again(
        self, call: Call, command: Command, recorded: RecordedCommand, earlier: RecordedCommand, used: int
    ) -> Given:
        """What the first command with this id was answered. Raises what it was refused with."""
        if earlier.fingerprint != recorded.fingerprint:
            raise IdempotencyKeyReused("command_id")
        if earlier.is_left_to_conversation and earlier.result != DialplaneError.code:
            return _given(call, command, earlier, ACCEPTED, used, is_replay=True)
        if earlier.result in (APPLIED, UNSUPPORTED):
            return _given(call, command, earlier, earlier.result, used, is_replay=True)
        if earlier.result == ACCEPTED and recorded.at < earlier.at + _GIVEN_UP:
            raise IdempotencyInProgress(retry_after_seconds=1)
        refusal = _refusal(earlier, call)
        refusal.is_replay = True
        raise refusal


def _is_conversing(call: Call) -> bool:
    """True while a conversation of ours can take commands in: its socket was opened, and nobody has ended it."""
    return call.conversation_json is not None and call.socket_token is None and call.conversation_end is None


def _is_realtime(call: Call) -> bool:
    return is_realtime(json.loads(call.configuration_json or "{}").get("llm_config"))


def _is_reliable(call: Call, command: Command, *, is_left: bool) -> bool:
    """A message may not be heard: no carrier speaks at the end of a call, and over a realtime model nobody surely does.

    That a transfer's announcement may be lost there is the seed's own finding, and that words are not taken in at all.
    """
    if is_left:
        return True
    if command.type in OF_CONVERSATIONS:
        return False
    return command.content is None or not (command.type is CommandType.END_CALL or _is_realtime(call))


def _given(
    call: Call, command: Command, recorded: RecordedCommand, result: str, used: int, *, is_replay: bool = False
) -> Given:
    return Given(
        command_id=recorded.id,
        result=result,
        is_reliable=_is_reliable(call, command, is_left=recorded.is_left_to_conversation),
        remaining=max(0, COMMANDS_PER_MINUTE_MAX - used),
        resets_in_seconds=60 - recorded.at.second,
        is_replay=is_replay,
    )


def _task(call: Call, command: Command, recorded: RecordedCommand) -> dict[str, Any]:
    return {
        "kind": "command",
        "organization_id": call.organization_id,
        "call_id": call.id,
        "command_id": recorded.id,
        "recorded_at": to_text(recorded.at),
        "type": command.type.value,
        "content": command.content,
        "end_after": command.end_after,
        "trigger_response": command.trigger_response,
        "destination": command.destination.e164 if command.destination is not None else None,
    }


def _refusal(earlier: RecordedCommand, call: Call) -> DialplaneError:
    """The error that the first command with this id was answered with; its words were not kept."""
    again = (
        "That was the answer to the first command with this id, and it was not given again. Use a new id to give it."
    )
    match earlier.result:
        case CallNotInProgress.code:
            return CallNotInProgress(call.status.value if call.status.is_terminal else CallStatus.COMPLETED.value)
        case DestinationOnDnc.code:
            return DestinationOnDnc()
        case ControlUnsupported.code:
            return ControlUnsupported(f"The carrier has no request for this. {again}")
        case CarrierUnavailable.code:
            return CarrierUnavailable(f"The carrier could not be asked. {again}", carrier=call.carrier)
        case _:
            return DialplaneError(f"What became of it is not known. {again}")
