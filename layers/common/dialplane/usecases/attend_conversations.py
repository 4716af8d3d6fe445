"""Attend to conversations when no frame of theirs comes: timers, commands of the customer, verdicts about machines.

Tasks come late, twice and out of order; each looks at the conversation as it is and does only what is due then.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from dialplane.domain.calls import Call
from dialplane.domain.conversation_settings import EndReason
from dialplane.domain.conversations import (
    Change,
    Conversation,
    Due,
    Entry,
    EntryKind,
    Source,
    look,
    speech_ends,
)
from dialplane.domain.dnc import DncEntry
from dialplane.domain.errors import CallNotInProgress, ControlUnsupported, DialplaneError
from dialplane.domain.times import from_text
from dialplane.usecases.answering import GOODBYE, Ending
from dialplane.usecases.converse import Conversations, ConverseUseCase, asks_for_opt_out
from dialplane.usecases.sockets import SocketFailed, Sockets

logger = logging.getLogger(__name__)

END_TAKES = timedelta(seconds=10)
"""How long a carrier may take to end a call whose session we have ended; then it is asked to."""
MACHINE_GREETING_MAX = timedelta(seconds=20)
"""How long a machine's greeting is waited for to end when nobody reports its end."""
TRANSFER_WINDOW = timedelta(seconds=10)
_GREETING_IS_OVER = frozenset({"machine_beep", "machine_silence"})
_MACHINES = frozenset({"machine", "fax"}) | _GREETING_IS_OVER


class Calls(Protocol):
    """Where calls are read."""

    def get(self, organization_id: str, call_id: str) -> Call | None:
        """The call, strongly consistent."""


class Destinations(Protocol):
    """The do-not-call lists, for whoever is connected with somebody else."""

    def find_dnc_entry(self, organization_id: str | None, number: str) -> DncEntry | None:
        """The entry, strongly consistent."""

    def open_transfer(self, organization_id: str, number: str, *, until: datetime) -> bool:
        """Let whoever adds the number to the list wait until then; False when it is on the list."""


class Carrier(Protocol):
    """A carrier account as far as conversations need it.

    Raises CarrierUnavailable when it cannot be asked, and ControlUnsupported when it has no such request.
    """

    def end_call(self, carrier_call_id: str) -> None:
        """Hang up; a call that has ended is success."""

    def transfer_call(
        self, carrier_call_id: str, *, destination: str, caller_number: str, message: str | None, status_url: str
    ) -> None:
        """Connect the callee with ``destination``. Raises CallNotInProgress when the call is over."""

    def start_recording(self, carrier_call_id: str, *, status_url: str) -> None:
        """Record from now on, and report to ``status_url``. Raises CallNotInProgress when the call is over."""


FinishCommand = Callable[[Mapping[str, Any], str], None]
"""Puts the result of a command on record: the task that brought it, and ``applied`` or the code of an error."""


