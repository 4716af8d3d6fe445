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
from dialplane.carriers.contract import ForeignAccount, InvalidCallback, Report
from dialplane.carriers.registry import DEFAULT_CARRIER, TRAITS, webhooks_of
from dialplane.domain.times import to_text
from dialplane.runtime import clock
from dialplane.runtime.callback_urls import STATUS, CallbackAddress
from dialplane.runtime.carrier_accounts import CarrierAccounts
from dialplane.runtime.carrier_events import CarrierMessage, send
from dialplane.runtime.entry import serve
from dialplane.runtime.http import HttpRequest, HttpResponse
from dialplane.runtime.observability import logger
from dialplane.runtime.settings import Settings
from dialplane.runtime.signed_callbacks import REFUSED, CallbackRefused, SignedCallbacks

webhooks_of(DEFAULT_CARRIER)  # loaded at the start, when that is fastest
_NOT_A_REPORT = HttpResponse(400, "Not a status callback", "text/plain")


@dataclass(frozen=True, slots=True)
class StatusEndpoint:
    """Verifies a callback and queues its words."""

    client: AwsClient
    callbacks: SignedCallbacks
    queue_url: str
    now: Callable[[], datetime]

    def respond(self, request: HttpRequest) -> HttpResponse:
        """That it was received, for an authentic callback that is on the queue or has nothing to apply."""
        try:
            address = self.callbacks.address(request)
            callback = self.callbacks.authenticate(address, request)
            report = callback.webhooks.parse_report(callback.credentials, callback.body)
        except CallbackRefused as refusal:
            return refusal.response
        except ForeignAccount:
            return REFUSED
        except InvalidCallback as error:
            logger.error("callback_not_understood", extra={"call_id": address.call_id, "reason": str(error)})
            return _NOT_A_REPORT
        if address.call_id is not None and report.call_id not in (None, address.call_id):
            return REFUSED  # a report about another call, sent to this one's address by somebody who has seen both
        if report.fields and not _is_about_somebody_elses_call(report):
            self._enqueue(address, report)
        return HttpResponse(TRAITS[address.carrier].received_status, content_type="text/plain")

    def _enqueue(self, address: CallbackAddress, report: Report) -> None:
        message = CarrierMessage(
            carrier=address.carrier,
            organization_id=address.organization_id,
            carrier_account_id=address.carrier_account_id,
            call_id=address.call_id or report.call_id,
            source="callback",
            received_at=to_text(self.now()),
            fields=report.fields,
        )
        send(self.client, self.queue_url, message)


def _is_about_somebody_elses_call(report: Report) -> bool:
    """An account may place calls without us: what it reports about those has nothing to do here."""
    if report.call_id is None:
        return False
    from dialplane.domain.ids import is_id  # noqa: PLC0415 - most carriers have the call in the address

    return not is_id("call", report.call_id)


def build(settings: Settings, client: AwsClient, *, now: Callable[[], datetime] = clock.now) -> StatusEndpoint:
    """The endpoint on SQS and Secrets Manager."""
    return StatusEndpoint(
        client=client,
        callbacks=SignedCallbacks(
            STATUS,
            CarrierAccounts(client, settings.text("CARRIER_SECRETS_PREFIX")),
            settings.public_base_url,
            now,
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
