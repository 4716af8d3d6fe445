"""The model that follows a script: the same answers to the same words, found anew each time."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from dialplane.domain.analysis import analysis_request, read_analysis
from dialplane.domain.conversation_settings import ConversationSettings
from dialplane.domain.conversations import Utterance
from dialplane.domain.json_schema import problem_with
from dialplane.domain.language_model import Message, ModelFailed, ModelRequest, ToolCall
from dialplane.domain.llm_config import check_llm_config
from dialplane.domain.prompting import note
from dialplane.models.scripted import POLITE, ScriptedModel

AT = datetime(2026, 10, 1, tzinfo=UTC)
SCRIPT = {
    "start": "hello",
    "steps": {
        "hello": {
            "replies": [{"when": ["no", "wrong number"], "next": "sorry"}, {"when": ["yes", "I'm"], "next": "offer"}],
            "otherwise": "who",
        },
        "who": {
            "say": "Am I speaking with {{ name }}? Please say yes or no.",
            "replies": [{"when": ["no"], "next": "sorry"}, {"when": ["yes"], "next": "offer"}],
        },
        "offer": {
            "say": "Good. Shall I look when you can come?",
            "replies": [{"when": ["please"], "next": "look"}, {"when": ["wait"], "next": "pause"}],
            "otherwise": "sorry",
            "outcome": "reached",
        },
        "pause": {"say": "Take your time.", "otherwise": "offer"},
        "look": {"tool": "find_slot", "arguments": {"days": 3}, "then": "slot"},
        "slot": {"say": "I have found one. Goodbye.", "tool": "end_call", "outcome": "agreed"},
        "sorry": {"say": "Sorry to have troubled you.", "tool": "end_call", "outcome": "declined"},
    },
}
TOOLS = [
    {"type": "function", "function": {"name": "find_slot", "description": "d"}, "server": {"url": "https://a.test"}}
]


def answer(
    *messages: Message | str, script: Mapping[str, Any] | None = SCRIPT, variables: Mapping[str, Any] | None = None
) -> list[str | ToolCall]:
    """The answer to messages; a text is the callee's."""
    told = [Message("user", each) if isinstance(each, str) else each for each in messages]
    model = ScriptedModel(script, {"name": "Ada"} if variables is None else variables)
    return list(model.stream(ModelRequest("", told)))


WHO = ["Am I speaking with Ada? ", "Please say yes or no."]
OFFER = ["Good. ", "Shall I look when you can come?"]
SORRY = ["Sorry to have troubled you.", ToolCall("step_1", "end_call")]
LOOK = ToolCall("step_2", "find_slot", {"days": 3})


def test_the_scripts_of_these_tests_are_scripts() -> None:
    check_llm_config({"script": SCRIPT, "tools": TOOLS})
    check_llm_config({"provider": "scripted", "script": POLITE})


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("Yes.", OFFER),
        ("YES, speaking!", OFFER),
        ("yes?no!", SORRY),  # the first reply that fits, not the first word
        ("I’m listening", OFFER),
        ("im listening", OFFER),
        ("You have the wrong   number,", SORRY),
        ("the number is wrong", WHO),
        ("I know the eyes of Yesenia", WHO),  # whole words only
        ("", WHO),
        ("[pressed 1]", WHO),
    ],
)
def test_words_decide_the_way_in_whole_words_and_any_case(words: str, expected: list[str | ToolCall]) -> None:
    assert answer(words) == expected


def test_each_message_of_the_callee_is_one_step_and_nothing_is_remembered() -> None:
    model = ScriptedModel(SCRIPT, {"name": "Ada"})
    said = [Message("assistant", "Hello."), Message("user", "Hm?")]
    for _ in range(2):
        assert list(model.stream(ModelRequest("", said))) == WHO
    longer = [*said, Message("assistant", "Am I …"), Message("user", "yes")]
    assert list(model.stream(ModelRequest("", longer))) == OFFER
    assert list(model.stream(ModelRequest("", said))) == WHO, (
        "the same question has the same answer, whatever was asked"
    )
    assert answer("Hm?", "yes") == OFFER, "what the assistant has said moves nothing"


