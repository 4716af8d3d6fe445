"""Everything of the API but placing calls: calls and their control, wallet, do-not-call list, accounts, documentation.

API Gateway routes; here each route has its scope and its use case. Routes that several dialects share are answered in
the dialect of the key; a dialect's own routes in that dialect.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from urllib.parse import unquote

from dialplane.aws.client import AwsClient, HttpAwsClient
from dialplane.carriers.contract import CarrierApi
from dialplane.carriers.registry import open_carrier
from dialplane.dialects.burki import termination
from dialplane.dialects.registry import LISTING_DIALECTS, answers_of, calls_of
from dialplane.domain import parameters
from dialplane.domain.accounts import (
    ApiKey,
    CallerNumber,
    CarrierAccount,
    PresentedKey,
    Scope,
    authenticate,
    check_scope,
)
from dialplane.domain.calls import Call
from dialplane.domain.commands import Command, CommandType
from dialplane.domain.errors import CarrierUnavailable, DialplaneError, FieldsInvalid, RouteNotFound, ValueInvalid
from dialplane.domain.idempotency import IdempotencyKey, is_key
from dialplane.domain.money import parse_amount
from dialplane.domain.phone_numbers import PhoneNumber
from dialplane.domain.statuses import CallStatus
from dialplane.domain.templates import check_text
from dialplane.dynamodb.accounts import AccountStore
from dialplane.dynamodb.call_log import CallLog
from dialplane.dynamodb.commands import CommandStore
from dialplane.dynamodb.conversations import ConversationStore
from dialplane.dynamodb.destinations import DestinationStore
from dialplane.dynamodb.wallets import WalletStore
from dialplane.runtime import api_docs, clock, fields
from dialplane.runtime.callback_urls import callback_urls
from dialplane.runtime.carrier_accounts import CarrierAccounts
from dialplane.runtime.conversation_tasks import ConversationTasks
from dialplane.runtime.documents import (
    call_document,
    carrier_account_document,
    conversation_document,
    dnc_document,
    ledger_entry_document,
    number_document,
    reconciliation_document,
    timeline_document,
    wallet_document,
)
from dialplane.runtime.entry import serve
from dialplane.runtime.http import HttpRequest, HttpResponse, json_response
from dialplane.runtime.problems import rate_limit_headers, refusal
from dialplane.runtime.settings import Settings
from dialplane.usecases.browse_calls import UNSUPPORTED, BrowseCallsUseCase, CallFilters
from dialplane.usecases.control_call import (
    CARRIER_TIMEOUT,
    COMMANDS_PER_MINUTE_MAX,
    ControlCallUseCase,
    Given,
)
from dialplane.usecases.erase_transcript import EraseTranscriptUseCase
from dialplane.usecases.manage_dnc import ManageDncUseCase
from dialplane.usecases.manage_wallet import ManageWalletUseCase

_PAGE_DEFAULT = 50
_PAGE_MAX = 100
_DEPOSIT_ROUTE = "POST /wallet/deposits"
_LIST_ROUTE = "GET /calls"
_CALL_ROUTE = "GET /calls/{call_id}"
_CONTROL_ROUTE = "POST /calls/{call_id}/control"
_TERMINATE_ROUTE = "POST /calls/{call_id}/terminate"
_BURKI_LIST_ROUTE = "GET /api/v1/calls"
_KEY_PARAMETER = "api_key"
# Routes that several dialects share: the key says which of them is spoken.
_SHARED_ROUTES = frozenset({_LIST_ROUTE, _CALL_ROUTE, _CONTROL_ROUTE})


@dataclass(frozen=True, slots=True)
class Api:
    """The use cases behind the routes."""

    accounts: AccountStore
    calls: BrowseCallsUseCase
    control: ControlCallUseCase
    transcripts: EraseTranscriptUseCase
    wallets: ManageWalletUseCase
    wallet_store: WalletStore
    dnc: ManageDncUseCase
    public_base_url: str
    now: Callable[[], datetime]

    def respond(self, route: str, request: HttpRequest) -> HttpResponse:
        """Authenticate, check the route's scope, and answer."""
        if route in _PUBLIC_ROUTES:
            return _PUBLIC_ROUTES[route](self, request)
        key = self._authenticated(route, request)
        if route not in _ROUTES:
            raise RouteNotFound(f"There is no {request.method} {request.path}. GET /openapi.json lists the routes.")
        scope, handler = _ROUTES[route]
        dialect = _dialect(route, key)
        try:
            check_scope(key, scope)
            return handler(self, request, key)
        except Exception as error:
            if dialect is None:
                raise
            return refusal(error, request, answers_of(dialect))

    def _authenticated(self, route: str, request: HttpRequest) -> ApiKey:
        """The key from a header; on shared routes also from the URL, where the organization allows it."""
        if request.api_key is None and route in _SHARED_ROUTES and _KEY_PARAMETER in request.query:
            presented = PresentedKey.parse(request.query[_KEY_PARAMETER], is_from_query=True)
        else:
            presented = PresentedKey.parse(request.api_key)
        return authenticate(presented, *self.accounts.load_identity(presented), now=self.now())


