"""A MiniStack with what the handlers need and the world of `events/` in it, and the environment that leads there."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import boto3

from dialplane.aws.boto import BotoAwsClient
from dialplane.carriers.twilio.api import TwilioApi
from dialplane.domain.carrier import DialRequest, Placed
from dialplane.dynamodb.tables import Tables
from sandbox.carriers.embedded import SimulatedCarriers
from tests.fakes import event_world
from tests.fakes.event_files import ENVIRONMENT
from tests.fakes.ministack import running_ministack
from tests.fakes.template import create_tables


@dataclass(frozen=True)
class Emulated:
    """The emulated AWS and the simulated carrier that handlers talk to while ``emulated`` is open."""

    aws: BotoAwsClient
    tables: Tables
    queue_url: str
    carrier_url: str

    def refill(self) -> None:
        """Start over: the tables as `event_world` has them, the queue empty."""
        event_world.empty(self.aws, self.tables)
        event_world.fill(self.aws, self.tables, carrier_url=self.carrier_url)
        self.aws.call("sqs", "PurgeQueue", {"QueueUrl": self.queue_url})

    def items(self) -> dict[str, Any]:
        """Every item of every table."""
        names = [getattr(self.tables, name) for name in Tables.__dataclass_fields__]
        return {name: self.aws.call("dynamodb", "Scan", {"TableName": name})["Items"] for name in names}

    def queued(self) -> list[str]:
        """The bodies of the messages that wait in the queue."""
        query = {"QueueUrl": self.queue_url, "MaxNumberOfMessages": 10}
        return [each["Body"] for each in self.aws.call("sqs", "ReceiveMessage", query).get("Messages", [])]


@contextlib.contextmanager
def emulated() -> Iterator[Emulated]:
    """Start everything and set the environment variables of a function; they are what they were afterwards."""
    with _still_carrier() as carrier_url, running_ministack() as url:
        credentials = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
        environment = {**ENVIRONMENT, **credentials, "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": url}
        with patch.dict(os.environ, environment):
            session = boto3.Session()
            tables = create_tables(session, "dialplane-events")
            queue = session.client("sqs").create_queue(QueueName="dialplane-events-carrier-events")
            os.environ["CARRIER_EVENTS_QUEUE_URL"] = queue["QueueUrl"]
            session.client("stepfunctions").create_state_machine(
                name="dialplane-events-call-completion",
                definition=json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}),
                roleArn="arn:aws:iam::000000000000:role/test",
            )
            yield Emulated(BotoAwsClient(session), tables, queue["QueueUrl"], carrier_url)


@contextlib.contextmanager
def _still_carrier() -> Iterator[str]:
    """A simulated Twilio whose clock hardly moves.

    One call takes the only place in its first second, so calls of the examples stay queued and nobody is sent to the
    examples' own, public address.
    """
    with SimulatedCarriers(accounts={event_world.ACCOUNT_SID: event_world.AUTH_TOKEN}, speed=0.001) as carriers:
        first = DialRequest("+15550100101", "+15551234567", "http://127.0.0.1:9", "http://127.0.0.1:9", 30, 60)
        twilio = TwilioApi(event_world.ACCOUNT_SID, event_world.AUTH_TOKEN, base_url=carriers.url)
        assert isinstance(twilio.create_call(first), Placed)
        yield carriers.url
