"""What a customer and an operator can do with a running sandbox, over HTTP and the AWS API alone."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import boto3
import urllib3

from cli.stack import Stack
from dialplane.aws.client import HttpAwsClient
from sandbox.stack import SandboxState
from tests.fakes.carrier_journal import accepted_dials

_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


@dataclass(frozen=True)
class Answer:
    """An HTTP answer as it came."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class SandboxClient:
    """Talks to one sandbox; safe to share between threads."""

    def __init__(self, state: SandboxState) -> None:
        self.state = state
        self._http = urllib3.PoolManager(maxsize=64, retries=False, timeout=urllib3.Timeout(60))

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request with the demo organization's key, or another one."""
        sent = {"Authorization": f"Bearer {key or self.state.api_key}", "Content-Type": "application/json"}
        raw = json.dumps(body).encode() if body is not None else None
        reply = self._http.request(method, f"{self.state.api_url}{path}", body=raw, headers=sent | dict(headers or {}))
        return Answer(reply.status, {name.lower(): value for name, value in reply.headers.items()}, reply.data)

    def initiate(self, destination: str, *, key: str | None = None, **more: Any) -> Answer:
        """Call a number from the first demo number."""
        headers = more.pop("headers", None)
        body = {"from_phone_number": "+15551234567", "to_phone_number": destination} | more
        return self.request("POST", "/calls/initiate", body, key=key, headers=headers)

    def call(self, call_id: str, *, key: str | None = None) -> Any:
        """GET /calls/{call_id}."""
        return self.request("GET", f"/calls/{call_id}", key=key).json

    def carrier(self, path: str) -> Any:
        """One of the simulated carriers' own pages, such as ``/_requests``."""
        return json.loads(self._http.request("GET", f"{self.state.carrier_url}{path}").data)

    def set_carriers_speed(self, speed: float) -> None:
        """How many simulated seconds pass in a second at the simulated carriers."""
        body = json.dumps({"speed": speed}).encode()
        reply = self._http.request("POST", f"{self.state.carrier_url}/_speed", body=body)
        assert reply.status == 200, reply.data

    def accepted_dials(self, destination: str, caller_number: str | None = None) -> set[str]:
        """The carriers' calls to a number, from one of our numbers or from any."""
        return accepted_dials(self.carrier("/_requests"), destination, caller_number)

    def reconcile_calls(self) -> None:
        """Run the reconciler now instead of at the next full minute."""
        client = boto3.client(
            "lambda",
            endpoint_url=self.state.aws_endpoint_url,
            region_name=self.state.aws_region,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        client.invoke(FunctionName=self.state.outputs["ReconcilerFunctionName"], Payload=b"{}")

    def until(self, is_reached: Callable[[], bool], *, seconds_max: float = 90.0, reconciling: bool = False) -> None:
        """Wait for something to be so; fails when it is not in time."""
        deadline = time.monotonic() + seconds_max
        while not is_reached():
            assert time.monotonic() < deadline, "it did not happen in time"
            if reconciling:
                self.reconcile_calls()
            time.sleep(0.5)

    def wallet_differences(self, *, key: str | None = None) -> Any:
        """What GET /wallet/reconcile finds."""
        return self.request("GET", "/wallet/reconcile", key=key).json["differences"]

    def amount(self, document: Mapping[str, Any]) -> Decimal:
        """The number in a money document."""
        return Decimal(document["amount"])

    @property
    def stack(self) -> Stack:
        """The sandbox's stack, to set up more customers."""
        environ = _CREDENTIALS | {
            "AWS_ENDPOINT_URL": self.state.aws_endpoint_url,
            "AWS_REGION": self.state.aws_region,
        }
        return Stack(HttpAwsClient(environ=environ, read_timeout_seconds=10), self.state.outputs)
