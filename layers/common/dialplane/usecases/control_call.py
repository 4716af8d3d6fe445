"""Give a call that is under way a command: end it, or connect the callee with somebody else.

What the carrier makes of it comes back in its reports, as everything does: no command changes a call by itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from dialplane.domain.accounts import ApiKey, Organization, check_organization_active
from dialplane.domain.admission import check_destination
from dialplane.domain.assistants import is_realtime
from dialplane.domain.calls import Call
from dialplane.domain.errors import (
    CallNotInProgress,
    CommandNotAvailable,
    DestinationOnDnc,
    DialplaneError,
    EntityNotFound,
)
from dialplane.domain.ids import new_id
from dialplane.domain.phone_numbers import PhoneNumber, mask
from dialplane.domain.statuses import CallStatus
from dialplane.usecases.browse_calls import RecordedCommand
from dialplane.usecases.manage_dnc import DncEntry

COMMANDS_PER_MINUTE_MAX = 10
CARRIER_TIMEOUT = timedelta(seconds=10)
"""How long the carrier is waited for, in sum."""


class CommandType(StrEnum):
    """What a call can be told to do."""

    END_CALL = "end-call"
    TRANSFER = "transfer"
    INJECT_CONTEXT = "inject-context"
    SAY = "say"


_OF_CONVERSATIONS = frozenset({CommandType.INJECT_CONTEXT, CommandType.SAY})


@dataclass(frozen=True, slots=True)
class Command:
    """A command. ``message`` is said before it is carried out; ``destination`` is whom to transfer to."""

    type: CommandType
    message: str | None = None
    destination: PhoneNumber | None = None


class Commands(Protocol):
    """Where commands are counted and kept."""

    def begin(self, call: Call, command: RecordedCommand, *, per_minute_max: int) -> None:
        """Count the command and put it on record, or change nothing. Raises CommandsLimitReached."""

    def finish(self, call: Call, command: RecordedCommand) -> None:
        """Put the command's result on record."""


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
    open_carrier: Callable[[str, str, str], Carrier]
    status_url: Callable[[Call], str]
    now: Callable[[], datetime]

    def control(self, key: ApiKey, call: Call, command: Command) -> bool:
        """Give a call in progress a command. Returns whether it can be relied on to do all that it says.

        Raises CallNotInProgress, CommandNotAvailable, CommandsLimitReached, what the carrier raises, and for a transfer
        whatever a call to its destination would be refused with.
        """
        if call.status is not CallStatus.IN_PROGRESS:
            raise CallNotInProgress(call.status.value)
        if command.type in _OF_CONVERSATIONS:
            raise CommandNotAvailable(command.type.value)
        if command.destination is not None:
            self._check_destination(call.organization_id, command.destination)
        self._send(key, call, command)
        return not _is_limited(call, command)

    def terminate(self, key: ApiKey, call: Call) -> None:
        """End a call that the carrier has and that is not over: its phone may still ring.

        Raises CallNotInProgress, CommandsLimitReached and what the carrier raises.
        """
        if call.status.is_terminal or call.carrier_call_id is None:
            raise CallNotInProgress(call.status.value)
        self._send(key, call, Command(CommandType.END_CALL))

    def _check_destination(self, organization_id: str, destination: PhoneNumber) -> None:
        """The callee is connected with somebody on this organization's account: its rules for calls hold."""
        organization = self.organizations.find(Organization, organization_id)
        if organization is None:
            raise EntityNotFound("organization", organization_id)
        check_organization_active(organization)
        if any(self.destinations.find_dnc_entry(owner, destination.e164) for owner in (organization_id, None)):
            raise DestinationOnDnc
        check_destination(destination, organization)

    def _send(self, key: ApiKey, call: Call, command: Command) -> None:
        recorded = RecordedCommand(
            id=new_id("cmd"),
            command=command.type.value,
            at=self.now(),
            api_key_id=key.id,
            destination=mask(command.destination.e164) if command.destination is not None else None,
        )
        self.commands.begin(call, recorded, per_minute_max=COMMANDS_PER_MINUTE_MAX)
        try:
            self._ask_carrier(call, command)
        except DialplaneError as error:
            self.commands.finish(call, replace(recorded, result=error.code))
            raise
        self.commands.finish(call, replace(recorded, result="sent"))

    def _ask_carrier(self, call: Call, command: Command) -> None:
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
                message=command.message,
                status_url=self.status_url(call),
            )

    def _open_transfer(self, organization_id: str, destination: PhoneNumber) -> None:
        """From here on an addition to either list is acknowledged only when this dial is over, too."""
        until = self.now() + CARRIER_TIMEOUT
        if not self.destinations.open_transfer(organization_id, destination.e164, until=until):
            raise DestinationOnDnc
        if self.destinations.find_dnc_entry(None, destination.e164) is not None:
            raise DestinationOnDnc


def _is_limited(call: Call, command: Command) -> bool:
    """A message may not be heard: no carrier speaks at the end of a call, and over a realtime model nobody surely does.

    That a transfer's announcement may be lost there is the seed's own finding.
    """
    if command.message is None:
        return False
    configuration = json.loads(call.configuration_json or "{}")
    return command.type is CommandType.END_CALL or is_realtime(configuration.get("llm_config"))
