"""Twilio's Calls API over HTTP: routes, authentication, replies, and the scenarios that spoil a create request."""

import hmac
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlencode

from aiohttp import BasicAuth, web

from sandbox.carriers.carrier import JOURNAL_ENTRY, Account, Surroundings, keyed
from sandbox.carriers.journal import JournalEntry
from sandbox.carriers.placing import SpoiledPlacing
from sandbox.carriers.twilio.call_filters import build_filters
from sandbox.carriers.twilio.calls import API_VERSION, Call, event_to_json
from sandbox.carriers.twilio.errors import (
    TwilioError,
    authentication_failed,
    invalid_parameter,
    invalid_to,
    method_not_allowed,
    not_found,
    rate_limited,
    server_error,
)
from sandbox.carriers.twilio.parameters import group, parse_create, parse_recording, parse_update
from sandbox.carriers.twilio.simulator import SimulatedTwilio

T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PATH_PREFIX = f"/{API_VERSION}/"
PAGE_SIZE_DEFAULT = 50
PAGE_SIZE_MAX = 1000
_CALLS = f"/{API_VERSION}/Accounts/{{account_sid}}/Calls"


class _Refusals:
    """How Twilio refuses a call."""

    def invalid_number(self, number: str) -> Exception:
        return invalid_to(number)

    def rate_limited(self) -> Exception:
        return rate_limited()

    def server_error(self) -> Exception:
        return server_error()


class TwilioApi:
    """The simulated Twilio as the server serves it. An account needs `account_sid` and `auth_token`."""

    name = "twilio"

    def __init__(self, accounts: Sequence[Account], surroundings: Surroundings) -> None:
        by_sid = keyed(self.name, accounts, "account_sid", "auth_token")
        tokens = {sid: account["auth_token"] for sid, account in by_sid.items()}
        self._twilio = SimulatedTwilio(tokens, surroundings)
        self._placing = SpoiledPlacing(_Refusals(), self._twilio.background)

    @property
    def simulator(self) -> SimulatedTwilio:
        """The calls behind the API, for a carrier that calls over Twilio."""
        return self._twilio

    def owns(self, path: str) -> bool:
        """Everything under the API's version."""
        return path.startswith(PATH_PREFIX)

    async def reset(self) -> None:
        """Stop and forget every call."""
        await self._twilio.reset()
        self._placing.reset()

    def routes(self) -> list[web.RouteDef]:
        """What the server has to route here."""
        return [
            web.post(f"{_CALLS}.json", self._guarded(self._create)),
            web.get(f"{_CALLS}.json", self._guarded(self._list)),
            web.get(f"{_CALLS}/{{sid}}.json", self._guarded(self._fetch)),
            web.post(f"{_CALLS}/{{sid}}.json", self._guarded(self._update)),
            web.get(f"{_CALLS}/{{sid}}/Events.json", self._guarded(self._events)),
            web.get(f"{_CALLS}/{{sid}}/Notifications.json", self._guarded(self._notifications)),
            web.post(f"{_CALLS}/{{sid}}/Recordings.json", self._guarded(self._record)),
            web.get(f"{_CALLS}/{{sid}}/Recordings.json", self._guarded(self._recordings)),
            web.route("*", f"{_CALLS}{{rest:(/[^/]+)?(/[^/]+)?}}.json", self._guarded(self._wrong_method)),
            web.route("*", PATH_PREFIX + "{rest:.*}", self._guarded(self._unknown)),
        ]

    def _guarded(self, handler: Handler) -> Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            try:
                self._authenticate(request)
                return await handler(request)
            except TwilioError as error:
                headers = {"WWW-Authenticate": 'Basic realm="Twilio API"'} if error.http_status == 401 else {}
                return _reply(error.to_json(), error.http_status, headers)

        return guarded

    def _authenticate(self, request: web.Request) -> None:
        try:
            given = BasicAuth.decode(request.headers.get("Authorization", ""))
        except ValueError:
            raise authentication_failed() from None
        token = self._twilio.accounts.get(given.login)
        path_account = request.match_info.get("account_sid", given.login)
        matches = token is not None and hmac.compare_digest(token.encode(), given.password.encode())
        if not matches or path_account != given.login:
            raise authentication_failed()

    async def _create(self, request: web.Request) -> web.StreamResponse:
        form = group(await _form(request))
        account_sid = request.match_info["account_sid"]

        async def place() -> web.StreamResponse:
            call = self._twilio.place(account_sid, parse_create(form, self._twilio.owned_numbers))
            _entry(request).call_id = call.sid
            return _reply(call.to_json(), 201)

        return await self._placing.answer(request, account_sid, form.get("To", [""])[0], place)

    async def _fetch(self, request: web.Request) -> web.StreamResponse:
        return _reply(self._call(request).to_json())

    async def _list(self, request: web.Request) -> web.StreamResponse:
        filters = build_filters({name: value for name, value in request.query.items() if value})
        calls = self._twilio.calls.newest_first(request.match_info["account_sid"])
        matching = [call for call in calls if all(matches(call) for matches in filters)]
        return _page(request, "calls", matching, Call.to_json)

    async def _update(self, request: web.Request) -> web.StreamResponse:
        call = self._call(request)
        await self._twilio.update(call, parse_update(group(await _form(request))))
        return _reply(call.to_json())

    async def _events(self, request: web.Request) -> web.StreamResponse:
        return _page(request, "events", self._call(request).events, event_to_json)

    async def _notifications(self, request: web.Request) -> web.StreamResponse:
        call = self._call(request)
        return _page(request, "notifications", call.notifications, call.notification_to_json)

    async def _record(self, request: web.Request) -> web.StreamResponse:
        call = self._call(request)
        recording = self._twilio.record(call, parse_recording(group(await _form(request))))
        return _reply(call.recording_to_json(recording), 201)

    async def _recordings(self, request: web.Request) -> web.StreamResponse:
        call = self._call(request)
        return _page(request, "recordings", call.recordings, call.recording_to_json)

    async def _wrong_method(self, request: web.Request) -> web.StreamResponse:
        if request.match_info["rest"].count("/") > 1 or request.method in ("GET", "POST"):
            raise not_found(request.path)
        raise method_not_allowed()

    async def _unknown(self, request: web.Request) -> web.StreamResponse:
        raise not_found(request.path)

    def _call(self, request: web.Request) -> Call:
        call = self._twilio.calls.find(request.match_info["account_sid"], request.match_info["sid"])
        if call is None:
            raise not_found(request.path)
        _entry(request).call_id = call.sid
        return call


