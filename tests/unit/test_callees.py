"""Simulated callees in a ConversationRelay session: what they say to what they hear, and what is told of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from sandbox.carriers import relay
from sandbox.carriers.callee import Callees
from sandbox.carriers.callee_scripts import AGREES, ANYTHING, PRESSES_9, Answer, Move, Script
from sandbox.carriers.clock import CallTimeline, SimulatedClock
from sandbox.carriers.line import CallEnds, Ending, Line
from sandbox.carriers.person import Terminal, Terminals, read_move
from sandbox.carriers.relay import RelaySession, RelaySettings
from sandbox.carriers.scenarios import CONVERSATIONS, SCENARIOS, Scenario, find_scenario
from sandbox.carriers.speech import speaking_seconds

Frame = dict[str, Any]
Application = Callable[[Frame], Iterable[Frame | str]]
QUESTION = "Shall I send you a reminder on the day before?"
GREETING = "Hello, this is an artificial voice."
_BY_NAME = {scenario.name: scenario for scenario in (*SCENARIOS, *CONVERSATIONS)}


def text(token: str, *, last: bool = True, **more: Any) -> Frame:
    return {"type": "text", "token": token, "last": last, **more}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What callees wait for in real time is short."""
    for name in ("LEFT_ALONE", "GREETED", "HANGS_UP", "HESITATION", "PATIENCE", "RECORDS_SILENCE"):
        monkeypatch.setattr(relay, f"{name}_SECONDS", 0.02)
    monkeypatch.setattr(relay, "TURN_SECONDS", 0.01)


class Socket:
    """The carrier's end of a WebSocket whose other end is a function: a frame in, frames out."""

    def __init__(self, application: Application) -> None:
        self.sent: list[Any] = []
        self._application = application
        self._arriving: asyncio.Queue[str | None] = asyncio.Queue()

    async def send_json(self, frame: Frame) -> None:
        self.sent.append(frame)
        for reply in self._application(frame):
            self._arriving.put_nowait(reply if isinstance(reply, str) else json.dumps(reply))

    async def send_str(self, raw: str) -> None:
        self.sent.append(raw)

    async def send_bytes(self, raw: bytes) -> None:
        self.sent.append(raw)

    async def close(self) -> None:
        self._arriving.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[Any]:
        while (arrived := await self._arriving.get()) is not None:
            if arrived == "close":
                return
            yield SimpleNamespace(type=aiohttp.WSMsgType.TEXT, data=arrived)


@dataclass
class Session:
    """One answered call of a carrier's that signs nothing and reports nothing."""

    line: Line
    scenario: Scenario
    socket: Socket
    faults: list[str] = field(default_factory=list)

    @property
    def talks_seconds(self) -> float:
        return self.scenario.talks_seconds

    def spawn(self, work: Any) -> object:
        return asyncio.ensure_future(work)

    def notify(self, _code: int, text: str, **_about: Any) -> None:
        self.faults.append(text)

    async def open_socket(self, _url: str) -> Any:
        return None


@dataclass(frozen=True)
class Lived:
    """What came of a session."""

    frames: list[Any]
    events: list[dict[str, Any]]
    faults: list[str]
    ending: Ending | None
    seconds: float

    def of(self, *kinds: str) -> list[str]:
        return [event.get("text", "") for event in self.events if event["event"] in kinds]

    def told(self, kind: str) -> list[Any]:
        return [frame for frame in self.frames if isinstance(frame, dict) and frame["type"] == kind]


def _impatient_callee(script: Script) -> Scenario:
    return Scenario("+1", "test", "", talks_seconds=0.02, script=script)


def live(
    callee: str | Script,
    application: Application,
    *,
    terminal: Callable[[Callees], Terminal] | None = None,
    **settings: Any,
) -> Lived:
    """A session from setup to end, thousands of times as fast as it was."""

    async def session() -> Lived:
        scenario = _BY_NAME[callee] if isinstance(callee, str) else _impatient_callee(callee)
        line, socket, callees = Line(CallTimeline(SimulatedClock(2_000))), Socket(application), Callees()
        if terminal is not None:
            callees.terminals.wait(terminal(callees))
        on_call = callees.on_call("CA1", from_number="+1", to_number="+2", scenario=scenario)
        about, ending = Session(line, scenario, socket), None
        held: Any = RelaySession(socket, about, RelaySettings({}, **settings), on_call, "wss://e.test/")  # type: ignore[arg-type]
        try:
            async with asyncio.timeout(10):
                await held.run({"type": "setup"})
        except CallEnds as ended:
            ending = ended.ending
        return Lived(socket.sent, on_call.record.events, about.faults, ending, line.timeline.elapsed_seconds)

    return asyncio.run(session())


