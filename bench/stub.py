"""The back end that every subject talks to: DynamoDB, SQS, Secrets Manager, Step Functions, WebSockets and Twilio, on
127.0.0.1.

It serves items from memory, applies no condition, keeps nothing after an invocation, and counts: requests by operation,
and the capacity DynamoDB would bill. It is a load to measure against, not a model of AWS (that is MiniStack's work).
"""

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from bench import capacity
from bench.updates import AttributeMap, updated

Key = frozenset[tuple[str, str]]

SOCKET = "Socket"
"""What a frame to a WebSocket counts as."""


class UnservedError(RuntimeError):
    """A subject asked for something that the stub does not serve."""


@dataclass(slots=True)
class Exchange:
    """One request as the stub saw it: when its first line had come, its last byte, when the answer was ready.

    Times are those of `time.perf_counter`.
    """

    began_at: float
    received_at: float
    name: str = ""
    body: bytes = b""
    answered_at: float = 0.0

    @property
    def seconds(self) -> float:
        """How long the stub was at it; that sending the answer takes time as well is not counted in our favour."""
        return self.answered_at - self.began_at


@dataclass(slots=True)
class Tally:
    """What the subjects asked for since the last reset."""

    requests: Counter[str] = field(default_factory=Counter)
    exchanges: list[Exchange] = field(default_factory=list)
    read_units: float = 0.0
    write_units: float = 0.0
    index_write_units: float = 0.0
    unserved: list[str] = field(default_factory=list)

    @property
    def dynamodb_trips(self) -> int:
        """Number of DynamoDB requests."""
        return sum(count for name, count in self.requests.items() if name.startswith("DynamoDB"))

    @property
    def carrier_requests(self) -> int:
        """Number of requests to the carrier."""
        return self.requests["Carrier"]

    @property
    def frames(self) -> list[Exchange]:
        """The frames that were sent to WebSockets."""
        return [exchange for exchange in self.exchanges if exchange.name == SOCKET]


@dataclass(slots=True)
class Table:
    """One table: its key attributes, its items, and each index's key attributes."""

    key_names: tuple[str, ...]
    items: dict[Key, AttributeMap] = field(default_factory=dict)
    indexes: tuple[capacity.Index, ...] = ()

    def put(self, item: AttributeMap) -> None:
        """Store an item for the whole benchmark."""
        self.items[key_of({name: item[name] for name in self.key_names})] = item

    def find(self, key: Mapping[str, Mapping[str, Any]]) -> AttributeMap:
        """Return a stored item, {} where there is none."""
        return self.items.get(key_of(key), {})


def key_of(key: Mapping[str, Mapping[str, Any]]) -> Key:
    """Return a hashable form of a DynamoDB key."""
    return frozenset((name, json.dumps(value)) for name, value in key.items())


