"""Everything of the API but placing calls: calls, wallet, do-not-call list.

API Gateway routes; here each route has its scope and its use case. Rules of the fields that a route takes are below it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import unquote

from dialplane.aws.client import AwsClient, HttpAwsClient
from dialplane.domain.accounts import ApiKey, PresentedKey, Scope, authenticate, check_scope
from dialplane.domain.errors import FieldsInvalid, RouteNotFound, ValueInvalid
from dialplane.domain.idempotency import IdempotencyKey
from dialplane.domain.money import parse_amount
from dialplane.domain.phone_numbers import PhoneNumber
from dialplane.domain.statuses import CallStatus
from dialplane.domain.templates import check_text
from dialplane.dynamodb.accounts import AccountStore
from dialplane.dynamodb.calls import CallStore
from dialplane.dynamodb.destinations import DestinationStore
from dialplane.dynamodb.wallets import WalletStore
from dialplane.runtime import clock
from dialplane.runtime.documents import (
    call_document,
    dnc_document,
    ledger_entry_document,
    reconciliation_document,
    timeline_document,
    wallet_document,
)
from dialplane.runtime.entry import serve
from dialplane.runtime.http import HttpRequest, HttpResponse, json_response
from dialplane.runtime.settings import Settings
from dialplane.usecases.browse_calls import BrowseCallsUseCase, CallFilters
from dialplane.usecases.manage_dnc import ManageDncUseCase
from dialplane.usecases.manage_wallet import ManageWalletUseCase

_PAGE_DEFAULT = 50
_PAGE_MAX = 100
_DEPOSIT_ROUTE = "POST /wallet/deposits"
_REASON_LENGTH_MAX = 500
_ERRORS_SHOWN_MAX = 20


@dataclass(frozen=True, slots=True)
class Api:
    """The use cases behind the routes."""

    accounts: AccountStore
    calls: BrowseCallsUseCase
    wallets: ManageWalletUseCase
    wallet_store: WalletStore
    dnc: ManageDncUseCase
    now: Callable[[], datetime]

    def respond(self, route: str, request: HttpRequest) -> HttpResponse:
        """Authenticate, check the route's scope, and answer."""
        presented = PresentedKey.parse(request.api_key)
        key = authenticate(presented, *self.accounts.load_identity(presented), now=self.now())
        if route not in _ROUTES:
            raise RouteNotFound(f"There is no {request.method} {request.path}. The routes are listed in the README.")
        scope, handler = _ROUTES[route]
        check_scope(key, scope)
        return handler(self, request, key)


def build(
    settings: Settings,
    client: AwsClient,
    *,
    now: Callable[[], datetime] = clock.now,
    sleep: Callable[[float], None] = time.sleep,
) -> Api:
    """The API on DynamoDB."""
    tables = settings.tables("accounts", "destinations", "wallets", "calls", "idempotency")
    calls, wallets = CallStore(client, tables), WalletStore(client, tables)
    return Api(
        accounts=AccountStore(client, tables),
        calls=BrowseCallsUseCase(calls),
        wallets=ManageWalletUseCase(wallets, AccountStore(client, tables), now),
        wallet_store=wallets,
        dnc=ManageDncUseCase(DestinationStore(client, tables), calls, now, sleep),
        now=now,
    )


def _list_calls(api: Api, request: HttpRequest, key: ApiKey) -> HttpResponse:
    query = _query(request, "status", "assistant_id", "from", "to", "created_after", "created_before")
    filters = CallFilters(
        statuses=_statuses(query.get("status")),
        assistant_id=_integer(query.get("assistant_id"), "assistant_id", lowest=1, highest=2**63 - 1),
        caller_number=_number(query.get("from"), "from"),
        destination=_number(query.get("to"), "to"),
        created_after=_time(query.get("created_after"), "created_after"),
        created_before=_time(query.get("created_before"), "created_before"),
    )
    page = api.calls.page(key.organization_id, filters, limit=_limit(query), cursor=query.get("cursor"))
    return _page("calls", [call_document(call) for call in page.calls], page.next_cursor)


def _get_call(api: Api, request: HttpRequest, key: ApiKey) -> HttpResponse:
    return json_response(200, call_document(api.calls.get(key.organization_id, _path(request, "call_id"))))


def _get_call_events(api: Api, request: HttpRequest, key: ApiKey) -> HttpResponse:
    timeline = api.calls.timeline(key.organization_id, _path(request, "call_id"))
    return json_response(200, {"events": [timeline_document(entry) for entry in timeline]})


def _get_wallet(api: Api, request: HttpRequest, key: ApiKey) -> HttpResponse:
    return json_response(200, wallet_document(api.wallets.wallet(key.organization_id)))


def _get_ledger(api: Api, request: HttpRequest, key: ApiKey) -> HttpResponse:
    query = _query(request)
    page = api.wallet_store.ledger_page(key.organization_id, limit=_limit(query), cursor=query.get("cursor"))
    return _page("entries", [ledger_entry_document(entry) for entry in page.entries], page.next_cursor)


def _reconcile_wallet(api: Api, request: HttpRequest, key: ApiKey) -> HttpResponse:
    return json_response(200, reconciliation_document(api.wallets.reconcile(key.organization_id)))


