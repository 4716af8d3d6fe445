"""Call Control over HTTP: routes, authentication, replies, lists."""

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from sandbox.carriers.carrier import JOURNAL_ENTRY, Account, Surroundings
from sandbox.carriers.placing import SpoiledPlacing
from sandbox.carriers.telnyx.accounts import ACCOUNT, TelnyxAccounts
from sandbox.carriers.telnyx.calls import Call
from sandbox.carriers.telnyx.errors import (
    TelnyxError,
    TelnyxRefusals,
    bad_json,
    invalid,
    missing,
    not_found,
    unknown_application,
    unverified_origination_number,
)
from sandbox.carriers.telnyx.leg import new_uuid
from sandbox.carriers.telnyx.parameters import Body, check_command, parse_dial
from sandbox.carriers.telnyx.simulator import ACTIONS, SimulatedTelnyx

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PATH_PREFIX = "/v2/"
TEXML_PREFIX = "/v2/texml/"
PAGE_SIZE_DEFAULT = 20
PAGE_SIZE_MAX = 250
_EVENT_FILTERS: Mapping[str, Callable[[Call, dict[str, Any]], str]] = {
    "filter[connection_id]": lambda call, _event: call.application_id,
    "filter[leg_id]": lambda call, _event: call.call_leg_id,
    "filter[application_session_id]": lambda call, _event: call.call_session_id,
    "filter[from]": lambda call, _event: call.from_,
    "filter[to]": lambda call, _event: call.to,
    "filter[name]": lambda _call, event: str(event["event_type"]),
    "filter[type]": lambda _call, _event: "webhook",
    "filter[product]": lambda _call, _event: "call_control",
}
_COMPARISONS: Mapping[str, Callable[[datetime, datetime], bool]] = {
    "filter[occurred_at][eq]": lambda at, limit: at == limit,
    "filter[occurred_at][gt]": lambda at, limit: at > limit,
    "filter[occurred_at][gte]": lambda at, limit: at >= limit,
    "filter[occurred_at][lt]": lambda at, limit: at < limit,
    "filter[occurred_at][lte]": lambda at, limit: at <= limit,
}


