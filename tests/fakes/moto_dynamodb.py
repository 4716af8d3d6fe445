"""What moto's DynamoDB lacks to stand in for the real one: isolation between threads, request tokens, and bad luck.

moto runs each request on its caller's thread without a lock and ignores ClientRequestToken; it never raises
TransactionConflict and never loses a reply. Before each transaction it copies whole tables to be able to undo it: here
only the transaction's own items are kept, so that a full table is as fast as an empty one. A checker also wants to look
at what is stored, and a simulation to start over, thousands of times: both go past the API. Nothing here
knows our tables.
"""

from __future__ import annotations

import contextlib
import copy
import json
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from botocore.exceptions import ClientError, ConnectionClosedError
from moto import mock_aws
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.dynamodb import models as dynamodb_models
from moto.dynamodb.models import DynamoDBBackend, dynamodb_backends
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.models.table import Table
from moto.dynamodb.responses import DynamoHandler


@contextlib.contextmanager
def transactional_dynamodb() -> Iterator[None]:
    """Run moto (all services) with DynamoDB requests one at a time and TransactWriteItems repeated without effect."""
    lock = threading.RLock()
    replies: dict[str, tuple[str, Any]] = {}
    dispatch = DynamoHandler._dispatch
    call_action = DynamoHandler.call_action

    def locked_dispatch(handler: DynamoHandler, *args: Any, **kwargs: Any) -> Any:
        with lock:
            return dispatch(handler, *args, **kwargs)

    def call_action_once_per_token(handler: DynamoHandler) -> Any:
        request = dict(handler.params)
        token = request.pop("ClientRequestToken", None)
        if token is None:
            return call_action(handler)
        wanted = json.dumps(request, sort_keys=True, default=str)
        if token in replies:
            seen, reply = replies[token]
            return reply if seen == wanted else _mismatch(handler)
        reply = call_action(handler)
        if reply[0] == 200:  # AWS remembers what took effect, not what was refused
            replies[token] = (wanted, reply)
        return reply

    with (
        patch.object(DynamoHandler, "_dispatch", locked_dispatch),
        patch.object(DynamoHandler, "call_action", call_action_once_per_token),
        patch.object(DynamoDBBackend, "transact_write_items", _undoing_its_items(DynamoDBBackend.transact_write_items)),
        patch.object(dynamodb_models, "copy", SimpleNamespace(copy=copy.copy, deepcopy=_copied_unless_table)),
        mock_aws(),
    ):
        yield


def _copied_unless_table(thing: Any) -> Any:
    return thing if isinstance(thing, Table) else copy.deepcopy(thing)


def _undoing_its_items(transact: Callable[..., None]) -> Callable[..., None]:
    def undoing(backend: DynamoDBBackend, transact_items: list[dict[str, Any]]) -> None:
        before = [_stored(backend, operation) for item in transact_items for operation in item.values()]
        try:
            transact(backend, transact_items)
        except BaseException:
            for table, (hash_key, range_key), item in before:
                table.delete_item(hash_key, range_key)
                if item is not None:
                    table.put_item(item.to_json()["Attributes"])
            raise

    return undoing


_Key = tuple[DynamoType, DynamoType | None]


def _stored(backend: DynamoDBBackend, operation: dict[str, Any]) -> tuple[Table, _Key, Item | None]:
    """The table and key that an operation of a transaction is about, and a copy of its item."""
    table = backend.tables[operation["TableName"]]
    named = operation.get("Key") or operation["Item"]
    range_key = DynamoType(named[table.range_key_attr]) if table.range_key_attr is not None else None
    key = DynamoType(named[table.hash_key_attr]), range_key
    return table, key, copy.deepcopy(table.get_item(*key))


def _mismatch(handler: DynamoHandler) -> Any:
    code = "com.amazonaws.dynamodb.v20120810#IdempotentParameterMismatchException"
    return 400, handler.response_headers, json.dumps({"__type": code, "message": "the token was used for other items"})


def stored_items(table_name: str, region: str = "us-east-1") -> list[dict[str, Any]]:
    """Every item of a table as plain Python values, at this very moment; not for use while other threads write."""
    table = dynamodb_backends[DEFAULT_ACCOUNT_ID][region].tables[table_name]
    return [_plain(item) for item in table.all_items()]


def empty_table(table_name: str, region: str = "us-east-1") -> None:
    """Remove every item."""
    dynamodb_backends[DEFAULT_ACCOUNT_ID][region].tables[table_name].items.clear()


def _plain(item: Item) -> dict[str, Any]:
    return {name: value.cast_value for name, value in item.attrs.items()}


class Crash(BaseException):
    """The process ends here; a BaseException, so that no ``except Exception`` of the code under test survives it."""


@dataclass
class FaultInjector:
    """Bad luck for boto3 clients, drawn from ``seed``; attach with ``attach(client)``.

    Every call has two I/O points: before it (nothing happened yet) and after it (it took effect, the reply is not
    read); ``point`` adds I/O of other kinds. ``points`` counts them over all attached clients; ``crash_at=n`` raises
    ``Crash`` at the n-th, from 0. ``observe`` is told every point's number and name, before any crash.
    """

    seed: int = 0
    conflict_probability: float = 0.0
    lost_reply_probability: float = 0.0
    crash_at: int | None = None
    observe: Callable[[int, str], None] = lambda number, name: None
    points: int = 0
    conflicts: int = 0
    lost_replies: int = 0
    operations: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 - repeatable, not secret
        self._lock = threading.Lock()

    def attach(self, client: Any) -> None:
        """Make every later call of ``client`` pass through the injector."""
        service = client.meta.service_model.service_id.hyphenize()
        client.meta.events.register_first(f"before-call.{service}", self._before)
        client.meta.events.register_last(f"after-call.{service}", self._after)

    def point(self, name: str) -> None:
        """An I/O point: count it, and crash if it is the one."""
        with self._lock:
            number = self.points
            self.points += 1
        self.observe(number, name)
        if number == self.crash_at:
            raise Crash(f"at I/O point {number}, {name}")

    def _before(self, model: Any, params: dict[str, Any], **_: Any) -> None:
        self.operations.append(model.name)
        self.point(f"before {model.name}")
        with self._lock:
            conflicting = model.name in _WRITES and self._random.random() < self.conflict_probability
            self.conflicts += conflicting
        if conflicting:
            raise _conflict(model.name, json.loads(params["body"]))

    def _after(self, http_response: Any, model: Any, **_: Any) -> None:
        self.point(f"after {model.name}")
        with self._lock:
            lost = http_response.status_code < 300 and self._random.random() < self.lost_reply_probability
            self.lost_replies += lost
        if lost:
            raise ConnectionClosedError(endpoint_url="https://dynamodb.test")


_WRITES = frozenset({"PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems"})


def _conflict(operation: str, request: dict[str, Any]) -> ClientError:
    """What AWS answers when another transaction holds one of the items; nothing was written."""
    metadata = {"HTTPStatusCode": 400}
    if operation != "TransactWriteItems":
        error = {"Code": "TransactionConflictException", "Message": "Transaction is ongoing for the item"}
        return ClientError({"Error": error, "ResponseMetadata": metadata}, operation)  # type: ignore[typeddict-item]
    reasons: list[dict[str, Any]] = [{"Code": "None"} for _ in request["TransactItems"]]
    reasons[0] = {"Code": "TransactionConflict", "Message": "Transaction is ongoing for the item"}
    response: Any = {
        "Error": {"Code": "TransactionCanceledException", "Message": "Transaction cancelled"},
        "CancellationReasons": reasons,
        "ResponseMetadata": metadata,
    }
    return ClientError(response, operation)
