"""One ConversationRelay session: the frames between an application and a callee who listens, answers and breaks in.

Frames follow https://www.twilio.com/docs/voice/conversationrelay/websocket-messages; Telnyx speaks the same. What is
spoken takes time on the call's own time line, simulated time; waiting for the application takes real time, because no
clock makes it faster. What the callee decides is `callee`'s, how much it has heard by when `speech`'s.
"""

import asyncio
import json
import math
import socket
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from sandbox.carriers.callee import CalleeOnCall, Choice
from sandbox.carriers.callee_scripts import Mischief, Move
from sandbox.carriers.faults import RELAY_MESSAGE_INVALID
from sandbox.carriers.line import CallEnds, Ending, LineInterrupted
from sandbox.carriers.session import SocketSession
from sandbox.carriers.speech import KEYS, SPEECH, Cut, Playback, speaking_seconds

LISTENS_FIRST_SECONDS = 2.0
LEFT_ALONE_SECONDS = 3.0
"""Silence after which somebody who was spoken to understands that it is their turn."""
HESITATION_SECONDS = 6.0
"""Silence in the middle of an utterance after which nobody expects it to go on."""
GREETED_SECONDS = 10.0
"""The same for somebody who has heard nothing but the carrier's greeting: who has greeted has more to say."""
TURN_SECONDS = 1.0
"""Silence after which a person at a terminal is told that it is their turn."""
PATIENCE_SECONDS = 30.0
"""For how long somebody who was spoken to once listens to silence."""
HANGS_UP_SECONDS = 0.5
"""From somebody's last word to the hang-up."""
RECORDS_SILENCE_SECONDS = 20.0
"""After how much silence an answering machine hangs up."""
FRAME_BYTES_MAX = 32 * 1024
# Sums of simulated seconds are floats.
_ROUNDING_SECONDS = 1e-6
_EVERYTHING = frozenset({SPEECH, KEYS})
_INTERRUPTIBLE: Final[Mapping[str, frozenset[str]]] = {
    "any": _EVERYTHING,
    "true": _EVERYTHING,
    "speech": frozenset({SPEECH}),
    "dtmf": frozenset({KEYS}),
    "none": frozenset(),
    "false": frozenset(),
}
TOKENS_PLAYED = "tokens-played"
_GARBAGE = (
    "this is no JSON",
    '{"type": "prompt", "voicePrompt": ',
    "[1, 2, 3]",
    "null",
    '{"type": "surprise", "voicePrompt": "hello"}',
    '{"type": "prompt"}',
    '{"type": "prompt", "voicePrompt": {"a": 1}, "last": "yes"}',
    '{"type": "dtmf", "digit": ["9"]}',
    '{"type": "interrupt", "utteranceUntilInterrupt": 7, "durationUntilInterruptMs": "soon"}',
    '{"type": 5}',
)