@dataclass(frozen=True, slots=True)
class AttendConversationsUseCase:
    """Carries out tasks. ``open_carrier`` takes an organization, a carrier's name and a carrier account."""

    converse: ConverseUseCase
    conversations: Conversations
    calls: Calls
    destinations: Destinations
    sockets: Sockets
    open_carrier: Callable[[str, str, str], Carrier]
    status_url: Callable[[Call], str]
    finish_command: FinishCommand
    now: Callable[[], datetime]
    monotonic: Callable[[], float]

    def attend(self, task: Mapping[str, Any]) -> None:
        """One task. Raises what stands in its way, for it to be delivered again."""
        conversation = self.conversations.get(task["organization_id"], task["call_id"])
        if conversation is None:
            logger.warning("task_without_conversation", extra={"call_id": task["call_id"]})
            if task["kind"] == "command":
                self.finish_command(task, CallNotInProgress.code)
            return
        match task["kind"]:
            case "look":
                self._look(conversation, task)
            case "hang_up":
                self._hang_up(conversation)
            case "opt_out":
                self.converse.list_callee(conversation, from_text(task["at"]))
            case "record":
                self._record(conversation)
            case "machine":
                self._meet_machine(conversation, task)
            case "command":
                self._command(conversation, task)

    # ---- timers -----------------------------------------------------------------------------------------------------

    def _look(self, conversation: Conversation, task: Mapping[str, Any]) -> None:
        found = look(conversation, now=self.now())
        match found.due:
            case Due.NOTHING:
                return
            case Due.END:
                self._end(conversation)
            case Due.HANG_UP:
                self._give_up(conversation)
            case Due.LATER:
                # Whoever took a later turn has somebody look as well, unless that was never finished.
                if task.get("turn") == conversation.turn or conversation.owed_since is not None:
                    self.converse.look_again(conversation)
            case Due.ASK_WHETHER_THERE:
                self._ask_whether_there(conversation)
            case Due.END_FOR_SILENCE:
                goodbye = conversation.settings.goodbye_message or GOODBYE
                self._end_with(conversation, Ending(EndReason.SILENCE, goodbye))
            case Due.APOLOGIZE:
                self._apologize(conversation)

    def _ask_whether_there(self, conversation: Conversation) -> None:
        change = Change(
            mark=f"silence:{conversation.turn}",
            values={"silences": conversation.silences + 1},
            takes_turn=True,
            turn=conversation.turn,
        )
        if (taken := self._change(conversation, change)) is not None:
            self.converse.speak(taken, taken.settings.silence_message, Source.SILENCE)

    def _apologize(self, conversation: Conversation) -> None:
        """Whoever was to answer is gone. What the callee wished for is still done, if it was the wish that counts."""
        if asks_for_opt_out(conversation):
            change = Change(mark=f"last:{conversation.turn}", takes_turn=True, turn=conversation.turn)
            if (taken := self._change(conversation, change)) is not None:
                self.converse.opt_out(taken)
            return
        fallback = conversation.settings.fallback_message
        self._end_with(conversation, Ending(EndReason.MODEL_FAILED, fallback, Source.FALLBACK))

    def _end_with(self, conversation: Conversation, ending: Ending) -> None:
        """Say the last words, unless somebody has said something meanwhile."""
        change = Change(mark=f"last:{conversation.turn}", takes_turn=True, turn=conversation.turn)
        if (taken := self._change(conversation, change)) is not None:
            self.converse.end(taken, ending)

    def _end(self, conversation: Conversation) -> None:
        """The last words were spoken: end the session, or connect the callee with somebody else.

        All of it can be done twice, and what ends the call comes before the note that it was done.
        """
        self.conversations.end_of_call(conversation)
        at = self.now()
        values: dict[str, Any] = {"ended_at": at, "connection_id": None}
        if conversation.transfer_to is not None:
            self._transfer(conversation, conversation.transfer_to)
        elif self._end_session(conversation):
            if conversation.voicemail_sent_at is not None:
                values["voicemail_played_at"] = conversation.voicemail_played_at or at
            self.converse.put(conversation, "hang_up", delay=END_TAKES)
        else:
            self._hang_up(conversation)
        self._change(conversation, Change("end", values=values))

    def _end_session(self, conversation: Conversation) -> bool:
        """True when the carrier was told; false when nobody is there to be told."""
        if conversation.connection_id is None:
            return False
        try:
            self.sockets.send(conversation.connection_id, {"type": "end"})
        except SocketFailed:
            return False
        return True

    def _give_up(self, conversation: Conversation) -> None:
        """The connection did not come back."""
        lost = EndReason.CONNECTION_LOST
        call = self._open_call(conversation)
        if call is not None and conversation.end_reason is None:
            conversation = self._change(conversation, Change("lost", values={"end_reason": lost})) or conversation
            self.conversations.end_of_call(conversation)
        self._hang_up(conversation)
        self._change(conversation, Change("end", values={"ended_at": self.now()}))

    def _hang_up(self, conversation: Conversation) -> None:
        """See to it that the carrier has ended the call."""
        call = self._open_call(conversation)
        if call is not None and call.carrier_call_id is not None:
            self._carrier(call).end_call(call.carrier_call_id)

    def _open_call(self, conversation: Conversation) -> Call | None:
        call = self.calls.get(conversation.organization_id, conversation.call_id)
        return call if call is not None and not call.status.is_terminal else None

    def _transfer(self, conversation: Conversation, destination: str) -> None:
        """Connect the callee with somebody, on the rules for any call; else there is nobody left to talk to."""
        call = self._open_call(conversation)
        if call is None or call.carrier_call_id is None:
            return
        owner = conversation.organization_id
        is_listed = not self.destinations.open_transfer(owner, destination, until=self.now() + TRANSFER_WINDOW)
        if is_listed or self.destinations.find_dnc_entry(None, destination) is not None:
            logger.warning("transfer_to_listed_number", extra={"call_id": call.id})
            self._carrier(call).end_call(call.carrier_call_id)
            return
        try:
            self._carrier(call).transfer_call(
                call.carrier_call_id,
                destination=destination,
                caller_number=call.caller_number,
                message=None,
                status_url=self.status_url(call),
            )
        except CallNotInProgress:
            return
        except DialplaneError as error:
            logger.error("transfer_failed", extra={"call_id": call.id, "reason": error.code})
            self._carrier(call).end_call(call.carrier_call_id)

    def _record(self, conversation: Conversation) -> None:
        call = self._open_call(conversation)
        if call is None or call.carrier_call_id is None or not conversation.is_open:
            return
        try:
            self._carrier(call).start_recording(call.carrier_call_id, status_url=self.status_url(call))
        except (CallNotInProgress, ControlUnsupported) as error:
            logger.warning("recording_not_started", extra={"call_id": call.id, "reason": error.code})

    # ---- machines ---------------------------------------------------------------------------------------------------

    def _meet_machine(self, conversation: Conversation, task: Mapping[str, Any]) -> None:
        """A machine has answered: hang up, leave a message once its greeting is over, or go on."""
        verdict, at = task["answered_by"], self.now()
        settings = conversation.settings
        if verdict not in _MACHINES or not conversation.is_open:
            return
        met = self._change(conversation, Change("machine", values={"machine_at": at, "owed_since": None}))
        conversation = met or conversation
        if settings.on_machine == "continue" or conversation.is_ending:
            return
        if settings.on_machine == "hang_up" or verdict == "fax" or settings.voicemail_message is None:
            self._leave(conversation, Ending(EndReason.VOICEMAIL))
        elif verdict in _GREETING_IS_OVER:
            message = settings.voicemail_message
            left = Ending(EndReason.VOICEMAIL, message, Source.VOICEMAIL, values={"voicemail_sent_at": at})
            self._leave(conversation, left)
        elif met is not None:
            # Its greeting is still going on. Should nobody report its end, it is over then.
            self.converse.put(conversation, "machine", delay=MACHINE_GREETING_MAX, answered_by="machine_silence")

    def _leave(self, conversation: Conversation, ending: Ending) -> None:
        taken = self._change(conversation, Change("leave", takes_turn=True))
        if taken is not None:
            self.converse.end(taken, ending)

    # ---- commands ---------------------------------------------------------------------------------------------------

    def _command(self, conversation: Conversation, task: Mapping[str, Any]) -> None:
        """A command of the customer's: carried out once, whatever becomes of the note about it."""
        was_carried_out = f"command:{task['command_id']}" in conversation.marks
        is_over = not conversation.is_open or conversation.is_ending or self._open_call(conversation) is None
        is_done = was_carried_out or (not is_over and self._carry_out(conversation, task))
        self.finish_command(task, "applied" if is_done else CallNotInProgress.code)

    def _carry_out(self, conversation: Conversation, task: Mapping[str, Any]) -> bool:
        """False when the call was over before the command could be carried out."""
        mark, at = f"command:{task['command_id']}", self.now()
        content = task.get("content") or ""
        match task["type"]:
            case "inject-context":
                asks = bool(task.get("trigger_response"))
                entry = Entry(EntryKind.CONTEXT, at, content)
                values = {"owed_since": at} if asks else {}
                taken = self._change(conversation, Change(mark, (entry,), values, takes_turn=asks))
                if taken is not None and asks:
                    self.converse.respond(taken, self.monotonic())
            case "say" if not task.get("end_after"):
                # Nobody loses the turn over it: what the callee has asked is still answered.
                entry = Entry(EntryKind.ASSISTANT, at, content, turn=conversation.turn, source=Source.COMMAND)
                until = speech_ends(conversation, content, now=at)
                taken = self._change(conversation, Change(mark, (entry,), {"speech_ends_at": until}))
                return taken is not None and self.converse.send(taken, content)
            case _:
                taken = self._change(conversation, Change(mark, takes_turn=True))
                if taken is not None:
                    to = task.get("destination")
                    reason = EndReason.TRANSFER if to else EndReason.COMMAND
                    self.converse.end(taken, Ending(reason, content, Source.COMMAND, transfer_to=to))
        return taken is not None

    def _carrier(self, call: Call) -> Carrier:
        return self.open_carrier(call.organization_id, call.carrier, call.carrier_account_id)

    def _change(self, conversation: Conversation, change: Change) -> Conversation | None:
        return self.conversations.change(conversation.organization_id, conversation.call_id, change)
