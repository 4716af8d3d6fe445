"""People who are callees: each sits at a terminal that holds a WebSocket, and the next call to a person is theirs.

`GET /_talk` upgrades to it. JSON objects, one per message. To the terminal: `{"event": "waiting"}`;
`{"event": "answered", "call_id", "from", "to"}`; `{"event": "hearing", "text"}` as words come, all of the utterance so
far; `{"event": "heard", "text", "is_cut"}`; `{"event": "turn"}` when the other side has finished;
`{"event": "ended", "by"}`. From it: `{"say": "…"}`, `{"press": "9"}`, `{"hang_up": true}`. Whoever goes, hangs up.
"""

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import Callable
from typing import Any

import aiohttp
from aiohttp import web

from sandbox.carriers.callee_scripts import Move

WORDS_LENGTH_MAX = 2_000
KEYS = frozenset("0123456789*#")


class Terminal:
    """One person, waiting for a call or on one."""

    def __init__(self, send: Callable[[dict[str, Any]], None]) -> None:
        self._send = send
        self._moves: deque[Move] = deque()
        self._on_move: Callable[[], None] = lambda: None
        self.is_gone = False

    def tell(self, event: str, **details: Any) -> None:
        """Send an event to the terminal."""
        self._send({"event": event, **details})

    def listen(self, on_move: Callable[[], None]) -> None:
        """Be told of moves."""
        self._on_move = on_move

    def move(self, move: Move) -> None:
        """The person does something."""
        self._moves.append(move)
        self._on_move()

    def leave(self) -> None:
        """The person is gone."""
        self.is_gone = True
        self.move(Move(hangs_up=True, after_seconds=0.0))

    def take_move(self) -> Move | None:
        """What the person did next."""
        return self._moves.popleft() if self._moves else None


class Terminals:
    """Those who wait for a call, first come, first called."""

    def __init__(self) -> None:
        self._waiting: deque[Terminal] = deque()

    def wait(self, terminal: Terminal) -> None:
        """Wait for a call."""
        self._waiting.append(terminal)

    def take(self) -> Terminal | None:
        """The next to be called, if somebody waits."""
        while self._waiting:
            terminal = self._waiting.popleft()
            if not terminal.is_gone:
                return terminal
        return None


async def attend_terminal(request: web.Request, terminals: Terminals) -> web.StreamResponse:
    """Serve `GET /_talk`, from the wait to the end of one call."""
    socket = web.WebSocketResponse(heartbeat=20, max_msg_size=16_384)
    await socket.prepare(request)
    outgoing: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    terminal = Terminal(outgoing.put_nowait)
    terminal.tell("waiting")
    terminals.wait(terminal)

    async def send() -> None:
        while True:
            event = await outgoing.get()
            await socket.send_json(event)
            if event["event"] == "ended":
                await socket.close()

    sending = asyncio.ensure_future(send())
    try:
        async for message in socket:
            if message.type == aiohttp.WSMsgType.TEXT and (move := read_move(message.data)) is not None:
                terminal.move(move)
    finally:
        terminal.leave()
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):
            await sending
    return socket


def read_move(text: str) -> Move | None:
    """What a message of a terminal's asks for; None for what is not understood."""
    try:
        message = json.loads(text)
    except ValueError:
        return None
    match message:
        case {"say": str(words)} if words.strip():
            return Move(says=words.strip()[:WORDS_LENGTH_MAX], after_seconds=0.0)
        case {"press": str(keys)} if keys and set(keys) <= KEYS:
            return Move(presses=keys, after_seconds=0.0)
        case {"hang_up": True}:
            return Move(hangs_up=True, after_seconds=0.0)
        case _:
            return None