def says(*words: str, then_ends: bool = True, **more: Any) -> Application:
    """An application that answers the setup, and then the callee's words and keys, with one text after another."""
    left = list(words)

    def answer(frame: Frame) -> Iterable[Frame]:
        if frame["type"] in ("setup", "prompt", "dtmf"):
            if left:
                yield text(left.pop(0), **more)
            elif then_ends:
                yield {"type": "end"}

    return answer


def test_a_polite_callee_answers_questions_and_says_goodbye() -> None:
    lived = live("answered", says("Would Monday or Tuesday suit you?", QUESTION, "Thank you, and goodbye."))
    assert [frame["voicePrompt"] for frame in lived.told("prompt")] == [
        "Tuesday would be good.",
        "Yes, please.",
        "Thank you. Goodbye.",
    ]
    assert [event["event"] for event in lived.events] == ["session", *["heard", "said"] * 3, "hangs_up", "ended"]
    assert lived.ending is Ending.CALLEE_HUNG_UP


def test_words_take_their_time() -> None:
    lived = live("agrees", says(QUESTION))
    heard, said = (next(event for event in lived.events if event["event"] == kind) for kind in ("heard", "said"))
    assert heard["at_seconds"] == pytest.approx(speaking_seconds(QUESTION), abs=0.5)
    assert said["at_seconds"] >= heard["at_seconds"] + speaking_seconds("Yes.")


def test_the_greeting_is_heard_first_and_what_follows_is_waited_for() -> None:
    lived = live("agrees", says(QUESTION), greeting=GREETING)
    assert lived.of("heard", "said")[:3] == [GREETING, QUESTION, "Yes."]


def test_who_was_about_to_answer_when_the_other_side_went_on_hears_it_out() -> None:
    once = Answer(ANYTHING, Move("I will say this once."), times=1)
    lived = live(Script((once,)), says(QUESTION), greeting=GREETING)
    assert lived.of("heard", "said")[:3] == [GREETING, QUESTION, "I will say this once."]


def test_who_is_left_alone_says_something() -> None:
    assert live("answered", says("This is a statement.")).of("said") == ["Okay."]


def test_an_application_without_a_word_is_asked_and_left() -> None:
    lived = live("answered", lambda _frame: ())
    assert lived.of("said") == ["Hello, who is calling?"]
    assert (lived.ending, round(lived.seconds)) == (Ending.CALLEE_HUNG_UP, 12)


def test_an_application_that_falls_silent_is_left_too() -> None:
    lived = live(AGREES, says(QUESTION, then_ends=False))
    assert lived.of("heard", "said", "hangs_up") == [QUESTION, "Yes.", ""]
    assert lived.ending is Ending.CALLEE_HUNG_UP


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("agrees", "Yes."),
        ("refuses", "No, thank you."),
        ("stop-calling", "Please stop calling me."),
        ("says-goodbye", "Goodbye."),
    ],
)
def test_callees_say_what_their_number_promises(name: str, words: str) -> None:
    assert live(name, says(QUESTION)).of("said") == [words]


def test_a_talkative_callee_never_ends_it() -> None:
    lived = live("talkative", says(*["Goodbye then." if turn == 5 else "I see." for turn in range(20)]))
    assert len(lived.told("prompt")) == 20
    assert lived.events[-1]["by"] == "application"


def test_a_polite_callee_takes_its_leave_of_who_asks_forever() -> None:
    lived = live("answered", says(*[QUESTION] * 30))
    assert lived.ending is Ending.CALLEE_HUNG_UP
    assert lived.of("said")[-1] == "I have to go now. Goodbye."
    assert len(lived.told("prompt")) == 9


# ---- interruptions --------------------------------------------------------------------------------------------------

LONG = "I would like to tell you a story that is longer than anybody wants to hear on the phone."


def test_an_interruption_is_told_with_what_was_heard_before_the_words() -> None:
    lived = live("interrupts", says(LONG, QUESTION))
    kinds = [frame["type"] for frame in lived.frames]
    assert kinds[:3] == ["setup", "interrupt", "prompt"]
    (interrupt,) = lived.told("interrupt")
    assert interrupt["utteranceUntilInterrupt"] == "I would like to tell you"
    assert interrupt["durationUntilInterruptMs"] == pytest.approx(len("I would like to tell you") / 15 * 1000, abs=2)
    cut = next(event for event in lived.events if event["event"] == "cut")
    assert (cut["text"], f"{cut['text']} {cut['unheard']}") == ("I would like to tell you", LONG)