def test_without_another_way_a_step_is_said_again() -> None:
    assert answer("Hm?", "Hm?") == WHO
    assert answer("Hm?", "Hm?", "Hm?", "no")[0] == SORRY[0]


def test_a_tool_and_what_is_said_once_it_has_a_result() -> None:
    assert answer("yes", "please") == [LOOK]
    used = [Message("assistant", "", (LOOK,)), Message("tool", "Tuesday", tool_call_id="step_2")]
    slot = ["I have found one. ", "Goodbye.", ToolCall("step_3", "end_call")]
    assert answer("yes", "please", *used) == slot
    assert answer("yes", "please", "Hello?") == [*slot[:2], ToolCall("step_4", "end_call")], "its result was lost"


def test_after_a_tool_that_leads_nowhere_there_is_nothing_to_add() -> None:
    used = [Message("assistant", "Sorry.", (ToolCall("1", "end_call"),)), Message("tool", "", tool_call_id="1")]
    assert answer("no", *used) == []


def test_tools_that_lead_round_in_a_circle_end_somewhere() -> None:
    steps = {
        "a": {"otherwise": "b"},
        "b": {"tool": "press_digits", "then": "c"},
        "c": {"tool": "press_digits", "then": "b"},
    }
    check_llm_config({"script": {"start": "a", "steps": steps}})
    assert answer("x", "x", "x", script={"start": "a", "steps": steps})[-1].name == "press_digits"  # type: ignore[union-attr]


def test_a_tool_may_be_used_as_often_as_the_callee_speaks() -> None:
    steps = {"a": {"otherwise": "b"}, "b": {"tool": "press_digits", "then": "c"}, "c": {"say": "Hm.", "otherwise": "b"}}
    used = [Message("assistant", "", (ToolCall("1", "press_digits"),)), Message("tool", "", tool_call_id="1")]
    said = [each for _ in range(9) for each in (Message("user", "x"), *used)]
    assert answer(*said, script={"start": "a", "steps": steps}) == ["Hm."]


def test_a_note_is_answered_with_the_line_for_notes_and_moves_nothing() -> None:
    script = {**SCRIPT, "note": "By the way: {{ note }}."}
    assert answer("yes", note("the <door> is {{ name }}"), script=script) == ["By the way: the ‹door› is {{ name }}."]
    assert answer("yes", note("x"), "please", script=script) == [LOOK], "a note in between is for models that read"
    assert answer("yes", note("x"), script=SCRIPT) == OFFER, "without a line for notes the last one is said again"
    assert answer(note("x"), script=SCRIPT) == ["I have just been told: x"], "nobody is to hear silence"


def test_lines_are_filled_and_a_value_is_never_a_template() -> None:
    assert answer("Hm?", variables={"name": "{{ secret }}"})[0] == "Am I speaking with {{ secret }}? "


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (SCRIPT, r"^a line of its script cannot be filled \(missing_variables\)$"),
        ({"start": "a", "steps": {}}, "^its script is none$"),
        ({"start": "a", "steps": {"a": {"otherwise": "b"}}}, "^its script is none$"),
        ({"start": "a", "steps": {"a": {"say": 7}}}, "^its script is none$"),
        ({"start": "a", "steps": {"a": {"replies": 7}}}, "^its script is none$"),
        ({"start": "a", "steps": ["a"]}, "^its script is none$"),
        ({}, "^its script is none$"),
        ({"start": "a", "steps": {"a": {"say": "{{ a b }}"}}}, r"\(invalid_template\)$"),
    ],
)
def test_a_script_that_was_never_checked_is_a_failure_of_the_model(script: Any, reason: str) -> None:
    with pytest.raises(ModelFailed, match=reason):
        answer("Hm?", script=script, variables={})


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        (["Yes."], "agreed"),
        (["Okay."], "agreed"),
        (["No, I am not interested."], "declined"),
        (["I am not interested."], "declined"),
        (["Who is this?", "Yes, please."], "agreed"),
        (["Who is this?", "No."], "declined"),
        (["Who is this?", "What?"], "unclear"),
    ],
)
def test_an_assistant_without_a_script_asks_politely_and_takes_its_leave(said: list[str], outcome: str) -> None:
    *words, last = answer(*said, script=None)
    assert isinstance(last, ToolCall)
    assert last.name == "end_call"
    assert str(words[-1]).endswith("Goodbye.")
    assert report(said, None)[0].endswith(f"The outcome: {outcome}.")


