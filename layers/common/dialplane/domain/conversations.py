"""A conversation: what was said on a call, what is owed to the callee, and what is due next. Pure rules.

The record of a conversation only grows. Two frames of one call may be handled at the same moment and in any order, so
nothing that was written is ever changed: what was really heard is read out of the record (``transcript``). Whom the
words come from belongs to ``models``; how they travel to ``usecases.converse``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any, Literal

from dialplane.domain.conversation_settings import ConversationSettings, EndReason


class EntryKind(StrEnum):
    """What an entry of the record is about."""

    CALLEE = "callee"
    """Words of the callee."""
    DIGITS = "digits"
    """A key that the callee has pressed."""
    ASSISTANT = "assistant"
    """Words that were sent to be spoken."""
    INTERRUPTION = "interruption"
    """The callee spoke over the assistant; ``text`` is what had been heard until then."""
    CONTEXT = "context"
    """What the customer's software has told the model during the call."""
    TOOL = "tool"
    """A tool that the model has used."""


class Source(StrEnum):
    """Where the assistant's words come from."""

    DISCLOSURE = "disclosure"
    FIRST_MESSAGE = "first_message"
    MODEL = "model"
    FALLBACK = "fallback"
    COMMAND = "command"
    OPT_OUT = "opt_out"
    SILENCE = "silence"
    FAREWELL = "farewell"
    VOICEMAIL = "voicemail"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the record. ``turn`` says which turn the assistant's words, an interruption or a tool belong to."""

    kind: EntryKind
    at: datetime
    text: str = ""
    turn: int | None = None
    source: Source | None = None
    first_token_ms: int | None = None
    """How long the model took to its first token, from the frame that asked for it."""
    tool: str | None = None
    arguments_json: str | None = None


SIZE_MAX = 300_000
"""Bytes. DynamoDB keeps 400 kB: the rest is for last words, and for whoever does not want to be called again."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """The state of a conversation, as one item. Times are UTC.

    ``turn`` counts whatever changes whose turn it is; only the bearer of the latest number may still speak.
    """

    organization_id: str
    call_id: str
    settings: ConversationSettings
    started_at: datetime
    connection_id: str | None = None
    """The WebSocket that is open now."""
    connections: int = 1
    carrier: str = ""
    carrier_account_id: str = ""
    destination: str = ""
    caller_number: str = ""
    carrier_call_id: str | None = None
    session_id: str | None = None
    disconnected_at: datetime | None = None
    """Since when no WebSocket is open."""
    turn: int = 0
    owed_since: datetime | None = None
    """Since when the callee waits for an answer that nobody has finished."""
    entries: tuple[Entry, ...] = ()
    marks: frozenset[str] = frozenset()
    """What was taken in or written once already, by name: frames, turns, commands."""
    speech_ends_at: datetime | None = None
    """When all that was sent will have been spoken, by estimate."""
    last_heard_at: datetime | None = None
    silences: int = 0
    """How often in a row a silent callee was asked whether somebody is there."""
    end_reason: EndReason | None = None
    ends_at: datetime | None = None
    """When the session is to be ended: the last words will have been spoken by then."""
    transfer_to: str | None = None
    ended_at: datetime | None = None
    opted_out_at: datetime | None = None
    machine_at: datetime | None = None
    """When an answering machine was detected."""
    voicemail_sent_at: datetime | None = None
    voicemail_played_at: datetime | None = None
    """When the carrier has confirmed the whole message played, or the line was still open when it must have been."""
    summary: str | None = None
    analysis_json: str | None = None
    analyzed_at: datetime | None = None
    expires_at: int | None = None
    """Unix seconds from which on nothing of it is shown any more."""
    size: int = 0
    """About how many bytes are kept of it; whoever reads it counts."""

    @property
    def is_full(self) -> bool:
        """True once there is only room left to end it."""
        return self.size > SIZE_MAX

    @property
    def is_open(self) -> bool:
        """True while anything may still be said."""
        return self.ended_at is None

    @property
    def is_ending(self) -> bool:
        """True once the last words were sent."""
        return self.ends_at is not None

    def is_expired(self, now: datetime) -> bool:
        """True once nothing of it may be shown any more."""
        return self.expires_at is not None and now.timestamp() >= self.expires_at


@dataclass(frozen=True, slots=True)
class Utterance:
    """One line of a transcript: what was said, and of the assistant's words what was heard of them."""

    speaker: Literal["assistant", "callee"]
    text: str
    at: datetime
    source: Source | None = None
    is_interrupted: bool = False
    first_token_ms: int | None = None


