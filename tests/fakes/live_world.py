"""The real entry points on moto's AWS between two real HTTP sides: the simulated carriers, and the callbacks they send.

What the deployed sandbox is, in one process and without its emulator's weight: for what has to be tried with every
carrier. Time is the wall's; whatever a schedule, a queue or a workflow would start is started by one thread.
"""

from __future__ import annotations

import base64
import contextlib
import json
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import urllib3
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from dialplane.domain.calls import Call
from dialplane.dynamodb.calls import CallStore
from dialplane.runtime.callback_urls import STATUS, CallbackAddress
from dialplane.runtime.entry import serve
from functions.initiate import app as initiate_app
from functions.initiate import dial
from functions.manage import app as manage_app
from functions.status import completion, reconciler, webhook, worker
from functions.twiml import app as twiml_app
from sandbox.carriers.accounts import make_accounts
from sandbox.carriers.embedded import SimulatedCarriers
from tests.fakes.world import Deployment, Reply, a_deployment

_RECONCILE_SECONDS = 1.0
_PATH_NAMES = ("carrier", "organization_id", "carrier_account_id", "call_id")


@dataclass(kw_only=True)
class LiveWorld(Deployment):
    """One deployment that lives by itself. Its methods may be called from any thread."""

    carriers: SimulatedCarriers
    failures: list[BaseException] = field(default_factory=list)
    """What a worker raised: its message is delivered again, so no test fails for it alone."""

    def __post_init__(self) -> None:
        self._initiate = initiate_app.build(self.settings, self.aws)
        self._manage = manage_app.build(self.settings, self.aws)
        self._callbacks = {
            "twiml": twiml_app.build(self.settings, self.aws),
            "status": webhook.build(self.settings, self.aws),
        }
        self._worker = worker.build(self.settings, self.aws)
        self._dials = dial.build(self.settings, self.aws)
        self._completion = completion.build(self.settings, self.aws)
        self._reconciler = reconciler.build(self.settings, self.aws)
        self._completed: set[str] = set()
        self._http = urllib3.PoolManager(retries=False)
        self._stopping, self._waiting = threading.Event(), threading.Lock()
        self._clients = {name: self.session.client(name) for name in ("sqs", "stepfunctions")}

    # ---- what a customer does ---------------------------------------------------------------------------------------

    def post(self, path: str, body: Any, *, key: str | None = None) -> Reply:
        """Any dialect's request for a call, with the demo organization's key or another one."""
        event = self._event("POST", path, json.dumps(body).encode(), {"authorization": f"Bearer {self._key(key)}"})
        return _reply(serve(event, self._initiate.respond))

    def get(self, route: str, path: str, *, key: str | None = None, **parameters: str) -> Any:
        """The document at a route such as ``GET /wallet``, with its path's parameters."""
        event = self._event("GET", path, b"", {"authorization": f"Bearer {self._key(key)}"}, parameters)
        return _reply(serve(event, lambda request: self._manage.respond(route, request))).json

    def control(self, call_id: str, command: Mapping[str, Any]) -> Reply:
        """Tell a call under way something."""
        event = self._event(
            "POST",
            f"/calls/{call_id}/control",
            json.dumps(command).encode(),
            {"authorization": f"Bearer {self.demo.api_key}"},
            {"call_id": call_id},
        )
        return _reply(serve(event, lambda request: self._manage.respond("POST /calls/{call_id}/control", request)))

    def call(self, call_id: str) -> Call:
        """The call as it is stored."""
        call = CallStore(self.aws, self.tables).get(self.demo.organization_id, call_id)
        assert call is not None
        return call

    def journal(self) -> Any:
        """Every request that the simulated carriers have had or sent."""
        return json.loads(self._http.request("GET", f"{self.carriers.url}/_requests").data)

    def wait_for_backlog(self, *, below: int) -> None:
        """Wait until fewer reports than that are still to be applied."""
        names = ["ApproximateNumberOfMessages"]
        with self._waiting:  # one at a time: asking costs as much as working
            while True:
                queued = self._clients["sqs"].get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=names)
                if int(queued["Attributes"][names[0]]) < below:
                    return
                time.sleep(0.1)

    def wait_until_settled(self, seconds_max: float) -> None:
        """Wait until no call of the demo organization is open; fails when that takes longer."""
        deadline = time.monotonic() + seconds_max
        while active := self.get("GET /wallet", "/wallet")["active_calls"]:
            assert time.monotonic() < deadline, f"{active} calls were not settled in time"
            time.sleep(0.25)

    # ---- what runs by itself ----------------------------------------------------------------------------------------

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """A carrier's request to one of our callback addresses."""
        kind, *segments = path.strip("/").split("/")
        endpoint = self._callbacks[kind]
        event = self._event(method, path, body, headers, dict(zip(_PATH_NAMES, segments, strict=False)))
        return _reply(serve(event, endpoint.respond))

    def run(self) -> None:
        """Start what queues, workflows and the schedule start, until stopped."""
        reconcile_at = time.monotonic()
        while not self._stopping.is_set():
            if not (self._dial() or self._apply_reports() or self._complete()):
                self._stopping.wait(0.05)
            if time.monotonic() >= reconcile_at:
                self._attempt(self._reconciler.run)
                reconcile_at = time.monotonic() + _RECONCILE_SECONDS

    def stop(self) -> None:
        """End ``run`` after what it is doing."""
        self._stopping.set()

    def _dial(self) -> int:
        messages = self._received(self.dials_queue_url)
        for message in messages:
            record = SQSRecord({"messageId": message["MessageId"], "body": message["Body"]})
            self._attempt(lambda record=record: dial.dial_record(record, self._dials), message, self.dials_queue_url)
        return len(messages)

    def _apply_reports(self) -> int:
        messages = self._received(self.queue_url)
        for message in messages:
            record = SQSRecord({"messageId": message["MessageId"], "body": message["Body"]})
            self._attempt(lambda record=record: worker.apply_record(record, self._worker), message, self.queue_url)
        return len(messages)

    def _complete(self) -> int:
        client, arn = self._clients["stepfunctions"], self.settings.text("CALL_COMPLETION_STATE_MACHINE_ARN")
        pages = client.get_paginator("list_executions").paginate(stateMachineArn=arn)
        fresh = [each for page in pages for each in page["executions"] if each["name"] not in self._completed]
        for execution in fresh:
            task = json.loads(client.describe_execution(executionArn=execution["executionArn"])["input"])
            self._attempt(lambda task=task: self._completion.complete(task["organization_id"], task["call_id"]))
            self._completed.add(execution["name"])
        return len(fresh)

    def _received(self, queue_url: str) -> list[dict[str, Any]]:
        reply = self._clients["sqs"].receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10)
        return list(reply.get("Messages", []))

    def _attempt(self, work: Any, message: Mapping[str, Any] | None = None, queue_url: str = "") -> None:
        """Do it; what fails comes again when a queue has it."""
        sqs = self._clients["sqs"]
        try:
            work()
        except Exception as error:
            self.failures.append(error)
            if message is not None:
                sqs.change_message_visibility(
                    QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=1
                )
            return
        if message is not None:
            sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])

    def _key(self, key: str | None) -> str:
        return key if key is not None else self.demo.api_key

    def _event(
        self,
        method: str,
        path: str,
        body: bytes,
        headers: Mapping[str, str],
        parameters: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        return {
            "version": "2.0",
            "rawPath": path,
            "headers": {"content-type": "application/json", **headers},
            "pathParameters": dict(parameters) if parameters else None,
            "requestContext": {"http": {"method": method, "path": path}, "requestId": "request"},
            "body": base64.b64encode(body).decode(),
            "isBase64Encoded": True,
        }


def _reply(event: Mapping[str, Any]) -> Reply:
    return Reply(event["statusCode"], event["headers"], event["body"])


@contextlib.contextmanager
def a_live_world(*, speed: float) -> Iterator[LiveWorld]:
    """A deployment with an account at every simulated carrier, living; ``speed`` as the carriers' own."""
    accounts = make_accounts()
    with (
        _a_loopback_server() as server,
        SimulatedCarriers(accounts.served, speed=speed, calls_per_second=1_000.0) as carriers,
    ):
        base_url = f"http://127.0.0.1:{server.server_port}"
        times = {"check_interval_seconds": 1, "placement_grace_seconds": 2}
        with a_deployment(base_url, carriers.url, accounts.secrets, **times) as deployment:
            world = LiveWorld(**vars(deployment), carriers=carriers)
            _set_elevenlabs_webhook(world, base_url, accounts.secrets["elevenlabs"]["api_key"])
            world.stack.provision.update_organization(world.demo.organization_id, active_calls_max=1_000)
            server.world = world
            living = threading.Thread(target=world.run, name="live-world", daemon=True)
            living.start()
            try:
                yield world
            finally:
                world.stop()
                living.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    world: LiveWorld


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.server.world.answer(self.command, self.path, headers, body)
        content = reply.body.encode()
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Not to the test's output."""


@contextlib.contextmanager
def _a_loopback_server() -> Iterator[_Server]:
    with _Server(("127.0.0.1", 0), _Handler) as server:
        serving = threading.Thread(target=server.serve_forever, name="callbacks", daemon=True)
        serving.start()
        try:
            yield server
        finally:
            server.shutdown()
            serving.join()


def _set_elevenlabs_webhook(world: LiveWorld, base_url: str, api_key: str) -> None:
    account = world.demo.carrier_accounts["elevenlabs"]
    address = CallbackAddress(STATUS, "elevenlabs", world.demo.organization_id, account).url(base_url)
    body = json.dumps({"url": address}).encode()
    urllib3.request("PUT", f"{world.carriers.url}/_elevenlabs/webhook", body=body, headers={"xi-api-key": api_key})
