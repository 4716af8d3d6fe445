"""Attend to conversations when no frame of theirs comes: timers, commands of the customer, verdicts about machines.

Tasks come late, twice and out of order; each looks at the conversation as it is and does only what is due then.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
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
    is_machine_served,
    look,
    speech_ends,
)
from dialplane.domain.dnc import DncEntry
from dialplane.domain.errors import CallNotInProgress, ControlUnsupported, DialplaneError
from dialplane.domain.times import from_text
from dialplane.usecases.answering import GOODBYE, Ending
from dialplane.usecases.browse_calls import ACCEPTED, APPLIED
from dialplane.usecases.converse import Conversations, ConverseUseCase, asks_for_opt_out
from dialplane.usecases.sockets import SocketFailed, Sockets

logger = logging.getLogger(__name__)

END_TAKES = timedelta(seconds=10)
"""How long a carrier may take to end a call whose session we have ended; then it is asked to."""
MACHINE_GREETING_MAX = timedelta(seconds=20)
"""How long a machine's greeting is waited for to end when nobody reports its end."""
TRANSFER_WINDOW = timedelta(seconds=10)
OPT_OUT_RETRY_SECONDS = 60
WAIT_SECONDS = 2
WAITS_MAX = 15
"""How often a verdict about a machine is put back that came before there was anybody to be told of it."""
_RECORDED, _TRANSFERRING = "recorded", "transferring"
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
    command_result: Callable[[Mapping[str, Any]], str | None]
    """What is on record of a command; None when nothing is."""
    now: Callable[[], datetime]
    monotonic: Callable[[], float]

    def attend(self, task: Mapping[str, Any]) -> None:
        """One task. Raises what stands in its way, for it to be delivered again."""
        if task["kind"] == "opt_out":
            self._list(task)
            return
        conversation = self.conversations.get(task["organization_id"], task["call_id"])
        if task["kind"] == "machine" and (conversation is None or not conversation.turn) and self._waits(task):
            return
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
            case "record":
                self._record(conversation)
            case "machine":
                self._meet_machine(conversation, task)
            case "command":
                self._command(conversation, task)

    def _list(self, task: Mapping[str, Any]) -> None:
        """Somebody has asked not to be called, and it could not be written down then: as often as it takes.

        That is not a matter of the conversation any more, which may be over and erased.
        """
        call = self.calls.get(task["organization_id"], task["call_id"])
        if call is None:
            raise LookupError("an opt-out of a call that is not there")
        try:
            self.converse.list_callee(call.organization_id, call.id, call.destination, from_text(task["at"]))
        except Exception:
            logger.exception("opt_out_failed", extra={"call_id": call.id})
            self.converse.tasks.put(task, delay_seconds=OPT_OUT_RETRY_SECONDS)

    def _waits(self, task: Mapping[str, Any]) -> bool:
        """A verdict may be faster than the WebSocket; true when it was put back for a moment."""
        waited = int(task.get("waited", 0))
        call = self.calls.get(task["organization_id"], task["call_id"]) if waited < WAITS_MAX else None
        if call is None or call.status.is_terminal:
            return False
        self.converse.tasks.put({**task, "waited": waited + 1}, delay_seconds=WAIT_SECONDS)
        return True

    # ---- timers -----------------------------------------------------------------------------------------------------

    def _look(self, conversation: Conversation, task: Mapping[str, Any]) -> None:
        found = look(conversation, now=self.now())
        match found.due:
            case Due.NOTHING:
                return
            case Due.END:
                self.converse.heed(conversation)
                self._end(conversation)
            case Due.HANG_UP:
                self.converse.heed(conversation)
                self._give_up(conversation)
            case Due.LATER:
                # Whoever took a later turn has somebody look as well, unless that was never finished. Words that
                # nobody answers any more take a turn and leave nobody to look.
                is_unfinished = conversation.owed_since is not None or conversation.disconnected_at is not None
                is_unanswered = conversation.is_ending or is_machine_served(conversation)
                if task.get("turn") == conversation.turn or is_unfinished or is_unanswered:
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
            self._transfer_once(conversation, conversation.transfer_to)
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

    def _transfer_once(self, conversation: Conversation, destination: str) -> None:
        """Somebody may have begun it and died; whether it took place is seen by the WebSocket, which it closes.

        Once more would tear apart those who talk by now.
        """
        if _TRANSFERRING in conversation.marks:
            if conversation.disconnected_at is None:
                self._transfer(conversation, destination)
        elif self._change(conversation, Change(_TRANSFERRING)) is not None:
            self._transfer(conversation, destination)

    def _transfer(self, conversation: Conversation, destination: str) -> None:
        """Connect the callee with somebody, on the rules for any call; else there is nobody left to talk to."""
        call = self._open_call(conversation)
        if call is None or call.carrier_call_id is None:
            return
        owner = conversation.organization_id
        is_listed = not self.destinations.open_transfer(owner, destination, until=self.now() + TRANSFER_WINDOW)
        if is_listed or self.destinations.find_dnc_entry(None, destination) is not None:
            logger.warning("transfer_to_listed_number", extra={"call_id": call.id})
            self._end_instead(conversation, call, call.carrier_call_id)
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
            self._end_instead(conversation, call, call.carrier_call_id)

    def _end_instead(self, conversation: Conversation, call: Call, carrier_call_id: str) -> None:
        """There is nobody to hand the callee over to: the call does not count as transferred."""
        ended = replace(conversation, end_reason=EndReason.ASSISTANT)
        self.conversations.end_of_call(ended, instead_of=EndReason.TRANSFER)
        self._carrier(call).end_call(carrier_call_id)

    def _record(self, conversation: Conversation) -> None:
        call = self._open_call(conversation)
        if call is None or call.carrier_call_id is None or not conversation.is_open or _RECORDED in conversation.marks:
            return
        try:
            self._carrier(call).start_recording(call.carrier_call_id, status_url=self.status_url(call))
        except (CallNotInProgress, ControlUnsupported) as error:
            logger.warning("recording_not_started", extra={"call_id": call.id, "reason": error.code})
        self._change(conversation, Change(_RECORDED))  # some carriers record as often as they are asked

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
            # What has to be said first was said into its greeting: whoever listens to the message hears only this.
            message = " ".join(filter(None, (settings.disclosure, settings.voicemail_message)))
            sent = {"voicemail_sent_at": at}
            self._leave(conversation, Ending(EndReason.VOICEMAIL, message, Source.VOICEMAIL, values_if_sent=sent))
        else:
            # Its greeting is still going on. Should nobody report its end, it is over then.
            self.converse.put(conversation, "machine", delay=MACHINE_GREETING_MAX, answered_by="machine_silence")

    def _leave(self, conversation: Conversation, ending: Ending) -> None:
        taken = self._change(conversation, Change("leave", takes_turn=True))
        if taken is None and "leave" in conversation.marks:
            taken = conversation  # whoever was about to has died
        if taken is not None:
            self.converse.end(taken, ending)

    # ---- commands ---------------------------------------------------------------------------------------------------

    def _command(self, conversation: Conversation, task: Mapping[str, Any]) -> None:
        """A command of the customer's: carried out once, whatever becomes of the note about it."""
        if self.command_result(task) not in (None, ACCEPTED):
            return  # carried out, or told to have failed before it was certain that it is on the queue
        is_over = not conversation.is_open or conversation.is_ending or self._open_call(conversation) is None
        if _mark_of(task) in conversation.marks:
            result = self._go_on(conversation, task, is_over=is_over)
        elif not is_over and self._carry_out(conversation, task):
            result = APPLIED
        else:
            result = CallNotInProgress.code
        self.finish_command(task, result)

    def _go_on(self, conversation: Conversation, task: Mapping[str, Any], *, is_over: bool) -> str:
        """Whoever began to carry it out has died: what is known of the result, or is still to be done."""
        if _is_saying(task):
            return APPLIED if f"{_mark_of(task)}:said" in conversation.marks else DialplaneError.code
        if task["type"] != "inject-context" and not is_over:
            self.converse.end(conversation, _ending_of(task))
        return APPLIED

    def _carry_out(self, conversation: Conversation, task: Mapping[str, Any]) -> bool:
        """False when the call was over before the command could be carried out."""
        mark, at = _mark_of(task), self.now()
        content = task.get("content") or ""
        if task["type"] == "inject-context":
            if conversation.is_full:
                return False
            asks = bool(task.get("trigger_response"))
            entry = Entry(EntryKind.CONTEXT, at, content)
            values = {"owed_since": at} if asks else {}
            taken = self._change(conversation, Change(mark, (entry,), values, takes_turn=asks))
            if taken is not None and asks:
                self.converse.respond(taken, self.monotonic())
            return taken is not None
        if _is_saying(task):
            # Nobody loses the turn over it: what the callee has asked is still answered.
            taken = None if conversation.is_full else self._change(conversation, Change(mark))
            if taken is None or not self.converse.send(taken, content):
                return False
            entry = Entry(EntryKind.ASSISTANT, at, content, turn=taken.turn, source=Source.COMMAND)
            until = speech_ends(taken, content, now=at)
            self._change(conversation, Change(f"{mark}:said", (entry,), {"speech_ends_at": until}))
            return True
        taken = self._change(conversation, Change(mark, takes_turn=True))
        if taken is not None:
            self.converse.end(taken, _ending_of(task))
        return taken is not None

    def _carrier(self, call: Call) -> Carrier:
        return self.open_carrier(call.organization_id, call.carrier, call.carrier_account_id)

    def _change(self, conversation: Conversation, change: Change) -> Conversation | None:
        return self.conversations.change(conversation.organization_id, conversation.call_id, change)


def _mark_of(task: Mapping[str, Any]) -> str:
    return f"command:{task['command_id']}"


def _is_saying(task: Mapping[str, Any]) -> bool:
    return task["type"] == "say" and not task.get("end_after")


def _ending_of(task: Mapping[str, Any]) -> Ending:
    to = task.get("destination")
    reason = EndReason.TRANSFER if to else EndReason.COMMAND
    return Ending(reason, task.get("content") or "", Source.COMMAND, transfer_to=to)