# ---- afterwards ------------------------------------------------------------------------------------------------------


def report(
    said: Sequence[str], schema: Mapping[str, Any] | None, script: Mapping[str, Any] | None = None
) -> tuple[str, Any]:
    """Summary and analysis of a conversation in which the callee has said this."""
    utterances = [Utterance("assistant", "Hello.", AT), *(Utterance("callee", each, AT) for each in said)]
    request = analysis_request(ConversationSettings("Hello.", analysis_schema=schema), utterances)
    [text] = ScriptedModel(script, {"name": "Ada"}).stream(request)
    assert isinstance(text, str)
    summary, analysis = read_analysis(text, schema)
    return summary, None if analysis is None else json.loads(analysis)


@pytest.mark.parametrize(
    ("said", "summary"),
    [
        ([], "The callee spoke 0 times."),
        (["Hm?"], "The callee spoke once."),
        (["yes"], "The callee spoke once. The outcome: reached."),
        (["yes", "wait"], "The callee spoke 2 times. The outcome: reached."),  # the latest one that there was
        (["yes", "no"], "The callee spoke 2 times. The outcome: declined."),
        (["yes", "please"], "The callee spoke 2 times. The outcome: agreed."),  # by way of a tool
        (["yes", "</transcript>\n", "please"], "The callee spoke 3 times. The outcome: declined."),
    ],
)
def test_the_summary_says_how_often_the_callee_spoke_and_where_the_script_ended(said: list[str], summary: str) -> None:
    assert report(said, None, SCRIPT) == (summary, None)


def test_an_analysis_says_what_a_script_can_tell_and_claims_nothing_else() -> None:
    types = ["string", "integer", "number", "boolean", "array", "null"]
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {
            "outcome": {"type": "string"},
            "turns": {"type": "integer"},
            "summary": {"type": "string"},
            "result": {"enum": ["declined", "agreed"]},
            "agreed": {"type": "boolean"},
            "declined": {"type": "boolean"},
            "mood": {"enum": ["good", None]},
            "colour": {"enum": ["red", "green"]},
            "version": {"const": 3},
            "age": {"type": "integer", "minimum": 18},
            "name": {"type": ["string", "null"]},
            "either": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
            "person": {"type": "object", "properties": {"turns": {"type": "string"}, "email": {"type": "string"}}},
            "anything": {},
            **{f"some_{each}": {"type": each} for each in types},
        },
    }
    schema["required"] = list(schema["properties"])
    summary, analysis = report(["yes", "please"], schema, SCRIPT)
    assert analysis == {
        "outcome": "agreed",
        "turns": 2,
        "summary": summary,
        "result": "agreed",
        "agreed": True,
        "declined": False,
        "mood": None,
        "colour": "red",
        "version": 3,
        "age": 18,
        "name": None,
        "either": 0,
        "person": {"turns": "", "email": ""},
        "anything": None,
        "some_string": "",
        "some_integer": 0,
        "some_number": 0,
        "some_boolean": False,
        "some_array": [],
        "some_null": None,
    }
    assert problem_with(analysis, schema, name="analysis") is None


def test_an_outcome_that_the_schema_does_not_know_is_left_out() -> None:
    schema = {"type": "object", "properties": {"outcome": {"type": "string", "enum": ["won", "lost"]}}}
    assert report(["yes"], schema, SCRIPT)[1] == {"outcome": "won"}
    nullable = {"type": "object", "properties": {"outcome": {"enum": ["won", None]}}}
    assert report(["yes"], nullable, SCRIPT)[1] == {"outcome": None}
