"""The simulated model's HTTP: one route of OpenAI's, streamed or whole.

https://platform.openai.com/docs/api-reference/chat
The model's name may ask for trouble: `broken` answers 500, `silent` nothing, `garbage` half of an answer.
"""

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

from aiohttp import web

from sandbox.models.answers import ModelAnswer, answer

BASE_PATH = "/models/v1"
API_KEY_PREFIX = "sk-sandbox-"
SILENCE_SECONDS = 60.0
_WORDS = re.compile(r"\S+\s*")


def routes() -> list[web.RouteDef]:
    """The model's routes."""
    return [web.post(f"{BASE_PATH}/chat/completions", _complete)]


async def _complete(request: web.Request) -> web.StreamResponse:
    key = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if not key.startswith(API_KEY_PREFIX):
        return _refusal(401, "invalid_api_key", "Incorrect API key provided.")
    try:
        body = await request.json()
    except ValueError:
        body = None
    if not isinstance(body, dict) or not isinstance(body.get("messages"), list) or not body.get("model"):
        return _refusal(400, "invalid_request_error", "A model and a list of messages are required.")
    model = str(body["model"])
    if model == "broken":
        return _refusal(500, "server_error", "The server had an error while processing your request.")
    if model == "silent":
        await asyncio.sleep(SILENCE_SECONDS)
        return _refusal(503, "server_error", "Nobody waited.")
    form = body.get("response_format") or {}
    tools = frozenset(tool["function"]["name"] for tool in body.get("tools") or ())
    schema = form["json_schema"]["schema"] if form.get("type") == "json_schema" else None
    made = answer(body["messages"], tools=tools, schema=schema)
    if not body.get("stream"):
        message = {"role": "assistant", "content": made.text or None, **_tool_calls(made)}
        choice = {"index": 0, "message": message, "finish_reason": _reason(made)}
        return web.json_response({"object": "chat.completion", "model": model, "choices": [choice]})
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
    await response.prepare(request)
    for index, delta in enumerate(_deltas(made)):
        if model == "garbage" and index == 1:
            await response.write(b'data: {"choices": [{"del')
            break
        await response.write(_chunk(model, delta))
    else:
        await response.write(_chunk(model, {}, _reason(made)) + b"data: [DONE]\n\n")
    await response.write_eof()
    return response


def _deltas(made: ModelAnswer) -> Iterator[dict[str, Any]]:
    yield {"role": "assistant", "content": ""}
    for word in _WORDS.findall(made.text):
        yield {"content": word}
    if calls := _tool_calls(made):
        yield calls


def _tool_calls(made: ModelAnswer) -> dict[str, Any]:
    if made.tool is None:
        return {}
    function = {"name": made.tool, "arguments": json.dumps(made.arguments)}
    return {"tool_calls": [{"index": 0, "id": f"call_{made.tool}", "type": "function", "function": function}]}


def _reason(made: ModelAnswer) -> str:
    return "stop" if made.tool is None else "tool_calls"


def _chunk(model: str, delta: dict[str, Any], reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return f"data: {json.dumps({'object': 'chat.completion.chunk', 'model': model, 'choices': [choice]})}\n\n".encode()


def _refusal(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"error": {"message": message, "type": code, "code": code}}, status=status)
