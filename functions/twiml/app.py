"""POST /twiml/…: what the carrier fetches when the callee answers.

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
from dialplane.carriers.twilio.fields import InvalidCallback, parse_fields, to_answered_by
from dialplane.carriers.twilio.instructions import hang_up, render
from dialplane.dynamodb.answers import AnswerStore
from dialplane.runtime import clock
from dialplane.runtime.callback_urls import INSTRUCTIONS, CallbackAddress
from dialplane.runtime.carrier_accounts import CarrierAccounts
from dialplane.runtime.entry import serve
from dialplane.runtime.http import HttpRequest, HttpResponse
from dialplane.runtime.observability import logger
from dialplane.runtime.settings import Settings
from dialplane.runtime.signed_callbacks import REFUSED, SignedCallbacks
from dialplane.usecases.serve_instructions import InstructionsRequest, ServeInstructionsUseCase


@dataclass(frozen=True, slots=True)
class TwimlEndpoint:
    """Verifies a request and words its answer."""

    callbacks: SignedCallbacks
    use_case: ServeInstructionsUseCase

    def respond(self, request: HttpRequest) -> HttpResponse:
        """TwiML for an authentic request, 403 for any other; to hang up where neither can be told."""
        address = self.callbacks.address(request)
        if address is None:
            return REFUSED
        try:
            credentials = self.callbacks.authenticate(address, request)
            return REFUSED if credentials is None else _xml(self._twiml(address, request.body, credentials.account_id))
        except Exception:
            logger.exception("instructions_failed", extra={"call_id": address.call_id})
            return _xml(hang_up())

    def _twiml(self, address: CallbackAddress, body: bytes, account_sid: str) -> str:
        try:
            fields = parse_fields(body)
        except InvalidCallback as error:
            logger.warning("instructions_request_invalid", extra={"call_id": address.call_id, "reason": str(error)})
            return hang_up()
        if fields["AccountSid"] != account_sid:
            return hang_up()
        instructions = self.use_case.serve(
            InstructionsRequest(
                organization_id=address.organization_id,
                carrier_account_id=address.carrier_account_id,
                call_id=address.call_id,
                carrier_call_id=fields["CallSid"],
                answered_by=to_answered_by(fields.get("AnsweredBy")),
                answered_by_raw=fields.get("AnsweredBy"),
            )
        )
        return render(instructions) if instructions is not None else hang_up()


def build(settings: Settings, client: AwsClient, *, now: Callable[[], datetime] = clock.now) -> TwimlEndpoint:
    """The endpoint on DynamoDB and Secrets Manager."""
    return TwimlEndpoint(
        callbacks=SignedCallbacks(
            INSTRUCTIONS,
            CarrierAccounts(client, settings.text("CARRIER_SECRETS_PREFIX")),
            settings.public_base_url,
        ),
        use_case=ServeInstructionsUseCase(
            calls=AnswerStore(client, settings.tables("calls")),
            now=now,
            check_interval=settings.duration("CHECK_INTERVAL_SECONDS"),
        ),
    )


def _xml(document: str) -> HttpResponse:
    return HttpResponse(200, document, "text/xml; charset=utf-8")


@cache
def _endpoint() -> TwimlEndpoint:
    return build(Settings.from_environment(), HttpAwsClient())


def lambda_handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """API Gateway HTTP API event in, TwiML out."""
    return serve(event, lambda request: _endpoint().respond(request))
