"""From the queue to the carrier: the dial of calls whose request was answered after the commit."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from dialplane.aws.client import AwsClient, HttpAwsClient
from dialplane.runtime import clock
from dialplane.runtime.dialing import build_dialing
from dialplane.runtime.observability import begin, logger
from dialplane.runtime.settings import Settings
from dialplane.usecases.dial_call import DialCallUseCase


def build(
    settings: Settings,
    client: AwsClient,
    *,
    now: Callable[[], datetime] = clock.now,
    sleep: Callable[[float], None] = time.sleep,
) -> DialCallUseCase:
    """The use case on DynamoDB, Secrets Manager and the carriers' APIs."""
    return build_dialing(settings, client, now=now, sleep=sleep)


def dial_record(record: SQSRecord, use_case: DialCallUseCase) -> None:
    """Dial one queued call, unless another delivery of its message has taken the dial."""
    begin(message_id=record.message_id)
    message = json.loads(record.body)
    call = use_case.dial_queued(message["organization_id"], message["call_id"])
    logger.info(
        "queued_dial", extra={"call_id": message["call_id"], "status": call.status.value if call is not None else None}
    )


@cache
def _use_case() -> DialCallUseCase:
    return build(Settings.from_environment(), HttpAwsClient())


def lambda_handler(event: dict[str, Any], context: Any) -> Any:
    """SQS records in, the ones that failed out."""
    processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
    return process_partial_response(
        event=event,
        record_handler=lambda record: dial_record(record, _use_case()),
        processor=processor,
        context=context,
    )