def build(
    settings: Settings,
    client: AwsClient,
    *,
    now: Callable[[], datetime] = clock.now,
    sleep: Callable[[float], None] = time.sleep,
) -> Api:
    """The API on DynamoDB, and on the carriers' APIs for calls that are controlled."""
    tables = settings.tables("accounts", "destinations", "wallets", "calls", "idempotency", "usage")
    accounts, destinations = AccountStore(client, tables), DestinationStore(client, tables)
    calls, commands, wallets = CallLog(client, tables), CommandStore(client, tables), WalletStore(client, tables)
    conversations = ConversationStore(client, tables)
    tasks = ConversationTasks(client, settings.text("CONVERSATION_TASKS_QUEUE_URL"))
    carrier_accounts = CarrierAccounts(client, settings.text("CARRIER_SECRETS_PREFIX"))

    def carrier_of(organization_id: str, carrier: str, carrier_account_id: str) -> CarrierApi:
        credentials = carrier_accounts.credentials(organization_id, carrier_account_id)
        if credentials is None:
            raise CarrierUnavailable(
                f"The carrier account {carrier_account_id} has no credentials. Ask the operator to store them."
            )
        # No command takes more than two requests.
        return open_carrier(carrier, credentials, timeout_seconds=CARRIER_TIMEOUT.total_seconds() / 2)

    def status_url(call: Call) -> str:
        return callback_urls(settings.public_base_url, call)[1]

    browse = BrowseCallsUseCase(calls, commands, conversations, now)
    return Api(
        accounts=accounts,
        calls=browse,
        control=ControlCallUseCase(commands, accounts, destinations, tasks, carrier_of, status_url, now),
        transcripts=EraseTranscriptUseCase(browse.get, calls, conversations, now),
        wallets=ManageWalletUseCase(wallets, accounts, now),
        wallet_store=wallets,
        dnc=ManageDncUseCase(destinations, calls, now, sleep),
        public_base_url=settings.public_base_url,
        now=now,
    )


def _dialect(route: str, key: ApiKey) -> str | None:
    """The dialect in which a route answers a key; None for Dialplane's own."""
    if route in (_TERMINATE_ROUTE, _BURKI_LIST_ROUTE):
        return "burki"
    return key.dialect if route in _SHARED_ROUTES and key.dialect in LISTING_DIALECTS else None


def _list_calls(api: Api, request: HttpRequest, key: ApiKey) -> HttpResponse:
    sent = {name: value for name, value in request.query.items() if name != _KEY_PARAMETER}
    if (dialect := _dialect(_LIST_ROUTE, key)) is not None:
        return _list_calls_in(dialect, api, sent, key)
    names = ("status", "assistant_id", "from", "to", "created_after", "created_before", "limit", "cursor")
    parameters.check_names(sent, *names)
    filters = CallFilters(
        statuses=_statuses(sent.get("status")),
        assistant_id=parameters.integer(sent, "assistant_id", lowest=1, highest=2**63 - 1),
        caller_number=parameters.number(sent, "from"),
        destination=parameters.number(sent, "to"),
        created_after=parameters.time(sent, "created_after"),
        created_before=parameters.time(sent, "created_before"),
    )
    page = api.calls.page(key.organization_id, filters, limit=_limit(sent), cursor=sent.get("cursor"))
    return _page("calls", [call_document(call) for call in page.calls], page.next_cursor)