def _deposit(api: Api, request: HttpRequest, key: ApiKey) -> HttpResponse:
    body = request.json_object()
    header = request.headers.get("idempotency-key")
    idempotency_key = IdempotencyKey.of(header, route=_DEPOSIT_ROUTE, body=body) if header is not None else None
    fields = _text_fields(body, required=("amount", "currency"), optional=("note",))
    micros = parse_amount(fields["amount"])
    if micros is None:
        raise ValueInvalid('amount must be a decimal text with at most six places, such as "25.00".', field="amount")
    entry, is_replay = api.wallets.deposit(
        key.organization_id,
        micros=micros,
        currency=fields["currency"],
        note=_sentence(fields.get("note"), "note"),
        key=idempotency_key,
    )
    replayed = {"idempotent_replayed": "true"} if is_replay else {}
    return json_response(201, ledger_entry_document(entry), **replayed)


def _put_dnc(api: Api, request: HttpRequest, key: ApiKey) -> HttpResponse:
    fields = _text_fields(request.json_object() if request.body else {}, required=(), optional=("reason",))
    number = _path_number(request)
    reason = _sentence(fields.get("reason"), "reason")
    return json_response(200, dnc_document(api.dnc.add(key.organization_id, number, reason=reason, source="api")))


def _get_dnc(api: Api, request: HttpRequest, key: ApiKey) -> HttpResponse:
    return json_response(200, dnc_document(api.dnc.get(key.organization_id, _path_number(request))))


def _delete_dnc(api: Api, request: HttpRequest, key: ApiKey) -> HttpResponse:
    api.dnc.remove(key.organization_id, _path_number(request))
    return HttpResponse(204)


_Handler = Callable[[Api, HttpRequest, ApiKey], HttpResponse]
_ROUTES: dict[str, tuple[Scope, _Handler]] = {
    "GET /calls": (Scope.READ_CALLS, _list_calls),
    "GET /calls/{call_id}": (Scope.READ_CALLS, _get_call),
    "GET /calls/{call_id}/events": (Scope.READ_CALLS, _get_call_events),
    "GET /wallet": (Scope.READ_WALLET, _get_wallet),
    "GET /wallet/ledger": (Scope.READ_WALLET, _get_ledger),
    "GET /wallet/reconcile": (Scope.READ_WALLET, _reconcile_wallet),
    _DEPOSIT_ROUTE: (Scope.DEPOSIT, _deposit),
    "PUT /dnc/{number}": (Scope.WRITE_DNC, _put_dnc),
    "GET /dnc/{number}": (Scope.READ_DNC, _get_dnc),
    "DELETE /dnc/{number}": (Scope.WRITE_DNC, _delete_dnc),
}


def _page(name: str, documents: list[dict[str, Any]], cursor: str | None) -> HttpResponse:
    return json_response(200, {name: documents, "next_cursor": cursor, "has_more": cursor is not None})


def _path(request: HttpRequest, name: str) -> str:
    return unquote(request.path_parameters.get(name, ""))


def _path_number(request: HttpRequest) -> str:
    return PhoneNumber.parse(_path(request, "number"), field="number").e164


def _query(request: HttpRequest, *names: str) -> dict[str, str]:
    known = (*names, "limit", "cursor") if names or request.path.endswith("ledger") else names
    unknown = sorted(set(request.query) - set(known))
    if unknown:
        raise ValueInvalid(f"Unknown query parameters: {', '.join(unknown)}. Known: {', '.join(known)}.")
    return dict(request.query)


def _limit(query: dict[str, str]) -> int:
    return _integer(query.get("limit"), "limit", lowest=1, highest=_PAGE_MAX) or _PAGE_DEFAULT


def _integer(text: str | None, field: str, *, lowest: int, highest: int) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(highest)) and lowest <= int(text) <= highest):
        raise ValueInvalid(f"{field} must be a whole number from {lowest} to {highest}.", field=field)
    return int(text)


def _statuses(text: str | None) -> frozenset[str] | None:
    if text is None:
        return None
    if text not in set(CallStatus):
        raise ValueInvalid(f"status must be one of: {', '.join(CallStatus)}.", field="status")
    return frozenset({text})


def _number(text: str | None, field: str) -> str | None:
    # In a query string "+" means a space; a number that lost its plus that way is still meant.
    return PhoneNumber.parse(text.replace(" ", "+", 1), field=field).e164 if text is not None else None


def _time(text: str | None, field: str) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+"))
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise ValueInvalid(f"{field} must be a time with its offset, such as 2026-11-20T09:00:00Z.", field=field)


def _text_fields(body: dict[str, Any], *, required: tuple[str, ...], optional: tuple[str, ...]) -> dict[str, str]:
    """The fields of a flat body of texts; null counts as absent where a field is optional."""
    errors = [_field_error("missing", name, "Field required", None) for name in required if name not in body]
    for name, value in body.items():
        if name not in (*required, *optional):
            known = ", ".join((*required, *optional))
            errors.append(_field_error("extra_forbidden", name, f"Unknown field. Known fields: {known}.", value))
        elif not isinstance(value, str) and not (value is None and name in optional):
            errors.append(_field_error("string_type", name, "Input should be a valid string", value))
    if errors:
        raise FieldsInvalid(errors[:_ERRORS_SHOWN_MAX])
    return {name: value for name, value in body.items() if value is not None}


def _field_error(kind: str, name: str, message: str, value: Any) -> dict[str, Any]:
    return {"type": kind, "loc": ["body", name], "msg": message, "input": value}


def _sentence(text: str | None, field: str) -> str | None:
    if text is None:
        return None
    if len(text) > _REASON_LENGTH_MAX:
        raise ValueInvalid(f"{field} is too long: at most {_REASON_LENGTH_MAX} characters are allowed.", field=field)
    check_text(text, field=field)
    return text


@cache
def _api() -> Api:
    return build(Settings.from_environment(), HttpAwsClient())


def lambda_handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """API Gateway HTTP API event in, response out."""
    route = str(event.get("routeKey", ""))
    return serve(event, lambda request: _api().respond(route, request))
