"""`dialplane talk`: somebody at a terminal is the callee of a simulated call, over the carrier's own WebSockets."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from xml.sax.saxutils import quoteattr

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from cli.output import CommandFailed
from cli.talk import Screen, hold, move_of
from sandbox.carriers import SimulatedCarriers
from sandbox.carriers.scenarios import PERSON_NUMBER

ACCOUNT = {"account_sid": "AC" + "1" * 32, "auth_token": "auth-token"}
QUESTION = "Would Monday or Tuesday suit you?"


@pytest.fixture(scope="module")
def carriers() -> Iterator[SimulatedCarriers]:
    with SimulatedCarriers({"twilio": [ACCOUNT]}, speed=100, calls_per_second=1000) as running:
        yield running


Answers = Callable[[dict[str, Any]], list[dict[str, Any]]]


def talked(carriers: SimulatedCarriers, lines: str, answers: Answers, *, status: int = 200) -> tuple[str, list[Any]]:
    """What the terminal shows of a call when these lines are typed, and the frames that reached the application."""
    frames: list[Any] = []

    async def socket(request: web.Request) -> web.WebSocketResponse:
        response = web.WebSocketResponse()
        await response.prepare(request)
        async for message in response:
            frame = message.json()
            frames.append(frame)
            for reply in answers(frame):
                await response.send_json(reply)
        return response

    async def initiate(request: web.Request) -> web.Response:
        """What Dialplane does, as far as the callee can tell."""
        if status != 200:
            return web.json_response({"detail": "on the do-not-call list", "code": "do_not_call"}, status=status)
        url = str(request.url.with_scheme("ws").with_path("/socket"))
        twiml = (
            f"<Response><Connect><ConversationRelay url={quoteattr(url)} dtmfDetection='true'/></Connect></Response>"
        )
        form = {"To": (await request.json())["to_phone_number"], "From": "+15551234570", "Twiml": twiml}
        address = f"{carriers.url}/2010-04-01/Accounts/{ACCOUNT['account_sid']}/Calls.json"
        credentials = aiohttp.encode_basic_auth(ACCOUNT["account_sid"], ACCOUNT["auth_token"])
        headers = {"Authorization": credentials}
        async with aiohttp.ClientSession() as http, http.post(address, data=form, headers=headers) as answer:
            return web.json_response({"placed": answer.status})

    async def sit_down() -> str:
        app = web.Application()
        app.router.add_get("/socket", socket)
        app.router.add_post("/calls/initiate", initiate)
        shown: list[str] = []
        async with TestServer(app, host="127.0.0.1") as api:
            state: Any = SimpleNamespace(
                carrier_url=carriers.url,
                api_url=f"http://127.0.0.1:{api.port}",
                api_key="dp_org_x",
                organization_id="org_1",
            )
            body = {"to_phone_number": PERSON_NUMBER}
            await asyncio.wait_for(hold(state, body, io.StringIO(lines), Screen(shown.append)), 20)
        return "".join(shown)

    return asyncio.run(sit_down()), frames


def conversation(*texts: str) -> Answers:
    """Says one text after another, and ends."""
    left = list(texts)

    def answer(frame: dict[str, Any]) -> list[dict[str, Any]]:
        if frame["type"] not in ("setup", "prompt", "dtmf"):
            return []
        return [{"type": "text", "token": left.pop(0), "last": True}] if left else [{"type": "end"}]

    return answer


def test_lines_are_said_one_by_one_when_it_is_their_turn(carriers: SimulatedCarriers) -> None:
    shown, frames = talked(carriers, "Tuesday.\n\n/9\n", conversation(QUESTION, "And a reminder?"))
    assert [frame["type"] for frame in frames] == ["setup", "prompt", "dtmf"]
    assert (frames[1]["voicePrompt"], frames[2]["digit"]) == ("Tuesday.", "9")
    assert shown.splitlines()[1:] == [
        f"assistant: {QUESTION}",
        "you: Tuesday.",
        "assistant: And a reminder?",
        "you: /9",
        "The call was ended by the assistant.",
    ]
    assert "You are called from +15551234570." in shown


def test_who_has_nothing_more_to_say_hangs_up(carriers: SimulatedCarriers) -> None:
    shown, frames = talked(carriers, "/what\n", conversation(QUESTION))
    assert [frame["type"] for frame in frames] == ["setup"]
    assert shown.splitlines()[2].startswith("/what is no command.")
    assert shown.splitlines()[-1] == "The call was ended by you."


def test_a_command_hangs_up(carriers: SimulatedCarriers) -> None:
    shown, _ = talked(carriers, "/hang\nnever said\n", conversation(QUESTION))
    assert shown.splitlines()[-1] == "The call was ended by you."
    assert "never said" not in shown


def test_a_call_that_is_refused_is_told_and_how_to_be_called_again(carriers: SimulatedCarriers) -> None:
    removal = re.escape(f"dialplane admin dnc remove {PERSON_NUMBER} --organization org_1")
    with pytest.raises(CommandFailed, match=f"do-not-call list To be called again: {removal}"):
        talked(carriers, "", conversation(), status=403)


def test_words_appear_as_they_come_and_a_cut_is_seen() -> None:
    shown: list[str] = []
    screen = Screen(shown.append)
    for event in (
        {"event": "hearing", "text": "Would"},
        {"event": "hearing", "text": "Would Monday "},
        {"event": "hearing", "text": "Would Monday"},
        {"event": "heard", "text": "Would Monday or", "is_cut": True},
        {"event": "ended", "by": "socket"},
    ):
        screen.show(event)
    assert shown == [
        "assistant: Would",
        " Monday ",
        "",
        "or",
        " –\n",
        "The call was ended by a lost connection.\n",
    ]


@pytest.mark.parametrize(
    ("line", "move"),
    [
        ("Yes, please\n", {"say": "Yes, please"}),
        ("/9\n", {"press": "9"}),
        ("/12#", {"press": "12#"}),
        ("/hang", {"hang_up": True}),
        ("/", None),
        ("/help", None),
    ],
)
def test_a_line_is_said_or_is_a_command(line: str, move: dict[str, Any] | None) -> None:
    assert move_of(line) == move