def test_an_interruption_may_be_told_too_late() -> None:
    lived = live("late-interrupt", says(LONG))
    assert [frame["type"] for frame in lived.frames] == ["setup", "prompt", "interrupt"]
    assert lived.told("interrupt")[0]["utteranceUntilInterrupt"] == "I would like to tell you"


def test_what_comes_while_the_callee_speaks_is_heard_after_that() -> None:
    def application(frame: Frame) -> Iterable[Frame]:
        if frame["type"] == "setup":
            yield text(LONG)
        elif frame["type"] == "interrupt":
            yield text("Yes?")
        elif frame["type"] == "prompt" and frame["voicePrompt"] != "Wait, who are you?":
            yield {"type": "end"}

    assert live("interrupts", application).of("said", "heard")[:2] == ["Wait, who are you?", "Yes?"]


def test_what_is_buffered_when_the_callee_breaks_in_is_never_heard() -> None:
    def application(frame: Frame) -> Iterable[Frame]:
        if frame["type"] == "setup":
            yield text(f"{LONG} ", last=False)
            yield text("And so on.", last=True)
        elif frame["type"] == "prompt":
            yield {"type": "end"}

    lived = live("interrupts", application)
    assert "And so on." not in " ".join(lived.of("heard", "cut"))


def test_uninterruptible_words_are_heard_to_their_end_and_drown_the_callee() -> None:
    lived = live("talks-over-disclosure", says(QUESTION), greeting=GREETING, greeting_cut_by=frozenset())
    assert lived.told("interrupt") == []
    assert lived.of("heard")[0] == GREETING
    drowned = next(event for event in lived.events if event["event"] == "said")
    assert (drowned["text"], drowned["is_reported"]) == ("Hello? Hello?", False)
    assert "Hello? Hello?" not in [frame["voicePrompt"] for frame in lived.told("prompt")]


def test_what_is_said_over_uninterruptible_words_is_told_to_who_wants_to_know() -> None:
    lived = live(
        "talks-over-disclosure",
        says(QUESTION),
        greeting=GREETING,
        greeting_cut_by=frozenset(),
        reports=frozenset({"speech"}),
    )
    assert lived.told("prompt")[0]["voicePrompt"] == "Hello? Hello?"


def test_a_text_may_forbid_its_own_interruption() -> None:
    lived = live("interrupts", says(LONG, interruptible=False))
    assert (lived.told("interrupt"), lived.of("heard")) == ([], [LONG])


def test_an_end_in_the_middle_of_a_sentence_is_heard_as_that() -> None:
    def application(frame: Frame) -> Iterable[Frame]:
        if frame["type"] == "setup":
            yield text(LONG)
            yield {"type": "end", "handoffData": "bye"}

    lived = live("answered", application)
    (cut,) = [event for event in lived.events if event["event"] == "cut"]
    assert cut["unheard"] == LONG
    assert lived.events[-1] | {"at": ""} == {
        **lived.events[-1],
        "event": "ended",
        "by": "application",
        "handoff_data": "bye",
        "at": "",
    }


def test_a_callee_may_hang_up_in_the_middle_of_a_sentence() -> None:
    lived = live("hangs-up-mid-sentence", says(LONG))
    assert lived.ending is Ending.CALLEE_HUNG_UP
    assert lived.of("cut") == ["I would like to tell"]


def test_words_that_never_get_finished_are_answered_all_the_same() -> None:
    lived = live("agrees", says(QUESTION, last=False))
    assert lived.of("said") == ["Yes."]


# ---- keys, sounds, faults -------------------------------------------------------------------------------------------


def test_keys_are_told_where_they_are_listened_for() -> None:
    lived = live("presses-9", says(QUESTION), detects_keys=True)
    assert lived.told("dtmf") == [{"type": "dtmf", "digit": "9"}]
    deaf = live(PRESSES_9, says(QUESTION, then_ends=False))
    assert deaf.told("dtmf") == []
    assert next(event for event in deaf.events if event["event"] == "pressed")["is_reported"] is False


