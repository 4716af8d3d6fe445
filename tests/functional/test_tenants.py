"""Two tenants: everything that one of them did, asked for again by the other one with the first one's ids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from tests.fakes.moto_dynamodb import stored_items
from tests.fakes.world import ANSWERED_CALL, World
from tests.functional.expectations import a_caller, assert_problem, stored_call
from tests.functional.routes import INITIATE, ROUTES, Route

NUMBER = "+15550100940"
DESTINATION = "+15550177777"
CANARIES = ("canary-welcome", "canary-agenda", "canary-variable", "canary-reason", "canary-note", "4.321000")


@dataclass(frozen=True)
class Victim:
    """An organization with a call, a ledger and a do-not-call list, and what must never be seen outside of it."""

    organization_id: str
    key: str
    call_id: str
    carrier_call_id: str
    secrets: tuple[str, ...]


@pytest.fixture(scope="module")
def victim(world: World) -> Victim:
    organization_id, key = a_caller(world, number=NUMBER)
    body = {
        "from_phone_number": NUMBER,
        "to_phone_number": DESTINATION,
        "welcome_message": "canary-welcome {{v}}",
        "agenda": "canary-agenda",
        "variables": {"v": "canary-variable"},
    }
    reply = world.initiate(body, key=key, headers={"idempotency-key": "theirs"})
    assert reply.status == 200
    call_id = reply.headers["location"].removeprefix("/calls/")
    call = stored_call(world, organization_id, call_id)
    world.live_through(call, *ANSWERED_CALL)
    deposit = {"amount": "4.321000", "currency": "USD", "note": "canary-note"}
    entry = world.manage("POST /wallet/deposits", "/wallet/deposits", key=key, body=deposit).json
    world.manage("PUT /dnc/{number}", "/dnc/+15550188888", key=key, body={"reason": "canary-reason"})
    secrets = (*CANARIES, organization_id, call_id, call.carrier_call_id or "", call.carrier_account_id, DESTINATION)
    return Victim(organization_id, key, call_id, call.carrier_call_id or "", (*secrets, entry["id"]))


def items_of(world: World, organization_id: str) -> list[str]:
    tables = world.tables
    names = (tables.accounts, tables.destinations, tables.wallets, tables.calls, tables.idempotency)
    everything = [str(sorted(item.items(), key=str)) for name in names for item in stored_items(name)]
    return sorted(item for item in everything if organization_id in item)


def assert_learns_nothing(body: str, victim: Victim, *, except_for: tuple[str, ...] = ()) -> None:
    for secret in victim.secrets:
        assert secret in except_for or secret not in body


@pytest.mark.parametrize("id_position", ["call_id", "carrier_call_id"])
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_another_tenants_key_with_this_tenants_ids_gets_nothing_and_changes_nothing(
    world: World, victim: Victim, route: Route, id_position: str
) -> None:
    before = items_of(world, victim.organization_id)
    body: dict[str, Any] = {}
    if route.name == INITIATE:
        body = {"body": {"from_phone_number": NUMBER, "to_phone_number": DESTINATION}}
    reply = route.send(
        world,
        key=world.demo.second_api_key,
        call_id=getattr(victim, id_position),
        number="+15550188888",
        headers={"idempotency-key": "theirs"},
        **body,
    )
    asked_by_id = ("{" in route.name and not route.name.startswith("PUT")) or route.name == INITIATE
    if asked_by_id:
        assert reply.status in (403, 404), reply.body
    # A problem document repeats the path that was asked for.
    assert_learns_nothing(reply.body, victim, except_for=(getattr(victim, id_position),))
    assert items_of(world, victim.organization_id) == before
    world.manage("DELETE /dnc/{number}", "/dnc/+15550188888", key=world.demo.second_api_key)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_no_key_with_this_tenants_ids_gets_nothing(world: World, victim: Victim, route: Route) -> None:
    before = items_of(world, victim.organization_id)
    reply = route.send(world, key=None, call_id=victim.call_id, number="+15550188888")
    assert_problem(reply, 401, "authentication_required")
    assert_learns_nothing(reply.body, victim, except_for=(victim.call_id,))  # the path that was asked for
    assert items_of(world, victim.organization_id) == before


def test_a_foreign_call_and_a_call_of_nobody_get_the_same_answer(world: World, victim: Victim) -> None:
    nobody = "call_" + "0" * 26
    theirs = world.get_call(victim.call_id, key=world.demo.second_api_key)
    assert theirs.body.replace(victim.call_id, "ID") == (
        world.get_call(nobody, key=world.demo.second_api_key).body.replace(nobody, "ID")
    )


def test_a_cursor_of_one_tenant_shows_another_only_its_own(world: World, victim: Victim) -> None:
    for _ in range(2):
        body = {"from_phone_number": NUMBER, "to_phone_number": DESTINATION}
        assert world.initiate(body, key=victim.key).status == 200
    cursor = world.manage("GET /calls", "/calls", key=victim.key, query={"limit": "1"}).json["next_cursor"]
    reply = world.manage("GET /calls", "/calls", key=world.demo.second_api_key, query={"cursor": cursor})
    assert reply.status == 200
    assert_learns_nothing(reply.body, victim)
    cursor = world.manage("GET /wallet/ledger", "/wallet/ledger", key=victim.key, query={"limit": "1"}).json[
        "next_cursor"
    ]
    reply = world.manage(
        "GET /wallet/ledger", "/wallet/ledger", key=world.demo.second_api_key, query={"cursor": cursor}
    )
    assert reply.status == 200
    assert_learns_nothing(reply.body, victim)


def test_one_tenants_do_not_call_list_does_not_bind_another(world: World, victim: Victim) -> None:
    body = {"from_phone_number": "+15557654321", "to_phone_number": "+15550188888"}
    assert world.initiate(body, key=world.demo.second_api_key).status == 200
    assert_problem(
        world.initiate({"from_phone_number": NUMBER, "to_phone_number": "+15550188888"}, key=victim.key),
        403,
        "do_not_call",
    )


def test_the_same_carrier_call_id_in_two_organizations_stays_apart(world: World, victim: Victim) -> None:
    mine = world.manage("GET /calls/{call_id}", f"/calls/{victim.carrier_call_id}", key=victim.key)
    assert mine.json["id"] == victim.call_id
    assert world.get_call(victim.carrier_call_id, key=world.demo.second_api_key).status == 404
