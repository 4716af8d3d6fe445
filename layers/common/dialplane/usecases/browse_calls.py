"""Find calls and tell the story of one: checks, carrier exchange, callbacks, commands, settlement."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from dialplane.domain.calls import Call
from dialplane.domain.conversations import Conversation
from dialplane.domain.errors import CallNotFound, TranscriptNotFound
from dialplane.domain.ids import is_id
from dialplane.domain.statuses import DialOutcome
from dialplane.domain.times import to_text
from dialplane.usecases.apply_carrier_event import RecordedEvent

# Wide enough for every carrier; a text beyond it names no call and may be longer than a store can look up.
_CARRIER_CALL_ID = re.compile(r"[\x21-\x7e]{1,255}")


@dataclass(frozen=True, slots=True)
class CallFilters:
    """Which calls to list; None does not filter.

    A call has one of ``statuses``; an empty set means no call at all. ``assistant_name`` is any part of the name, in
    upper or lower case. Times are UTC, ``created_before`` exclusive; bounds of the duration are inclusive, and leave
    out calls whose duration is not known.
    """

    statuses: frozenset[str] | None = None
    assistant_id: int | None = None
    assistant_public_id: str | None = None
    assistant_name: str | None = None
    caller_number: str | None = None
    destination: str | None = None
    carrier_call_id: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    duration_seconds_min: int | None = None
    duration_seconds_max: int | None = None


@dataclass(frozen=True, slots=True)
class CallPage:
    """Calls, newest first, and the cursor of the next page if there is one."""

    calls: tuple[Call, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class CallQuery:
    """A list that is asked for by positions: ``limit`` calls after the first ``offset`` ones."""

    filters: CallFilters
    limit: int
    offset: int = 0


@dataclass(frozen=True, slots=True)
class CallRange:
    """Calls, newest first, and how many there are in all.

    Only so many calls are counted for one request; where there are more, ``total`` is how many there are at least, and
    positions beyond it have no calls.
    """

    calls: tuple[Call, ...]
    total: int


ACCEPTED, APPLIED, UNSUPPORTED = "accepted", "applied", "unsupported"
"""What becomes of a command that is taken; other results are codes of errors."""


@dataclass(frozen=True, slots=True)
class RecordedCommand:
    """A command that a call was given, without its texts.

    ``id`` is the client's own where it has sent one. ``result`` is ``accepted`` until whoever carries it out says what
    came of it: ``applied``, ``unsupported`` or the code of an error. ``destination`` is masked; ``fingerprint`` is
    equal for equal commands.
    """

    id: str
    command: str
    at: datetime
    api_key_id: str
    result: str = ACCEPTED
    destination: str | None = None
    fingerprint: str = ""
    is_left_to_conversation: bool = False


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One moment in the life of a call."""

    at: datetime
    type: str
    details: Mapping[str, Any]


class CallLog(Protocol):
    """Where calls and their reports are read."""

    def get(self, organization_id: str, call_id: str) -> Call | None:
        """The call, strongly consistent."""

    def find_by_carrier_call_id(self, organization_id: str, carrier_call_id: str) -> Call | None:
        """The call that a carrier's call is bound to."""

    def page(self, organization_id: str, filters: CallFilters, *, limit: int, cursor: str | None) -> CallPage:
        """A page of calls. Raises CursorInvalid."""

    def range(self, organization_id: str, query: CallQuery) -> CallRange:
        """Calls by their positions, and the total."""

    def events(self, organization_id: str, call_id: str) -> Sequence[RecordedEvent]:
        """All reports of a call in the order they were received."""


class CommandLog(Protocol):
    """Where the commands that calls were given are read."""

    def commands(self, organization_id: str, call_id: str) -> Sequence[RecordedCommand]:
        """All commands of a call, the oldest first."""


class ConversationLog(Protocol):
    """Where conversations are read."""

    def get(self, organization_id: str, call_id: str) -> Conversation | None:
        """The conversation of a call, strongly consistent; None for one whose words were erased."""


