"""What the llm_config of a conversation may be: every part that is wrong is refused by its place."""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialplane.domain.accounts import Assistant
from dialplane.domain.assistants import check_configuration
from dialplane.domain.errors import ConfigurationInvalid
from dialplane.domain.language_model import PROVIDERS
from dialplane.domain.llm_config import (
    MESSAGES_MAX,
    PHRASE_LENGTH_MAX,
    PHRASES_MAX,
    REPLIES_MAX,
    STEPS_MAX,
    TOKENS_MAX,
    TOOLS_MAX,
    check_llm_config,
)
from dialplane.models.registry import _COMPATIBLE, _DEFAULT_BEDROCK_MODEL

FUNCTION = {"name": "find_slot", "description": "Find a time.", "parameters": {"type": "object", "properties": {}}}
TOOL = {"type": "function", "function": FUNCTION, "server": {"url": "https://tools.example.com/slots"}}


def script(**steps: Any) -> dict[str, Any]:
    """A configuration whose script has these steps beside its start and an end."""
    named = {"end": {"say": "Goodbye.", "tool": "end_call"}, **steps}
    return {"script": {"start": "start", "steps": {"start": {"otherwise": "end"}, **named}}}


def function(**changes: Any) -> dict[str, Any]:
    return {"tools": [{**TOOL, "function": {**FUNCTION, **changes}}]}


def server(**changes: Any) -> dict[str, Any]:
    return {"tools": [{**TOOL, "server": {**TOOL["server"], **changes}}]}  # type: ignore[dict-item]


@pytest.mark.parametrize(
    "llm",
    [
        {},
        {"provider": None},
        *({"provider": each} for each in sorted(PROVIDERS)),
        {"provider": "openai", "model": "ft:gpt-4.1-mini/org@x+y", "temperature": 0, "max_tokens": 1},
        {"provider": "bedrock", "model": "arn:aws:bedrock:eu-west-1::foundation-model/amazon.nova-lite-v1:0"},
        {"temperature": 2.0, "max_tokens": TOKENS_MAX, "model": None, "tools": None, "messages": None, "script": None},
        {"messages": [{"role": "system", "content": "Be kind. {{ name }}"}, {"role": "user", "content": "x" * 32_768}]},
        {"something_else": [{}]},
        {"tools": [{"type": each} for each in ("end_call", "opt_out", "press_digits", "transfer")]},
        {
            "tools": [
                {"type": "transfer", "destinations": ["+15550100200", {"number": "+15550100201", "description": "Bo"}]}
            ]
        },
        {"tools": [TOOL]},
        function(parameters=None),
        server(timeout_seconds=10),
        server(timeout_seconds=None),
        script(),
        script(end={"tool": "end_call"}),
        script(end={"say": "{{ a.b | default: 'x' }}", "outcome": "not_at-home"}),
        script(end={"tool": "press_digits", "arguments": {"digits": "1"}, "then": "start"}, start={"say": "Hm."}),
        script(end={"say": "x", "tool": "find_slot", "arguments": None}) | {"tools": [TOOL]},
        script(end={"say": "x", "replies": [{"when": ["a"] * PHRASES_MAX, "next": "end"}] * REPLIES_MAX}),
        script(**{f"s{n}": {} for n in range(STEPS_MAX - 2)}),
        {"script": {**script()["script"], "note": "Told: {{ note }}"}},
    ],
    ids=lambda llm: str(llm)[:60],
)
def test_a_configuration_that_a_model_can_be_opened_with(llm: dict[str, Any]) -> None:
    check_llm_config(llm)


