"""Two tenants in every dialect: one asks with the other one's ids, everywhere an id can be put, and learns nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.fakes.moto_dynamodb import stored_items
from tests.fakes.world import ANSWERED_CALL, Reply, World
from tests.functional.dialects import BURKI, HMS, KLEN, TESTER, Customer, a_customer
from tests.functional.expectations import an_assistant, put_back, stored_call, unchanged

PUBLIC_ID = "canary-public-id"
DESTINATION = "+15550166666"
CANARIES = (
    *("canary-welcome", "canary-prompt", "canary-variable", "canary-description", "canary-scenario", "canary-name"),
    *("canary-provider", PUBLIC_ID, DESTINATION),
)


@dataclass(frozen=True)
class Victim:
    """An organization that has called in every dialect, and the ids of all that came of it."""

    customer: Customer
    calls: dict[str, str]
    carrier_calls: dict[str, str]
    cookie: str

    @property
    def secrets(self) -> tuple[str, ...]:
        """What nobody else may ever see."""
        account = (self.customer.organization_id, self.customer.number)
        return (*CANARIES, *account, *self.calls.values(), *self.carrier_calls.values())


@pytest.fixture(scope="module")
def victim(world: World) -> Victim:
    customer = a_customer(world, "+12125550160")
    an_assistant(
        world,
        customer.organization_id,
        2,
        name="canary-name",
        public_id=PUBLIC_ID,
        caller_number=customer.number,
        welcome_message="canary-welcome {{v}}",
        prompt="canary-prompt {{v}}",
        llm_config={"provider": "canary-provider"},
    )
    variables = {"v": "canary-variable"}
    context = {"description": "canary-description", "scenario": "canary-scenario"}
    kept = world.post("/api/context", context, key=customer.key)
    bodies: dict[str, tuple[Any, dict[str, Any]]] = {
        "burki": (BURKI, {"to_phone_number": DESTINATION, "assistant_id": 2, "variables": variables}),
        "klen": (KLEN, {"phone_number": DESTINATION, "agent_id": PUBLIC_ID, "variables": variables}),
        "hms": (HMS, {"destination": DESTINATION, "assistant_id": PUBLIC_ID, "variables": variables}),
        "tester": (TESTER, {"to_number": DESTINATION}),
    }
    calls = {}
    for name, (dialect, body) in bodies.items():
        reply = dialect.send(world, body, key=customer.key, headers={"idempotency-key": "theirs"})
        assert reply.status == 200, reply.body
        calls[name] = reply.headers["location"].removeprefix("/calls/")
    world.dial_queued()
    stored = {name: stored_call(world, customer.organization_id, call_id) for name, call_id in calls.items()}
    world.live_through(stored["hms"], *ANSWERED_CALL)
    world.live_through(stored["klen"], *ANSWERED_CALL[:3])
    carrier_calls = {name: str(call.carrier_call_id) for name, call in stored.items()}
    return Victim(customer, calls, carrier_calls, kept.headers["set-cookie"].split(";")[0])


@pytest.fixture(scope="module")
def stranger(world: World) -> Customer:
    return a_customer(world, "+12125550161", allows_key_in_query=True)


@pytest.fixture(autouse=True)
def _unspoilt(world: World, victim: Victim, stranger: Customer) -> Iterator[None]:
    with put_back(world):
        yield


def assert_learns_nothing(reply: Reply, victim: Victim, *asked: str) -> None:
    """Nothing of the victim's is in the answer but what the request itself said."""
    text = reply.body + str(dict(reply.headers))
    for secret in victim.secrets:
        assert secret in asked or secret not in text, secret


