"""Every route that asks for a call: a request in a dialect's words to a call, in that dialect's words back.

Composes the use case for this function and turns HTTP into its command; every rule is elsewhere.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from dialplane.aws.client import AwsClient, HttpAwsClient
from dialplane.carriers.registry import DEFAULT_CARRIER, ENGINES, api_of
from dialplane.dialects.contract import Arrival
from dialplane.dialects.registry import DEFAULT_DIALECT, answers_of, dialect_of, requests_of
from dialplane.domain.accounts import PresentedKey
from dialplane.domain.calls import Call
from dialplane.domain.errors import DialplaneError, FieldsInvalid
from dialplane.domain.idempotency import IdempotencyKey
from dialplane.dynamodb.admissions import AdmissionStore
from dialplane.dynamodb.facts import FactStore
from dialplane.dynamodb.pacing import PaceStore
from dialplane.runtime import clock
from dialplane.runtime.dialing import build_dialing
from dialplane.runtime.documents import dry_run_document
from dialplane.runtime.entry import serve
from dialplane.runtime.http import HttpRequest, HttpResponse, json_response
from dialplane.runtime.problems import refusal
from dialplane.runtime.settings import Settings
from dialplane.usecases.initiate_call import InitiateCallUseCase

if TYPE_CHECKING:
    from dialplane.domain.sessions import Session
    from dialplane.dynamodb.sessions import SessionStore

# Loaded while the function starts and has a whole processor to itself; the others when they are met.
api_of(DEFAULT_CARRIER)
requests_of(DEFAULT_DIALECT)
answers_of(DEFAULT_DIALECT)

_CONTEXT_ROUTE = "POST /api/context"
_CALL_ROUTE_OF_CONTEXT = "POST /api/call"
_COOKIE = "dialplane_session"
_SESSION_ID = re.compile(r"[A-Za-z0-9_-]{32}")


@dataclass(frozen=True, slots=True)
class InitiateEndpoint:
    """Places calls for every dialect, and keeps what one of them says in advance."""

    use_case: InitiateCallUseCase
    open_sessions: Callable[[], SessionStore]
    now: Callable[[], datetime]

    def respond(self, request: HttpRequest) -> HttpResponse:
        """The call, what placing it would do, or the refusal: in the words of the dialect that the request speaks."""
        route = f"{request.method} {request.path}"
        is_context = route == _CONTEXT_ROUTE
        call_route = _CALL_ROUTE_OF_CONTEXT if is_context else route
        dialect = dialect_of(call_route, {})
        try:
            body = request.json_object()
            dialect = dialect_of(call_route, body)
            return self._keep_context(request, body) if is_context else self._place(request, route, dialect, body)
        except Exception as error:
            return refusal(error, request, answers_of(dialect))

    def _place(self, request: HttpRequest, route: str, dialect: str, body: dict[str, Any]) -> HttpResponse:
        presented = _presented_key(request, dialect)
        answers = answers_of(dialect)
        try:
            is_dry_run = _take_dry_run(request, body)
            header = request.headers.get("idempotency-key")
            arrival = Arrival(
                body=body,
                presented_key=presented,
                request_id=request.request_id,
                idempotency_key=IdempotencyKey.of(header, route=route, body=body) if header is not None else None,
                session=self._session(request, presented) if route == _CALL_ROUTE_OF_CONTEXT else None,
            )
            command = requests_of(dialect).parse(arrival)
        except DialplaneError as error:
            raise self.use_case.refuse(presented, error) from error
        if is_dry_run:
            return json_response(200, dry_run_document(command, self.use_case.dry_run(command)))
        initiated = self.use_case.initiate(command, waits_for_carrier=answers.NEEDS_CARRIER_CALL_ID)
        reply = answers.placed(command, initiated.call)
        replayed = {"idempotent-replayed": "true"} if initiated.is_replay else {}
        headers = {**reply.headers, **_call_headers(initiated.call), **replayed}
        return HttpResponse(reply.status, json_response(reply.status, reply.document).body, headers=headers)

    def _keep_context(self, request: HttpRequest, body: dict[str, Any]) -> HttpResponse:
        # Only this dialect's: no other asks for a call in two steps.
        from dialplane.dialects.elevenlabs_tester.requests import parse_context  # noqa: PLC0415
        from dialplane.dynamodb.sessions import SESSION_LIFETIME  # noqa: PLC0415

        presented = PresentedKey.parse(request.api_key)
        try:
            session = parse_context(body)
        except DialplaneError as error:
            raise self.use_case.refuse(presented, error) from error
        self.use_case.authorize(presented)
        session_id = _session_cookie(request) or secrets.token_urlsafe(24)
        sessions = self.open_sessions()
        for name in (session_id, presented.id):
            sessions.put(presented.organization_id, name, session, now=self.now())
        cookie = f"{_COOKIE}={session_id}; Path=/api; Max-Age={int(SESSION_LIFETIME.total_seconds())}"
        return HttpResponse(
            200,
            json_response(200, {"ok": True, "scenario": session.scenario}).body,
            headers={"set-cookie": f"{cookie}; HttpOnly; Secure; SameSite=Strict"},
        )

    def _session(self, request: HttpRequest, presented: PresentedKey) -> Session | None:
        """The client's session: by its cookie, or by its key for clients that keep none."""
        session_id = _session_cookie(request) or presented.id
        return self.open_sessions().find(presented.organization_id, session_id, now=self.now())