def _list_calls_as_burki(api: Api, request: HttpRequest, key: ApiKey) -> HttpResponse:
    return _list_calls_in("burki", api, request.query, key)


def _list_calls_in(dialect: str, api: Api, query: Mapping[str, str], key: ApiKey) -> HttpResponse:
    words = calls_of(dialect)
    asked = words.parse_query(query)
    return json_response(200, words.page_document(api.calls.range(key.organization_id, asked), asked))


def _get_call(api: Api, request: HttpRequest, key: ApiKey) -> HttpResponse:
    call = api.calls.get(key.organization_id, _path(request, "call_id"))
    conversation = api.calls.conversation(call)
    dialect = _dialect(_CALL_ROUTE, key)
    if dialect is not None:
        return json_response(200, calls_of(dialect).call_document(call, conversation))
    shown = conversation_document(call, conversation) if conversation is not None else None
    return json_response(200, {**call_document(call), "conversation": shown})


def _get_transcript(api: Api, request: HttpRequest, key: ApiKey) -> HttpResponse:
    call, conversation = api.calls.transcript(key.organization_id, _path(request, "call_id"))
    return json_response(200, {"call_id": call.id, **conversation_document(call, conversation)})


def _erase_transcript(api: Api, request: HttpRequest, key: ApiKey) -> HttpResponse:
    api.transcripts.erase(key.organization_id, _path(request, "call_id"))
    return HttpResponse(204)


def _get_call_events(api: Api, request: HttpRequest, key: ApiKey) -> HttpResponse:
    timeline = api.calls.timeline(key.organization_id, _path(request, "call_id"))
    return json_response(200, {"events": [timeline_document(entry) for entry in timeline]})


# Of each command, the fields it must have, those it may have, and the switch that is true or false.
_COMMAND_FIELDS: dict[CommandType, tuple[tuple[str, ...], tuple[str, ...], str | None]] = {
    CommandType.END_CALL: (("type",), ("message",), None),
    CommandType.TRANSFER: (("type", "destination"), ("message",), None),
    CommandType.INJECT_CONTEXT: (("type", "content"), (), "trigger_response"),
    CommandType.SAY: (("type", "content"), (), "end_after"),
}
_NOT_TAKEN_IN = "The call's model hears and speaks by itself and takes no text in: nothing was said or made known."


def _control_call(api: Api, request: HttpRequest, key: ApiKey) -> HttpResponse:
    body = request.json_object()
    command_id = _command_id(request, body.pop("command_id", None))
    command = _command(body)
    call = api.calls.get(key.organization_id, _path(request, "call_id"))
    given = api.control.control(key, call, command, command_id=command_id)
    headers = rate_limit_headers(COMMANDS_PER_MINUTE_MAX, given.remaining, given.resets_in_seconds)
    headers |= {"x-command-id": given.command_id, "x-command-result": given.result}
    headers |= {"idempotent-replayed": "true"} if given.is_replay else {}
    headers |= {} if given.is_reliable else {"x-command-reliability": "limited"}
    return HttpResponse(200, json_response(200, _given_document(given)).body, headers=headers)


def _given_document(given: Given) -> dict[str, Any]:
    """The seed's two fields; where a command may not do all that it says, also how much of it."""
    if given.is_reliable:
        return {"success": True, "message": "Command sent successfully"}
    is_sent = given.result != UNSUPPORTED
    message = "Command sent successfully" if is_sent else _NOT_TAKEN_IN
    return {"success": is_sent, "message": message, "reliability": "limited", "result": given.result}


def _command_id(request: HttpRequest, sent: object) -> str | None:
    """The id by which a command is known when it comes again: the body's, or the header's."""
    header = request.headers.get("idempotency-key")
    if sent is None or header is None:
        sent = header if sent is None else sent
    elif sent != header:
        raise ValueInvalid("command_id and Idempotency-Key are two names for one id. Send one.", field="command_id")
    if sent is None:
        return None
    if not isinstance(sent, str) or not is_key(sent):
        raise ValueInvalid(
            "command_id must be 1 to 255 visible ASCII characters without spaces, such as a UUID.", field="command_id"
        )
    return sent


