"""Every minute: ask the carriers about calls that have been silent too long, and finish what a crash left behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from functools import cache
from typing import Any

from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import MetricUnit

from dialplane.aws.client import AwsClient, HttpAwsClient
from dialplane.carriers.registry import open_carrier
from dialplane.domain.calls import Call
from dialplane.domain.errors import CarrierUnavailable
from dialplane.domain.times import to_text
from dialplane.dynamodb.calls import CallStore
from dialplane.dynamodb.settlements import SettlementStore
from dialplane.runtime import clock
from dialplane.runtime.carrier_accounts import CarrierAccounts
from dialplane.runtime.carrier_events import CarrierMessage, send
from dialplane.runtime.observability import begin, logger
from dialplane.runtime.settings import Settings
from dialplane.usecases.complete_call import CompleteCallUseCase
from dialplane.usecases.reconcile_calls import CarrierRecords, ReconcileCallsUseCase

_CARRIER_TIMEOUT_SECONDS = 5.0
# What one check may take at worst: three answers of the carrier and some writes. What is left over stays due.
_LAST_CHECK_MILLISECONDS = 20_000


def build(settings: Settings, client: AwsClient, *, now: Callable[[], datetime] = clock.now) -> ReconcileCallsUseCase:
    """The use case on DynamoDB, SQS, Secrets Manager and the carriers' APIs."""
    tables = settings.tables("calls", "wallets", "destinations")
    calls, settlements = CallStore(client, tables), SettlementStore(client, tables)
    accounts = CarrierAccounts(client, settings.text("CARRIER_SECRETS_PREFIX"))
    queue_url = settings.text("CARRIER_EVENTS_QUEUE_URL")

    def open_records(organization_id: str, carrier: str, carrier_account_id: str) -> CarrierRecords:
        credentials = accounts.credentials(organization_id, carrier_account_id)
        if credentials is None:
            raise CarrierUnavailable(f"The carrier account {carrier_account_id} has no credentials.")
        return open_carrier(carrier, credentials, timeout_seconds=_CARRIER_TIMEOUT_SECONDS)

    def enqueue(call: Call, fields: Mapping[str, str]) -> None:
        message = CarrierMessage(
            carrier=call.carrier,
            organization_id=call.organization_id,
            carrier_account_id=call.carrier_account_id,
            call_id=call.id,
            source="reconciler",
            received_at=to_text(now()),
            fields=fields,
        )
        send(client, queue_url, message)

    return ReconcileCallsUseCase(
        calls=calls,
        settlements=settlements,
        completion=CompleteCallUseCase(calls=calls, settlements=settlements, now=now),
        open_records=open_records,
        enqueue=enqueue,
        now=now,
        check_interval=settings.duration("CHECK_INTERVAL_SECONDS"),
        placement_grace=settings.duration("PLACEMENT_GRACE_SECONDS"),
    )


@cache
def _use_case() -> ReconcileCallsUseCase:
    return build(Settings.from_environment(), HttpAwsClient())


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, int]:
    """A schedule's tick in, what was done out."""
    begin()
    summary = _use_case().run(has_time=lambda: context.get_remaining_time_in_millis() > _LAST_CHECK_MILLISECONDS)
    # Namespace and service come from the environment: the alarm looks at the metric of its own stack.
    metrics = Metrics()
    metrics.add_metric(name="StuckHolds", unit=MetricUnit.Count, value=summary.stuck)
    metrics.add_metric(name="FailedChecks", unit=MetricUnit.Count, value=summary.failed)
    metrics.flush_metrics()
    logger.info("calls_reconciled", extra=asdict(summary))
    return asdict(summary)
