"""What is found out of a conversation once its call is settled: a task of the call-completion state machine."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Any

from dialplane.aws.client import AwsClient, HttpAwsClient
from dialplane.runtime import clock
from dialplane.runtime.conversing import build_analyze
from dialplane.runtime.observability import begin
from dialplane.runtime.settings import Settings
from dialplane.usecases.analyze_call import AnalyzeCallUseCase


def build(settings: Settings, client: AwsClient, *, now: Callable[[], datetime] = clock.now) -> AnalyzeCallUseCase:
    """The use case on DynamoDB, Secrets Manager and a language model."""
    return build_analyze(settings, client, now=now)


@cache
def _use_case() -> AnalyzeCallUseCase:
    return build(Settings.from_environment(), HttpAwsClient())


def lambda_handler(event: dict[str, Any], context: object) -> dict[str, str]:
    """``{organization_id, call_id}`` in, ``{outcome}`` out; the state machine chooses by it."""
    begin(call_id=event["call_id"])
    return {"outcome": _use_case().analyze(event["organization_id"], event["call_id"])}
