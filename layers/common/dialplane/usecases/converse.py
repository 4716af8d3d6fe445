"""Hold a conversation: take in what the carrier says about it frame by frame, and answer while the callee waits.

Frames of one call may come twice, in any order and at the same time. Whoever takes a turn may speak until somebody else
takes the next one; whatever is decided is written first or can be done twice. What is due when nobody says anything
belongs to ``attend_conversations``; the wording for a model to ``domain.prompting``; the record to
``domain.conversations``.
"""

from __future__ import annotations

import contextlib
import logging
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Protocol

from dialplane.domain import opt_out
from dialplane.domain.conversation_settings import EndReason
from dialplane.domain.conversations import (
    OPT_OUT_SECONDS_MAX,
    Change,
    Conversation,
    Entry,
    EntryKind,
    Source,
    callee_turns,
    ends_call,
    is_machine_served,
    look,
    speech_ends,
    speech_time,
    transcript,
)
from dialplane.domain.dnc import DncEntry
from dialplane.domain.instructions import Instructions
from dialplane.domain.language_model import LanguageModel, ModelFailed, ToolCall
from dialplane.domain.times import to_text
from dialplane.usecases.answering import GOODBYE, Answer, Ending, Means, TurnLost
from dialplane.usecases.serve_instructions import InstructionsRequest
from dialplane.usecases.sockets import SocketFailed, Sockets
from dialplane.usecases.speech import SPOKEN_LENGTH_MAX

logger = logging.getLogger(__name__)

_TEXT_LENGTH_MAX = 4_096
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]+")
_RECONNECTED = "Sorry, I lost you for a moment. "
_SETUP_SECONDS_MAX = 10
"""After this long a connection is looked at whose setup may have been lost."""


_TELLING = frozenset({EndReason.OPT_OUT, EndReason.VOICEMAIL})
"""What a call has come to, whoever hangs up first."""


class Tasks(Protocol):
    """The queue of what is to be done about conversations later."""

    def put(self, task: Mapping[str, Any], *, delay_seconds: int = 0) -> None:
        """Have a task delivered, at least once, not before the delay is over."""


class Conversations(Protocol):
    """Where conversations are kept."""

    def open(
        self,
        organization_id: str,
        call_id: str,
        *,
        carrier_account_id: str,
        token: str,
        connection_id: str,
        at: datetime,
    ) -> bool:
        """Use up a call's token and let a connection hold its conversation; False when it must not."""

    def change(self, organization_id: str, call_id: str, change: Change) -> Conversation | None:
        """Make a change and return the conversation as it is then; None when it cannot be made any more."""

    def get(self, organization_id: str, call_id: str) -> Conversation | None:
        """The conversation of a call, strongly consistent."""

    def turn(self, organization_id: str, call_id: str) -> int | None:
        """Whose turn it is; None when the conversation is over."""

    def end_of_call(self, conversation: Conversation, *, instead_of: EndReason | None = None) -> None:
        """Note on the call why its conversation was ended; the first note stays but ``instead_of``."""


class Answers(Protocol):
    """Where an answered call is kept."""

    def answer(self, request: InstructionsRequest, *, at: datetime, next_check_at: datetime) -> Instructions | None:
        """Mark the call answered and bound to the carrier's; None when it is another's, or over."""


class Destinations(Protocol):
    """The do-not-call list."""

    def add_dnc_entry(self, organization_id: str | None, entry: DncEntry) -> object:
        """Put a number on the organization's list."""


class CustomerTools(Protocol):
    """The customer's own tools."""

    def call(self, conversation: Conversation, tool: ToolCall, seconds: float) -> str | None:
        """Use a tool, for so long at most: what it says, or that it failed, for the model to read.

        None when there is no such tool.
        """


@dataclass(frozen=True, slots=True)
class Connection:
    """The WebSocket that a frame came over, and the call that it was opened for."""

    organization_id: str
    call_id: str
    connection_id: str