@dataclass(frozen=True)
class RelaySettings:
    """How the application wants its session. `*cut_by` and `reports` are sets of speech and dtmf."""

    custom_parameters: Mapping[str, Any]
    greeting: str = ""
    greeting_cut_by: frozenset[str] = _EVERYTHING
    cut_by: frozenset[str] = _EVERYTHING
    reports: frozenset[str] = frozenset()
    """What of the callee's is told although it came while something spoke that it did not interrupt."""
    detects_keys: bool = False
    events: frozenset[str] = frozenset()
    language: str = "en-US"

    @classmethod
    def of_noun(cls, attributes: Mapping[str, str], custom_parameters: Mapping[str, str]) -> "RelaySettings":
        """Those of a document's `<ConversationRelay>`; what is not understood counts for nothing, as with Twilio."""
        return cls(
            custom_parameters,
            greeting=attributes.get("welcomeGreeting", ""),
            greeting_cut_by=_what_cuts(attributes.get("welcomeGreetingInterruptible")),
            cut_by=_what_cuts(attributes.get("interruptible")),
            reports=_what_cuts(attributes.get("reportInputDuringAgentSpeech"), "none"),
            detects_keys=attributes.get("dtmfDetection", "").lower() == "true",
            events=frozenset(f"{attributes.get('events', '')} {attributes.get('debug', '')}".split()),
            language=attributes.get("transcriptionLanguage") or attributes.get("language") or "en-US",
        )

    @classmethod
    def of_config(cls, config: Mapping[str, Any]) -> "RelaySettings":
        """Those of Telnyx's `conversation_relay_config`; the aliases inside `interruption_settings` come second."""
        interruptions = config.get("interruption_settings") or {}
        enabled = {"True": "any", "False": "none"}.get(str(interruptions.get("enable")))
        greeting = (
            config.get("interruptible_greeting")
            or interruptions.get("interruptible_greeting")
            or interruptions.get("welcome_greeting_interruptible")
            or enabled
        )
        return cls(
            config.get("custom_parameters") or {},
            greeting=str(config.get("greeting") or ""),
            greeting_cut_by=_what_cuts(greeting),
            cut_by=_what_cuts(config.get("interruptible") or interruptions.get("interruptible") or enabled),
            detects_keys=config.get("dtmf_detection") is True,
            language=str(config.get("language") or "en-US"),
        )


def _what_cuts(value: Any, default: str = "any") -> frozenset[str]:
    return _INTERRUPTIBLE.get(str(default if value is None else value).lower(), _INTERRUPTIBLE[default])


class InvalidMessage(Exception):
    """A frame of the application's that the carrier does not understand."""


@dataclass(frozen=True)
class _Planned:
    """A move that will be made; `yields` when the callee holds it back because the assistant speaks on."""

    at: float
    choice: Choice
    yields: bool = True


@dataclass(frozen=True)
class _Speaking:
    """The callee is saying something; `is_reported` unless it is drowned out."""

    until: float
    move: Move
    is_reported: bool
    late_interrupt: dict[str, Any] | None = None