def test_what_is_played_pressed_and_set_is_written_down() -> None:
    def application(frame: Frame) -> Iterable[Frame]:
        if frame["type"] == "setup":
            yield {"type": "play", "source": "https://e.test/a.mp3"}
            yield {"type": "sendDigits", "digits": "12#"}
            yield {"type": "language", "ttsLanguage": "nl-NL"}
            yield text(QUESTION)
        elif frame["type"] == "prompt":
            yield {"type": "end"}

    lived = live("agrees", application)
    assert lived.of("played", "digits") == ["12#", "[audio https://e.test/a.mp3]"]
    assert next(event for event in lived.events if event["event"] == "language")["ttsLanguage"] == "nl-NL"


def test_a_frame_that_is_none_is_answered_with_an_error_and_the_talk_goes_on() -> None:
    def application(frame: Frame) -> Iterable[Frame | str]:
        if frame["type"] == "setup":
            yield from ("{", "[]", '{"type": "text"}', '{"type": "text", "token": 5}', '{"type": "shout"}')
            yield text(QUESTION)
        elif frame["type"] == "prompt":
            yield {"type": "end"}

    lived = live("agrees", application)
    assert len(lived.told("error")) == len(lived.faults) == 5
    assert lived.of("said") == ["Yes."]


@pytest.mark.parametrize(("name", "count"), [("garbage", 10), ("binary", 1), ("oversized", 1), ("prompt-twice", 1)])
def test_mischief_comes_once_and_the_talk_goes_on(name: str, count: int) -> None:
    # An oversized or a second prompt is a prompt to this application.
    answers = 1 + (name in ("oversized", "prompt-twice"))
    lived = live(name, says(*[QUESTION] * (1 + answers)))
    ordinary = live("answered", says(QUESTION, QUESTION))
    assert len(lived.frames) == len(ordinary.frames) + count
    assert lived.of("said") == ["Yes, please."] * 2


def test_an_oversized_frame_is_one() -> None:
    biggest = max(len(json.dumps(frame)) for frame in live("oversized", says(QUESTION)).frames)
    assert 32_768 < biggest < 131_072


def test_a_second_socket_is_noted_as_it_was_received() -> None:
    assert live("second-socket", says(QUESTION)).of("second_socket") == ["refused"]


def test_tokens_played_are_told_only_to_who_asked() -> None:
    assert live("agrees", says(QUESTION)).told("info") == []
    asked = live("agrees", says(QUESTION), events=frozenset({"tokens-played"}))
    assert asked.told("info") == [{"type": "info", "name": "tokensPlayed", "value": QUESTION}]


def test_a_socket_that_the_application_closes_is_no_end() -> None:
    lived = live("agrees", lambda frame: ["close"] if frame["type"] == "prompt" else [text(QUESTION)])
    assert (lived.ending, lived.events[-1]["by"]) == (None, "socket")


# ---- machines -------------------------------------------------------------------------------------------------------


def test_a_machine_records_what_comes_after_its_beep() -> None:
    def application(frame: Frame) -> Iterable[Frame]:
        # The machine's own words are what an application hears of it.
        if frame["type"] == "prompt":
            yield text("Please call us back.")

    lived = live("voicemail", application)
    assert lived.of("said", "beep", "recorded")[1:] == ["", "Please call us back."]
    assert lived.ending is Ending.CALLEE_HUNG_UP


def test_what_was_said_before_the_beep_is_missed() -> None:
    lived = live("voicemail", says("Too early.", interruptible=False))
    assert (lived.of("missed"), lived.of("recorded")) == (["Too early."], [])


def test_of_what_is_said_over_the_beep_the_rest_is_on_the_tape() -> None:
    long = f"{LONG} {LONG}"
    lived = live("voicemail", says(long, interruptible=False))
    (recorded,) = lived.of("recorded")
    missed = next(event["text"] for event in lived.events if event["event"] == "missed")
    assert recorded
    assert f"{missed} {recorded}" == long


# ---- settings -------------------------------------------------------------------------------------------------------


def test_attributes_of_a_document_become_settings() -> None:
    settings = RelaySettings.of_noun(
        {
            "welcomeGreeting": "Hi",
            "welcomeGreetingInterruptible": "none",
            "interruptible": "speech",
            "reportInputDuringAgentSpeech": "dtmf",
            "dtmfDetection": "true",
            "events": "tokens-played",
            "language": "nl-NL",
        },
        {"a": "b"},
    )
    assert settings == RelaySettings(
        {"a": "b"},
        greeting="Hi",
        greeting_cut_by=frozenset(),
        cut_by=frozenset({"speech"}),
        reports=frozenset({"dtmf"}),
        detects_keys=True,
        events=frozenset({"tokens-played"}),
        language="nl-NL",
    )
    assert RelaySettings.of_noun({}, {}) == RelaySettings({})