@dataclass(frozen=True, slots=True)
class ConverseUseCase:
    """Takes in frames."""

    conversations: Conversations
    answers: Answers
    destinations: Destinations
    sockets: Sockets
    tasks: Tasks
    open_model: Callable[[Conversation], LanguageModel]
    """Raises ModelFailed."""
    customer_tools: CustomerTools
    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    check_interval: timedelta

    def take(
        self, connection: Connection, message_id: str, frame: Mapping[str, Any], *, received_at: datetime | None = None
    ) -> None:
        """One frame of the carrier's. ``message_id`` is the same when it is delivered again.

        ``received_at`` is when the gateway had it: frames may be handled in another order.
        """
        began, at = self.monotonic(), received_at or self.now()
        match frame.get("type"):
            case "setup":
                self._set_up(connection, frame)
            case "prompt":
                self._hear(connection, message_id, frame, began, at)
            case "dtmf":
                self._feel(connection, message_id, frame, began, at)
            case "interrupt":
                self._yield(connection, message_id, frame, at)
            case "error":
                logger.warning("relay_error", extra={"call_id": connection.call_id})
            case "info":
                pass
            case _:
                logger.warning("frame_not_understood", extra={"call_id": connection.call_id})

    def connect(self, connection: Connection) -> None:
        """The WebSocket is open. Should nothing ever come over it, somebody looks at it all the same."""
        ids = {"organization_id": connection.organization_id, "call_id": connection.call_id}
        with _without_timers(connection.call_id):  # an error would close a line on which all else may go well
            self.tasks.put({"kind": "look", **ids, "turn": 0}, delay_seconds=_SETUP_SECONDS_MAX)

    def disconnect(self, connection: Connection) -> None:
        """The WebSocket is closed. The carrier may open another one, or else report the end of the call."""
        change = Change(
            mark=f"gone:{connection.connection_id}",
            values={"connection_id": None, "owed_since": None, "disconnected_at": self.now()},
            takes_turn=True,
            connection_id=connection.connection_id,
        )
        if (conversation := self._change(connection, change)) is not None:
            self.look_again(conversation)

    # ---- frames -----------------------------------------------------------------------------------------------------

    def _set_up(self, connection: Connection, frame: Mapping[str, Any]) -> None:
        conversation = self.conversations.get(connection.organization_id, connection.call_id)
        if conversation is None or conversation.connection_id != connection.connection_id:
            self.sockets.close(connection.connection_id)
            return
        at = self.now()
        request = InstructionsRequest(
            organization_id=connection.organization_id,
            carrier_account_id=conversation.carrier_account_id,
            call_id=connection.call_id,
            carrier_call_id=_text(frame.get("callControlId") or frame.get("callSid")),
        )
        # That a relay was opened proves that somebody has answered, whatever becomes of the report of it.
        is_its_call = bool(request.carrier_call_id) and (
            self.answers.answer(request, at=at, next_check_at=at + self.check_interval) is not None
        )
        if not is_its_call:
            logger.warning("setup_refused", extra={"call_id": connection.call_id})
            self.sockets.close(connection.connection_id)
            return
        is_first = conversation.connections == 1
        # Words that have overtaken the first setup are being answered by whoever has taken them.
        takes_turn = conversation.turn == 0 or not is_first
        turn = conversation.turn + takes_turn
        greeting = _greeting(conversation, at, turn) if is_first or not _was_disclosed(conversation) else ()
        planned = (
            replace(conversation, turn=turn, speech_ends_at=at + _length(greeting)) if takes_turn else conversation
        )
        # First: who is cut off after the next write has somebody look all the same.
        with _without_timers(conversation.call_id):
            self.look_again(planned)
        change = Change(
            mark=f"setup:{connection.connection_id}",
            entries=greeting,
            values={
                "carrier_call_id": request.carrier_call_id,
                "session_id": _text(frame.get("sessionId")) or None,
                "speech_ends_at": planned.speech_ends_at,
            },
            takes_turn=takes_turn,
            connection_id=connection.connection_id,
        )
        begun = self._change(connection, change)
        if begun is None:
            return
        if begun.settings.is_recorded and greeting:
            # What is said before the callee knows of the recording is not recorded.
            with _without_timers(begun.call_id):
                self.put(begun, "record", delay=speech_time(begun.settings.disclosure or ""))
        if not is_first:
            # The carrier greets nobody in the middle of a conversation, and knows of none that had no words yet.
            if greeting and begun.settings.disclosure is not None:
                self.send(begun, begun.settings.disclosure, is_interruptible=False)
            if greeting and not callee_turns(begun.entries):
                self.send(begun, begun.settings.first_message)
            else:
                self.speak(begun, _RECONNECTED + _last_words(begun), Source.FALLBACK)
        elif begun.settings.disclosure is not None:
            self.send(begun, begun.settings.first_message)
        self._get_ready(begun)

    def _get_ready(self, conversation: Conversation) -> None:
        """Load what the first answer needs. Nobody waits for it now; after the callee's words it would be silence."""
        opt_out.prepare()
        with contextlib.suppress(ModelFailed):  # what stands in its way is heard of when it is asked something
            self.open_model(conversation)

    def send(self, conversation: Conversation, text: str, *, is_interruptible: bool = True) -> bool:
        """Send a text to be spoken as it is; False when nobody is there to hear it."""
        if conversation.connection_id is None:
            return False
        try:
            frame = {"type": "text", "token": text, "last": True}
            self.sockets.send(
                conversation.connection_id, frame if is_interruptible else {**frame, "interruptible": False}
            )
        except SocketFailed as failure:
            logger.warning("socket_failed", extra={"call_id": conversation.call_id, "reason": str(failure)})
            return False
        return True

    def _hear(
        self, connection: Connection, message_id: str, frame: Mapping[str, Any], began: float, at: datetime
    ) -> None:
        words = _text(frame.get("voicePrompt"))
        if not words or frame.get("last") is False:
            return
        conversation = self._take_turn(connection, message_id, Entry(EntryKind.CALLEE, at, words))
        if conversation is not None:
            self._answer(conversation, words, began)

    def _feel(
        self, connection: Connection, message_id: str, frame: Mapping[str, Any], began: float, at: datetime
    ) -> None:
        digit = _text(frame.get("digit"))[:1]
        if not digit:
            return
        conversation = self._take_turn(connection, message_id, Entry(EntryKind.DIGITS, at, digit))
        if conversation is None:
            return
        if digit == conversation.settings.opt_out_digit and conversation.opted_out_at is None:
            self.opt_out(conversation)
        else:
            self._answer(conversation, "", began)

    def _yield(self, connection: Connection, message_id: str, frame: Mapping[str, Any], at: datetime) -> None:
        """The callee speaks over us: whoever still prepares more of the answer has lost the turn."""
        change = Change(
            mark=f"in:{message_id}",
            values={"owed_since": None, "speech_ends_at": self.now(), "last_heard_at": at, "silences": 0},
            takes_turn=True,
            connection_id=connection.connection_id,
            heard_by=at,
        )
        conversation = self._change(connection, change)
        if conversation is not None:
            self._cut(conversation, message_id, frame, at, conversation.turn - 1)
            self.look_again(conversation)
            return
        # What the callee has said after it was faster: that is being answered, and nobody is to be stopped.
        conversation = self.conversations.get(connection.organization_id, connection.call_id)
        if conversation is not None and conversation.connection_id == connection.connection_id:
            self._cut(conversation, message_id, frame, at, None)

    def _cut(
        self, conversation: Conversation, message_id: str, frame: Mapping[str, Any], at: datetime, turn: int | None
    ) -> None:
        """Put on record what was heard until then. ``turn`` is the one that may still be spoken."""
        if not isinstance(frame.get("utteranceUntilInterrupt"), str) or conversation.is_full:
            return
        heard = _text(frame["utteranceUntilInterrupt"])
        cut = _interrupted_turn(conversation, heard, at, turn)
        if cut is not None:
            note = Entry(EntryKind.INTERRUPTION, at, heard[:SPOKEN_LENGTH_MAX], turn=cut)
            self._change(conversation, Change(mark=f"cut:{message_id}", entries=(note,)))

    def _take_turn(self, connection: Connection, message_id: str, entry: Entry) -> Conversation | None:
        """Put what the callee has said on record and owe an answer, in one write that also reads everything."""
        change = Change(
            mark=f"in:{message_id}",
            entries=(entry,),
            values={"owed_since": self.now(), "last_heard_at": entry.at, "silences": 0},
            takes_turn=True,
            connection_id=connection.connection_id,
        )
        return self._change(connection, change)

    # ---- answers ----------------------------------------------------------------------------------------------------

    def _answer(self, conversation: Conversation, words: str, began: float) -> None:
        settings = conversation.settings
        if conversation.opted_out_at is None and opt_out.is_opt_out(words, settings.language):
            self.opt_out(conversation)
        elif conversation.is_ending or is_machine_served(conversation):
            # The last words are being spoken, or a machine is: there is nobody to answer.
            self._change(conversation, Change(f"said:{conversation.turn}", values={"owed_since": None}))
        elif ends_call(words, settings.end_phrases):
            self.end(conversation, Ending(EndReason.END_PHRASE, settings.goodbye_message or GOODBYE))
        elif conversation.is_full or callee_turns(conversation.entries) > settings.turns_max:
            self.end(conversation, Ending(EndReason.TURN_LIMIT, settings.goodbye_message or GOODBYE))
        else:
            self.respond(conversation, began)

    def respond(self, conversation: Conversation, began: float) -> None:
        """Have the model answer, and speak while it does. What it cannot say is said for it: nobody hears silence."""
        answer = Answer(conversation, self._means, began)
        ending = None
        try:
            ending = answer.think()
        except TurnLost:
            pass
        except SocketFailed as failure:
            logger.warning("socket_failed", extra={"call_id": conversation.call_id, "reason": str(failure)})
        except ModelFailed as failure:
            logger.error("model_failed", extra={"call_id": conversation.call_id, "reason": failure.reason})
            ending = self._after_failure(conversation)
        except Exception:
            logger.exception("answer_failed", extra={"call_id": conversation.call_id})
            ending = self._after_failure(conversation)
        if ending is not None and ending.reason is EndReason.OPT_OUT:
            ending = self._put_on_list(conversation)
        self._close_turn(conversation, answer, Source.MODEL, ending)

    def _after_failure(self, conversation: Conversation) -> Ending | None:
        """None when nobody waits for this answer any more: somebody else gives the callee another."""
        turn = self.conversations.turn(conversation.organization_id, conversation.call_id)
        return _after_failure(conversation) if turn == conversation.turn else None

    def speak(
        self, conversation: Conversation, text: str, source: Source, *, values: Mapping[str, Any] | None = None
    ) -> None:
        """Say a text that no model has made, and put ``values`` on record with it."""
        answer = Answer(conversation, self._means, self.monotonic())
        answer.add(text)
        self._close_turn(conversation, answer, source, values=values or {})

    def end(self, conversation: Conversation, ending: Ending) -> None:
        """Say the last words; the session ends when they will have been spoken."""
        answer = Answer(conversation, self._means, self.monotonic())
        self._close_turn(conversation, answer, Source.MODEL, ending)

    def opt_out(self, conversation: Conversation) -> None:
        """Put the callee on the list, say so, and end the call. What fails is tried again; the call ends anyway."""
        self.end(conversation, self._put_on_list(conversation))

    def heed(self, conversation: Conversation) -> None:
        """Put a callee on the list whose wish nobody has seen to, when the call is over or about to be."""
        if asks_for_opt_out(conversation):
            self._change(conversation, Change("heeded", values=self._put_on_list(conversation).values))

    def _put_on_list(self, conversation: Conversation) -> Ending:
        at = self.now()
        message = conversation.settings.opt_out_message
        try:
            self.list_callee(conversation.organization_id, conversation.call_id, conversation.destination, at)
        except Exception:
            logger.exception("opt_out_failed", extra={"call_id": conversation.call_id})
            self.put(conversation, "opt_out", delay=timedelta(seconds=1), at=to_text(at))
            message = conversation.settings.goodbye_message or GOODBYE  # nothing is confirmed that is not so
        values = {"opted_out_at": at}
        return Ending(EndReason.OPT_OUT, message, Source.OPT_OUT, within=OPT_OUT_SECONDS_MAX, values=values)

    def list_callee(self, organization_id: str, call_id: str, number: str, at: datetime) -> None:
        """Put the callee on the organization's do-not-call list."""
        entry = DncEntry(number=number, reason=f"Asked during {call_id}", source="callee", added_at=at)
        self.destinations.add_dnc_entry(organization_id, entry)

    def _close_turn(
        self,
        conversation: Conversation,
        answer: Answer,
        source: Source,
        ending: Ending | None = None,
        values: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """Send the rest, see to it that somebody looks again, and put on record what was said."""
        if ending is not None and ending.message:
            answer.add(ending.message, is_interruptible=False)
        answer.finish()
        at = self.now()
        spoken_until = speech_ends(conversation, answer.text, now=at)
        changed = {**values, "owed_since": None, "speech_ends_at": spoken_until}
        if ending is not None:
            ends_at = min(spoken_until, at + ending.within) if ending.within is not None else spoken_until
            changed |= {"ends_at": ends_at, "end_reason": ending.reason, "transfer_to": ending.transfer_to}
            changed |= ending.values
            changed |= ending.values_if_sent if answer.are_last_words_sent else {}
        entries = answer.entries(at, source, ending.source if ending is not None else source)
        # First: who is cut off between the two has somebody look all the same.
        failure = None
        try:
            self.look_again(replace(conversation, **changed))
        except Exception as error:  # whoever looks at an earlier turn sees to it then
            failure = error
        mark = f"said:{conversation.turn}"
        # An ending is decided, whoever has the turn now, and only a wish not to be called takes the place of another;
        # an answer gives the turn back only if it still has it.
        turn = conversation.turn if ending is None else None
        absent = None if ending is None else "opted_out_at" if ending.reason is EndReason.OPT_OUT else "ends_at"
        change = Change(mark, entries, changed, turn=turn, absent=absent)
        closed = self._change(conversation, change)
        if closed is None and entries:
            self._change(conversation, Change(f"{mark}:late", entries))
        if closed is not None and closed.end_reason in _TELLING:
            self.conversations.end_of_call(closed)
        if failure is not None:
            if closed is not None and ending is not None and ending.transfer_to is None:
                # Nobody may come to do it later: last words that are cut off are better than a line that stays open.
                with contextlib.suppress(SocketFailed):
                    self.sockets.send(str(closed.connection_id), {"type": "end"})
            raise failure

    # ---- later ------------------------------------------------------------------------------------------------------

    def look_again(self, conversation: Conversation) -> None:
        """Have somebody look when something may be due."""
        now = self.now()
        again_at = look(conversation, now=now).again_at or now
        self.put(conversation, "look", delay=again_at - now, turn=conversation.turn)

    def put(self, conversation: Conversation, kind: str, *, delay: timedelta, **details: Any) -> None:
        """Have something done about the conversation after the delay."""
        task = {"kind": kind, "organization_id": conversation.organization_id, "call_id": conversation.call_id}
        self.tasks.put({**task, **details}, delay_seconds=max(0, math.ceil(delay.total_seconds())))

    def _change(self, of: Connection | Conversation, change: Change) -> Conversation | None:
        return self.conversations.change(of.organization_id, of.call_id, change)

    @property
    def _means(self) -> Means:
        return Means(
            self.open_model, self.customer_tools.call, self.sockets.send, self.conversations.turn, self.monotonic
        )


def asks_for_opt_out(conversation: Conversation) -> bool:
    """Whether the callee has asked not to be called, and nothing was said to it yet."""
    if conversation.opted_out_at is not None:
        return False
    settings = conversation.settings
    return any(
        opt_out.is_opt_out(entry.text, settings.language)
        if entry.kind is EntryKind.CALLEE
        else entry.kind is EntryKind.DIGITS and entry.text == settings.opt_out_digit
        for entry in conversation.entries
    )


def _was_disclosed(conversation: Conversation) -> bool:
    """Whether the callee has been greeted, and has surely heard all that has to be said first."""
    greeted = [entry for entry in conversation.entries if entry.source in (Source.DISCLOSURE, Source.FIRST_MESSAGE)]
    disclosed_at = [entry.at + speech_time(entry.text) for entry in greeted if entry.source is Source.DISCLOSURE]
    if not disclosed_at:
        return bool(greeted) or bool(conversation.entries)
    return conversation.entries[-1].at >= disclosed_at[-1]


def _length(entries: Iterable[Entry]) -> timedelta:
    return sum((speech_time(entry.text) for entry in entries), timedelta())


@contextlib.contextmanager
def _without_timers(call_id: str) -> Iterator[None]:
    """A callee who listens is greeted although nobody can be told to look later."""
    try:
        yield
    except Exception:
        logger.exception("timer_not_set", extra={"call_id": call_id})


def _greeting(conversation: Conversation, at: datetime, turn: int) -> tuple[Entry, ...]:
    """What is said first: the disclosure, which the carrier speaks by itself, then the first message."""
    settings = conversation.settings
    texts = ((settings.disclosure or "", Source.DISCLOSURE), (settings.first_message, Source.FIRST_MESSAGE))
    return tuple(Entry(EntryKind.ASSISTANT, at, text, turn=turn, source=source) for text, source in texts if text)


def _last_words(conversation: Conversation) -> str:
    spoken = [each.text for each in transcript(conversation.entries) if each.speaker == "assistant"]
    return spoken[-1] if spoken else ""


def _interrupted_turn(conversation: Conversation, heard: str, at: datetime, latest: int | None) -> int | None:
    """The turn whose words were cut: the last that had been sent by then and has these words, else the latest."""
    spoken = [
        entry
        for entry in conversation.entries
        if entry.kind is EntryKind.ASSISTANT and entry.turn is not None and entry.at <= at
    ]
    if heard:
        cut = next((entry for entry in reversed(spoken) if _letters(heard) in _letters(entry.text)), None)
        return cut.turn if cut is not None else latest
    return latest if latest is not None or not spoken else spoken[-1].turn


def _letters(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())


def _after_failure(conversation: Conversation) -> Ending:
    settings = conversation.settings
    if settings.on_failure == "transfer" and settings.transfer_number is not None:
        return Ending(
            EndReason.TRANSFER, settings.fallback_message, Source.FALLBACK, transfer_to=settings.transfer_number
        )
    return Ending(EndReason.MODEL_FAILED, settings.fallback_message, Source.FALLBACK)


def _text(value: object) -> str:
    """A text of a frame, without what cannot be kept or spoken."""
    return _UNPRINTABLE.sub(" ", value).strip()[:_TEXT_LENGTH_MAX] if isinstance(value, str) else ""