class Backend:
    """The stub's state and its answers; `bench.server` puts it on a port."""

    def __init__(self) -> None:
        self.tables: dict[str, Table] = {}
        self.secrets: dict[str, str] = {}
        self.tally = Tally()
        self._written: dict[tuple[str, Key], AttributeMap] = {}
        self._lock = threading.Lock()

    def reset(self) -> None:
        """Forget what was written and counted, so that the next invocation meets the same world."""
        with self._lock:
            self.tally = Tally()
            self._written = {}

    def count_anew(self) -> None:
        """Forget what was counted; the next invocation meets what this one has written."""
        with self._lock:
            self.tally = Tally()

    def answer(self, target: str, path: str, exchange: Exchange) -> tuple[int, dict[str, Any]]:
        """Return the status and JSON body for one request, and note it; `target` is the X-Amz-Target header, or ''."""
        body = exchange.body
        with self._lock:
            self.tally.exchanges.append(exchange)
            if not target:
                exchange.name = SOCKET if "/@connections/" in path else "Carrier"
                return self._take_frame() if exchange.name == SOCKET else self._create_call(path, body)
            service, _, operation = target.partition(".")
            service = service.split("_")[0]
            exchange.name = f"{service} {operation}"
            self.tally.requests[exchange.name] += 1
            serve = getattr(self, f"_{service}_{operation}".lower(), None)
            if serve is None:
                self.tally.unserved.append(target)
                return 400, {"__type": "UnknownOperationException", "message": f"bench/stub.py serves no {target}"}
            return 200, serve(json.loads(body))

    # --- DynamoDB -----------------------------------------------------------------------------------------------

    def _find(self, table: str, key: Mapping[str, Mapping[str, Any]]) -> AttributeMap | None:
        wanted = key_of(key)
        return self._written.get((table, wanted)) or self.tables[table].items.get(wanted)

    def _read(self, table: str, key: Mapping[str, Mapping[str, Any]], consistent: bool) -> AttributeMap | None:
        item = self._find(table, key)
        self.tally.read_units += capacity.read_units(item, consistent=consistent)
        return item

    def _write(
        self, table: str, before: AttributeMap | None, after: AttributeMap | None, *, transactional: bool
    ) -> None:
        larger = max(before or {}, after or {}, key=capacity.item_size)
        self.tally.write_units += capacity.write_units(larger, transactional=transactional)
        self.tally.index_write_units += capacity.index_units(before, after, self.tables[table].indexes)
        if after is not None:
            self._written[table, key_of({name: after[name] for name in self.tables[table].key_names})] = after

    def _put(self, request: Mapping[str, Any], *, transactional: bool) -> None:
        table, item = request["TableName"], request["Item"]
        before = self._find(table, {name: item[name] for name in self.tables[table].key_names})
        self._write(table, before, item, transactional=transactional)

    def _update(self, request: Mapping[str, Any], *, transactional: bool) -> AttributeMap:
        table, key = request["TableName"], request["Key"]
        before = self._find(table, key)
        after = updated({**(before or {}), **key}, request)
        self._write(table, before, after, transactional=transactional)
        return {"ALL_NEW": after, "ALL_OLD": before or {}}.get(request.get("ReturnValues", "NONE"), {})

    def _delete(self, request: Mapping[str, Any], *, transactional: bool) -> None:
        self._write(
            request["TableName"], self._find(request["TableName"], request["Key"]), None, transactional=transactional
        )

    def _dynamodb_getitem(self, request: dict[str, Any]) -> dict[str, Any]:
        item = self._read(request["TableName"], request["Key"], request.get("ConsistentRead", False))
        return {"Item": item} if item else {}

    def _dynamodb_batchgetitem(self, request: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, list[AttributeMap]] = {}
        for table, wanted in request["RequestItems"].items():
            read = [self._read(table, key, wanted.get("ConsistentRead", False)) for key in wanted["Keys"]]
            found[table] = [item for item in read if item]
        return {"Responses": found, "UnprocessedKeys": {}}

    def _dynamodb_putitem(self, request: dict[str, Any]) -> dict[str, Any]:
        self._put(request, transactional=False)
        return {}

    def _dynamodb_updateitem(self, request: dict[str, Any]) -> dict[str, Any]:
        attributes = self._update(request, transactional=False)
        return {"Attributes": attributes} if attributes else {}

    def _dynamodb_deleteitem(self, request: dict[str, Any]) -> dict[str, Any]:
        self._delete(request, transactional=False)
        return {}

    def _dynamodb_transactwriteitems(self, request: dict[str, Any]) -> dict[str, Any]:
        for action in request["TransactItems"]:
            ((kind, content),) = action.items()
            if kind == "Put":
                self._put(content, transactional=True)
            elif kind == "Update":
                self._update(content, transactional=True)
            elif kind == "Delete":
                self._delete(content, transactional=True)
            else:  # ConditionCheck: billed as a transactional write that changes nothing
                item = self._find(content["TableName"], content["Key"])
                self.tally.write_units += capacity.write_units(item, transactional=True)
        return {}

    # --- the other services -------------------------------------------------------------------------------------

    def _amazonsqs_sendmessage(self, request: dict[str, Any]) -> dict[str, Any]:
        # The SDK verifies this digest; a wrong one would be an error to the naive peer.
        digest = hashlib.md5(request["MessageBody"].encode(), usedforsecurity=False).hexdigest()
        return {"MessageId": "5fea7756-0ea4-451a-a703-a558b933e274", "MD5OfMessageBody": digest}

    def _secretsmanager_getsecretvalue(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["SecretId"]
        return {"Name": name, "ARN": f"arn:aws:secretsmanager:us-east-1:123456789012:secret:{name}-AbCdEf"} | {
            "SecretString": self.secrets[name],
            "VersionStages": ["AWSCURRENT"],
        }

    def _awsstepfunctions_startexecution(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"executionArn": f"{request['stateMachineArn']}:{request.get('name', 'x')}", "startDate": 1767225600.0}

    def _take_frame(self) -> tuple[int, dict[str, Any]]:
        self.tally.requests[SOCKET] += 1
        return 200, {}

    def _create_call(self, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        if not path.endswith("/Calls.json"):
            self.tally.unserved.append(path)
            return 404, {"code": 20404, "message": f"bench/stub.py serves no {path}", "status": 404}
        self.tally.requests["Carrier"] += 1
        form = parse_qs(body.decode())
        sid = "CA" + "0123456789abcdef" * 2
        return 201, {
            "sid": sid,
            "account_sid": path.split("/")[3],
            "to": form["To"][0],
            "from": form["From"][0],
            "status": "queued",
            "direction": "outbound-api",
            "api_version": "2010-04-01",
            "queue_time": "0",
            "date_created": None,
            "start_time": None,
            "end_time": None,
            "duration": None,
            "price": None,
            "price_unit": "USD",
            "uri": f"{path.removesuffix('.json')}/{sid}.json",
        }