class RelaySession:
    """One session being lived out. `handoff_data` is what the application has ended it with."""

    def __init__(
        self,
        socket: aiohttp.ClientWebSocketResponse,
        session: SocketSession,
        settings: RelaySettings,
        callee: CalleeOnCall,
        url: str,
    ) -> None:
        self._socket = socket
        self._session = session
        self._settings = settings
        self._callee = callee
        self._url = url
        self._mind, self._record, self._terminal = callee.mind, callee.record, callee.terminal
        self._timeline = session.line.timeline
        self._playback = Playback()
        self._inbox: deque[str] = deque()
        self._is_closed = False
        self._woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._planned: _Planned | None = None
        self._speaking: _Speaking | None = None
        self._unanswered = ""
        self._was_spoken_to = False
        self._is_their_turn = False
        self._begun_at = self._quiet_since = self._timeline.elapsed_seconds
        self._beeps_at: float | None = None
        self._is_recording = False
        self._told = ""
        self._missed = 0
        self._heard_count = 0
        self.handoff_data: Any = None

    async def run(self, setup: Mapping[str, Any]) -> bool:
        """From the setup to the end; False when the application closed the socket. Raises LineInterrupted."""
        listening = asyncio.ensure_future(self._listen())
        if self._terminal is not None:
            self._terminal.listen(self._wake)
        self._note("session", url=self._url.partition("?")[0])
        by = "application"
        try:
            await self._send(dict(setup))
            self._begin()
            while True:
                if await self._take_frames():
                    return True
                if self._is_closed:
                    by = "socket"
                    return False
                await self._live()
                await self._wait()
        except ConnectionError:
            by = "socket"
            return False
        except CallEnds as ended:
            by = "callee" if ended.ending is Ending.CALLEE_HUNG_UP else "carrier"
            raise
        except LineInterrupted:
            by = "redirection"
            raise
        finally:
            listening.cancel()
            self._finish(by)
            self._session.spawn(_close(self._socket))

    # ---- what comes in ----------------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        try:
            async for message in self._socket:
                if message.type == aiohttp.WSMsgType.TEXT:
                    self._inbox.append(message.data)
                    self._wake()
        finally:
            self._is_closed = True
            self._wake()

    def _wake(self) -> None:
        if not self._woken.done():
            self._woken.set_result(None)

    async def _take_frames(self) -> bool:
        """Take the frames that have come; True when one of them has ended the session."""
        self._woken = asyncio.get_running_loop().create_future()
        while self._inbox:
            try:
                if self._take(_decoded(self._inbox.popleft())):
                    return True
            except InvalidMessage as error:
                self._note("invalid", str(error))
                self._session.notify(RELAY_MESSAGE_INVALID, str(error), url=self._url, method="GET")
                await self._send({"type": "error", "description": str(error)})
        return False

    def _take(self, frame: Any) -> bool:
        kind = frame.get("type") if isinstance(frame, dict) else None
        match frame:
            case {"type": "text", "token": str(token)}:
                self._hear_later(token, frame)
            case {"type": "play", "source": str(source)}:
                self._playback.add_audio(source, at=self._now, cut_by=self._cut_by(frame))
                self._hold_back()
            case {"type": "sendDigits", "digits": str(digits)}:
                self._note("digits", digits)
            case {"type": "language"}:
                languages = {name: frame.get(name) for name in ("ttsLanguage", "transcriptionLanguage")}
                self._note("language", **languages)
            case {"type": "end"}:
                self.handoff_data = frame.get("handoffData")
                return True
            case _:
                raise InvalidMessage(f"Invalid message received: type {kind!r}")
        return False

    def _hear_later(self, token: str, frame: Mapping[str, Any]) -> None:
        at = self._now
        if self._speaking is not None and self._mind.script.beeps_after_seconds is None:
            # Nobody listens while speaking; only a machine is spoken at all the same.
            at = self._speaking.until
        self._playback.add(token, at=at, cut_by=self._cut_by(frame), is_last=frame.get("last") is True)
        self._hold_back()

    def _cut_by(self, frame: Mapping[str, Any]) -> frozenset[str]:
        interruptible = frame.get("interruptible")
        return self._settings.cut_by if interruptible is None else _what_cuts(interruptible)

    def _hold_back(self) -> None:
        """The assistant speaks (again): what the callee was about to say, it may not mean any more."""
        self._was_spoken_to = True
        self._is_their_turn = False
        if self._planned is not None and self._planned.yields:
            self._planned = None

    # ---- the callee's life ------------------------------------------------------------------------------------------

    @property
    def _now(self) -> float:
        return self._timeline.elapsed_seconds + _ROUNDING_SECONDS

    def _begin(self) -> None:
        script, now = self._mind.script, self._now
        if self._settings.greeting:
            self._playback.add(self._settings.greeting, at=now, cut_by=self._settings.greeting_cut_by, is_last=True)
            self._was_spoken_to = True
        if script.greeting is not None and not self._callee.has_greeted:
            self._plan(Choice(script.greeting), yields=False)
        self._callee.has_greeted = True
        if script.beeps_after_seconds is not None:
            self._beeps_at = now + script.beeps_after_seconds
        if self._terminal is not None:
            record = self._record
            parties = {"from": record.from_number, "to": record.to_number}
            self._terminal.tell("answered", call_id=record.call_id, **parties)

    async def _live(self) -> None:
        """Do all that is due now."""
        now = self._now
        for utterance in self._playback.advance(now):
            await self._heard(utterance.text, is_audio=utterance.is_audio)
        if self._beeps_at is not None and now >= self._beeps_at:
            await self._beep()
        if self._speaking is not None and now >= self._speaking.until:
            await self._have_said(self._speaking)
        await self._listen_closely()
        self._decide()
        self._lose_patience()
        if self._planned is not None and now >= self._planned.at and self._speaking is None:
            choice, self._planned = self._planned.choice, None
            self._mind.made(choice)
            await self._make(choice.move)

    async def _heard(self, text: str, *, is_audio: bool = False) -> None:
        """An utterance was heard to its end."""
        if self._mind.script.beeps_after_seconds is None:
            self._note("played" if is_audio else "heard", text)
        else:
            self._note("recorded" if self._is_recording else "missed", text[self._missed :].strip())
            self._missed = 0
        self._told = ""
        self._heard_count += 1
        self._quiet_since = self._now
        self._unanswered = f"{self._unanswered} {text}".strip()
        if self._terminal is not None:
            self._terminal.tell("heard", text=text, is_cut=False)
        if not is_audio:
            await self._tell_of_playing(text)

    async def _tell_of_playing(self, text: str) -> None:
        """What was played, for an application that wants to know (`events`, `debug`)."""
        if TOKENS_PLAYED in self._settings.events and text:
            await self._send({"type": "info", "name": "tokensPlayed", "value": text})

    async def _listen_closely(self) -> None:
        """Follow what is being spoken, to break into it or to show it as it comes."""
        current = self._playback.current
        if current is None or self._speaking is not None:
            return
        heard = current.heard(self._now)
        if self._terminal is not None and heard != self._told:
            self._terminal.tell("hearing", text=heard)
        self._told = heard
        may_break_in = self._mind.script.interrupts_regardless or SPEECH in current.cut_by
        is_free = self._planned is None or self._planned.yields
        if may_break_in and is_free and self._playback.is_speaking(self._now):
            choice = self._mind.break_in(heard)
            if choice is not None:
                self._plan(choice, yields=False)

    def _decide(self) -> None:
        """Plan the next move, if it is the callee's turn to make one."""
        if self._terminal is not None:
            self._follow_terminal()
            return
        now = self._now
        if self._planned is not None or self._speaking is not None or self._playback.current is not None:
            return
        if self._unanswered and not self._is_their_turn:
            self._is_their_turn = True
            choice = self._mind.answer(self._unanswered)
        elif self._unanswered and now >= self._quiet_since + self._waits_for_more_seconds:
            choice = self._mind.left_alone()
        elif not self._was_spoken_to and now >= self._begun_at + LISTENS_FIRST_SECONDS:
            choice = self._mind.nobody_there()
        else:
            choice = None
        if choice is not None:
            self._plan(choice)

    @property
    def _waits_for_more_seconds(self) -> float:
        is_only_greeted = bool(self._settings.greeting) and self._heard_count == 1
        return GREETED_SECONDS if is_only_greeted else LEFT_ALONE_SECONDS

    def _plan(self, choice: Choice, *, yields: bool = True) -> None:
        self._planned = _Planned(self._now + choice.move.after_seconds, choice, yields)

    def _follow_terminal(self) -> None:
        assert self._terminal is not None
        if self._speaking is not None or self._planned is not None:
            return
        if (move := self._terminal.take_move()) is not None:
            self._plan(Choice(move), yields=False)
        elif self._is_left_to_the_person and self._now >= self._quiet_since + TURN_SECONDS:
            self._is_their_turn = True
            self._terminal.tell("turn")

    @property
    def _is_left_to_the_person(self) -> bool:
        return bool(self._unanswered) and self._playback.current is None and not self._is_their_turn

    def _lose_patience(self) -> None:
        """Give up on an utterance that does not go on, or on the call. Raises CallEnds."""
        now = self._now
        if self._is_anything_due() or now < (give_up_at := self._gives_up_at()):
            return
        if self._playback.is_hesitating:
            self._playback.close()
            return
        self._note("hangs_up", after_silence=round(give_up_at - self._quiet_since, 1))
        raise CallEnds(Ending.CALLEE_HUNG_UP)

    def _gives_up_at(self) -> float:
        if self._playback.is_hesitating:
            return (self._playback.ends_at or self._now) + HESITATION_SECONDS
        if self._terminal is not None:
            return math.inf
        if self._is_recording:
            return self._quiet_since + RECORDS_SILENCE_SECONDS
        talks_seconds = self._session.talks_seconds
        if not self._was_spoken_to:
            return self._begun_at + talks_seconds
        return self._quiet_since + max(talks_seconds, PATIENCE_SECONDS)

    # ---- what the callee does ---------------------------------------------------------------------------------------

    async def _make(self, move: Move) -> None:
        if move.mischief is not None:
            await self._do_mischief(move.mischief, move)
        for key in move.presses:
            await self._press(key)
        if move.says:
            await self._begin_to_say(move)
        elif move.hangs_up:
            self._note("hangs_up")
            raise CallEnds(Ending.CALLEE_HUNG_UP)
        else:
            self._turn_is_made()

    async def _press(self, key: str) -> None:
        is_reported, interrupt = self._break_in(KEYS)
        if interrupt is not None:
            await self._send_interrupt(interrupt)
        is_reported = is_reported and self._settings.detects_keys
        self._note("pressed", key, is_reported=None if is_reported else False)
        if is_reported:
            await self._send({"type": "dtmf", "digit": key})

    async def _begin_to_say(self, move: Move) -> None:
        is_reported, interrupt = self._break_in(SPEECH)
        is_late = move.mischief is Mischief.LATE_INTERRUPT
        if interrupt is not None and not is_late:
            await self._send_interrupt(interrupt)
        until = self._now + speaking_seconds(move.says)
        self._speaking = _Speaking(until, move, is_reported, interrupt if is_late else None)

    async def _have_said(self, speaking: _Speaking) -> None:
        move, self._speaking = speaking.move, None
        self._note("said", move.says, is_reported=None if speaking.is_reported else False)
        if speaking.is_reported:
            prompt = {"type": "prompt", "voicePrompt": move.says, "lang": self._settings.language, "last": True}
            await self._send(prompt, twice=move.mischief is Mischief.TWICE)
            if speaking.late_interrupt is not None:
                await self._send_interrupt(speaking.late_interrupt)
        if move.hangs_up:
            if not move.slams:
                # As long as it takes, at any speed: the application hears the words before the line is dead.
                await self._session.line.wait(HANGS_UP_SECONDS, in_real_time=True)
            self._note("hangs_up")
            raise CallEnds(Ending.CALLEE_HUNG_UP)
        self._turn_is_made()

    def _turn_is_made(self) -> None:
        self._unanswered = ""
        self._is_their_turn = False
        self._quiet_since = self._now

    def _break_in(self, by: str) -> tuple[bool, dict[str, Any] | None]:
        """Speak or press a key, whoever is speaking.

        Tells whether the carrier will tell the application of it, and the interruption that it is, if it is one.
        """
        now = self._now
        if not self._playback.is_speaking(now):
            return True, None
        cut = self._playback.interrupt(now, by)
        if cut is None:
            return by in self._settings.reports, None
        self._note_cut(cut)
        return True, {"utteranceUntilInterrupt": cut.heard, "durationUntilInterruptMs": cut.duration_ms}

    async def _send_interrupt(self, interrupt: dict[str, Any]) -> None:
        await self._tell_of_playing(interrupt["utteranceUntilInterrupt"])
        await self._send({"type": "interrupt", **interrupt})

    async def _beep(self) -> None:
        self._beeps_at, self._is_recording = None, True
        self._quiet_since = self._now
        self._note("beep")
        current = self._playback.current
        if current is not None:
            missed = current.heard(self._now)
            self._missed = len(missed)
            self._note("missed", missed)

    async def _do_mischief(self, mischief: Mischief, move: Move) -> None:
        self._note("mischief", mischief.name.lower())
        match mischief:
            case Mischief.GARBAGE:
                for frame in _GARBAGE:
                    await self._socket.send_str(frame)
            case Mischief.BINARY:
                await self._socket.send_bytes(b"\x00\x01\xfe\xff")
            case Mischief.OVERSIZED:
                await self._send({"type": "prompt", "voicePrompt": "so " * FRAME_BYTES_MAX, "last": True})
            case Mischief.SECOND_SOCKET:
                second = await self._session.line.attend(self._session.open_socket(self._url))
                self._note("second_socket", "refused" if second is None else "opened")
                if second is not None:
                    await second.send_json({"type": "prompt", "voicePrompt": "Who is this?", "last": True})
                    self._session.spawn(_close(second))
            case Mischief.SOCKET_DIES:
                # No close frame, as when a cable is cut.
                self._socket.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
                raise ConnectionResetError("the line to the application broke")
            case Mischief.TWICE | Mischief.LATE_INTERRUPT:
                pass  # it happens to the words that follow

    # ---- time -------------------------------------------------------------------------------------------------------

    async def _wait(self) -> None:
        """Let time pass until something is due or comes in. Raises LineInterrupted."""
        due_at, in_real_time = self._next()
        await self._session.line.wait(max(due_at - self._now, 0.0), until=self._woken, in_real_time=in_real_time)

    def _next(self) -> tuple[float, bool]:
        """When something is due, and whether time passes as it does for the application until then."""
        if happening := self._happening():
            return min(happening), False
        waits_for_nothing = not self._was_spoken_to and self._terminal is None and self._callee.sessions <= 1
        moments = [self._gives_up_at()]
        if not self._was_spoken_to and self._terminal is None and not self._mind.turns:
            moments.append(self._begun_at + LISTENS_FIRST_SECONDS)
        elif self._terminal is not None and self._is_left_to_the_person:
            moments.append(self._quiet_since + TURN_SECONDS)
        elif self._unanswered and self._mind.script.left_alone is not None and self._terminal is None:
            moments.append(self._quiet_since + self._waits_for_more_seconds)
        # An application that never said a word is not waited for: the callee listens to silence, as fast as time goes.
        return min(moments), not waits_for_nothing

    def _is_anything_due(self) -> bool:
        return bool(self._happening())

    def _happening(self) -> list[float]:
        """When what is going on will have got somewhere: speech, a move, the beep."""
        is_free = self._speaking is None
        moments = (
            self._planned.at if self._planned is not None and is_free else None,
            self._speaking.until if self._speaking is not None else None,
            self._beeps_at,
            self._next_of_speech(),
        )
        return [moment for moment in moments if moment is not None]

    def _next_of_speech(self) -> float | None:
        current, now = self._playback.current, self._now
        if current is None or (not current.is_closed and now >= current.ends_at):
            return None
        moments = [current.ends_at]
        words = len(current.heard(now).split())
        point = self._mind.words_to_break_in(words) if self._terminal is None else words + 1
        if self._speaking is None and point is not None and (moment := current.when_heard(point)) is not None:
            moments.append(moment)
        return min(moments)

    # ---- what is told -----------------------------------------------------------------------------------------------

    async def _send(self, frame: dict[str, Any], *, twice: bool = False) -> None:
        for _ in range(1 + twice):
            await self._socket.send_json(frame)

    def _note(self, what: str, text: str | None = None, **details: Any) -> None:
        self._record.note(self._timeline.elapsed_seconds, what, text, **details)

    def _note_cut(self, cut: Cut) -> None:
        self._note("cut", cut.heard, unheard=cut.unheard)
        self._told = ""
        self._unanswered = f"{self._unanswered} {cut.heard}".strip()
        if self._terminal is not None:
            self._terminal.tell("heard", text=cut.heard, is_cut=True)

    def _finish(self, by: str) -> None:
        """Write down what nobody will hear any more, and who ended it."""
        for cut in self._playback.end(self._now):
            if cut.heard or cut.unheard:
                self._note_cut(cut)
        self._note("ended", by=by, handoff_data=self.handoff_data)
        if self._terminal is not None:
            self._terminal.tell("ended", by=by)


async def _close(socket_: aiohttp.ClientWebSocketResponse) -> None:
    await socket_.close()


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