class TelnyxApi:
    """The simulated Call Control as the server serves it.

    An account needs `api_key`, `public_key`, `connection_id` and `signing_key` (see `keys`); it may have the
    application's own `webhook_url`.
    """

    name = "telnyx"

    def __init__(self, accounts: Sequence[Account], surroundings: Surroundings) -> None:
        self._accounts = TelnyxAccounts(self.name, accounts, "connection_id")
        self._owned_numbers = surroundings.owned_numbers
        self._telnyx = SimulatedTelnyx(self.name, surroundings)
        self._placing = SpoiledPlacing(TelnyxRefusals(), self._telnyx.background)

    def owns(self, path: str) -> bool:
        """Everything under the API's version that is not TeXML's."""
        return path.startswith(PATH_PREFIX) and not path.startswith(TEXML_PREFIX)

    async def reset(self) -> None:
        """Stop and forget every call."""
        await self._telnyx.reset()
        self._placing.reset()

    def routes(self) -> list[web.RouteDef]:
        """What the server has to route here."""
        return [
            web.post("/v2/calls", self._guarded(self._dial)),
            web.get("/v2/calls/{id}", self._guarded(self._retrieve)),
            web.post("/v2/calls/{id}/actions/{action}", self._guarded(self._command)),
            web.get("/v2/connections/{id}/active_calls", self._guarded(self._active_calls)),
            web.get("/v2/call_events", self._guarded(self._call_events)),
            web.route("*", r"/v2/{rest:(?!texml/).*}", self._guarded(self._unknown)),
        ]

    def _guarded(self, handler: Handler) -> Handler:
        return guarded(self._accounts, handler)

    async def _dial(self, request: web.Request) -> web.StreamResponse:
        account, body = request[ACCOUNT], await json_body(request)
        check_command(body)
        known = self._telnyx.dials.find(account.api_key, body.get("command_id"))
        if known is not None:
            return self._shown(request, known)
        connection_id = body.get("connection_id")
        if not connection_id:
            raise missing("connection_id")
        if connection_id not in account.applications:
            raise unknown_application("connection_id")
        parameters = parse_dial(body, self._check_owned)
        if parameters.webhook_url is None:
            parameters = replace(parameters, webhook_url=account.applications[connection_id].get("webhook_url"))

        async def place() -> web.StreamResponse:
            call = self._telnyx.dial(account, connection_id, parameters)
            self._telnyx.dials.remember(account.api_key, body.get("command_id"), call)
            return self._shown(request, call)

        return await self._placing.answer(request, account.api_key, parameters.to, place)

    def _shown(self, request: web.Request, call: Call) -> web.Response:
        request[JOURNAL_ENTRY].call_id = call.call_control_id
        return reply({"data": call.to_json()})

    def _check_owned(self, number: str) -> None:
        if self._owned_numbers is not None and number not in self._owned_numbers:
            raise unverified_origination_number("from")

    async def _retrieve(self, request: web.Request) -> web.StreamResponse:
        call = self._find(request)
        if call is None:
            raise not_found()
        return self._shown(request, call)

    async def _command(self, request: web.Request) -> web.StreamResponse:
        body = await json_body(request)
        if request.match_info["action"] not in ACTIONS:
            raise not_found()
        check_command(body)
        call = self._find(request)
        if call is None:
            raise TelnyxError(422, "90015", "Invalid Call Control ID", "The call_control_id provided was not valid.")
        request[JOURNAL_ENTRY].call_id = call.call_control_id
        self._telnyx.command(call, request.match_info["action"], body)
        return reply({"data": {"result": "ok"}})

    async def _active_calls(self, request: web.Request) -> web.StreamResponse:
        connection_id = request.match_info["id"]
        if connection_id not in request[ACCOUNT].applications:
            raise not_found()
        calls = self._telnyx.calls.of(request[ACCOUNT].api_key)
        active = [call for call in calls if call.application_id == connection_id and call.is_alive]
        return _page(request, [call.active_to_json() for call in active])

    async def _call_events(self, request: web.Request) -> web.StreamResponse:
        found = [
            call.event_to_json(event)
            for call in self._telnyx.calls.of(request[ACCOUNT].api_key)
            for event in call.events
            if _matches(request.query, call, event)
        ]
        return _page(request, sorted(found, key=lambda item: str(item["event_timestamp"])))

    async def _unknown(self, request: web.Request) -> web.StreamResponse:
        raise not_found()

    def _find(self, request: web.Request) -> Call | None:
        return self._telnyx.calls.find(request[ACCOUNT].api_key, unquote(request.match_info["id"]))


def guarded(accounts: TelnyxAccounts, handler: Handler) -> Handler:
    """A handler that is reached with a known key only, its refusals in Telnyx's envelope."""

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            request[ACCOUNT] = accounts.authenticate(request.headers)
            return await handler(request)
        except TelnyxError as error:
            return reply(error.to_json(), error.http_status)

    return answer


def reply(document: dict[str, Any], status: int = 200) -> web.Response:
    """A reply of Telnyx's."""
    return web.json_response(document, status=status, headers={"x-request-id": new_uuid()})


async def json_body(request: web.Request) -> Body:
    """The object that was posted; none is an empty one. Raises TelnyxError."""
    try:
        body = await request.json() if await request.read() else {}
    except ValueError:
        raise bad_json() from None
    if not isinstance(body, dict):
        raise bad_json()
    return body


def _matches(query: Mapping[str, str], call: Call, event: dict[str, Any]) -> bool:
    for name, value in query.items():
        if name in _EVENT_FILTERS and _EVENT_FILTERS[name](call, event) != value:
            return False
        if name in _COMPARISONS and not _COMPARISONS[name](
            datetime.fromisoformat(event["occurred_at"]), _moment(name, value)
        ):
            return False
    return True


def _moment(name: str, value: str) -> datetime:
    try:
        return datetime.fromisoformat(value).astimezone()
    except ValueError:
        raise invalid(name, "An ISO 8601 date and time is needed.") from None


def _page(request: web.Request, items: list[dict[str, Any]]) -> web.Response:
    number, size = _whole(request, "page[number]", 1), _whole(request, "page[size]", PAGE_SIZE_DEFAULT)
    if not (number >= 1 and 1 <= size <= PAGE_SIZE_MAX):
        raise invalid("page", f"page[number] counts from 1, page[size] is at most {PAGE_SIZE_MAX}.")
    meta = {
        "total_results": len(items),
        "total_pages": max(math.ceil(len(items) / size), 1),
        "page_number": number,
        "page_size": size,
    }
    return reply({"data": items[(number - 1) * size : number * size], "meta": meta})


def _whole(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, str(default))
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