@pytest.mark.parametrize(
    ("llm", "param"),
    [
        ({"provider": "xai_realtime"}, ""),
        ({"provider": "acme"}, ""),
        ({"provider": 7}, ""),
        ({"provider": ["openai"]}, ""),
        ({"provider": {}}, ""),
        ({"model": ""}, "model"),
        ({"model": 7}, "model"),
        ({"model": "a b"}, "model"),
        ({"model": "-a"}, "model"),
        ({"model": "a\n"}, "model"),
        ({"model": "x" * 201}, "model"),
        ({"temperature": "1"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 1.0}, "max_tokens"),
        ({"max_tokens": TOKENS_MAX + 1}, "max_tokens"),
        ({"messages": {}}, "messages"),
        ({"messages": [{"role": "user", "content": "x"}] * (MESSAGES_MAX + 1)}, "messages"),
        ({"messages": ["x"]}, "messages.0"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0"),
        ({"messages": [{"role": ["user"], "content": "x"}]}, "messages.0"),
        ({"messages": [{"role": "user", "content": "x"}, {"role": "user"}]}, "messages.1.content"),
        ({"messages": [{"role": "user", "content": " "}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": "\x00"}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": "x" * 32_769}]}, "messages.0.content"),
        ({"tools": {}}, "tools"),
        ({"tools": [{"type": "end_call"}] * (TOOLS_MAX + 1)}, "tools"),
        ({"tools": ["end_call"]}, "tools.0"),
        ({"tools": [{"name": "end_call"}]}, "tools.0"),
        ({"tools": [{"type": ["function"]}]}, "tools.0"),
        ({"tools": [{"type": "transfer", "destinations": "+15550100200"}]}, "tools.0.destinations"),
        ({"tools": [{"type": "transfer", "destinations": ["911"]}]}, "tools.0.destinations.0"),
        ({"tools": [{"type": "transfer", "destinations": [7]}]}, "tools.0.destinations.0"),
        ({"tools": [{"type": "transfer", "destinations": [{}]}]}, "tools.0.destinations.0.number"),
        (
            {"tools": [{"type": "transfer", "destinations": [{"number": "+15550100200", "description": 7}]}]},
            "tools.0.destinations.0.description",
        ),
        ({"tools": [{"type": "function"}]}, "tools.0.function"),
        (function(name=None), "tools.0.function.name"),
        (function(name="a b"), "tools.0.function.name"),
        (function(name="x" * 65), "tools.0.function.name"),
        (function(name="end_call"), "tools.0.function.name"),
        ({"tools": [TOOL, TOOL]}, "tools.1.function.name"),
        (function(description=None), "tools.0.function.description"),
        (function(description="x" * 1_025), "tools.0.function.description"),
        (function(parameters={"type": "string"}), "tools.0.function.parameters"),
        (function(parameters={"type": "object", "properties": {"a": 1}}), "tools.0.function.parameters.properties.a"),
        ({"tools": [{**TOOL, "server": None}]}, "tools.0.server"),
        (server(url="http://tools.example.com/"), "tools.0.server.url"),
        (server(url="https://169.254.169.254/"), "tools.0.server.url"),
        (server(url=7), "tools.0.server.url"),
        (server(timeout_seconds=0), "tools.0.server.timeout_seconds"),
        (server(timeout_seconds=11), "tools.0.server.timeout_seconds"),
        (server(timeout_seconds=1.5), "tools.0.server.timeout_seconds"),
        ({"script": []}, "script"),
        ({"script": {}}, "script"),
        ({"script": {"start": "a", "steps": {}}}, "script"),
        ({"script": {"start": "a", "steps": {"b": {"say": "x"}}}}, "script.start"),
        ({"script": {"start": ["a"], "steps": {"a": {"say": "x"}}}}, "script.start"),
        ({"script": {"start": "a", "steps": {"a": {"say": "x"}, "b c": {}}}}, "script.steps"),
        (script(**{f"s{n}": {} for n in range(STEPS_MAX - 1)}), "script"),
        (script(end=None), "script.steps.end"),
        (script(end={"say": 7}), "script.steps.end.say"),
        (script(end={"say": " "}), "script.steps.end.say"),
        (script(end={"say": "{{ a b }}"}), "script.steps.end.say"),
        (script(end={"say": "x" * 4_097}), "script.steps.end.say"),
        (script(end={"say": "x", "replies": {}}), "script.steps.end.replies"),
        (script(end={"say": "x", "replies": ["a"]}), "script.steps.end.replies.0.next"),
        (script(end={"say": "x", "replies": [{"when": ["a"], "next": "b"}]}), "script.steps.end.replies.0.next"),
        (script(end={"say": "x", "replies": [{"when": ["a"], "next": {}}]}), "script.steps.end.replies.0.next"),
        (script(end={"say": "x", "replies": [{"when": "a", "next": "end"}]}), "script.steps.end.replies.0.when"),
        (script(end={"say": "x", "replies": [{"when": [], "next": "end"}]}), "script.steps.end.replies.0.when"),
        (script(end={"say": "x", "replies": [{"when": [7], "next": "end"}]}), "script.steps.end.replies.0.when"),
        (script(end={"say": "x", "replies": [{"when": ["?!"], "next": "end"}]}), "script.steps.end.replies.0.when"),
        (
            script(end={"say": "x", "replies": [{"when": ["a" * (PHRASE_LENGTH_MAX + 1)], "next": "end"}]}),
            "script.steps.end.replies.0.when",
        ),
        (script(end={"say": "x", "otherwise": "b"}), "script.steps.end.otherwise"),
        (script(end={"say": "x", "then": "b"}), "script.steps.end.then"),
        (script(end={"say": "x", "tool": "find_slot"}), "script.steps.end.tool"),
        (script(end={"say": "x", "tool": ["end_call"]}), "script.steps.end.tool"),
        (script(end={"say": "x", "tool": "end_call", "arguments": []}), "script.steps.end.arguments"),
        (script(end={"say": "x", "outcome": "not at home"}), "script.steps.end.outcome"),
        ({"script": {**script()["script"], "note": "{{ name }}"}}, "script.note"),
        ({"script": {**script()["script"], "note": ""}}, "script.note"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_is_wrong_is_refused_by_its_place(llm: dict[str, Any], param: str) -> None:
    with pytest.raises(ConfigurationInvalid) as refused:
        check_llm_config(llm)
    assert refused.value.param == f"llm_config.{param}".rstrip(".")
    assert "llm_config" in refused.value.message


@pytest.mark.parametrize(
    ("llm", "step"),
    [
        (script(end={}), "end"),
        (script(end={"tool": "press_digits"}), "end"),
        (script(start={}), "start"),
        (script(start={"replies": [{"when": ["a"], "next": "end"}]}), "start"),
        (script(start={"otherwise": "end"}, end={"say": "x", "otherwise": "start"}), "start"),
        (script(end={"say": "x", "then": "start"}), "start"),
    ],
    ids=[
        "nothing",
        "keys and then nothing",
        "start, stayed at",
        "start, stayed at often",
        "start, come back to",
        "after a tool",
    ],
)
def test_a_step_that_words_lead_to_has_an_answer_to_them(llm: dict[str, Any], step: str) -> None:
    with pytest.raises(ConfigurationInvalid) as refused:
        check_llm_config(llm)
    assert refused.value.param == f"llm_config.script.steps.{step}"


def test_only_conversations_of_ours_are_judged() -> None:
    assistant = Assistant(1, "org_1", "Ada", "Hello.", llm_config={"provider": "acme", "temperature": "hot"})
    for engine in ("say", "relay", "stream", "agent"):
        check_configuration(replace(assistant, engine=engine))
    with pytest.raises(ConfigurationInvalid):
        check_configuration(replace(assistant, engine="conversation"))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 3) | st.sampled_from(["", "start", "end_call", "function", "{{", "a"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                [
                    "start",
                    "steps",
                    "say",
                    "replies",
                    "when",
                    "next",
                    "otherwise",
                    "then",
                    "tool",
                    "type",
                    "function",
                    "server",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["provider", "model", "messages", "tools", "script", "temperature"]), _JSON))
def test_anything_ends_in_a_yes_or_in_a_refusal(llm: dict[str, Any]) -> None:
    with contextlib.suppress(ConfigurationInvalid):
        check_llm_config(llm)


def test_the_examples_of_the_document_are_configurations() -> None:
    document = Path(__file__).parents[2] / "docs/language-models.md"
    examples = re.findall(r"```json\n(.*?)```", document.read_text(), re.DOTALL)
    assert len(examples) == 2
    for example in examples:
        check_llm_config(json.loads(example))


def test_the_document_names_every_provider_and_its_model() -> None:
    text = (Path(__file__).parents[2] / "docs/language-models.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)`[^|]*\|[^|]*\|[^|]*\|([^|]*)\|$", text, re.MULTILINE))
    del rows["provider"]
    assert set(rows) == PROVIDERS
    defaults = {"bedrock": _DEFAULT_BEDROCK_MODEL, **{name: each.default_model for name, each in _COMPATIBLE.items()}}
    assert {name: cell.strip(" `") for name, cell in rows.items() if cell.strip()} == defaults