@pytest.mark.parametrize(
    "config",
    [
        {"interruptible_greeting": "none"},
        {"interruption_settings": {"interruptible_greeting": "none"}},
        {"interruption_settings": {"welcome_greeting_interruptible": "none"}},
    ],
)
def test_telnyx_has_several_words_for_a_greeting_that_is_not_interrupted(config: Frame) -> None:
    settings = RelaySettings.of_config({"greeting": "Hi", "dtmf_detection": True, **config})
    assert (settings.greeting, settings.greeting_cut_by, settings.detects_keys) == ("Hi", frozenset(), True)
    assert settings.cut_by == {"speech", "dtmf"}
    assert RelaySettings.of_config({"interruption_settings": {"enable": False}}).cut_by == frozenset()


# ---- people ---------------------------------------------------------------------------------------------------------


def test_a_person_hears_words_as_they_come_and_answers() -> None:
    told: list[dict[str, Any]] = []

    def sit_down(_callees: Callees) -> Terminal:
        def hear(event: dict[str, Any]) -> None:
            told.append(event)
            if event["event"] == "turn":
                terminal.move(Move("I am a person."))

        terminal = Terminal(hear)
        return terminal

    lived = live("person", says(QUESTION), terminal=sit_down)
    assert [frame["voicePrompt"] for frame in lived.told("prompt")] == ["I am a person."]
    kinds = [event["event"] for event in told]
    assert kinds[0] == "answered"
    assert kinds[-3:] == ["heard", "turn", "ended"]
    hearing = [event["text"] for event in told if event["event"] == "hearing"]
    assert len(hearing) > 5
    assert all(QUESTION.startswith(heard) for heard in hearing)


def test_a_person_may_interrupt_and_who_leaves_hangs_up() -> None:
    def sit_down(_callees: Callees) -> Terminal:
        def hear(event: dict[str, Any]) -> None:
            if event["event"] == "hearing" and event["text"].endswith("like"):
                terminal.move(Move("Stop.", after_seconds=0.0))
            elif event["event"] == "turn":
                terminal.leave()

        terminal = Terminal(hear)
        return terminal

    lived = live("person", says(LONG, QUESTION), terminal=sit_down)
    assert lived.told("interrupt")[0]["utteranceUntilInterrupt"] == "I would like"
    assert lived.ending is Ending.CALLEE_HUNG_UP


def test_people_are_called_in_the_order_in_which_they_sat_down_and_who_has_left_is_not() -> None:
    terminals, (first, second, third) = Terminals(), (Terminal(lambda _event: None) for _ in range(3))
    for terminal in (first, second, third):
        terminals.wait(terminal)
    first.leave()
    assert (terminals.take(), terminals.take(), terminals.take()) == (second, third, None)


@pytest.mark.parametrize(
    ("message", "move"),
    [
        ('{"say": " yes "}', Move("yes", after_seconds=0.0)),
        ('{"press": "9"}', Move(presses="9", after_seconds=0.0)),
        ('{"hang_up": true}', Move(hangs_up=True, after_seconds=0.0)),
        ('{"press": "x"}', None),
        ('{"say": ""}', None),
        ('{"say": 5}', None),
        ("[]", None),
        ("{", None),
    ],
)
def test_a_terminal_says_presses_or_hangs_up(message: str, move: Move | None) -> None:
    assert read_move(message) == move


# ---- the table ------------------------------------------------------------------------------------------------------


def test_a_further_session_of_a_call_finds_the_callee_as_it_was() -> None:
    callees = Callees()
    about = {"from_number": "+1", "to_number": "+2", "scenario": _BY_NAME["agrees"]}
    first = callees.on_call("CA1", **about)  # type: ignore[arg-type]
    assert callees.on_call("CA1", **about) is first  # type: ignore[arg-type]
    assert callees.on_call("CA2", **about) is not first  # type: ignore[arg-type]


def test_who_is_called_beside_the_table_is_polite() -> None:
    assert find_scenario("+15559876543").script is _BY_NAME["answered"].script
    assert find_scenario("+15550100131").script is AGREES


def test_answers_are_tried_in_order_and_used_up() -> None:
    once = Answer(ANYTHING, Move("First."), times=1)
    lived = live(Script((once, Answer(ANYTHING, Move("Then.")))), says("A.", "B.", "C."))
    assert lived.of("said") == ["First.", "Then.", "Then."]
