"""POST /twiml/…: what the carrier fetches when the callee answers, and again when a conversation's session is over.

The signature is checked before anything else; whatever cannot be served is told to hang up, because an error would be
read out to the callee.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from dialplane.aws.client import AwsClient, HttpAwsClient
from dialplane.carriers.contract import Document, ForeignAccount, InvalidCallback
from dialplane.carriers.registry import DEFAULT_CARRIER, instructions_of, webhooks_of
from dialplane.dynamodb.answers import AnswerStore
from dialplane.runtime import clock
from dialplane.runtime.callback_urls import INSTRUCTIONS, SocketAddress
from dialplane.runtime.carrier_accounts import CarrierAccounts
from dialplane.runtime.entry import serve
from dialplane.runtime.http import HttpRequest, HttpResponse
from dialplane.runtime.observability import logger
from dialplane.runtime.settings import Settings
from dialplane.runtime.signed_callbacks import AuthenticCallback, CallbackRefused, SignedCallbacks
from dialplane.usecases.serve_instructions import InstructionsRequest, ServeInstructionsUseCase

# Loaded at the start, when that is fastest.
webhooks_of(DEFAULT_CARRIER)
instructions_of(DEFAULT_CARRIER)


@dataclass(frozen=True, slots=True)
class TwimlEndpoint:
    """Verifies a request and words its answer."""

    callbacks: SignedCallbacks
    use_case: ServeInstructionsUseCase
    socket_base_url: Callable[[], str]

    def respond(self, request: HttpRequest) -> HttpResponse:
        """Instructions for an authentic request, a refusal for any other; to hang up where neither can be told."""
        try:
            address = self.callbacks.address(request)
        except CallbackRefused as refusal:
            return refusal.response
        try:
            callback = self.callbacks.authenticate(address, request)
            return _served(self._document(callback))
        except CallbackRefused as refusal:
            return refusal.response
        except Exception:
            logger.exception("instructions_failed", extra={"call_id": address.call_id})
            return _served(instructions_of(address.carrier).hang_up())

    def _document(self, callback: AuthenticCallback) -> Document:
        address, words = callback.address, instructions_of(callback.address.carrier)
        try:
            answer = callback.webhooks.parse_answer(callback.credentials, callback.body)
        except (InvalidCallback, ForeignAccount) as error:
            logger.warning("instructions_request_invalid", extra={"call_id": address.call_id, "reason": str(error)})
            return words.hang_up()
        if answer.session_status not in (None, "failed"):
            return words.hang_up()  # the conversation is over, and with it the call
        call_id = address.call_id or ""

        def socket_url(token: str) -> str:
            ids = (address.organization_id, address.carrier, address.carrier_account_id, call_id)
            return SocketAddress(*ids, token).url(self.socket_base_url())

        instructions = self.use_case.serve(
            InstructionsRequest(
                organization_id=address.organization_id,
                carrier_account_id=address.carrier_account_id,
                call_id=call_id,
                carrier_call_id=answer.carrier_call_id,
                answered_by=answer.answered_by,
                answered_by_raw=answer.answered_by_raw,
            ),
            socket_url=socket_url,
            is_resumption=answer.session_status is not None,
        )
        if instructions is None:
            return words.hang_up()
        return words.render(instructions, action_url=address.url(self.callbacks.base_url))


def build(settings: Settings, client: AwsClient, *, now: Callable[[], datetime] = clock.now) -> TwimlEndpoint:
    """The endpoint on DynamoDB and Secrets Manager."""
    return TwimlEndpoint(
        callbacks=SignedCallbacks(
            INSTRUCTIONS,
            CarrierAccounts(client, settings.text("CARRIER_SECRETS_PREFIX")),
            settings.public_base_url,
            now,
        ),
        use_case=ServeInstructionsUseCase(
            calls=AnswerStore(client, settings.tables("calls")),
            now=now,
            check_interval=settings.duration("CHECK_INTERVAL_SECONDS"),
        ),
        socket_base_url=lambda: settings.text("SOCKET_BASE_URL"),
    )


def _served(document: Document) -> HttpResponse:
    return HttpResponse(200, document.text, document.content_type)


@cache
def _endpoint() -> TwimlEndpoint:
    return build(Settings.from_environment(), HttpAwsClient())


def lambda_handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """API Gateway HTTP API event in, the carrier's document out."""
    return serve(event, lambda request: _endpoint().respond(request))
