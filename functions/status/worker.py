"""From the queue to the call: understand what a carrier said, apply it, start the completion of a call that ended.

What a conversation has to know of it is put on the queue of its tasks: that a machine has answered.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Any, cast

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from dialplane.aws.client import AwsClient, AwsError, HttpAwsClient
from dialplane.carriers.registry import TRAITS, events_of, open_carrier
from dialplane.domain.calls import Call
from dialplane.domain.errors import CarrierUnavailable
from dialplane.domain.statuses import CallStatus
from dialplane.dynamodb.answers import AnswerStore
from dialplane.dynamodb.calls import CallStore
from dialplane.runtime import clock
from dialplane.runtime.carrier_accounts import CarrierAccounts
from dialplane.runtime.carrier_events import CarrierMessage
from dialplane.runtime.observability import begin, logger
from dialplane.runtime.settings import Settings
from dialplane.usecases.apply_carrier_event import ApplyCarrierEventUseCase, CarrierReport
from dialplane.usecases.direct_call import DirectCallUseCase, DirectedCalls

CARRIER_TIMEOUT_SECONDS = 3.0
_MACHINES = ("machine", "machine_beep", "machine_silence", "fax")


def build(
    settings: Settings, client: AwsClient, *, now: Callable[[], datetime] = clock.now
) -> ApplyCarrierEventUseCase:
    """The use case on DynamoDB and Step Functions; for calls that are directed, also Secrets Manager and a carrier."""
    state_machine_arn = settings.text("CALL_COMPLETION_STATE_MACHINE_ARN")

    def start_completion(call: Call) -> None:
        start = {
            "stateMachineArn": state_machine_arn,
            "name": call.id,
            "input": json.dumps(
                {
                    "organization_id": call.organization_id,
                    "call_id": call.id,
                    "has_conversation": _may_have_conversation(call),
                }
            ),
        }
        try:
            client.call("stepfunctions", "StartExecution", start)
        except AwsError as error:
            # Named after the call: an execution that exists is the completion that was asked for.
            if error.code != "ExecutionAlreadyExists":
                raise

    @cache
    def accounts() -> CarrierAccounts:
        return CarrierAccounts(client, settings.text("CARRIER_SECRETS_PREFIX"))

    def open_calls(call: Call) -> DirectedCalls:
        credentials = accounts().credentials(call.organization_id, call.carrier_account_id)
        if credentials is None:
            raise CarrierUnavailable(f"The carrier account {call.carrier_account_id} has no credentials.")
        # Every carrier that says words and fetches no instructions has commands.
        return cast(DirectedCalls, open_carrier(call.carrier, credentials, timeout_seconds=CARRIER_TIMEOUT_SECONDS))

    tables, check_interval = settings.tables("calls"), settings.duration("CHECK_INTERVAL_SECONDS")
    direction = DirectCallUseCase(open_calls, AnswerStore(client, tables), now, check_interval)

    def tell_of_machine(call: Call, answered_by: str) -> None:
        task = {
            "kind": "machine",
            "organization_id": call.organization_id,
            "call_id": call.id,
            "answered_by": answered_by,
        }
        queue_url = settings.text("CONVERSATION_TASKS_QUEUE_URL")
        client.call("sqs", "SendMessage", {"QueueUrl": queue_url, "MessageBody": json.dumps(task)})

    def follow_up(call: Call, report: CarrierReport) -> None:
        if not TRAITS[call.carrier].fetches_instructions:
            direction.follow_up(call, report)
        # Every verdict, for the first may be that it is a machine and a later one that its greeting is over.
        answered_by = report.event.answered_by
        if answered_by in _MACHINES and call.conversation_json is not None and not call.status.is_terminal:
            tell_of_machine(call, answered_by)

    return ApplyCarrierEventUseCase(
        calls=CallStore(client, tables),
        start_completion=start_completion,
        check_interval=check_interval,
        follow_up=follow_up,
    )


def _may_have_conversation(call: Call) -> bool:
    """Whether somebody may have talked with us: it decides if a completion goes on to sum up what was said."""
    was_answered = call.answered_at is not None or call.status is CallStatus.COMPLETED
    return call.conversation_json is not None and was_answered


def apply_record(record: SQSRecord, use_case: ApplyCarrierEventUseCase) -> str:
    """Apply one queued message. Raises for a message that cannot be understood: it goes to the dead-letter queue."""
    begin(message_id=record.message_id)
    message = CarrierMessage.from_body(record.body)
    received_at = datetime.fromisoformat(message.received_at)
    events = events_of(message.carrier)
    try:
        verdict = use_case.apply(
            CarrierReport(
                organization_id=message.organization_id,
                carrier_account_id=message.carrier_account_id,
                call_id=message.call_id,
                message_id=record.message_id,
                received_at=received_at,
                event=events.to_call_event(message.fields, received_at),
            )
        )
    except Exception:
        logger.exception("carrier_event_failed", extra={"call_id": message.call_id})
        raise
    return verdict.value


@cache
def _use_case() -> ApplyCarrierEventUseCase:
    return build(Settings.from_environment(), HttpAwsClient())


def lambda_handler(event: dict[str, Any], context: Any) -> Any:
    """SQS event in, the messages to deliver again out."""
    # Never the whole-batch error: it would make the messages that were applied come again as well.
    processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
    return process_partial_response(
        event=event,
        record_handler=lambda record: apply_record(record, _use_case()),
        processor=processor,
        context=context,
    )
