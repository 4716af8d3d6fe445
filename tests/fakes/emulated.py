"""A MiniStack with what the handlers need and the world of `events/` in it, and the environment that leads there."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit
from urllib.request import urlopen

import boto3

from tests.fakes.event_files import ENVIRONMENT, socket_api_endpoint
from tests.fakes.event_stack import EventStack, Items, items_of, reset_carriers, simulated_carriers
from tests.fakes.ministack import running_ministack

# How the paths end by which carriers are asked for a call.
_DIALS = ("/Calls.json", "/v2/calls", "/v1/calls", "/outbound-call", "/Calls")


@dataclass(frozen=True)
class Emulated:
    """The emulated AWS and the simulated carriers that handlers talk to while ``emulated`` is open."""

    stack: EventStack
    carrier_url: str

    def refill(self) -> None:
        """Start over: the tables as `event_world` has them, the queues empty, no call at any carrier."""
        self.stack.refill()
        reset_carriers(self.carrier_url)

    def items(self) -> Items:
        """Every item of every table."""
        return items_of(self.stack.aws, self.stack.tables)

    def queued(self) -> list[str]:
        """The bodies of the messages that wait for the worker of carrier events."""
        return self._waiting(self.stack.queue_url)

    def queued_dials(self) -> list[str]:
        """The bodies of the messages that wait for the dial function."""
        return self._waiting(self.stack.dials_queue_url)

    def take_queued(self) -> list[str]:
        """The same, taken off the queue."""
        bodies = self.queued()
        self.stack.aws.call("sqs", "PurgeQueue", {"QueueUrl": self.stack.queue_url})
        return bodies

    def asked_of_carriers(self) -> list[dict[str, Any]]:
        """What the functions asked of the simulated carriers, as their journal has it."""
        return [entry for entry in self._journal()[1:] if entry["direction"] == "in"]  # the first is our own

    def sent_by_carriers(self) -> list[dict[str, Any]]:
        """What the simulated carriers sent by themselves."""
        return [entry for entry in self._journal() if entry["direction"] == "out"]

    def dialled(self) -> list[dict[str, Any]]:
        """The requests for a call among them."""
        return [entry for entry in self.asked_of_carriers() if urlsplit(entry["url"]).path.endswith(_DIALS)]

    def _journal(self) -> list[dict[str, Any]]:
        with urlopen(f"{self.carrier_url}/_requests", timeout=10) as reply:  # noqa: S310 - an address of our own
            journal: list[dict[str, Any]] = json.load(reply)
        return journal

    def _waiting(self, queue_url: str) -> list[str]:
        query = {"QueueUrl": queue_url, "MaxNumberOfMessages": 10}
        return [each["Body"] for each in self.stack.aws.call("sqs", "ReceiveMessage", query).get("Messages", [])]


@contextlib.contextmanager
def emulated() -> Iterator[Emulated]:
    """Start everything and set the environment variables of a function; they are what they were afterwards."""
    with simulated_carriers() as carriers, running_ministack() as url:
        credentials = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
        environment = {**ENVIRONMENT, **credentials, "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": url}
        with patch.dict(os.environ, environment):
            stack = EventStack.create(boto3.Session(), carrier_url=carriers.url)
            os.environ |= stack.queues | {"SOCKET_API_ENDPOINT": socket_api_endpoint(url)}
            yield Emulated(stack, carriers.url)