def build(
    settings: Settings,
    client: AwsClient,
    *,
    now: Callable[[], datetime] = clock.now,
    sleep: Callable[[float], None] = time.sleep,
) -> InitiateEndpoint:
    """The endpoint on DynamoDB, SQS, Secrets Manager and the carriers' APIs."""
    tables = settings.tables("accounts", "destinations", "wallets", "calls", "idempotency", "usage")
    queue_url = settings.text("DIALS_QUEUE_URL")

    def enqueue_dial(call: Call) -> None:
        body = json.dumps({"organization_id": call.organization_id, "call_id": call.id})
        client.call("sqs", "SendMessage", {"QueueUrl": queue_url, "MessageBody": body})

    use_case = InitiateCallUseCase(
        facts=FactStore(client, tables, ENGINES),
        admissions=AdmissionStore(client, tables),
        paces=PaceStore(client, tables),
        dialing=build_dialing(settings, client, now=now, sleep=sleep),
        enqueue_dial=enqueue_dial,
        now=now,
    )

    def open_sessions() -> SessionStore:
        from dialplane.dynamodb.sessions import SessionStore  # noqa: PLC0415 - only one dialect has sessions

        return SessionStore(client, tables)

    return InitiateEndpoint(use_case, open_sessions, now)


def _presented_key(request: HttpRequest, dialect: str) -> PresentedKey:
    """The key from a header; in one dialect also from the URL, where the organization allows it."""
    if request.api_key is None and dialect == "klen" and "api_key" in request.query:
        return PresentedKey.parse(request.query["api_key"], is_from_query=True)
    return PresentedKey.parse(request.api_key)


def _session_cookie(request: HttpRequest) -> str | None:
    from http.cookies import CookieError, SimpleCookie  # noqa: PLC0415 - only one dialect has sessions

    try:
        cookie = SimpleCookie(request.headers.get("cookie", "")).get(_COOKIE)
    except CookieError:
        return None
    return cookie.value if cookie is not None and _SESSION_ID.fullmatch(cookie.value) else None


def _call_headers(call: Call) -> dict[str, str]:
    reason = (
        {"x-caller-number-reason": call.caller_number_reason.value} if call.caller_number_reason is not None else {}
    )
    return {"location": f"/calls/{call.id}", **reason}


def _take_dry_run(request: HttpRequest, body: dict[str, Any]) -> bool:
    """``dry_run`` from the query or the body. It is no field of any dialect, so it is taken out of the body."""
    value = body.pop("dry_run", False)
    if not isinstance(value, bool):
        raise FieldsInvalid(
            [{"type": "bool_type", "loc": ["body", "dry_run"], "msg": "Input should be true or false", "input": value}]
        )
    text = request.query.get("dry_run", "false").lower()
    if text not in ("true", "false"):
        raise FieldsInvalid(
            [{"type": "bool_type", "loc": ["query", "dry_run"], "msg": "Input should be true or false", "input": text}]
        )
    return value or text == "true"


@cache
def _endpoint() -> InitiateEndpoint:
    return build(Settings.from_environment(), HttpAwsClient())


def lambda_handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """API Gateway HTTP API event in, response out."""
    return serve(event, lambda request: _endpoint().respond(request))
