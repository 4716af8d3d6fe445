"""A MiniStack with what the handlers need and the world of `events/` in it, and the environment that leads there."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import boto3

from dialplane.dynamodb.tables import Tables
from sandbox.carriers.embedded import SimulatedCarriers
from tests.fakes import event_world
from tests.fakes.event_files import ENVIRONMENT
from tests.fakes.event_stack import STILL, EventStack, take_the_first_place
from tests.fakes.ministack import running_ministack


@dataclass(frozen=True)
class Emulated:
    """The emulated AWS and the simulated carrier that handlers talk to while ``emulated`` is open."""

    stack: EventStack
    carrier_url: str

    def refill(self) -> None:
        """Start over: the tables as `event_world` has them, the queue empty."""
        self.stack.refill(self.carrier_url)

    def items(self) -> dict[str, Any]:
        """Every item of every table."""
        names = [getattr(self.stack.tables, name) for name in Tables.__dataclass_fields__]
        return {name: self.stack.aws.call("dynamodb", "Scan", {"TableName": name})["Items"] for name in names}

    def queued(self) -> list[str]:
        """The bodies of the messages that wait in the queue."""
        query = {"QueueUrl": self.stack.queue_url, "MaxNumberOfMessages": 10}
        return [each["Body"] for each in self.stack.aws.call("sqs", "ReceiveMessage", query).get("Messages", [])]


@contextlib.contextmanager
def emulated() -> Iterator[Emulated]:
    """Start everything and set the environment variables of a function; they are what they were afterwards."""
    accounts = {"twilio": [{"account_sid": event_world.ACCOUNT_SID, "auth_token": event_world.AUTH_TOKEN}]}
    with SimulatedCarriers(accounts, speed=STILL) as carriers, running_ministack() as url:
        take_the_first_place(carriers.url)
        credentials = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
        environment = {**ENVIRONMENT, **credentials, "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": url}
        with patch.dict(os.environ, environment):
            stack = EventStack.create(boto3.Session())
            os.environ["CARRIER_EVENTS_QUEUE_URL"] = stack.queue_url
            yield Emulated(stack, carriers.url)