def _command(body: dict[str, Any]) -> Command:
    sent = body.get("type")
    if not isinstance(sent, str) or sent not in set(CommandType):
        raise ValueInvalid(f"type must be one of: {', '.join(CommandType)}.", field="type")
    kind = CommandType(sent)
    required, optional, switch = _COMMAND_FIELDS[kind]
    is_on = body.pop(switch, None) if switch is not None else None
    if is_on is not None and not isinstance(is_on, bool):
        error = {"type": "bool_type", "loc": ["body", switch], "msg": "Input should be true or false"}
        raise FieldsInvalid([error | {"input": is_on}])
    texts = fields.text_fields(body, required=required, optional=optional)
    for name in ("message", "content"):
        check_text(texts.get(name, ""), field=name)
    if "content" in required and not texts["content"].strip():
        raise ValueInvalid("content is empty: there is nothing to say or to make known.", field="content")
    destination = texts.get("destination")
    return Command(
        kind,
        content=texts.get("content") or texts.get("message") or None,
        destination=PhoneNumber.parse(destination, field="destination") if destination is not None else None,
        end_after=kind is CommandType.SAY and is_on is True,
        trigger_response=kind is CommandType.INJECT_CONTEXT and is_on is True,
    )


def _terminate_call(api: Api, request: HttpRequest, key: ApiKey) -> HttpResponse:
    call = api.calls.get(key.organization_id, _path(request, "call_id"))
    try:
        api.control.terminate(key, call)
    except DialplaneError as error:
        error.message = termination.detail(error, call) or error.message
        raise
    return json_response(200, termination.terminated(call))


def _get_wallet(api: Api, request: HttpRequest, key: ApiKey) -> HttpResponse:
    return json_response(200, wallet_document(api.wallets.wallet(key.organization_id)))


def _get_ledger(api: Api, request: HttpRequest, key: ApiKey) -> HttpResponse:
    query = request.query
    parameters.check_names(query, "limit", "cursor")
    page = api.wallet_store.ledger_page(key.organization_id, limit=_limit(query), cursor=query.get("cursor"))
    return _page("entries", [ledger_entry_document(entry) for entry in page.entries], page.next_cursor)


def _reconcile_wallet(api: Api, request: HttpRequest, key: ApiKey) -> HttpResponse:
    return json_response(200, reconciliation_document(api.wallets.reconcile(key.organization_id)))


def _deposit(api: Api, request: HttpRequest, key: ApiKey) -> HttpResponse:
    body = request.json_object()
    header = request.headers.get("idempotency-key")
    idempotency_key = IdempotencyKey.of(header, route=_DEPOSIT_ROUTE, body=body) if header is not None else None
    texts = fields.text_fields(body, required=("amount", "currency"), optional=("note",))
    micros = parse_amount(texts["amount"])
    if micros is None:
        raise ValueInvalid('amount must be a decimal text with at most six places, such as "25.00".', field="amount")
    entry, is_replay = api.wallets.deposit(
        key.organization_id,
        micros=micros,
        currency=texts["currency"],
        note=fields.sentence(texts.get("note"), "note"),
        key=idempotency_key,
    )
    replayed = {"idempotent_replayed": "true"} if is_replay else {}
    return json_response(201, ledger_entry_document(entry), **replayed)


def _put_dnc(api: Api, request: HttpRequest, key: ApiKey) -> HttpResponse:
    texts = fields.text_fields(request.json_object() if request.body else {}, optional=("reason",))
    number = _path_number(request)
    reason = fields.sentence(texts.get("reason"), "reason")
    return json_response(200, dnc_document(api.dnc.add(key.organization_id, number, reason=reason, source="api")))


def _get_dnc(api: Api, request: HttpRequest, key: ApiKey) -> HttpResponse:
    return json_response(200, dnc_document(api.dnc.get(key.organization_id, _path_number(request))))


def _delete_dnc(api: Api, request: HttpRequest, key: ApiKey) -> HttpResponse:
    api.dnc.remove(key.organization_id, _path_number(request))
    return HttpResponse(204)


