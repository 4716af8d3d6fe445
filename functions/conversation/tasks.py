"""From the queue to the conversation: timers, commands, verdicts about machines."""

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
from dialplane.aws.sockets import HttpSockets
from dialplane.runtime import clock
from dialplane.runtime.conversing import build_attend
from dialplane.runtime.observability import begin, logger
from dialplane.runtime.settings import Settings
from dialplane.usecases.attend_conversations import AttendConversationsUseCase
from dialplane.usecases.sockets import Sockets


def build(
    settings: Settings,
    client: AwsClient,
    *,
    sockets: Sockets,
    now: Callable[[], datetime] = clock.now,
    monotonic: Callable[[], float] = time.monotonic,
) -> AttendConversationsUseCase:
    """The use case on DynamoDB, SQS, Secrets Manager, the sockets, a language model and the carriers' APIs."""
    return build_attend(settings, client, sockets=sockets, now=now, monotonic=monotonic)


def attend_record(record: SQSRecord, use_case: AttendConversationsUseCase) -> None:
    """Carry out one task. Raises what stands in its way: it is delivered again, and at last set aside."""
    begin(message_id=record.message_id)
    try:
        use_case.attend(json.loads(record.body))
    except Exception:
        logger.exception("conversation_task_failed")
        raise


@cache
def _use_case() -> AttendConversationsUseCase:
    settings = Settings.from_environment()
    return build(settings, HttpAwsClient(), sockets=HttpSockets(settings.text("SOCKET_API_ENDPOINT")))


def lambda_handler(event: dict[str, Any], context: Any) -> Any:
    """SQS event in, the messages to deliver again out."""
    processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
    return process_partial_response(
        event=event,
        record_handler=lambda record: attend_record(record, _use_case()),
        processor=processor,
        context=context,
    )
