"""TeXML over HTTP: routes, authentication, replies, lists."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode

from aiohttp import web

from sandbox.carriers.carrier import JOURNAL_ENTRY, Account, Surroundings
from sandbox.carriers.placing import SpoiledPlacing
from sandbox.carriers.telnyx.accounts import ACCOUNT, TelnyxAccounts
from sandbox.carriers.telnyx.api import TEXML_PREFIX, Handler, guarded, json_body, reply
from sandbox.carriers.telnyx.errors import TelnyxRefusals, invalid, not_found
from sandbox.carriers.telnyx_texml.calls import TexmlCall
from sandbox.carriers.telnyx_texml.parameters import Fields, parse_create, parse_recording, parse_update
from sandbox.carriers.telnyx_texml.simulator import SimulatedTexml

PAGE_SIZE_DEFAULT = 50
PAGE_SIZE_MAX = 1000
_CALLS = TEXML_PREFIX + "Accounts/{account_sid}/Calls"
_FILTERS: Mapping[str, Callable[[TexmlCall], str]] = {
    "To": lambda call: call.to,
    "From": lambda call: call.from_,
    "Status": lambda call: str(call.to_json()["status"]),
}
_TIMES: Mapping[str, Callable[[TexmlCall], datetime | None]] = {
    "StartTime": lambda call: call.start_time,
    "EndTime": lambda call: call.end_time,
}


class TexmlApi:
    """The simulated TeXML as the server serves it.

    An account needs `api_key`, `public_key`, `account_sid`, `application_sid` and `signing_key` (see `telnyx.keys`);
    it may have the application's own `voice_url` and `status_callback`. Telnyx documents a reply to a create request
    that does not name the call, and is seen to name it: an account with `names_calls` "no" gets the documented one.
    """

    name = "telnyx-texml"

    def __init__(self, accounts: Sequence[Account], surroundings: Surroundings) -> None:
        self._accounts = TelnyxAccounts(self.name, accounts, "application_sid", "account_sid")
        self._owned_numbers = surroundings.owned_numbers
        self._texml = SimulatedTexml(self.name, surroundings)
        self._placing = SpoiledPlacing(TelnyxRefusals("/To"), self._texml.background)

    def owns(self, path: str) -> bool:
        """Everything under TeXML's prefix."""
        return path.startswith(TEXML_PREFIX)

    async def reset(self) -> None:
        """Stop and forget every call."""
        await self._texml.reset()
        self._placing.reset()

    def routes(self) -> list[web.RouteDef]:
        """What the server has to route here."""
        return [
            web.post(_CALLS, self._guarded(self._create)),
            web.get(_CALLS, self._guarded(self._list)),
            web.get(f"{_CALLS}.json", self._guarded(self._list)),
            web.get(f"{_CALLS}/{{sid}}", self._guarded(self._retrieve)),
            web.post(f"{_CALLS}/{{sid}}", self._guarded(self._update)),
            web.post(f"{_CALLS}/{{sid}}/Recordings.json", self._guarded(self._record)),
            web.route("*", TEXML_PREFIX + "{rest:.*}", self._guarded(self._unknown)),
        ]

    def _guarded(self, handler: Handler) -> Handler:
        async def of_the_account(request: web.Request) -> web.StreamResponse:
            account_sid = request.match_info.get("account_sid")
            if account_sid is not None and not self._applications(request):
                raise not_found()
            return await handler(request)

        return guarded(self._accounts, of_the_account)

    def _applications(self, request: web.Request) -> dict[str, Account]:
        account_sid = request.match_info["account_sid"]
        applications = request[ACCOUNT].applications
        return {sid: given for sid, given in applications.items() if given["account_sid"] == account_sid}

    async def _create(self, request: web.Request) -> web.StreamResponse:
        account, applications = request[ACCOUNT], self._applications(request)
        parameters = parse_create(await _fields(request), applications, self._owned_numbers)

        async def place() -> web.StreamResponse:
            call = self._texml.place(account, request.match_info["account_sid"], parameters)
            request[JOURNAL_ENTRY].call_id = call.call_control_id
            placed = {"from": call.from_, "to": call.to, "status": "queued"}
            if applications[parameters.application_sid].get("names_calls") != "no":
                placed |= {"sid": call.call_control_id, "account_sid": call.account_sid}
            return reply(placed)

        return await self._placing.answer(request, account.api_key, parameters.to, place)

    async def _retrieve(self, request: web.Request) -> web.StreamResponse:
        return reply(self._call(request).to_json())

    async def _update(self, request: web.Request) -> web.StreamResponse:
        call = self._call(request)
        await self._texml.update(call, parse_update(await _fields(request)))
        return reply(call.to_json())

    async def _record(self, request: web.Request) -> web.StreamResponse:
        call = self._call(request)
        recording = self._texml.record(call, parse_recording(await _fields(request)))
        return reply(call.recording_to_json(recording))

    async def _list(self, request: web.Request) -> web.StreamResponse:
        calls = self._texml.calls.newest_first(request.match_info["account_sid"])
        return _page(request, [call.to_json() for call in calls if _matches(request.query, call)])

    async def _unknown(self, request: web.Request) -> web.StreamResponse:
        raise not_found()

    def _call(self, request: web.Request) -> TexmlCall:
        call = self._texml.calls.find(request.match_info["account_sid"], unquote(request.match_info["sid"]))
        if call is None:
            raise not_found()
        request[JOURNAL_ENTRY].call_id = call.call_control_id
        return call


async def _fields(request: web.Request) -> Fields:
    """What was posted, as a form or as JSON. Raises TelnyxError."""
    if request.content_type == "application/json":
        return {name: _as_text(value) for name, value in (await json_body(request)).items() if value is not None}
    return dict(parse_qsl((await request.read()).decode("utf-8", "replace"), keep_blank_values=True))


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _matches(query: Mapping[str, str], call: TexmlCall) -> bool:
    for name, value in query.items():
        if name in _FILTERS and _FILTERS[name](call) != value:
            return False
        field = name.rstrip("<>")
        if field in _TIMES:
            moment, limit = _TIMES[field](call), _date(name, value)
            if moment is None:
                return False
            day = moment.date()
            if not (day < limit if name.endswith("<") else day > limit if name.endswith(">") else day == limit):
                return False
    return True


def _date(name: str, value: str) -> date:
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise invalid(name, f"{name} must be a date like 2024-01-15.") from None


def _page(request: web.Request, items: list[dict[str, Any]]) -> web.Response:
    number, size = _whole(request, "Page", 0), min(_whole(request, "PageSize", PAGE_SIZE_DEFAULT), PAGE_SIZE_MAX)
    shown = items[number * size : (number + 1) * size]

    def uri(page: int) -> str:
        kept = [(name, value) for name, value in request.query.items() if name not in ("Page", "PageSize", "PageToken")]
        path = request.path.removesuffix(".json")
        return f"{path}.json?{urlencode([*kept, ('Page', page), ('PageSize', size)])}"

    return reply(
        {
            "calls": shown,
            "first_page_uri": uri(0),
            "next_page_uri": uri(number + 1) if (number + 1) * size < len(items) else None,
            "uri": uri(number),
            "page": number,
            "page_size": size,
            "start": number * size,
            "end": number * size + max(len(shown) - 1, 0),
        }
    )


def _whole(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 10) or (name == "PageSize" and int(text) < 1):
        raise invalid(name, f"{name} must be a whole number.")
    return int(text)
