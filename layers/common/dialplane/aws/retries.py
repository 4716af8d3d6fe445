"""Which failed AWS calls may be sent again, and how often: the one answer both clients share.

Pure rules and a loop around ``send``; no sockets, no SDK. What a caller may rely on is written at ``AwsClient``.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol


class AwsClient(Protocol):
    """The only door to AWS for runtime code.

    ``service`` is one of dynamodb, sqs, secretsmanager, stepfunctions; ``params`` and the result are the shapes of the
    AWS API reference (DynamoDB items in AttributeValue form; timestamps are not normalised between implementations).

    Promises, the same for every implementation:

    * TransactWriteItems always carries a ClientRequestToken (added when absent), so repeating it is harmless.
    * BatchGetItem answers with every requested item; UnprocessedKeys are fetched inside.
    * A call that AWS did not process (throttled, in conflict, never sent) is sent again.
    * A call whose reply is lost, or answered 5xx, is sent again only if ``may_repeat`` says that is harmless. A
      ConditionalCheckFailedException with ``repeated=True`` may be the trace of this very call's first try: read the
      item before concluding that somebody else wrote it.
    """

    def call(self, service: str, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Send one request and return its result. Raises ``AwsError``."""
        ...


class AwsError(Exception):
    """A call AWS refused, or whose outcome is unknown.

    ``code`` is the short AWS code (``ConditionalCheckFailedException``), or one of ours: ``ConnectionFailed`` (nothing
    was sent), ``ReplyLost`` (the call may have taken effect), ``UnprocessedKeys``, ``ConfigurationMissing``.
    ``http_status`` is 0 when there was no reply. ``item`` and the reasons' ``Item`` come from
    ReturnValuesOnConditionCheckFailure, in AttributeValue form.
    """

    def __init__(
        self,
        *,
        service: str,
        operation: str,
        code: str,
        message: str = "",
        http_status: int = 0,
        cancellation_reasons: tuple[dict[str, Any], ...] = (),
        item: dict[str, Any] | None = None,
    ) -> None:
        self.service = service
        self.operation = operation
        self.code = code
        self.message = message
        self.http_status = http_status
        self.cancellation_reasons = cancellation_reasons
        self.item = item
        self.repeated = False
        self.stale_connection = False
        reasons = ", ".join(str(reason.get("Code")) for reason in cancellation_reasons)
        super().__init__(f"{service} {operation}: {code}{f' [{reasons}]' if reasons else ''}: {message}")

    @property
    def is_unprocessed(self) -> bool:
        """True when AWS certainly did not carry the call out: throttled, or another transaction was in the way."""
        return _is_unprocessed(self)

    @property
    def may_have_taken_effect(self) -> bool:
        """True when AWS may have carried the call out although it failed for us."""
        return self.code in _OUTCOME_UNKNOWN or (self.http_status >= 500 and not _is_unprocessed(self))


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long one ``call`` may go on: no new try starts once ``budget_seconds`` have passed since the first."""

    attempts_max: int = 8
    budget_seconds: float = 4.0
    base_delay_seconds: float = 0.05
    delay_max_seconds: float = 0.8
    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic
    # Full jitter needs spread, not secrecy.
    jitter: Callable[[], float] = random.random


_OUTCOME_UNKNOWN = frozenset({"ReplyLost", "TransactionInProgressException"})
_NOT_PROCESSED = frozenset(
    {
        "ConnectionFailed",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionConflictException",
    }
)
_RETRYABLE_REASONS = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})
# Operations that have the same effect sent twice as sent once. SendMessage: a standard queue may deliver twice anyway.
_REPEATABLE = frozenset(
    {
        "BatchGetItem",
        "GetItem",
        "Query",
        "TransactGetItems",
        "PutItem",
        "DeleteItem",
        "TransactWriteItems",
        "SendMessage",
        "SendMessageBatch",
        "DeleteMessage",
        "GetQueueAttributes",
        "GetQueueUrl",
        "GetSecretValue",
        "DescribeSecret",
        "DescribeExecution",
        "DescribeTable",
    }
)


def may_repeat(operation: str, params: Mapping[str, Any]) -> bool:
    """Say whether sending this call twice does no more than sending it once; unknown operations do not.

    An UpdateItem repeats only under a condition (an unconditional ``ADD`` would count twice): its author must make the
    condition fail once the update is in. StartExecution repeats only under a name, which AWS keeps unique.
    """
    if operation == "UpdateItem":
        return bool(params.get("ConditionExpression"))
    if operation == "StartExecution":
        return bool(params.get("name"))
    return operation in _REPEATABLE


def call_with_retries(
    send: Callable[[Mapping[str, Any]], dict[str, Any]],
    operation: str,
    params: Mapping[str, Any],
    policy: RetryPolicy,
) -> dict[str, Any]:
    """Run ``send(params)`` under the promises of ``AwsClient``; ``send`` tries once and raises ``AwsError``."""
    if operation == "TransactWriteItems" and "ClientRequestToken" not in params:
        params = {**params, "ClientRequestToken": str(uuid.uuid4())}
    deadline = policy.monotonic() + policy.budget_seconds
    merged: dict[str, Any] = {}
    attempt = 0
    may_have_taken_effect = False
    while True:
        attempt += 1
        failure: AwsError
        try:
            result = send(params)
        except AwsError as error:
            error.repeated = may_have_taken_effect
            may_have_taken_effect = may_have_taken_effect or error.may_have_taken_effect
            if not _is_retryable(error, operation, params):
                raise
            if error.stale_connection:  # says nothing about AWS's health: not a try, and no reason to wait
                attempt -= 1
                continue
            failure = error
        else:
            if operation != "BatchGetItem":
                return result
            unprocessed = _merge_batch(merged, result)
            if not unprocessed:
                return merged
            params = {**params, "RequestItems": unprocessed}
            failure = AwsError(
                service="dynamodb",
                operation=operation,
                code="UnprocessedKeys",
                message=f"no answer for keys of {', '.join(unprocessed)}; the tables are throttled, try again later",
            )
        delay = policy.jitter() * min(policy.base_delay_seconds * 2**attempt, policy.delay_max_seconds)
        if attempt >= policy.attempts_max or policy.monotonic() + delay >= deadline:
            raise failure
        policy.sleep(delay)


def _is_retryable(error: AwsError, operation: str, params: Mapping[str, Any]) -> bool:
    if _is_unprocessed(error):
        return True
    return error.may_have_taken_effect and may_repeat(operation, params)


def _is_unprocessed(error: AwsError) -> bool:
    if error.code == "TransactionCanceledException":
        codes = {reason.get("Code") for reason in error.cancellation_reasons} - {None, "None"}
        return bool(codes) and codes <= _RETRYABLE_REASONS
    return error.code in _NOT_PROCESSED


def _merge_batch(merged: dict[str, Any], result: Mapping[str, Any]) -> dict[str, Any]:
    """Add one BatchGetItem answer to ``merged``; return the keys still to be asked for."""
    responses = merged.setdefault("Responses", {})
    for table, items in result.get("Responses", {}).items():
        responses.setdefault(table, []).extend(items)
    merged["UnprocessedKeys"] = {}
    return dict(result.get("UnprocessedKeys") or {})
