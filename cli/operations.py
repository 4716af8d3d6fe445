"""`dialplane dlq`, `reconcile` and `doctor`: what an operator does with a stack that runs."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer
from botocore.config import Config

from cli.dead_letters import (
    DeadLetter,
    DeadLetterQueue,
    explain_carrier_event,
    explain_conversation_task,
    explain_failed_run,
    explain_queued_dial,
)
from cli.doctor import examine
from cli.output import CommandFailed, JsonOption, StackOption, show, show_all
from cli.stack import Stack, open_session
from dialplane.runtime import clock

dlq = typer.Typer(no_args_is_help=True, help="Dead-letter queues.")

# The function's own timeout is 55 seconds; a run that was sent twice would be harmless, only wasteful.
_LAMBDA = Config(read_timeout=65, connect_timeout=5, retries={"total_max_attempts": 1})


class QueueName(StrEnum):
    """The dead-letter queues."""

    CARRIER_EVENTS = "carrier-events"
    CONVERSATION_TASKS = "conversation-tasks"
    DIALS = "dials"
    RECONCILER = "reconciler"


_WORK = {
    QueueName.CARRIER_EVENTS: "CarrierEventsQueueUrl",
    QueueName.CONVERSATION_TASKS: "ConversationTasksQueueUrl",
    QueueName.DIALS: "DialsQueueUrl",
}
"""The queue that a dead letter goes back to, by the stack's outputs."""

QueueArgument = Annotated[QueueName, typer.Argument(help="Which queue.", show_default=False)]
LimitOption = Annotated[int, typer.Option(help="At most so many messages.", min=1)]


@dlq.command("list")
def list_dead_letters(
    queue: QueueArgument,
    limit: LimitOption = 100,
    stack: StackOption = "dialplane",
    as_json: JsonOption = False,
) -> None:
    """List dead letters and why each is there. Their contents are not shown."""
    letters = _queue(Stack.find(stack), queue).letters(limit=limit)
    show_all("messages", [letter.document for letter in letters], as_json=as_json)


@dlq.command("redrive")
def redrive_dead_letters(
    queue: QueueArgument,
    limit: LimitOption = 10_000,
    stack: StackOption = "dialplane",
    as_json: JsonOption = False,
) -> None:
    """Put dead letters to work again.

    Carrier events, queued dials and tasks of conversations go back to the queue they came from: events that were
    applied before count once, a dial whose window is over calls nobody and gives back what was held, and a task does
    nothing a second time. Failed runs of the reconciler are made up for by one run now.
    """
    found = Stack.find(stack)
    if queue is QueueName.RECONCILER:
        show(_make_up_for_runs(found, limit), as_json=as_json)
        return
    target = found.output(_WORK[queue])

    def send(letter: DeadLetter) -> None:
        found.aws.call("sqs", "SendMessage", {"QueueUrl": target, "MessageBody": letter.body})

    done = _queue(found, queue).redrive(send, limit=limit, now=datetime.now(UTC))
    show({"redriven": len(done)}, as_json=as_json)


def reconcile(stack: StackOption = "dialplane", as_json: JsonOption = False) -> None:
    """Ask the carriers about silent calls now, instead of at the next full minute."""
    show(_run_reconciler(Stack.find(stack)), as_json=as_json)


def doctor(
    organization_id: Annotated[
        str | None,
        typer.Option("--organization", help="Also check this organization's carrier accounts, numbers and assistants."),
    ] = None,
    stack: StackOption = "dialplane",
    as_json: JsonOption = False,
) -> None:
    """Check that a stack can work: tables, secrets, queues, and the address that carriers call back."""
    findings = examine(Stack.find(stack), organization_id)
    documents = [{"check": each.check, "ok": each.is_ok, "detail": each.detail} for each in findings]
    show_all("checks", documents, as_json=as_json)
    if not all(each.is_ok for each in findings):
        raise typer.Exit(1)


def _queue(stack: Stack, name: QueueName) -> DeadLetterQueue:
    match name:
        case QueueName.CARRIER_EVENTS:
            return DeadLetterQueue(stack.aws, stack.output("CarrierEventsDeadLetterQueueUrl"), explain_carrier_event)
        case QueueName.CONVERSATION_TASKS:
            url = stack.output("ConversationTasksDeadLetterQueueUrl")
            return DeadLetterQueue(stack.aws, url, explain_conversation_task)
        case QueueName.DIALS:
            return DeadLetterQueue(stack.aws, stack.output("DialsDeadLetterQueueUrl"), explain_queued_dial)
        case QueueName.RECONCILER:
            return DeadLetterQueue(stack.aws, stack.output("ReconcilerDeadLetterQueueUrl"), explain_failed_run)


def _make_up_for_runs(stack: Stack, limit: int) -> dict[str, Any]:
    started_at = clock.now()
    run = _run_reconciler(stack)
    done = _queue(stack, QueueName.RECONCILER).redrive(lambda letter: None, limit=limit, now=started_at)
    return {"redriven": len(done), "run": run}


def _run_reconciler(stack: Stack) -> dict[str, Any]:
    client = open_session().client("lambda", config=_LAMBDA)
    reply = client.invoke(FunctionName=stack.output("ReconcilerFunctionName"), Payload=b"{}")
    payload = json.loads(reply["Payload"].read() or b"null")
    if "FunctionError" in reply or not isinstance(payload, dict):
        reason = payload.get("errorType", "no reason given") if isinstance(payload, dict) else "no reason given"
        raise CommandFailed(f"The reconciler failed: {reason}. Its log says more.")
    return payload