def as_heard(entries: Iterable[Entry]) -> Iterator[tuple[Entry, str, bool]]:
    """Every entry in order with its text as the other side has heard it, and whether an interruption has cut it.

    An interruption names the turn whose words it has cut; it may stand before them in the record, because who was
    still sending them had not heard of it.
    """
    entries = tuple(entries)
    heard = {entry.turn: entry.text for entry in entries if entry.kind is EntryKind.INTERRUPTION}
    last_of_turn = {entry.turn: index for index, entry in enumerate(entries) if entry.kind is EntryKind.ASSISTANT}
    for index, entry in enumerate(entries):
        is_words = entry.kind is EntryKind.ASSISTANT
        is_cut = is_words and entry.turn in heard and last_of_turn[entry.turn] == index
        pressed = f"[pressed {entry.text}]" if entry.kind is EntryKind.DIGITS else entry.text
        yield entry, heard[entry.turn] if is_cut else pressed, is_cut


def transcript(entries: Iterable[Entry]) -> tuple[Utterance, ...]:
    """What was said and heard, in order. Words that an interruption has cut end where the callee stopped listening."""
    spoken: list[Utterance] = []
    for entry, text, is_cut in as_heard(entries):
        match entry.kind:
            case EntryKind.CALLEE | EntryKind.DIGITS:
                spoken.append(Utterance("callee", text, entry.at))
            case EntryKind.ASSISTANT if text:
                spoken.append(Utterance("assistant", text, entry.at, entry.source, is_cut, entry.first_token_ms))
            case _:
                pass
    return tuple(spoken)


_CHARACTERS_PER_SECOND = 14.0
"""How fast speech is, on the slow side: cutting the last words off is worse than a short silence."""
_PAUSE_SECONDS = 0.7
_PAUSES = re.compile(r"[.!?;:。！？]+")
_DIGIT_SECONDS, _SYLLABLE_SECONDS = 0.4, 0.2
_DIGITS = re.compile("[0-9]")
_SYLLABLES = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]")
"""Signs that stand for a syllable at least: Chinese, Japanese, Korean."""


def speech_time(text: str) -> timedelta:
    """How long a text takes to be spoken, by estimate."""
    if not text.strip():
        return timedelta()
    pauses, digits = len(_PAUSES.findall(text)), len(_DIGITS.findall(text))
    syllables = 0 if text.isascii() else len(_SYLLABLES.findall(text))
    letters = len(text) - digits - syllables
    words = letters / _CHARACTERS_PER_SECOND + digits * _DIGIT_SECONDS + syllables * _SYLLABLE_SECONDS
    return timedelta(seconds=words + _PAUSE_SECONDS * (1 + pauses))


def speech_ends(conversation: Conversation, text: str, *, now: datetime) -> datetime:
    """When a text that is sent now will have been spoken: after whatever is being spoken."""
    begins = max(now, conversation.speech_ends_at or now)
    return begins + speech_time(text)


OPT_OUT_SECONDS_MAX = timedelta(seconds=6)
"""How long after an opt-out the call may last, its confirmation included. The rule is ten seconds, and a timer may ring
late, in a function that starts."""


class Due(StrEnum):
    """What a look at a conversation finds to be done."""

    NOTHING = "nothing"
    """And nothing will be: it has ended."""
    LATER = "later"
    END = "end"
    """The last words were spoken: end the session."""
    ASK_WHETHER_THERE = "ask_whether_there"
    END_FOR_SILENCE = "end_for_silence"
    APOLOGIZE = "apologize"
    """An answer is overdue: whoever was to give it is gone."""
    HANG_UP = "hang_up"
    """The connection is lost and did not come back: nobody hears us, so the carrier has to end the call."""


@dataclass(frozen=True, slots=True)
class Look:
    """What is due, and when to look again."""

    due: Due
    again_at: datetime | None = None