@dataclass(frozen=True, slots=True)
class BrowseCallsUseCase:
    """Reads calls."""

    calls: CallLog
    commands: CommandLog
    conversations: ConversationLog
    now: Callable[[], datetime]

    def get(self, organization_id: str, any_id: str) -> Call:
        """A call by our id or by the carrier's. Raises CallNotFound."""
        call = None
        if is_id("call", any_id):
            call = self.calls.get(organization_id, any_id)
        elif _CARRIER_CALL_ID.fullmatch(any_id):
            call = self.calls.find_by_carrier_call_id(organization_id, any_id)
        if call is None:
            raise CallNotFound
        return call

    def conversation(self, call: Call) -> Conversation | None:
        """What was said on a call; None where we held no conversation, and once its words are not kept any more."""
        if call.conversation_json is None:
            return None
        conversation = self.conversations.get(call.organization_id, call.id)
        # DynamoDB takes its time to delete what has expired.
        return None if conversation is None or conversation.is_expired(self.now()) else conversation

    def transcript(self, organization_id: str, any_id: str) -> tuple[Call, Conversation]:
        """A call and what was said on it. Raises CallNotFound and TranscriptNotFound."""
        call = self.get(organization_id, any_id)
        if call.transcript_erased_at is not None:
            raise TranscriptNotFound(f"it was erased at {to_text(call.transcript_erased_at)}")
        conversation = self.conversation(call)
        if conversation is None:
            raise TranscriptNotFound("no conversation was held on it, or it is kept no longer")
        return call, conversation

    def page(self, organization_id: str, filters: CallFilters, *, limit: int, cursor: str | None) -> CallPage:
        """A page of calls, newest first."""
        return self.calls.page(organization_id, filters, limit=limit, cursor=cursor)

    def range(self, organization_id: str, query: CallQuery) -> CallRange:
        """Calls by their positions, newest first, and the total."""
        return self.calls.range(organization_id, query)

    def timeline(self, organization_id: str, any_id: str) -> tuple[TimelineEntry, ...]:
        """Everything that happened to a call, in order of time. Raises CallNotFound."""
        call = self.get(organization_id, any_id)
        entries = [
            *_own_entries(call),
            *(_event_entry(event) for event in self.calls.events(organization_id, call.id)),
            *(_command_entry(command) for command in self.commands.commands(organization_id, call.id)),
        ]
        return tuple(sorted(entries, key=lambda entry: entry.at))


def _own_entries(call: Call) -> list[TimelineEntry]:
    admitted = {"gates": list(call.gates), "hold_micros": call.hold_micros, "currency": call.currency}
    entries = [TimelineEntry(call.created_at, "admitted", admitted)]
    if call.dial_outcome is not None and call.dial_replied_at is not None:
        entries.append(
            TimelineEntry(
                call.dial_replied_at,
                f"dial_{'placed' if call.dial_outcome is DialOutcome.PLACED else call.dial_outcome.value}",
                {
                    "carrier": call.carrier,
                    "carrier_call_id": call.carrier_call_id,
                    "error": call.dial_error,
                    "error_message": call.dial_error_message,
                },
            )
        )
    if call.instructions_served_at is not None:
        entries.append(
            TimelineEntry(call.instructions_served_at, "instructions_served", {"engine": call.instructions.engine})
        )
    if call.settled_at is not None and call.charge_micros is not None:
        settled = {
            "hold_micros": call.hold_micros,
            "charge_micros": call.charge_micros,
            "release_micros": call.hold_micros - call.charge_micros,
            "currency": call.currency,
        }
        entries.append(TimelineEntry(call.settled_at, "settled", settled))
    if call.transcript_erased_at is not None:
        entries.append(TimelineEntry(call.transcript_erased_at, "transcript_erased", {}))
    return entries


def _event_entry(event: RecordedEvent) -> TimelineEntry:
    return TimelineEntry(
        event.received_at,
        "carrier_event",
        {
            "source": event.source,
            "verdict": event.verdict.value,
            "carrier_status": event.carrier_status,
            "status": event.status,
            "carrier_call_id": event.carrier_call_id,
            "sequence": event.sequence,
            "occurred_at": event.occurred_at,
            "duration_seconds": event.duration_seconds,
            "sip_response_code": event.sip_response_code,
        },
    )


def _command_entry(command: RecordedCommand) -> TimelineEntry:
    details = {
        "command_id": command.id,
        "command": command.command,
        "result": command.result,
        "destination": command.destination,
    }
    return TimelineEntry(command.at, "control_command", details)