def _list_carrier_accounts(api: Api, request: HttpRequest, key: ApiKey) -> HttpResponse:
    parameters.check_names(request.query)
    entities = api.accounts.entities(key.organization_id)
    numbers = [each for each in entities if isinstance(each, CallerNumber)]
    accounts = [each for each in entities if isinstance(each, CarrierAccount)]
    documents = [carrier_account_document(account, numbers) for account in accounts]
    return json_response(200, {"carrier_accounts": documents})


def _list_numbers(api: Api, request: HttpRequest, key: ApiKey) -> HttpResponse:
    parameters.check_names(request.query)
    entities = api.accounts.entities(key.organization_id)
    documents = [number_document(each) for each in entities if isinstance(each, CallerNumber)]
    return json_response(200, {"numbers": documents})


_Handler = Callable[[Api, HttpRequest, ApiKey], HttpResponse]
_ROUTES: dict[str, tuple[Scope, _Handler]] = {
    _LIST_ROUTE: (Scope.READ_CALLS, _list_calls),
    _CALL_ROUTE: (Scope.READ_CALLS, _get_call),
    "GET /calls/{call_id}/events": (Scope.READ_CALLS, _get_call_events),
    "GET /calls/{call_id}/transcript": (Scope.READ_CALLS, _get_transcript),
    "DELETE /calls/{call_id}/transcript": (Scope.ERASE_TRANSCRIPTS, _erase_transcript),
    _CONTROL_ROUTE: (Scope.CONTROL_CALLS, _control_call),
    _TERMINATE_ROUTE: (Scope.CONTROL_CALLS, _terminate_call),
    _BURKI_LIST_ROUTE: (Scope.READ_CALLS, _list_calls_as_burki),
    "GET /wallet": (Scope.READ_WALLET, _get_wallet),
    "GET /wallet/ledger": (Scope.READ_WALLET, _get_ledger),
    "GET /wallet/reconcile": (Scope.READ_WALLET, _reconcile_wallet),
    _DEPOSIT_ROUTE: (Scope.DEPOSIT, _deposit),
    "PUT /dnc/{number}": (Scope.WRITE_DNC, _put_dnc),
    "GET /dnc/{number}": (Scope.READ_DNC, _get_dnc),
    "DELETE /dnc/{number}": (Scope.WRITE_DNC, _delete_dnc),
    "GET /carrier-accounts": (Scope.READ_ACCOUNTS, _list_carrier_accounts),
    "GET /numbers": (Scope.READ_ACCOUNTS, _list_numbers),
}


_PUBLIC_ROUTES: dict[str, Callable[[Api, HttpRequest], HttpResponse]] = {
    "GET /openapi.json": lambda api, request: api_docs.openapi(api.public_base_url),
    "GET /docs": lambda api, request: api_docs.page(),
    "GET /docs/{file}": lambda api, request: api_docs.file(_path(request, "file"), request),
}
"""What everybody may read: how the API is used."""


def _page(name: str, documents: list[dict[str, Any]], cursor: str | None) -> HttpResponse:
    return json_response(200, {name: documents, "next_cursor": cursor, "has_more": cursor is not None})


def _path(request: HttpRequest, name: str) -> str:
    return unquote(request.path_parameters.get(name, ""))


def _path_number(request: HttpRequest) -> str:
    return PhoneNumber.parse(_path(request, "number"), field="number").e164


def _limit(query: Mapping[str, str]) -> int:
    return parameters.integer(query, "limit", lowest=1, highest=_PAGE_MAX) or _PAGE_DEFAULT


def _statuses(text: str | None) -> frozenset[str] | None:
    if text is None:
        return None
    if text not in set(CallStatus):
        raise ValueInvalid(f"status must be one of: {', '.join(CallStatus)}.", field="status")
    return frozenset({text})


@cache
def _api() -> Api:
    return build(Settings.from_environment(), HttpAwsClient())


def lambda_handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """API Gateway HTTP API event in, response out."""
    route = str(event.get("routeKey", ""))
    return serve(event, lambda request: _api().respond(route, request))
