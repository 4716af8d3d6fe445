"""The WebSocket of a conversation: who may open one, what the carrier says over it, and its end.

API Gateway asks before it lets a carrier in (a REQUEST authorizer on ``$connect``) and repeats what was answered then
with every later event: which call a frame is about was proved once and is never read from the frame itself.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from dialplane.aws.client import AwsClient, HttpAwsClient
from dialplane.aws.sockets import HttpSockets
from dialplane.carriers.contract import SignedRequest
from dialplane.carriers.registry import DEFAULT_CARRIER, TRAITS, webhooks_of
from dialplane.runtime import clock
from dialplane.runtime.callback_urls import SocketAddress
from dialplane.runtime.carrier_accounts import CarrierAccounts
from dialplane.runtime.conversing import build_converse
from dialplane.runtime.observability import begin, logger
from dialplane.runtime.settings import Settings
from dialplane.usecases.converse import Connection, ConverseUseCase
from dialplane.usecases.sockets import Sockets

webhooks_of(DEFAULT_CARRIER)  # loaded at the start, when that is fastest
FRAME_LENGTH_MAX = 128 * 1024
"""Characters; API Gateway lets no longer message through."""
_OK = {"statusCode": 200}


@dataclass(frozen=True, slots=True)
class SocketEndpoint:
    """Lets carriers in and hands their frames on."""

    use_case: ConverseUseCase
    accounts: CarrierAccounts
    base_url: str
    now: Callable[[], datetime]

    def authorize(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """The policy for a handshake: the account's carrier has signed its address, and its token was not used yet."""
        address = SocketAddress.from_query(event.get("queryStringParameters") or {})
        if address is not None and self._is_authentic(address, event):
            is_let_in = self.use_case.conversations.open(
                address.organization_id,
                address.call_id,
                carrier_account_id=address.carrier_account_id,
                token=address.token,
                connection_id=event["requestContext"]["connectionId"],
                at=self.now(),
            )
            if is_let_in:
                logger.info("conversation_opened", extra={"call_id": address.call_id})
                return _policy(event, address, is_allowed=True)
        logger.warning("handshake_refused", extra={"call_id": address.call_id if address is not None else None})
        return _policy(event, address, is_allowed=False)

    def take(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """One event of a connection that was let in."""
        context = event["requestContext"]
        proved = context.get("authorizer") or {}
        connection = Connection(
            str(proved.get("organization_id")), str(proved.get("call_id")), str(context["connectionId"])
        )
        match context["eventType"]:
            case "MESSAGE":
                frame = _frame(event.get("body"))
                if frame is None:
                    logger.warning("frame_not_json", extra={"call_id": connection.call_id})
                else:
                    received_at = _received_at(context.get("requestTimeEpoch"))
                    self.use_case.take(connection, str(context["messageId"]), frame, received_at=received_at)
            case "CONNECT":
                self.use_case.connect(connection)
            case "DISCONNECT":
                self.use_case.disconnect(connection)
        return _OK

    def _is_authentic(self, address: SocketAddress, event: Mapping[str, Any]) -> bool:
        traits = TRAITS.get(address.carrier)
        if traits is None or "conversation" not in traits.engines:
            return False
        webhooks = webhooks_of(address.carrier)
        headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
        # Looked at first, so that strangers cost no secret being read.
        if webhooks.SOCKET_SIGNATURE_HEADER is not None and not headers.get(webhooks.SOCKET_SIGNATURE_HEADER):
            return False
        signed = SignedRequest(address.url(self.base_url), b"", headers, self.now())
        account = (address.organization_id, address.carrier_account_id)
        credentials = self.accounts.credentials(*account)
        if credentials is None:
            return False
        if webhooks.is_authentic_socket(credentials, signed):
            return True
        rotated = self.accounts.credentials_if_changed(*account)
        return rotated is not None and webhooks.is_authentic_socket(rotated, signed)


def _frame(body: object) -> dict[str, Any] | None:
    if not isinstance(body, str) or len(body) > FRAME_LENGTH_MAX:
        return None
    try:
        frame = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return frame if isinstance(frame, dict) else None


def _received_at(milliseconds: object) -> datetime | None:
    """When API Gateway had the frame, in UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC) if isinstance(milliseconds, int) else None


def _policy(event: Mapping[str, Any], address: SocketAddress | None, *, is_allowed: bool) -> dict[str, Any]:
    statement = {
        "Action": "execute-api:Invoke",
        "Effect": "Allow" if is_allowed else "Deny",
        "Resource": event["methodArn"],
    }
    context = {}
    if address is not None and is_allowed:
        context = {"organization_id": address.organization_id, "call_id": address.call_id}
    return {
        "principalId": address.call_id if address is not None else "nobody",
        "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
        "context": context,
    }


def build(
    settings: Settings,
    client: AwsClient,
    *,
    sockets: Sockets,
    now: Callable[[], datetime] = clock.now,
    monotonic: Callable[[], float] = time.monotonic,
) -> SocketEndpoint:
    """The endpoint on DynamoDB, SQS, Secrets Manager, the sockets and a language model."""
    return SocketEndpoint(
        use_case=build_converse(settings, client, sockets=sockets, now=now, monotonic=monotonic),
        accounts=CarrierAccounts(client, settings.text("CARRIER_SECRETS_PREFIX")),
        base_url=settings.text("SOCKET_BASE_URL"),
        now=now,
    )


@cache
def _endpoint() -> SocketEndpoint:
    settings = Settings.from_environment()
    return build(settings, HttpAwsClient(), sockets=HttpSockets(settings.text("SOCKET_API_ENDPOINT")))


def lambda_handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """An authorizer's or a WebSocket's event in, a policy or nothing but a status out."""
    begin(request_id=str(event["requestContext"].get("requestId", "")))
    if event.get("type") == "REQUEST":
        return _endpoint().authorize(event)
    try:
        return _endpoint().take(event)
    except Exception:
        # Anything in the answer would be sent to the carrier as a frame.
        logger.exception("frame_failed")
        return {"statusCode": 500}
