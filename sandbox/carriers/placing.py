"""The scenarios that spoil a request for a call, the same for every carrier: refused, failed, unanswered, reset.

What a refusal looks like is the carrier's.
"""

import asyncio
import contextlib
import socket
import struct
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Protocol

from aiohttp import web

from sandbox.carriers.background import Background
from sandbox.carriers.carrier import JOURNAL_ENTRY
from sandbox.carriers.scenarios import Placing, find_scenario

NO_REPLY_SECONDS = 30.0


class Refusals(Protocol):
    """How the carrier refuses; each makes the exception that becomes its reply."""

    def invalid_number(self, number: str) -> Exception:
        """The called number is none."""

    def rate_limited(self) -> Exception:
        """Too many requests."""

    def server_error(self) -> Exception:
        """The carrier's own fault."""


class SpoiledPlacing:
    """Places calls as the called number's scenario says."""

    def __init__(self, refusals: Refusals, background: Background) -> None:
        self._refusals = refusals
        self._background = background
        self._refused: Counter[tuple[str, str]] = Counter()

    async def answer(
        self, request: web.Request, account: str, number: str, place: Callable[[], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Reply to a request for a call to the number; `place` places it and makes the reply. Raises refusals."""
        placing = find_scenario(number).placing
        match placing:
            case Placing.INVALID_NUMBER:
                raise self._refusals.invalid_number(number)
            case Placing.RATE_LIMITED:
                raise self._refusals.rate_limited()
            case Placing.RATE_LIMITED_TWICE:
                self._refuse_twice(account, number)
            case Placing.SERVER_ERROR:
                raise self._refusals.server_error()
            case Placing.CONNECTION_RESET:
                return _break_connection(request)
            case _:
                pass
        response = await place()
        match placing:
            case Placing.SERVER_ERROR_BUT_PLACED:
                raise self._refusals.server_error()
            case Placing.CONNECTION_RESET_BUT_PLACED:
                return _break_connection(request)
            case Placing.NO_REPLY_BUT_PLACED:
                await self._keep_waiting(request)
                return _break_connection(request)
            case _:
                return response

    def reset(self) -> None:
        """Forget what was refused."""
        self._refused.clear()

    def _refuse_twice(self, account: str, number: str) -> None:
        key = (account, number)
        self._refused[key] += 1
        if self._refused[key] <= 2:
            raise self._refusals.rate_limited()
        del self._refused[key]

    async def _keep_waiting(self, request: web.Request) -> None:
        """Say nothing until the client gives up, but no longer than any sensible client's timeout."""
        stopping, give_up_at = self._background.stopping, time.monotonic() + NO_REPLY_SECONDS
        while request.transport is not None and not request.transport.is_closing() and time.monotonic() < give_up_at:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), 0.1)
                return


def _break_connection(request: web.Request) -> web.StreamResponse:
    """Reset the connection: the client gets no byte of a reply."""
    if request.transport is not None:
        tcp = request.transport.get_extra_info("socket")
        if tcp is not None:
            # A linger time of zero makes closing send RST instead of FIN.
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.abort()
    request[JOURNAL_ENTRY].reply_lost = True
    return web.Response(status=500)
