"""POST /calls/initiate: a request in a dialect's words to a call.

Composes the use case for this function and turns HTTP into its command; every rule is elsewhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Any

from dialplane.aws.client import AwsClient, HttpAwsClient
from dialplane.carriers.registry import open_carrier
from dialplane.dialects.burki import answers, requests
from dialplane.dialects.contract import Arrival
from dialplane.domain.accounts import PresentedKey
from dialplane.domain.errors import CarrierUnavailable, DialplaneError, FieldsInvalid
from dialplane.domain.idempotency import IdempotencyKey
from dialplane.dynamodb.admissions import AdmissionStore
from dialplane.dynamodb.calls import CallStore
from dialplane.dynamodb.settlements import SettlementStore
from dialplane.runtime import clock
from dialplane.runtime.callback_urls import callback_urls
from dialplane.runtime.carrier_accounts import CarrierAccounts
from dialplane.runtime.documents import dry_run_document
from dialplane.runtime.entry import serve
from dialplane.runtime.http import HttpRequest, HttpResponse, json_response
from dialplane.runtime.settings import Settings
from dialplane.usecases.initiate_call import CARRIER_TIMEOUT, Carrier, InitiateCallUseCase

_ROUTE = "POST /calls/initiate"


def build(
    settings: Settings,
    client: AwsClient,
    *,
    now: Callable[[], datetime] = clock.now,
    sleep: Callable[[float], None] = time.sleep,
) -> InitiateCallUseCase:
    """The use case on DynamoDB, Secrets Manager and the carriers' APIs."""
    tables = settings.tables("accounts", "destinations", "wallets", "calls", "idempotency")
    accounts = CarrierAccounts(client, settings.text("CARRIER_SECRETS_PREFIX"))
    base_url = settings.public_base_url

    def carrier_of(organization_id: str, carrier: str, carrier_account_id: str) -> Carrier:
        credentials = accounts.credentials(organization_id, carrier_account_id)
        if credentials is None:
            raise CarrierUnavailable(
                f"The carrier account {carrier_account_id} has no credentials. Ask the operator to store them."
            )
        return open_carrier(carrier, credentials, timeout_seconds=CARRIER_TIMEOUT.total_seconds())

    return InitiateCallUseCase(
        admissions=AdmissionStore(client, tables),
        calls=CallStore(client, tables),
        settlements=SettlementStore(client, tables),
        open_carrier=carrier_of,
        callback_urls=lambda call: callback_urls(base_url, call),
        now=now,
        sleep=sleep,
        check_interval=settings.duration("CHECK_INTERVAL_SECONDS"),
    )


def respond(request: HttpRequest, use_case: InitiateCallUseCase) -> HttpResponse:
    """Place the call, or say what placing it would do."""
    body = request.json_object()
    presented = PresentedKey.parse(request.api_key)
    try:
        is_dry_run = _take_dry_run(request, body)
        header = request.headers.get("idempotency-key")
        arrival = Arrival(
            body,
            presented_key=presented,
            request_id=request.request_id,
            idempotency_key=IdempotencyKey.of(header, route=_ROUTE, body=body) if header is not None else None,
        )
        command = requests.parse(arrival)
    except DialplaneError as refusal:
        raise use_case.refuse(presented, refusal) from refusal
    if is_dry_run:
        return json_response(200, dry_run_document(command, use_case.dry_run(command)))
    initiated = use_case.initiate(command)
    call = initiated.call
    headers = {"location": f"/calls/{call.id}"} | ({"idempotent_replayed": "true"} if initiated.is_replay else {})
    reply = answers.placed(command, call)
    return json_response(reply.status, reply.document, **headers, **reply.headers)


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
def _use_case() -> InitiateCallUseCase:
    return build(Settings.from_environment(), HttpAwsClient())


def lambda_handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """API Gateway HTTP API event in, response out."""
    return serve(event, lambda request: respond(request, _use_case()), detail_of=answers.detail)
