"""The whole back end in one process: the real entry points on moto's AWS, a carrier that the test controls.

HTTP events go in as API Gateway sends them. Queue and workflow are driven by hand: ``drain`` delivers what is queued
and runs the completions that were started, so a test decides when and how often.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch
from urllib.parse import urlencode

import boto3
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from botocore.config import Config
from moto.core import DEFAULT_ACCOUNT_ID
from moto.stepfunctions.models import stepfunctions_backends
from twilio.request_validator import RequestValidator

from cli.stack import Stack
from dialplane.aws.boto import BotoAwsClient
from dialplane.aws.retries import RetryPolicy
from dialplane.domain.calls import Call
from dialplane.dynamodb.calls import CallStore
from dialplane.dynamodb.tables import Tables
from dialplane.runtime import dialing
from dialplane.runtime.entry import serve
from dialplane.runtime.settings import Settings
from functions.initiate import app as initiate_app
from functions.initiate import dial
from functions.manage import app as manage_app
from functions.status import completion, reconciler, webhook, worker
from functions.twiml import app as twiml_app
from sandbox.demo_data import DemoData, Secrets, seed
from tests.fakes.carrier import FakeCarrier
from tests.fakes.clock import FakeClock
from tests.fakes.moto_dynamodb import FaultInjector, transactional_dynamodb
from tests.fakes.template import create_tables

BASE_URL = "https://calls.example.test"
ACCOUNT_SID = "AC" + "a" * 32
AUTH_TOKEN = "12345"
TWILIO_SECRET = {"account_sid": ACCOUNT_SID, "auth_token": AUTH_TOKEN}
SECRETS_PREFIX = "dialplane/carriers"
ORGANIZATION_SECRETS_PREFIX = "dialplane/organizations"
SOCKET_BASE_URL = "wss://talks.example.test/live"
ANSWERED_CALL = ("initiated", "ringing", "in-progress", "completed")


@dataclass(frozen=True)
class Reply:
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: str

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass
class Deployment:
    """The resources of one deployment, with the demo organizations."""

    session: boto3.Session
    tables: Tables
    settings: Settings
    aws: BotoAwsClient
    demo: DemoData
    stack: Stack
    queue_url: str
    dials_queue_url: str


@dataclass(kw_only=True)
class World(Deployment):
    """A deployment whose entry points are called by hand, whose time stands still and whose carrier obeys."""

    clock: FakeClock
    carrier: FakeCarrier
    deliveries: int = 0
    completions: list[str] = field(default_factory=list)

    # ---- the entry points -------------------------------------------------------------------------------------------

    def initiate(
        self,
        body: Any,
        *,
        key: str | None = "",
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        aws: BotoAwsClient | None = None,
    ) -> Reply:
        """POST /calls/initiate. ``key=""`` is the demo organization's, ``None`` sends none; ``body`` may be bytes."""
        return self.post("/calls/initiate", body, key=key, headers=headers, query=query, aws=aws)

    def post(
        self,
        path: str,
        body: Any,
        *,
        key: str | None = "",
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        aws: BotoAwsClient | None = None,
    ) -> Reply:
        """Any dialect's request for a call, as for ``initiate``."""
        endpoint = initiate_app.build(self.settings, aws or self.aws, now=self.clock.now, sleep=self.clock.sleep)
        event = self._event("POST", path, body=body, key=key, headers=headers, query=query)
        return _reply(serve(event, endpoint.respond))

    def dial_queued(self) -> int:
        """Deliver every message on the queue of dials once; how many there were."""
        sqs = self.session.client("sqs")
        dialed = 0
        while messages := sqs.receive_message(QueueUrl=self.dials_queue_url, MaxNumberOfMessages=10).get("Messages"):
            use_case = dial.build(self.settings, self.aws, now=self.clock.now, sleep=self.clock.sleep)
            for message in messages:
                dial.dial_record(SQSRecord({"messageId": message["MessageId"], "body": message["Body"]}), use_case)
                sqs.delete_message(QueueUrl=self.dials_queue_url, ReceiptHandle=message["ReceiptHandle"])
                dialed += 1
        return dialed

    def manage(
        self,
        route: str,
        path: str,
        *,
        body: Any = None,
        key: str | None = "",
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Any other route, as ``"GET /calls/{call_id}"`` with its actual path."""
        api = manage_app.build(self.settings, self.aws, now=self.clock.now, sleep=self.clock.sleep)
        method, pattern = route.split(" ")
        parameters = {
            name.strip("{}"): value
            for name, value in zip(pattern.split("/"), path.split("/"), strict=False)
            if name.startswith("{")
        }
        event = self._event(method, path, body=body, key=key, query=query, headers=headers, parameters=parameters)
        return _reply(serve(event, lambda request: api.respond(route, request)))

    def get_call(self, call_id: str, *, key: str | None = "") -> Reply:
        """GET /calls/{call_id}."""
        return self.manage("GET /calls/{call_id}", f"/calls/{call_id}", key=key)

    def fetch_instructions(self, call: Call, form: Mapping[str, str] | None = None, **how: Any) -> Reply:
        """The carrier asks what to say; ``how`` as for ``callback``."""
        endpoint = twiml_app.build(self.settings, self.aws, now=self.clock.now)
        form = {"CallStatus": "in-progress"} | dict(form or {})
        event = self._carrier_event("twiml", call, form, **how)
        return _reply(serve(event, endpoint.respond))

    def callback(self, call: Call, form: Mapping[str, str], **how: Any) -> Reply:
        """The carrier posts a status callback.

        ``how``: ``carrier_call_id``, ``signature``, ``token``, ``body``, ``content_type``, ``account_id``,
        ``organization_id`` replace what is right.
        """
        self.clock.sleep(0.001)  # no two callbacks arrive in the same millisecond, by which the timeline is ordered
        endpoint = webhook.build(self.settings, self.aws, now=self.clock.now)
        return _reply(serve(self._carrier_event("status", call, form, **how), endpoint.respond))

    def reconcile(self) -> Any:
        """One tick of the reconciler; what it learned is on the queue."""
        use_case = reconciler.build(self.settings, self.aws, now=self.clock.now)
        return use_case.run()

    def drain(self) -> None:
        """Deliver everything that is queued and run every completion that was started, until nothing is left."""
        while self._deliver_batch() or self._run_completions():
            pass

    # ---- what a test looks at ---------------------------------------------------------------------------------------

    def call(self, call_id: str) -> Call:
        """The call as it is stored."""
        call = CallStore(self.aws, self.tables).get(self.demo.organization_id, call_id)
        assert call is not None
        return call

    def last_call(self) -> Call:
        """The call of the latest dial."""
        return self.call(list(self.carrier.call_ids)[-1])

    def live_through(self, call: Call, *statuses: str, duration: int = 61, **facts: str) -> None:
        """Post Twilio's callbacks for these statuses in order and take them in."""
        for sequence, status in enumerate(statuses):
            self.callback(call, self.form(status, sequence, duration=duration, **facts))
        self.drain()

    def form(self, status: str, sequence: int, *, duration: int = 61, **facts: str) -> dict[str, str]:
        """What Twilio posts for a status, without the ids."""
        form = {
            "CallStatus": status,
            "SequenceNumber": str(sequence),
            "CallbackSource": "call-progress-events",
            "Timestamp": f"Fri, 20 Nov 2026 15:00:{sequence:02d} +0000",
        }
        if status in ("completed", "busy", "no-answer", "failed", "canceled"):
            form |= {"CallDuration": str(duration if status == "completed" else 0), "SipResponseCode": "200"}
        return form | facts

    def wallet(self, *, key: str | None = "") -> dict[str, Any]:
        """GET /wallet."""
        document: dict[str, Any] = self.manage("GET /wallet", "/wallet", key=key).json
        return document

    def differences(self) -> list[Any]:
        """What GET /wallet/reconcile finds."""
        reply = self.manage("GET /wallet/reconcile", "/wallet/reconcile")
        return list(reply.json["differences"])

    def fingerprint(self) -> str:
        """A hash over every item of every table and every queued message: equal means that nothing has changed."""
        client = self.session.client("dynamodb")
        names = [getattr(self.tables, name) for name in Tables.__dataclass_fields__]
        items = [client.scan(TableName=name)["Items"] for name in names]
        sqs = self.session.client("sqs")
        queued = sqs.get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=["ApproximateNumberOfMessages"])
        everything = [[sorted(json.dumps(item, sort_keys=True) for item in table) for table in items]]
        text = json.dumps([everything, queued["Attributes"]["ApproximateNumberOfMessages"]])
        return hashlib.sha256(text.encode()).hexdigest()

    def injected(
        self,
        injector: FaultInjector,
        services: Iterable[str] = ("dynamodb",),
        sleep: Callable[[float], None] = time.sleep,
    ) -> BotoAwsClient:
        """A client of this world whose calls to ``services`` have the injector's luck; retries wait by ``sleep``."""
        config = Config(retries={"total_max_attempts": 1})
        names: tuple[Any, ...] = ("dynamodb", "sqs", "secretsmanager", "stepfunctions")
        clients = {name: self.session.client(name, config=config) for name in names}
        for name in services:
            injector.attach(clients[name])
        return BotoAwsClient(clients=clients, retries=RetryPolicy(sleep=sleep))

    @contextlib.contextmanager
    def running_on(self, aws: BotoAwsClient) -> Iterator[None]:
        """Let every entry point use this client meanwhile."""
        before, self.aws = self.aws, aws
        try:
            yield
        finally:
            self.aws = before

    # ---- inside -----------------------------------------------------------------------------------------------------

    def _deliver_batch(self) -> int:
        sqs = self.session.client("sqs")
        messages = sqs.receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=10).get("Messages", [])
        use_case = worker.build(self.settings, self.aws, now=self.clock.now)
        for message in messages:
            record = SQSRecord({"messageId": message["MessageId"], "body": message["Body"]})
            worker.apply_record(record, use_case)
            sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])
            self.deliveries += 1
        return len(messages)

    def _run_completions(self) -> int:
        # Read where moto keeps them: listing every execution of a file's tests after each of them takes longer than
        # all else.
        (machine,) = stepfunctions_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].state_machines
        fresh = machine.executions[len(self.completions) :]
        for execution in fresh:
            task = json.loads(execution.execution_input)
            use_case = completion.build(self.settings, self.aws, now=self.clock.now)
            use_case.complete(task["organization_id"], task["call_id"])
            self.completions.append(execution.name)
        return len(fresh)

    def _event(
        self,
        method: str,
        path: str,
        *,
        body: Any,
        key: str | None,
        headers: Mapping[str, str] | None,
        query: Mapping[str, str] | None = None,
        parameters: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        presented = self.demo.api_key if key == "" else key
        authorization = {"authorization": f"Bearer {presented}"} if presented is not None else {}
        return {
            "version": "2.0",
            "rawPath": path,
            "headers": {"content-type": "application/json", **authorization, **(headers or {})},
            "queryStringParameters": dict(query) if query else None,
            "pathParameters": dict(parameters) if parameters else None,
            "requestContext": {"http": {"method": method, "path": path}, "requestId": f"request-{method}"},
            "body": base64.b64encode(raw).decode() if raw else None,
            "isBase64Encoded": bool(raw),
        }

    def _carrier_event(self, kind: str, call: Call, form: Mapping[str, str], **how: Any) -> dict[str, Any]:
        organization_id = how.get("organization_id", call.organization_id)
        account_id = how.get("account_id", call.carrier_account_id)
        path = f"/{kind}/twilio/{organization_id}/{account_id}/{call.id}"
        number = list(self.carrier.call_ids).index(call.id) + 1 if call.id in self.carrier.call_ids else 0
        carrier_call_id = how.get("carrier_call_id") or call.carrier_call_id or f"CA{number:032x}"
        ids = {
            "CallSid": carrier_call_id,
            "AccountSid": ACCOUNT_SID,
            "From": call.caller_number,
            "To": call.destination,
        }
        fields = ids | dict(form)
        token = how.get("token", AUTH_TOKEN)
        signature = how.get("signature", RequestValidator(token).compute_signature(f"{BASE_URL}{path}", fields))
        raw = how.get("body", urlencode(fields).encode())
        signed = {"x-twilio-signature": signature} if signature is not None else {}
        return {
            "version": "2.0",
            "rawPath": path,
            "headers": {"content-type": how.get("content_type", "application/x-www-form-urlencoded"), **signed},
            "pathParameters": {
                "carrier": "twilio",
                "organization_id": organization_id,
                "carrier_account_id": account_id,
                "call_id": call.id,
            },
            "requestContext": {"http": {"method": "POST", "path": path}, "requestId": "request-carrier"},
            "body": base64.b64encode(raw).decode(),
            "isBase64Encoded": True,
        }


def _reply(event: Mapping[str, Any]) -> Reply:
    return Reply(event["statusCode"], event["headers"], event["body"])


@contextlib.contextmanager
def a_world(carrier: FakeCarrier | None = None, secrets: Secrets | None = None) -> Iterator[World]:
    """A fresh world with the demo organizations in it, and this carrier or one that places every call.

    ``secrets`` by carrier, for worlds in which Twilio is not the only one.
    """
    carrier = carrier or FakeCarrier()
    with (
        a_deployment(BASE_URL, "https://carrier.example.test", secrets or {"twilio": TWILIO_SECRET}) as deployment,
        patch.object(dialing, "open_carrier", lambda *args, **kwargs: carrier),
        patch.object(reconciler, "open_carrier", lambda *args, **kwargs: carrier),
        patch.object(manage_app, "open_carrier", lambda *args, **kwargs: carrier),
    ):
        yield World(**vars(deployment), clock=FakeClock(), carrier=carrier)


@contextlib.contextmanager
def a_deployment(
    base_url: str,
    carrier_url: str,
    secrets: Secrets,
    *,
    check_interval_seconds: int = 60,
    placement_grace_seconds: int = 120,
) -> Iterator[Deployment]:
    """Every resource on moto's AWS, with the demo organizations; ``base_url`` is where carriers are to call back."""
    credentials = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REGION": "us-east-1",
    }
    with patch.dict(os.environ, credentials), transactional_dynamodb():
        session = boto3.Session(region_name="us-east-1")
        tables = create_tables(session)
        queue_url = session.client("sqs").create_queue(QueueName="carrier-events")["QueueUrl"]
        dials_queue_url = session.client("sqs").create_queue(QueueName="dials")["QueueUrl"]
        tasks_queue_url = session.client("sqs").create_queue(QueueName="conversation-tasks")["QueueUrl"]
        machine = session.client("stepfunctions").create_state_machine(
            name="call-completion",
            definition=json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}),
            roleArn="arn:aws:iam::123456789012:role/test",
        )
        settings = Settings(
            {
                **{f"{name.upper()}_TABLE_NAME": getattr(tables, name) for name in Tables.__dataclass_fields__},
                "PUBLIC_BASE_URL": base_url,
                "CARRIER_SECRETS_PREFIX": SECRETS_PREFIX,
                "CARRIER_EVENTS_QUEUE_URL": queue_url,
                "DIALS_QUEUE_URL": dials_queue_url,
                "CONVERSATION_TASKS_QUEUE_URL": tasks_queue_url,
                "SOCKET_BASE_URL": SOCKET_BASE_URL,
                "ORGANIZATION_SECRETS_PREFIX": ORGANIZATION_SECRETS_PREFIX,
                "CALL_COMPLETION_STATE_MACHINE_ARN": machine["stateMachineArn"],
                "CHECK_INTERVAL_SECONDS": str(check_interval_seconds),
                "PLACEMENT_GRACE_SECONDS": str(placement_grace_seconds),
            }
        )
        aws = BotoAwsClient(session)
        outputs = {f"{name.capitalize()}TableName": getattr(tables, name) for name in Tables.__dataclass_fields__}
        outputs["CarrierSecretsPrefix"] = SECRETS_PREFIX
        outputs["OrganizationSecretsPrefix"] = ORGANIZATION_SECRETS_PREFIX
        demo = seed(aws, outputs, carrier_url, secrets)
        yield Deployment(session, tables, settings, aws, demo, Stack(aws, outputs), queue_url, dials_queue_url)
