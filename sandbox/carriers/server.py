"""The carriers' HTTP server: the carriers' own paths, the control endpoints under `/_`, and the journal of both ways.

Nothing of what a carrier does is here. To add a carrier `name`:

1. Make a package `sandbox/carriers/<name>/` (`-` becomes `_`) with a class that has the four things of
   `carrier.SimulatedCarrier` (`name`, `routes()`, `owns(path)`, `reset()`) and the constructor
   `(accounts: Sequence[Account], surroundings: Surroundings)`. Each account is the flat JSON of texts that the
   application keeps as its secret, plus whatever only the carrier itself knows; `carrier.keyed` sorts and checks them.
   Without accounts the carrier must still answer, with its own refusal of credentials.
2. Add the class to `CARRIERS` below. Paths must not overlap; `owns` tells whose a path is, for the journal.
3. In handlers, `request[JOURNAL_ENTRY].call_id = …` notes the call; use `surroundings.journal` for what is sent out.
4. Use what carriers have in common and copy none of it: `scenarios.find_scenario` (also takes SIP URIs and numbers
   without a plus), `clock.CallTimeline` for a call's own time, `placing.SpoiledPlacing` for the scenarios that spoil a
   create request, `line.Line` for waiting and everything that breaks into it, `callee.wait_for_answer` for the ringing,
   `delivery.DeliveryOrder` for how events may arrive, `webhooks.WebhookClient` for one journaled request to the
   application, `background.Background` for what runs beside requests and ends with a reset, `rate_limit.RateLimit`
   where too many requests are refused, `documents` and `conversations` (with a `session.CallSession` of the carrier's)
   where TwiML or its sockets are spoken, `callee_scripts` for what a callee says there.
5. Tests give accounts as `SimulatedCarriers({"<name>": [{…}]})`, the command line as a file (`--accounts`).
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl

import aiohttp
from aiohttp import web

from sandbox.carriers.carrier import JOURNAL_ENTRY, Account, AccountError, SimulatedCarrier, Surroundings
from sandbox.carriers.clock import SimulatedClock, SpeedError
from sandbox.carriers.elevenlabs.api import ElevenLabsApi
from sandbox.carriers.journal import Journal, group_form
from sandbox.carriers.person import attend_terminal
from sandbox.carriers.scenarios import CONVERSATIONS, SCENARIOS
from sandbox.carriers.telnyx.api import TelnyxApi
from sandbox.carriers.telnyx_texml.api import TexmlApi
from sandbox.carriers.twilio.api import TwilioApi
from sandbox.carriers.vonage.api import VonageApi

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

SHUTDOWN_SECONDS = 1.0
REQUEST_MAX_BYTES = 1_048_576

CARRIERS: Final[Mapping[str, Callable[[Sequence[Account], Surroundings], SimulatedCarrier]]] = {
    "twilio": TwilioApi,
    "telnyx": TelnyxApi,
    "telnyx-texml": TexmlApi,
    "vonage": VonageApi,
    "elevenlabs": ElevenLabsApi,  # after Twilio, over which it calls
}


@dataclass(frozen=True)
class CarriersConfig:
    """What to serve: accounts by the carrier's name, see `carrier.Account`; a SIP host's account is its carrier's.

    `speed` is simulated seconds per real second; the others are as in `carrier.Surroundings`.
    """

    accounts: Mapping[str, Sequence[Account]] = field(default_factory=dict)
    speed: float = 1.0
    calls_per_second: float = 1.0
    owned_numbers: frozenset[str] | None = None


async def build_app(config: CarriersConfig) -> web.Application:
    """The server's application; what runs for it ends with the application's cleanup.

    Raises SpeedError, AccountError.
    """
    unknown = config.accounts.keys() - CARRIERS.keys()
    if unknown:
        raise AccountError(
            f"no simulated carrier is called {', '.join(sorted(unknown))}; there are {', '.join(CARRIERS)}"
        )
    clock, journal = SimulatedClock(config.speed), Journal()
    # A connection per request, as between strangers: a kept one that dies would look like a second delivery.
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, force_close=True), cookie_jar=aiohttp.DummyCookieJar()
    )
    surroundings = Surroundings(clock, journal, session, config.calls_per_second, config.owned_numbers)
    try:
        for name, open_carrier in CARRIERS.items():
            surroundings.carriers.append(open_carrier(config.accounts.get(name, ()), surroundings))
    except AccountError:
        await session.close()
        raise
    carriers = surroundings.carriers
    app = web.Application(middlewares=[_journaling(journal, carriers)], client_max_size=REQUEST_MAX_BYTES)
    for carrier in carriers:
        app.add_routes(carrier.routes())
    app.add_routes(_Controls(surroundings).routes())

    async def shut_down(_app: web.Application) -> None:
        await _reset(carriers)

    async def end_session(_app: web.Application) -> AsyncIterator[None]:
        yield
        await _reset(carriers)
        await session.close()

    app.on_shutdown.append(shut_down)
    app.cleanup_ctx.append(end_session)
    return app


async def _reset(carriers: Sequence[SimulatedCarrier]) -> None:
    for carrier in carriers:
        await carrier.reset()


def _journaling(journal: Journal, carriers: Sequence[SimulatedCarrier]) -> Any:
    @web.middleware
    async def journaled(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith("/_"):
            return await handler(request)
        carrier = next((each.name for each in carriers if each.owns(request.path)), "")
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

    def __init__(self, surroundings: Surroundings) -> None:
        self._clock, self._journal = surroundings.clock, surroundings.journal
        self._carriers, self._callees = surroundings.carriers, surroundings.callees

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/_scenarios", self._scenarios),
            web.get("/_requests", self._requests),
            web.get("/_conversations", self._conversations),
            web.get("/_conversations/{call_id}", self._conversation),
            web.get("/_talk", self._talk),
            web.post("/_reset", self._reset),
            web.get("/_speed", self._speed),
            web.post("/_speed", self._set_speed),
        ]

    async def _scenarios(self, _request: web.Request) -> web.Response:
        rows = (*SCENARIOS, *CONVERSATIONS)
        return web.json_response([{"number": row.number, "name": row.name, "proves": row.proves} for row in rows])

    async def _requests(self, _request: web.Request) -> web.Response:
        return web.json_response(self._journal.to_json())

    async def _conversations(self, _request: web.Request) -> web.Response:
        return web.json_response(self._callees.journal.to_json())

    async def _conversation(self, request: web.Request) -> web.Response:
        record = self._callees.journal.find(request.match_info["call_id"])
        if record is None:
            return web.json_response({"error": "there was no conversation on this call"}, status=404)
        return web.json_response(record.to_json())

    async def _talk(self, request: web.Request) -> web.StreamResponse:
        return await attend_terminal(request, self._callees.terminals)

    async def _reset(self, _request: web.Request) -> web.Response:
        await _reset(self._carriers)
        self._journal.clear()
        self._callees.clear()
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
