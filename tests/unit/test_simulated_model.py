"""The sandbox's language model: the same answers to the same words, in the frames that OpenAI's clients understand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from dialplane.domain.language_model import Message, ModelFailed, ModelRequest, Tool, ToolCall
from dialplane.models.openai import OpenAiModel
from sandbox import models
from sandbox.models.answers import answer

TOOLS = frozenset({"end_call", "opt_out"})


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    """A server of the model in a thread of its own."""
    import threading  # noqa: PLC0415

    loop = asyncio.new_event_loop()
    app = web.Application()
    app.add_routes(models.routes())
    server = TestServer(app, loop=loop)
    loop.run_until_complete(server.start_server())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield str(server.make_url(models.BASE_PATH))
    asyncio.run_coroutine_threadsafe(server.close(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


@pytest.mark.parametrize(
    ("said", "text", "tool"),
    [
        (["Hello."], "Thank you. Which day would suit you, Monday or Tuesday?", None),
        (["Hello.", "Tuesday."], "Very good, I have noted that. Shall I send you a reminder?", None),
        (["Hello.", "Tuesday.", "Yes."], "That is arranged. Thank you for your time, and goodbye.", "end_call"),
        (["Please stop calling me."], "", "opt_out"),
        (["Goodbye."], "Goodbye.", "end_call"),
        (["No, thank you."], "I understand. Thank you for your time, and goodbye.", "end_call"),
        (["Hello.", "<note>The code is 42</note>"], "I have just learned this: The code is 42.", None),
    ],
)
def test_the_same_words_get_the_same_answer(said: list[str], text: str, tool: str | None) -> None:
    made = answer([user(each) for each in said], tools=TOOLS, schema=None)
    assert (made.text, made.tool) == (text, tool)


def test_a_tool_that_is_not_offered_is_not_used() -> None:
    assert answer([user("Goodbye.")], tools=frozenset(), schema=None).tool is None


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"summary": {"type": "string"}}, "required": ["summary"]},
        {
            "type": "object",
            "properties": {
                "outcome": {"enum": ["agreed", "declined"]},
                "score": {"type": "integer", "minimum": 1},
                "tags": {"type": "array", "items": {"type": "string"}, "minItems": 1},
                "next": {"type": ["null", "string"]},
                "agreed": {"type": "boolean"},
                "more": {"type": "object", "properties": {"a": {"const": 5}}},
            },
        },
    ],
)
def test_an_answer_has_the_form_that_was_asked_for(schema: dict[str, Any]) -> None:
    made = answer([user("one\ntwo")], tools=TOOLS, schema=schema)
    jsonschema.validate(json.loads(made.text), schema)


def test_our_client_reads_it_token_by_token(base_url: str) -> None:
    model = OpenAiModel(base_url, f"{models.API_KEY_PREFIX}1", model="simulated")
    tools = (Tool("end_call", "End the call.", {"type": "object", "properties": {}}),)
    pieces = list(model.stream(ModelRequest(system="", messages=(Message("user", "Goodbye."),), tools=tools)))
    assert pieces == ["Goodbye.", ToolCall("call_end_call", "end_call")]
    pieces = list(model.stream(ModelRequest(system="", messages=(Message("user", "Hello."),))))
    assert len(pieces) > 5
    assert "".join(map(str, pieces)) == "Thank you. Which day would suit you, Monday or Tuesday?"


@pytest.mark.parametrize(("key", "model"), [("sk-other", "simulated"), (f"{models.API_KEY_PREFIX}1", "broken")])
def test_a_wrong_key_and_a_broken_model_are_refused(base_url: str, key: str, model: str) -> None:
    with pytest.raises(ModelFailed, match="HTTP"):
        list(OpenAiModel(base_url, key, model=model).stream(ModelRequest("", (Message("user", "Hi."),))))


def test_half_an_answer_is_no_answer(base_url: str) -> None:
    model = OpenAiModel(base_url, f"{models.API_KEY_PREFIX}1", model="garbage")
    with pytest.raises(ModelFailed):
        list(model.stream(ModelRequest("", (Message("user", "Hi."),))))