BODIES: list[Any] = [
    (BURKI, {"to_phone_number": DESTINATION, "from_phone_number": "{number}"}, 403),
    (BURKI, {"to_phone_number": DESTINATION, "from_phone_number": "{number}", "assistant_id": 2}, 403),
    (BURKI, {"to_phone_number": DESTINATION, "assistant_id": 2}, 403),
    (KLEN, {"phone_number": DESTINATION, "agent_id": PUBLIC_ID}, 404),
    (KLEN, {"phone_number": DESTINATION, "agent_id": 2}, 404),
    (KLEN, {"phone_number": DESTINATION, "agent_id": "2"}, 404),
    (HMS, {"destination": DESTINATION, "assistant_id": PUBLIC_ID}, 404),
    (HMS, {"destination": DESTINATION, "agent_id": PUBLIC_ID}, 404),
    (HMS, {"destination": DESTINATION, "assistant_id": 2, "assistant_override": {"first_message": "x"}}, 404),
    (HMS, {"destination": DESTINATION, "assistant_id": 1, "number_id": "{number}"}, 404),
    (HMS, {"destination": DESTINATION, "assistant": {"first_message": "x"}, "number_id": "num_{digits}"}, 404),
]


def filled(body: dict[str, Any], number: str) -> dict[str, Any]:
    replaced = {"{number}": number, "num_{digits}": f"num_{number[1:]}"}
    return {name: replaced.get(value, value) if isinstance(value, str) else value for name, value in body.items()}


every_body = pytest.mark.parametrize("case", BODIES, ids=lambda case: f"{case[0].name}-{case[1]}")


@every_body
def test_another_tenants_ids_in_a_request_for_a_call_are_those_of_nobody(
    world: World, victim: Victim, stranger: Customer, case: Any
) -> None:
    dialect, body, status = case
    number, nobodys_number = victim.customer.number, "+12125550169"
    nobodys = {PUBLIC_ID: "nobodys-public-id", 2: 999, "2": "999"}
    unknown = {name: value if isinstance(value, dict) else nobodys.get(value, value) for name, value in body.items()}
    for query in (None, {"dry_run": "true"}):
        with unchanged(world):
            theirs = dialect.send(world, filled(body, number), key=stranger.key, query=query)
            none = dialect.send(world, filled(unknown, nobodys_number), key=stranger.key, query=query)
        assert theirs.status == (status if query is None else 200), theirs.body
        assert theirs.json.get("allowed", False) is False
        assert_learns_nothing(theirs, victim, number, PUBLIC_ID, DESTINATION)
        same = theirs.body
        for one, other in (
            (number, nobodys_number),
            (PUBLIC_ID, "nobodys-public-id"),
            ("assistant 2 ", "assistant 999 "),
            ('"id":2,', '"id":999,'),
        ):
            same = same.replace(one, other)
        assert same == none.body, "somebody's and nobody's are told alike"


def test_the_same_public_id_in_two_organizations_is_two_assistants(
    world: World, victim: Victim, stranger: Customer
) -> None:
    an_assistant(world, stranger.organization_id, 9, public_id=PUBLIC_ID, name="Mine", caller_number=stranger.number)
    reply = KLEN.send(world, {"phone_number": DESTINATION, "agent_id": PUBLIC_ID}, key=stranger.key)
    assert reply.json["agent"] == {"id": 9, "name": "Mine", "assistant_id": PUBLIC_ID}


READS = ("GET /calls/{call_id}", "GET /calls/{call_id}/events", "POST /calls/{call_id}/control")


@pytest.mark.parametrize("route", [*READS, "POST /calls/{call_id}/terminate"])
@pytest.mark.parametrize("speaks", [None, "klen", "hms"])
def test_another_tenants_calls_are_404_in_the_dialect_of_every_key(
    world: World, victim: Victim, stranger: Customer, route: str, speaks: str | None
) -> None:
    key = world.stack.provision.create_key(stranger.organization_id, name="Lists", dialect=speaks).text
    body = {"type": "end-call"} if route.endswith("control") else None
    world.carrier.commands.clear()
    with unchanged(world):
        for call_id in (*victim.calls.values(), *victim.carrier_calls.values()):
            path = route.split(" ")[1].replace("{call_id}", call_id)
            reply = world.manage(route, path, key=key, body=body)
            assert reply.status == 404, reply.body
            assert_learns_nothing(reply, victim, call_id)
    assert world.carrier.commands == []


