"""What the functions that get the files of `events/` need of an AWS and of carriers, under fixed names.

The names are those of `event_files.ENVIRONMENT`. Knows no emulator: a session leads to one, wherever it listens.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Self
from urllib.request import Request, urlopen

import boto3

from dialplane.aws.boto import BotoAwsClient
from dialplane.aws.client import AwsClient
from dialplane.carriers.twilio.api import TwilioApi
from dialplane.domain.carrier import DialRequest, Placed
from dialplane.domain.instructions import Instructions
from dialplane.dynamodb.tables import Key, Tables
from sandbox.carriers.embedded import SimulatedCarriers
from tests.fakes import event_world
from tests.fakes.event_files import ENVIRONMENT
from tests.fakes.template import create_tables

# Simulated seconds per second of carriers that are to keep their calls as they are.
STILL = 0.001
NOWHERE = "http://127.0.0.1:9"

QUEUES = ("CARRIER_EVENTS_QUEUE_URL", "DIALS_QUEUE_URL", "CONVERSATION_TASKS_QUEUE_URL")

Items = dict[str, dict[Key, dict[str, Any]]]
"""The items of every table."""


@dataclass(frozen=True, slots=True)
class EventStack:
    """The resources, on whatever AWS the session they were made with talks to, and the world as it is at the start."""

    aws: BotoAwsClient
    tables: Tables
    queue_url: str
    dials_queue_url: str
    tasks_queue_url: str
    world: Items

    @classmethod
    def create(cls, session: boto3.Session, *, carrier_url: str) -> Self:
        """Create everything, with the template's own tables and `event_world` in them. The workflow ends at once.

        ``carrier_url`` is where functions reach the carriers.
        """
        aws, tables = BotoAwsClient(session), create_tables(session, "dialplane-events")
        reports, dials, tasks = (
            session.client("sqs").create_queue(QueueName=ENVIRONMENT[name].split("/")[-1])["QueueUrl"]
            for name in QUEUES
        )
        session.client("stepfunctions").create_state_machine(
            name=ENVIRONMENT["CALL_COMPLETION_STATE_MACHINE_ARN"].split(":")[-1],
            definition=json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}),
            roleArn="arn:aws:iam::000000000000:role/test",
        )
        event_world.fill(aws, tables, carrier_url=carrier_url)
        return cls(aws, tables, reports, dials, tasks, items_of(aws, tables))

    @property
    def queues(self) -> dict[str, str]:
        """The address of each queue, by the variable that functions find it in."""
        return dict(zip(QUEUES, (self.queue_url, self.dials_queue_url, self.tasks_queue_url), strict=True))

    def refill(self) -> None:
        """Start over: the tables as `event_world` has them, the queues empty."""
        for table, there in items_of(self.aws, self.tables).items():
            wanted = self.world[table]
            for key in there.keys() - wanted.keys():
                self.aws.call("dynamodb", "DeleteItem", {"TableName": table, "Key": key.attributes})
            for key, item in wanted.items():
                if there.get(key) != item:
                    self.aws.call("dynamodb", "PutItem", {"TableName": table, "Item": item})
        for queue_url in self.queues.values():
            self.aws.call("sqs", "PurgeQueue", {"QueueUrl": queue_url})


def items_of(aws: AwsClient, tables: Tables) -> Items:
    """Every item of every table."""
    found: Items = {}
    for name in Tables.__dataclass_fields__:
        table = getattr(tables, name)
        items = aws.call("dynamodb", "Scan", {"TableName": table})["Items"]
        found[table] = {Key.of(item): item for item in items}
    return found


def simulated_carriers(host: str = "127.0.0.1") -> SimulatedCarriers:
    """Every carrier, with the accounts of the world's first organization."""
    return SimulatedCarriers(event_world.SERVED, speed=STILL, host=host)


def reset_carriers(url: str) -> None:
    """Let the carriers forget every call, and Twilio take one: the one that it takes in its first second.

    What comes later stays queued, so that nobody is sent to the examples' own, public address.
    """
    urlopen(Request(f"{url}/_reset", method="POST"), timeout=10).close()  # noqa: S310 - an address of our own
    twilio = TwilioApi(event_world.ACCOUNT_SID, event_world.AUTH_TOKEN, base_url=url)
    first = DialRequest(
        call_id="call_first",
        destination=event_world.QUIET_DESTINATION,
        caller_number=event_world.CALLER_NUMBER,
        instructions_url=NOWHERE,
        status_url=NOWHERE,
        ring_timeout_seconds=30,
        time_limit_seconds=60,
        instructions=Instructions(engine="say", welcome_message="Hello."),
    )
    placed = twilio.create_call(first)
    assert isinstance(placed, Placed), placed