OVERDUE = timedelta(seconds=27)
"""An answer that is owed for so long is not being prepared any more: a function lives 26 seconds at most."""


RECONNECT_WINDOW = timedelta(seconds=15)
"""How long a carrier may take to open another WebSocket after it has lost one."""


SETUP_WINDOW = timedelta(seconds=20)
"""How long a carrier may take from the handshake to the first word about the call; a cold function is in it."""


def look(conversation: Conversation, *, now: datetime) -> Look:
    """What is due of a conversation now; ``again_at`` is when something may be due next, if nobody says anything."""
    if not conversation.is_open:
        return Look(Due.NOTHING)
    if conversation.ends_at is not None:
        return Look(Due.END) if now >= conversation.ends_at else Look(Due.LATER, conversation.ends_at)
    if conversation.disconnected_at is not None:
        lost_at = conversation.disconnected_at + RECONNECT_WINDOW
        return Look(Due.HANG_UP) if now >= lost_at else Look(Due.LATER, lost_at)
    if conversation.carrier_call_id is None and conversation.turn == 0:
        missing_at = conversation.started_at + SETUP_WINDOW
        return Look(Due.HANG_UP) if now >= missing_at else Look(Due.LATER, missing_at)
    if conversation.owed_since is not None:
        overdue_at = conversation.owed_since + OVERDUE
        return Look(Due.APOLOGIZE) if now >= overdue_at else Look(Due.LATER, overdue_at)
    return _look_at_silence(conversation, now)


def is_machine_served(conversation: Conversation) -> bool:
    """True for a machine that is not to be talked with: it is left a message, or nothing."""
    return conversation.machine_at is not None and conversation.settings.on_machine != "continue"


MACHINE_TIME_MAX = timedelta(seconds=60)
"""How long a machine is listened to in silence."""


def _look_at_silence(conversation: Conversation, now: datetime) -> Look:
    if conversation.machine_at is not None and is_machine_served(conversation):
        left_at = conversation.machine_at + MACHINE_TIME_MAX
        return Look(Due.END_FOR_SILENCE) if now >= left_at else Look(Due.LATER, left_at)
    silent_at = silence_begins(conversation) + timedelta(seconds=conversation.settings.silence_timeout_seconds)
    if now < silent_at:
        return Look(Due.LATER, silent_at)
    if conversation.silences >= conversation.settings.silence_prompts:
        return Look(Due.END_FOR_SILENCE)
    return Look(Due.ASK_WHETHER_THERE)


def silence_begins(conversation: Conversation) -> datetime:
    """From when on nobody has said anything."""
    moments = (conversation.started_at, conversation.speech_ends_at, conversation.last_heard_at)
    return max(moment for moment in moments if moment is not None)


def ends_call(text: str, phrases: Sequence[str]) -> bool:
    """Whether what the callee said is one of the phrases that end the call: the phrase in whole words, in any case."""
    heard = f" {_words(text)} "
    return any(words and f" {words} " in heard for words in map(_phrase, phrases))


@lru_cache(maxsize=1024)
def _phrase(text: str) -> str:
    """The words of a phrase, which are asked for at every turn; those of callees are not kept."""
    return _words(text)


def _words(text: str) -> str:
    return " ".join(re.findall(r"[^\W_]+", text.casefold().replace("'", "").replace("’", "")))


@dataclass(frozen=True, slots=True)
class Change:
    """One write to a conversation that is still open. It is made once: ``mark`` names it for ever.

    ``values`` are fields of ``Conversation`` by name; None takes a field away. ``connection_id`` and ``turn`` are
    conditions: the frame's own connection must still be the call's, the turn still the latest. ``absent`` is a field
    that must have no value yet.
    """

    mark: str
    entries: tuple[Entry, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    takes_turn: bool = False
    connection_id: str | None = None
    turn: int | None = None
    absent: str | None = None
    heard_by: datetime | None = None
    """The callee must not have been heard later than this."""


def callee_turns(entries: Iterable[Entry]) -> int:
    """How often the callee has said or pressed something."""
    return sum(entry.kind in (EntryKind.CALLEE, EntryKind.DIGITS) for entry in entries)
