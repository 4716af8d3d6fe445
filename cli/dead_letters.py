"""Dead letters: why each is there, and back to work with them. Reads the queues; what a letter means is elsewhere.

SQS can move messages itself (StartMessageMoveTask), but emulators lack that, and it cannot say why a message is there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dialplane.aws.client import AwsClient
from dialplane.carriers.registry import events_of
from dialplane.domain.times import to_text
from dialplane.runtime.carrier_events import CarrierMessage

_BATCH = 10
# How long a message that was received stays hidden from others: longer than what is done with one batch takes.
_HIDDEN_SECONDS = 120


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One message of a dead-letter queue. ``reason`` never repeats what is in the body."""

    message_id: str
    sent_at: datetime
    call_id: str | None
    reason: str
    body: str
    receipt_handle: str

    @property
    def document(self) -> dict[str, Any]:
        """What may be shown of it."""
        return {
            "message_id": self.message_id,
            "sent_at": to_text(self.sent_at),
            "call_id": self.call_id,
            "reason": self.reason,
        }


Explain = Callable[[dict[str, Any]], tuple[str | None, str]]
"""A received message to the id of the call it is about, if any, and why it is here."""


@dataclass(frozen=True, slots=True)
class DeadLetterQueue:
    """One dead-letter queue, and ``redrive``: what to do with a letter so that its work is done after all."""

    aws: AwsClient
    url: str
    explain: Explain

    def letters(self, *, limit: int) -> list[DeadLetter]:
        """The oldest letters first, as far as SQS keeps order; they stay where they are."""
        found: dict[str, DeadLetter] = {}
        for letter in self._receive():
            found[letter.message_id] = letter
            if len(found) >= limit:
                break
        for letter in found.values():
            self._call("ChangeMessageVisibility", ReceiptHandle=letter.receipt_handle, VisibilityTimeout=0)
        return sorted(found.values(), key=lambda letter: letter.sent_at)

    def redrive(self, work: Callable[[DeadLetter], None], *, limit: int, now: datetime) -> list[DeadLetter]:
        """Do ``work`` for each letter and delete it afterwards: a crash in between repeats the work, never loses it.

        Letters that arrived after ``now`` are left: what fails again while we are at it would come round for ever.
        """
        done = []
        for letter in self._receive():
            if letter.sent_at > now:
                continue
            work(letter)
            self._call("DeleteMessage", ReceiptHandle=letter.receipt_handle)
            done.append(letter)
            if len(done) >= limit:
                break
        return done

    def _receive(self) -> Iterator[DeadLetter]:
        while True:
            messages = self._call(
                "ReceiveMessage",
                MaxNumberOfMessages=_BATCH,
                VisibilityTimeout=_HIDDEN_SECONDS,
                WaitTimeSeconds=1,  # long polling asks every server of the queue; short polling may see none of them
                AttributeNames=["SentTimestamp"],
                MessageAttributeNames=["All"],
            ).get("Messages", [])
            if not messages:
                return
            for message in messages:
                yield self._letter(message)

    def _letter(self, message: dict[str, Any]) -> DeadLetter:
        call_id, reason = self.explain(message)
        return DeadLetter(
            message_id=message["MessageId"],
            sent_at=datetime.fromtimestamp(int(message["Attributes"]["SentTimestamp"]) / 1000, UTC),
            call_id=call_id,
            reason=reason,
            body=message["Body"],
            receipt_handle=message["ReceiptHandle"],
        )

    def _call(self, operation: str, **params: Any) -> dict[str, Any]:
        return self.aws.call("sqs", operation, {"QueueUrl": self.url, **params})


def explain_carrier_event(message: dict[str, Any]) -> tuple[str | None, str]:
    """Try to understand a carrier's report as the worker does, and say what kept it from being applied."""
    try:
        report = CarrierMessage.from_body(message["Body"])
        received_at = datetime.fromisoformat(report.received_at)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None, "not a carrier event: it will fail again"
    try:
        events_of(report.carrier).to_call_event(report.fields, received_at)
    except ValueError as error:
        return report.call_id, str(error)
    except (TypeError, KeyError, AttributeError):
        return None, "not a carrier event: it will fail again"
    return report.call_id, "understood: applying it failed for another reason, such as a throttled table"


def explain_queued_dial(message: dict[str, Any]) -> tuple[str | None, str]:
    """Say which call a queued dial is about. Why dialing it failed is in the function's log alone."""
    try:
        call_id = json.loads(message["Body"])["call_id"]
    except (ValueError, KeyError, TypeError):
        return None, "not a queued dial: it will fail again"
    return str(call_id), "its worker failed each time; the log of the dial function says why"


def explain_conversation_task(message: dict[str, Any]) -> tuple[str | None, str]:
    """Say which call a task of a conversation is about, and of what kind it is; a command's words are not shown."""
    try:
        task = json.loads(message["Body"])
        call_id, kind = str(task["call_id"]), str(task["kind"])
    except (ValueError, KeyError, TypeError):
        return None, "not a task of a conversation: it will fail again"
    return call_id, f"{kind}: its worker failed each time; the log of the conversation-tasks function says why"


def explain_failed_run(message: dict[str, Any]) -> tuple[str | None, str]:
    """Say how a run of the reconciler failed, from what Lambda or the scheduler wrote about it."""
    attributes = message.get("MessageAttributes", {})
    if (
        "ERROR_CODE" in attributes
    ):  # https://docs.aws.amazon.com/scheduler/latest/UserGuide/configuring-schedule-dlq.html
        return None, f"the scheduler could not start it: {attributes['ERROR_CODE'].get('StringValue')}"
    try:
        record = json.loads(message["Body"])
        condition = record["requestContext"]["condition"]
        error_type = (record.get("responsePayload") or {}).get("errorType")
    except (ValueError, KeyError, TypeError, AttributeError):
        return None, "written by neither Lambda nor the scheduler"
    return None, f"{condition}: {error_type}" if error_type else str(condition)