async def _form(request: web.Request) -> list[tuple[str, str]]:
    """The posted form; the server journals it from here because the entry itself is written at arrival."""
    return parse_qsl((await request.read()).decode("utf-8", "replace"), keep_blank_values=True)


def _entry(request: web.Request) -> JournalEntry:
    return request[JOURNAL_ENTRY]


def _reply(payload: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response(
        payload, status=status, headers={"Twilio-Request-Id": "RQ" + uuid.uuid4().hex, **(headers or {})}
    )


def _page(request: web.Request, key: str, items: Sequence[T], to_json: Callable[[T], dict[str, Any]]) -> web.Response:
    """One page of a list, with the URIs of its neighbours."""
    page, size = _whole(request, "Page", 0), min(_whole(request, "PageSize", PAGE_SIZE_DEFAULT), PAGE_SIZE_MAX)
    if size < 1:
        raise invalid_parameter("PageSize", str(size), f"an integer from 1 to {PAGE_SIZE_MAX}")
    shown = items[page * size : (page + 1) * size]

    def uri(number: int) -> str:
        kept = [(name, value) for name, value in request.query.items() if name not in ("Page", "PageSize", "PageToken")]
        return f"{request.path}?{urlencode([*kept, ('PageSize', size), ('Page', number)])}"

    return _reply(
        {
            key: [to_json(item) for item in shown],
            "first_page_uri": uri(0),
            "next_page_uri": uri(page + 1) if (page + 1) * size < len(items) else None,
            "previous_page_uri": uri(page - 1) if page else None,
            "uri": uri(page),
            "page": page,
            "page_size": size,
            "start": page * size,
            "end": page * size + max(len(shown) - 1, 0),
        }
    )


def _whole(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise invalid_parameter(name, text, "a whole number")
    return int(text)
