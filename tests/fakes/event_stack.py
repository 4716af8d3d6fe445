"""What the functions that get the files of `events/` need of an AWS: tables, queue, state machine, under fixed names.

The names are those of `event_files.ENVIRONMENT`. Knows no emulator: a session leads to one, wherever it listens.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Self

import boto3

from dialplane.aws.boto import BotoAwsClient
from dialplane.carriers.twilio.api import TwilioApi
from dialplane.domain.carrier import DialRequest, Placed
from dialplane.domain.instructions import Instructions
from dialplane.dynamodb.tables import Tables
from tests.fakes import event_world
from tests.fakes.event_files import ENVIRONMENT
from tests.fakes.template import create_tables

# Simulated seconds per second of a carrier that is to keep its calls queued.
STILL = 0.001
NOWHERE = "http://127.0.0.1:9"


@dataclass(frozen=True, slots=True)
class EventStack:
    """The resources, on whatever AWS the session they were made with talks to."""

    aws: BotoAwsClient
    tables: Tables
    queue_url: str

    @classmethod
    def create(cls, session: boto3.Session) -> Self:
        """Create everything, with the template's own tables. The workflow is one that ends at once."""
        tables = create_tables(session, "dialplane-events")
        queue = session.client("sqs").create_queue(QueueName=ENVIRONMENT["CARRIER_EVENTS_QUEUE_URL"].split("/")[-1])
        session.client("stepfunctions").create_state_machine(
            name=ENVIRONMENT["CALL_COMPLETION_STATE_MACHINE_ARN"].split(":")[-1],
            definition=json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}),
            roleArn="arn:aws:iam::000000000000:role/test",
        )
        return cls(BotoAwsClient(session), tables, queue["QueueUrl"])

    def refill(self, carrier_url: str) -> None:
        """Start over: the tables as `event_world` has them, the queue empty."""
        event_world.empty(self.aws, self.tables)
        event_world.fill(self.aws, self.tables, carrier_url=carrier_url)
        self.aws.call("sqs", "PurgeQueue", {"QueueUrl": self.queue_url})


def take_the_first_place(carrier_url: str) -> None:
    """Place the one call that a carrier with the speed STILL takes in its first second.

    What comes later stays queued, so that nobody is sent to the examples' own, public address.
    """
    twilio = TwilioApi(event_world.ACCOUNT_SID, event_world.AUTH_TOKEN, base_url=carrier_url)
    first = DialRequest(
        call_id="call_first",
        destination="+15550100101",
        caller_number=event_world.CALLER_NUMBER,
        instructions_url=NOWHERE,
        status_url=NOWHERE,
        ring_timeout_seconds=30,
        time_limit_seconds=60,
        instructions=Instructions(engine="say", welcome_message="Hello."),
    )
    placed = twilio.create_call(first)
    assert isinstance(placed, Placed), placed
