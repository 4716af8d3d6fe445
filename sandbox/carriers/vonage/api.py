"""Vonage's Voice API over HTTP: routes, authentication, replies."""

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from sandbox.carriers.carrier import JOURNAL_ENTRY, Account, Surroundings
from sandbox.carriers.placing import SpoiledPlacing
from sandbox.carriers.vonage import errors
from sandbox.carriers.vonage.calls import Leg
from sandbox.carriers.vonage.errors import VonageError
from sandbox.carriers.vonage.parameters import parse_create, parse_list_query, parse_modification, text_of
from sandbox.carriers.vonage.simulator import SimulatedVonage
from sandbox.carriers.vonage.tokens import Application, authenticate

Handler = Callable[[web.Request, Application], Awaitable[web.StreamResponse]]

_CALLS = "/v1/calls"
_PLAYED = {"talk": "Talk", "stream": "Stream", "dtmf": "DTMF"}


class _Refusals:
    """How Vonage refuses what a scenario spoils."""

    def invalid_number(self, number: str) -> Exception:
        return errors.invalid_parameter("to.number", f"{number} is not a number that can be called")

    def rate_limited(self) -> Exception:
        return errors.rate_limited()

    def server_error(self) -> Exception:
        return errors.server_error()


class VonageApi:
    """The simulated Vonage as the server serves it; for what an account needs see `simulator.SimulatedVonage`."""

    name = "vonage"

    def __init__(self, accounts: Sequence[Account], surroundings: Surroundings) -> None:
        self._vonage = SimulatedVonage(accounts, surroundings)
        self._placing = SpoiledPlacing(_Refusals(), self._vonage.background)

    def owns(self, path: str) -> bool:
        """The calls, and nothing else under v1."""
        return path == _CALLS or path.startswith(f"{_CALLS}/")

    async def reset(self) -> None:
        """Stop and forget every call."""
        await self._vonage.reset()
        self._placing.reset()

    def routes(self) -> list[web.RouteDef]:
        """What the server has to route here."""
        return [
            web.post(_CALLS, self._guarded(self._create)),
            web.get(_CALLS, self._guarded(self._list)),
            web.get(f"{_CALLS}/{{uuid}}", self._guarded(self._fetch)),
            web.put(f"{_CALLS}/{{uuid}}", self._guarded(self._modify)),
            web.put(f"{_CALLS}/{{uuid}}/{{what:talk|stream|dtmf}}", self._guarded(self._play)),
            web.delete(f"{_CALLS}/{{uuid}}/{{what:talk|stream}}", self._guarded(self._play)),
            web.route("*", f"{_CALLS}{{rest:(/[^/]+)?}}", self._guarded(self._wrong_method)),
            web.route("*", f"{_CALLS}/{{rest:.*}}", self._guarded(self._unknown)),
        ]

    def _guarded(self, handler: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def guarded(request: web.Request) -> web.StreamResponse:
            try:
                authorization = request.headers.get("Authorization", "")
                return await handler(request, authenticate(authorization, self._vonage.applications))
            except VonageError as error:
                return web.json_response(
                    error.to_json(), status=error.http_status, content_type="application/problem+json"
                )

        return guarded

    async def _create(self, request: web.Request, application: Application) -> web.StreamResponse:
        parameters = parse_create(await _json(request))

        async def place() -> web.StreamResponse:
            leg = self._vonage.place(application, parameters)
            request[JOURNAL_ENTRY].call_id = leg.uuid
            reply = {"uuid": leg.uuid, "status": "started", "direction": "outbound"}
            return web.json_response({**reply, "conversation_uuid": leg.conversation_uuid}, status=201)

        return await self._placing.answer(request, application.id, text_of(parameters.to), place)

    async def _list(self, request: web.Request, application: Application) -> web.StreamResponse:
        query = parse_list_query(request.query)
        legs = self._vonage.legs.matching(application.id, query)
        size, first = query.page_size, query.record_index

        def link(index: int) -> dict[str, str]:
            kept = [(name, value) for name, value in request.query.items() if name not in ("page_size", "record_index")]
            return {"href": f"{_CALLS}?{urlencode([*kept, ('page_size', size), ('record_index', index)])}"}

        links = {"self": link(first), "first": link(0), "last": link(max(len(legs) - 1, 0) // size * size)}
        if first > 0:
            links["prev"] = link(max(first - size, 0))
        if first + size < len(legs):
            links["next"] = link(first + size)
        return web.json_response(
            {
                "_links": links,
                "count": len(legs),
                "page_size": size,
                "record_index": first,
                "_embedded": {"calls": [leg.to_json() for leg in legs[first : first + size]]},
            }
        )

    async def _fetch(self, request: web.Request, application: Application) -> web.StreamResponse:
        return web.json_response(self._leg(request, application).to_json())

    async def _modify(self, request: web.Request, application: Application) -> web.StreamResponse:
        leg = self._leg(request, application)
        await self._vonage.modify(leg, parse_modification(await _json(request)))
        return web.Response(status=204)

    async def _play(self, request: web.Request, application: Application) -> web.StreamResponse:
        """Accepted for a call in progress, and heard by nobody: the callee's time is not lengthened."""
        leg = self._leg(request, application)
        if leg.status != "answered":
            raise errors.not_found()
        what = _PLAYED[request.match_info["what"]]
        done = "stopped" if request.method == "DELETE" else "sent" if what == "DTMF" else "started"
        return web.json_response({"message": f"{what} {done}", "uuid": leg.uuid})

    async def _wrong_method(self, request: web.Request, _application: Application) -> web.StreamResponse:
        raise errors.method_not_allowed()

    async def _unknown(self, request: web.Request, _application: Application) -> web.StreamResponse:
        raise errors.not_found("There is nothing at this path")

    def _leg(self, request: web.Request, application: Application) -> Leg:
        leg = self._vonage.legs.find(application.id, request.match_info["uuid"])
        if leg is None:
            raise errors.not_found()
        request[JOURNAL_ENTRY].call_id = leg.uuid
        return leg


async def _json(request: web.Request) -> Any:
    if request.content_type != "application/json":
        raise errors.unsupported_media_type()
    try:
        return json.loads(await request.read())
    except ValueError:
        raise errors.bad_request("The body is not JSON") from None
