"""The carriers' HTTP server: the carriers' own paths, the control endpoints under `/_`, and the journal of both ways.

A carrier adds its routes in `build_app`; nothing of what a carrier does is here.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import aiohttp
from aiohttp import web

from sandbox.carriers.clock import SimulatedClock, SpeedError
from sandbox.carriers.journal import Journal, group_form
from sandbox.carriers.scenarios import SCENARIOS
from sandbox.carriers.twilio.api import JOURNAL_ENTRY, PATH_PREFIX, TwilioApi
from sandbox.carriers.twilio.simulator import SimulatedTwilio

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

SHUTDOWN_SECONDS = 1.0
REQUEST_MAX_BYTES = 1_048_576


@dataclass(frozen=True)
class CarriersConfig:
    """`twilio_accounts` maps account SIDs to auth tokens; `twilio_owned_numbers` None accepts any caller number.

    `speed` is simulated seconds per real second, `twilio_calls_per_second` is in simulated time, per account.
    """

    twilio_accounts: dict[str, str]
    twilio_owned_numbers: frozenset[str] | None = None
    twilio_calls_per_second: float = 1.0
    speed: float = 1.0


async def build_app(config: CarriersConfig) -> web.Application:
    """The server's application; what runs for it ends with the application's cleanup. Raises SpeedError."""
    clock, journal = SimulatedClock(config.speed), Journal()
    # A connection per request, as between strangers: a kept one that dies would look like a second delivery.
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, force_close=True), cookie_jar=aiohttp.DummyCookieJar()
    )
    twilio = SimulatedTwilio(
        accounts=config.twilio_accounts,
        clock=clock,
        journal=journal,
        session=session,
        calls_per_second=config.twilio_calls_per_second,
        owned_numbers=config.twilio_owned_numbers,
    )
    app = web.Application(middlewares=[_journaling(journal)], client_max_size=REQUEST_MAX_BYTES)
    app.add_routes(TwilioApi(twilio).routes())
    app.add_routes(_Controls(clock, journal, twilio).routes())

    async def shut_down(_app: web.Application) -> None:
        await twilio.reset()

    async def end_session(_app: web.Application) -> AsyncIterator[None]:
        yield
        await twilio.reset()
        await session.close()

    app.on_shutdown.append(shut_down)
    app.cleanup_ctx.append(end_session)
    return app


def _journaling(journal: Journal) -> Any:
    @web.middleware
    async def journaled(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith("/_"):
            return await handler(request)
        carrier = "twilio" if request.path.startswith(PATH_PREFIX) else ""
        entry = journal.add(
            carrier=carrier, direction="in", method=request.method, url=str(request.url), headers=request.headers
        )
        request[JOURNAL_ENTRY] = entry
        try:
            body = (await request.read()).decode("utf-8", "replace")
            if request.content_type == "application/json":
                entry.json = _decoded(body)
            else:
                entry.form = group_form(parse_qsl(body, keep_blank_values=True))
            response = await handler(request)
        except web.HTTPException as refusal:
            entry.status = refusal.status
            raise
        if not entry.reply_lost:
            entry.status = response.status
        return response

    return journaled


class _Controls:
    """The endpoints for people and tests; no carrier has them."""

    def __init__(self, clock: SimulatedClock, journal: Journal, twilio: SimulatedTwilio) -> None:
        self._clock, self._journal, self._twilio = clock, journal, twilio

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/_scenarios", self._scenarios),
            web.get("/_requests", self._requests),
            web.post("/_reset", self._reset),
            web.get("/_speed", self._speed),
            web.post("/_speed", self._set_speed),
        ]

    async def _scenarios(self, _request: web.Request) -> web.Response:
        return web.json_response([{"number": row.number, "name": row.name, "proves": row.proves} for row in SCENARIOS])

    async def _requests(self, _request: web.Request) -> web.Response:
        return web.json_response(self._journal.to_json())

    async def _reset(self, _request: web.Request) -> web.Response:
        await self._twilio.reset()
        self._journal.clear()
        return web.Response(status=204)

    async def _speed(self, _request: web.Request) -> web.Response:
        return web.json_response({"speed": self._clock.speed})

    async def _set_speed(self, request: web.Request) -> web.Response:
        asked = _decoded(await request.text())
        speed = asked.get("speed") if isinstance(asked, dict) else None
        try:
            if isinstance(speed, bool) or not isinstance(speed, int | float):
                raise SpeedError(f'send {{"speed": 20}}, got {asked!r}')
            self._clock.speed = speed
        except SpeedError as error:
            return web.json_response({"error": str(error)}, status=400)
        return await self._speed(request)


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
