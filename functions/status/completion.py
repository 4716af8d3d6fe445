"""The task of the call-completion workflow: settle one ended call. Its outcome is a value the workflow chooses by."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Any

from dialplane.aws.client import AwsClient, HttpAwsClient
from dialplane.dynamodb.calls import CallStore
from dialplane.dynamodb.settlements import SettlementStore
from dialplane.runtime import clock
from dialplane.runtime.observability import begin
from dialplane.runtime.settings import Settings
from dialplane.usecases.complete_call import CompleteCallUseCase


def build(settings: Settings, client: AwsClient, *, now: Callable[[], datetime] = clock.now) -> CompleteCallUseCase:
    """The use case on DynamoDB."""
    tables = settings.tables("calls", "wallets", "destinations")
    return CompleteCallUseCase(calls=CallStore(client, tables), settlements=SettlementStore(client, tables), now=now)


@cache
def _use_case() -> CompleteCallUseCase:
    return build(Settings.from_environment(), HttpAwsClient())


def lambda_handler(event: dict[str, Any], context: object) -> dict[str, str]:
    """``{"organization_id", "call_id"}`` in, ``{"outcome"}`` out."""
    begin(call_id=event["call_id"])
    return {"outcome": _use_case().complete(event["organization_id"], event["call_id"]).value}
