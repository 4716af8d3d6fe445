"""Every dialect's request for a call and its refusals, so that a rule for all of them is one test. No fixtures here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from dialplane.domain.accounts import CarrierAccount
from tests.fakes.world import Reply, World
from tests.functional.expectations import a_key, a_number, an_assistant, an_organization, assert_problem

DESTINATION = "+15550100200"
PUBLIC_ID = "ada"


@dataclass(frozen=True)
class Dialect:
    """A dialect's route, the least it wants to hear, and how it words a refusal."""

    name: str
    path: str
    destination_field: str
    rest: Mapping[str, Any]

    def body(self, destination: Any = DESTINATION, **changes: Any) -> dict[str, Any]:
        """A body that names assistant 1 (or relies on the default assistant), with changes."""
        return {self.destination_field: destination, **self.rest, **changes}

    def send(self, world: World, body: Any, **how: Any) -> Reply:
        """Ask for a call; ``how`` as for ``World.post``."""
        return world.post(self.path, body, **how)

    def assert_refused(self, reply: Reply, status: int, word: str) -> dict[str, Any]:
        """The reply is this refusal in the dialect's own envelope: by its code, the tester's by how its text begins."""
        document: dict[str, Any] = reply.json
        if self.name == "burki":
            return assert_problem(reply, status, word)
        assert reply.headers["content-type"] == "application/json"
        assert reply.headers["x-request-id"]
        members = set(document)
        if self.name == "klen":
            assert members - {"balance", "required_rate", "currency"} == {"error", "message"}, reply.body
            said = document["error"]
        elif self.name == "hms":
            assert members - {"param", "balance", "required", "currency"} == {"error", "message", "code"}, reply.body
            said = document["code"]
        else:
            assert members == {"error"}, reply.body
            said = document["error"][: len(word)]
        assert (reply.status, said) == (status, word), reply.body
        assert all(isinstance(value, str) and value for value in document.values()), reply.body
        return document


BURKI = Dialect("burki", "/calls/initiate", "to_phone_number", {"assistant_id": 1})
KLEN = Dialect("klen", "/calls", "phone_number", {"agent_id": 1})
HMS = Dialect("hms", "/calls/outbound", "destination", {"assistant_id": 1})
TESTER = Dialect("tester", "/api/call", "to_number", {"business_description": "We are Pizza Palace."})
DIALECTS = (BURKI, KLEN, HMS, TESTER)
NEWER_DIALECTS = (KLEN, HMS, TESTER)

every_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
every_newer_dialect = pytest.mark.parametrize("dialect", NEWER_DIALECTS, ids=lambda dialect: dialect.name)


@dataclass(frozen=True)
class Customer:
    """An organization that every dialect's body is good for: one number, and assistant 1 on it, its default."""

    organization_id: str
    key: str
    number: str


def a_customer(world: World, number: str, **facts: Any) -> Customer:
    """A new one, with a key for every language model; ``facts`` as for ``an_organization``."""
    organization = an_organization(world, **{"model_providers": frozenset({"openai", "mistral", "xai"}), **facts})
    an_assistant(world, organization.id, caller_number=number, public_id=PUBLIC_ID)
    a_number(world, organization.id, number, assistant_id=1)
    world.stack.provision.update_organization(organization.id, default_assistant_id=1)
    return Customer(organization.id, a_key(world, organization.id), number)


def change_assistant(world: World, customer: Customer, **changes: Any) -> None:
    """Assistant 1 with other settings."""
    settings = {"caller_number": customer.number, "public_id": PUBLIC_ID, **changes}
    an_assistant(world, customer.organization_id, **settings)


def account_of(world: World, organization_id: str) -> CarrierAccount:
    """The organization's first carrier account."""
    entities = world.stack.provision.entities(organization_id)
    return next(entity for entity in entities if isinstance(entity, CarrierAccount))
