"""POST /status/…: verify a carrier's status callback, make it durable, say so. Nothing else.

The answer is 2xx only when the queue has the report: anything less is answered 5xx, and the carrier sends it again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from dialplane.aws.client import AwsClient, HttpAwsClient
from dialplane.carriers.twilio.fields import InvalidCallback, parse_fields
from dialplane.domain.times import to_text
from dialplane.runtime import clock
from dialplane.runtime.callback_urls import STATUS
from dialplane.runtime.carrier_accounts import CarrierAccounts
from dialplane.runtime.carrier_events import CarrierMessage, send
from dialplane.runtime.entry import serve
from dialplane.runtime.http import HttpRequest, HttpResponse
from dialplane.runtime.observability import logger
from dialplane.runtime.settings import Settings
from dialplane.runtime.signed_callbacks import REFUSED, SignedCallbacks

_NOT_A_REPORT = HttpResponse(400, "Not a status callback", "text/plain")
_ACCEPTED = HttpResponse(204, content_type="text/plain")


@dataclass(frozen=True, slots=True)
class StatusEndpoint:
    """Verifies a callback and queues its words."""

    client: AwsClient
    callbacks: SignedCallbacks
    queue_url: str
    now: Callable[[], datetime]

    def respond(self, request: HttpRequest) -> HttpResponse:
        """204 for an authentic callback that is on the queue, 403 for any other request."""
        address = self.callbacks.address(request)
        credentials = self.callbacks.authenticate(address, request) if address is not None else None
        if address is None or credentials is None:
            return REFUSED
        try:
            fields = parse_fields(request.body)
        except InvalidCallback as error:
            logger.error("callback_not_understood", extra={"call_id": address.call_id, "reason": str(error)})
            return _NOT_A_REPORT
        if fields["AccountSid"] != credentials.account_id:
            return REFUSED
        message = CarrierMessage(
            carrier=address.carrier,
            organization_id=address.organization_id,
            carrier_account_id=address.carrier_account_id,
            call_id=address.call_id,
            source="callback",
            received_at=to_text(self.now()),
            fields=fields,
        )
        send(self.client, self.queue_url, message)
        return _ACCEPTED


def build(settings: Settings, client: AwsClient, *, now: Callable[[], datetime] = clock.now) -> StatusEndpoint:
    """The endpoint on SQS and Secrets Manager."""
    return StatusEndpoint(
        client=client,
        callbacks=SignedCallbacks(
            STATUS,
            CarrierAccounts(client, settings.text("CARRIER_SECRETS_PREFIX")),
            settings.public_base_url,
        ),
        queue_url=settings.text("CARRIER_EVENTS_QUEUE_URL"),
        now=now,
    )


@cache
def _endpoint() -> StatusEndpoint:
    return build(Settings.from_environment(), HttpAwsClient())


def lambda_handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """API Gateway HTTP API event in, empty answer out."""
    return serve(event, lambda request: _endpoint().respond(request))