@pytest.mark.parametrize(
    ("speaks", "query"),
    [
        (None, {}),
        ("klen", {}),
        ("klen", {"agent_id": PUBLIC_ID}),
        ("klen", {"agent_id": "2"}),
        ("hms", {"status": "ended"}),
        ("burki", {}),
        ("burki", {"customer_phone": DESTINATION}),
        ("burki", {"assistant_id": "2"}),
        ("burki", {"assistant_name": "canary"}),
        ("burki", {"call_sid": "{carrier_call}"}),
    ],
    ids=str,
)
def test_no_list_shows_another_tenants_calls_whatever_it_is_asked_for(
    world: World, victim: Victim, stranger: Customer, speaks: str | None, query: dict[str, str]
) -> None:
    query = {name: value.replace("{carrier_call}", victim.carrier_calls["hms"]) for name, value in query.items()}
    route = "GET /api/v1/calls" if speaks == "burki" else "GET /calls"
    dialect = None if speaks == "burki" else speaks
    key = world.stack.provision.create_key(stranger.organization_id, name="Lists", dialect=dialect).text
    own = world.stack.provision.create_key(victim.customer.organization_id, name="Lists", dialect=dialect).text
    with unchanged(world):
        reply = world.manage(route, route.split(" ")[1], key=key, query=query)
        seen = world.manage(route, route.split(" ")[1], key=own, query=query)
    assert reply.status == 200, reply.body
    assert (reply.json.get("calls") or reply.json.get("items") or []) == []
    assert_learns_nothing(reply, victim)
    assert seen.json.get("calls") or seen.json.get("items"), "the filter finds the victim's own"


def test_another_tenants_session_is_none(world: World, victim: Victim, stranger: Customer) -> None:
    with unchanged(world):
        reply = TESTER.send(world, {"to_number": DESTINATION}, key=stranger.key, headers={"cookie": victim.cookie})
        TESTER.assert_refused(reply, 400, "Provide a business description first.")
    assert_learns_nothing(reply, victim)


@pytest.mark.parametrize("dialect", [BURKI, KLEN, HMS, TESTER], ids=lambda dialect: dialect.name)
def test_another_tenants_idempotency_key_is_unused(
    world: World, victim: Victim, stranger: Customer, dialect: Any
) -> None:
    reply = dialect.send(world, dialect.body(), key=stranger.key, headers={"idempotency-key": "theirs"})
    assert (reply.status, "idempotent-replayed" in reply.headers) == (200, False)
    assert_learns_nothing(reply, victim)


@every_body
def test_no_key_with_another_tenants_ids_is_401(world: World, victim: Victim, case: Any) -> None:
    dialect, body, _ = case
    with unchanged(world):
        reply = dialect.send(world, filled(body, victim.customer.number), key=None)
    assert reply.status == 401
    assert_learns_nothing(reply, victim)


def test_a_do_not_call_entry_and_a_known_destination_of_one_tenant_do_not_bind_another(
    world: World, victim: Victim, stranger: Customer
) -> None:
    world.manage("PUT /dnc/{number}", "/dnc/+15550166667", key=victim.customer.key)
    assert HMS.send(world, HMS.body("+15550166667"), key=stranger.key).status == 200
    reply = HMS.send(world, HMS.body(DESTINATION), key=stranger.key)
    assert reply.headers["x-caller-number-reason"] == "local_country", "the number is known to the victim alone"
    for name in (world.tables.calls, world.tables.wallets):
        mine = [item for item in stored_items(name) if stranger.organization_id in str(item)]
        assert mine
        assert not any(victim.customer.organization_id in str(item) for item in mine)
