"""What many tests expect in the same words, and the requests they begin with. No fixtures here."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.dynamodb.models import dynamodb_backends
from moto.sqs.models import sqs_backends

from dialplane.domain.accounts import Assistant, Organization
from dialplane.domain.calls import Call
from dialplane.domain.ids import new_id
from dialplane.domain.instructions import Engine
from dialplane.dynamodb.calls import CallStore
from dialplane.usecases.provision import ALL_SCOPES
from tests.fakes.moto_dynamodb import stored_items
from tests.fakes.world import ACCOUNT_SID, AUTH_TOKEN, Reply, World

SEED0 = {
    "assistant_id": 123,
    "to_phone_number": "+15559876543",
    "welcome_message": "Hello {{name}}, this is a reminder about your appointment tomorrow at {{time}}.",
    "agenda": "Remind {{name}} about their upcoming {{appointment_type}} appointment.",
    "variables": {"name": "John Doe", "time": "10 AM", "appointment_type": "dental"},
}
SEED2 = {"from_phone_number": "+15551234567", "to_phone_number": "+15559876543"}
SEED2_CUSTOM = {**SEED2, **{name: SEED0[name] for name in ("welcome_message", "agenda", "variables")}}
SEED2_OVERRIDE = {**SEED2, "assistant_id": 456, "welcome_message": "Hi there! I'm calling about your recent inquiry."}


def assert_problem(reply: Reply, status: int, code: str, detail: Any = None) -> dict[str, Any]:
    """The reply is a problem document (RFC 9457) with our members; returns it."""
    assert (reply.status, reply.json.get("code")) == (status, code), reply.body
    document: dict[str, Any] = reply.json
    assert reply.headers["content-type"] == "application/problem+json"
    assert document["type"] == f"urn:dialplane:error:{code}"
    assert document["title"]
    assert document["status"] == status
    assert document["detail"]
    assert document["request_id"]
    assert reply.headers["x-request-id"]
    if detail is not None:
        assert document["detail"] == detail
    return document


def everything(world: World) -> Any:
    """Every item of every table and the number of messages on both queues."""
    tables = dataclasses.asdict(world.tables).values()
    items = [
        sorted(json.dumps(item, sort_keys=True, default=_comparable) for item in stored_items(name)) for name in tables
    ]
    queues = sqs_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].queues
    urls = (world.queue_url, world.dials_queue_url)
    return items, [queues[url.rsplit("/", 1)[1]].approximate_number_of_messages for url in urls]


def _comparable(value: Any) -> Any:
    return sorted(value) if isinstance(value, set | frozenset) else str(value)


@contextlib.contextmanager
def put_back(world: World) -> Iterator[None]:
    """What is stored inside the block is gone afterwards, and what was there before is there again."""
    stored = dynamodb_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].tables
    tables = [stored[name] for name in dataclasses.asdict(world.tables).values()]
    before = copy.deepcopy([table.items for table in tables])
    try:
        yield
    finally:
        for table, items in zip(tables, before, strict=True):
            table.items = items


@contextlib.contextmanager
def unchanged(world: World) -> Iterator[None]:
    """Nothing stored, nothing queued and nobody dialled inside the block."""
    before, dials = everything(world), len(world.carrier.requests)
    yield
    assert everything(world) == before, "something was written"
    assert len(world.carrier.requests) == dials, "somebody was dialled"


def an_organization(world: World, *, micros: int = 10_000_000, **facts: Any) -> Organization:
    """One more customer, with money unless ``micros`` is 0."""
    organization = Organization(**{"id": new_id("org"), "name": "One more", **facts})
    world.stack.provision.create_organization(organization)
    if micros:
        world.stack.wallets.deposit(organization.id, micros=micros, currency="USD", note=None)
    return organization


def an_assistant(world: World, organization_id: str, assistant_id: int = 1, **facts: Any) -> Assistant:
    """An assistant that says a sentence."""
    defaults: dict[str, Any] = {"name": "Somebody", "welcome_message": "Good morning."}
    assistant = Assistant(id=assistant_id, organization_id=organization_id, **{**defaults, **facts})
    return world.stack.provision.put_assistant(assistant)


def a_number(world: World, organization_id: str, number: str, *, assistant_id: int | None = None) -> str:
    """A caller number of the organization in a carrier account of its own."""
    provision = world.stack.provision
    secret = {"account_sid": ACCOUNT_SID, "auth_token": AUTH_TOKEN}
    account = provision.create_carrier_account(organization_id, carrier="twilio", name="Account", secret=secret)
    return provision.put_number(organization_id, number, account, assistant_id=assistant_id).number


def a_key(world: World, organization_id: str, *scopes: str, expires_at: datetime | None = None) -> str:
    """A key with these scopes, or with all of them."""
    chosen = frozenset(scopes) or ALL_SCOPES
    key = world.stack.provision.create_key(organization_id, name="Test key", scopes=chosen, expires_at=expires_at)
    return key.text


def a_caller(world: World, *, engine: Engine = "say", number: str = "+15550100900", **facts: Any) -> tuple[str, str]:
    """A whole customer with one assistant (1) on one number; its organization's id and a key."""
    organization = an_organization(world, **facts)
    url = "wss://media.example.test/calls" if engine != "say" else None
    an_assistant(world, organization.id, engine=engine, engine_url=url, caller_number=number)
    a_number(world, organization.id, number, assistant_id=1)
    return organization.id, a_key(world, organization.id)


def stored_call(world: World, organization_id: str, call_id: str) -> Call:
    """The call as it is stored, whichever organization it belongs to."""
    call = CallStore(world.aws, world.tables).get(organization_id, call_id)
    assert call is not None
    return call
