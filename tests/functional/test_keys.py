"""Who may do what: keys, scopes, expiry, revocation, suspension, on every route."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from dialplane.domain.accounts import PresentedKey
from dialplane.runtime import clock
from dialplane.usecases.provision import ALL_SCOPES
from tests.fakes.moto_dynamodb import stored_items
from tests.fakes.world import World
from tests.functional.expectations import SEED2, a_caller, a_key, assert_problem, unchanged
from tests.functional.routes import ROUTES, Route

pytestmark = pytest.mark.usefixtures("forgotten_calls")

every_route = pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)


def test_the_list_of_routes_covers_every_scope() -> None:
    assert {route.scope for route in ROUTES} == ALL_SCOPES


@every_route
def test_a_key_with_only_the_routes_scope_is_let_in(world: World, route: Route) -> None:
    key = a_key(world, world.demo.organization_id, route.scope)
    reply = route.send(world, key=key, number="+15550100400")
    assert reply.status in (200, 201, 204, 404), reply.body
    assert reply.status != 404 or reply.json["code"] in ("call_not_found", "dnc_entry_not_found")


@every_route
def test_a_key_with_every_other_scope_is_403_and_told_which_is_missing(world: World, route: Route) -> None:
    key = a_key(world, world.demo.organization_id, *(ALL_SCOPES - {route.scope}))
    with unchanged(world):
        problem = assert_problem(route.send(world, key=key, number="+15550100401"), 403, "permission_denied")
    assert problem["scope"] == route.scope
    assert problem["detail"] == f"The API key doesn't have the required permission: {route.scope}."


@every_route
def test_no_key_is_401(world: World, route: Route) -> None:
    with unchanged(world):
        reply = route.send(world, key=None, number="+15550100402")
        assert_problem(reply, 401, "authentication_required")
    assert reply.headers["www-authenticate"].startswith("Bearer")


def wrong_keys(world: World) -> dict[str, str]:
    """Keys that are almost right."""
    right = PresentedKey.parse(world.demo.api_key)
    other = PresentedKey.parse(world.demo.second_api_key)
    return {
        "another secret": dataclasses.replace(right, secret="x" * 43).text,
        "another id": dataclasses.replace(right, id="00000000").text,
        "another organization": dataclasses.replace(right, organization_id=other.organization_id).text,
        "an organization of nobody": dataclasses.replace(right, organization_id="org_" + "0" * 26).text,
        "the secret of another": dataclasses.replace(right, secret=other.secret).text,
        "cut short": right.text[:-1],
        "grown": right.text + "x",
        "in upper case": right.text.upper(),
        "only its secret": right.secret,
    }


@every_route
def test_a_wrong_key_is_401_and_nobody_is_told_what_is_wrong_with_it(world: World, route: Route) -> None:
    with unchanged(world):
        replies = {name: route.send(world, key=key, number="+15550100403") for name, key in wrong_keys(world).items()}
    for reply in replies.values():
        assert_problem(reply, 401, "invalid_key")
    assert len({reply.body for reply in replies.values()}) == 1


@every_route
def test_a_key_ends_at_its_expiry(world: World, route: Route) -> None:
    # Keys are made by the wall's time, and not for the past.
    expires_at = max(world.clock.now(), clock.now()) + timedelta(seconds=60)
    key = a_key(world, world.demo.organization_id, expires_at=expires_at)
    world.clock.moment = expires_at - timedelta(milliseconds=1)
    assert route.send(world, key=key, number="+15550100404").status != 401
    world.clock.moment = expires_at
    with unchanged(world):
        assert_problem(route.send(world, key=key, number="+15550100404"), 401, "invalid_key")


@every_route
def test_a_revoked_key_is_401_at_once(world: World, route: Route) -> None:
    key = a_key(world, world.demo.organization_id)
    assert route.send(world, key=key, number="+15550100405").status != 401
    presented = PresentedKey.parse(key)
    world.stack.provision.revoke_key(presented.organization_id, presented.id)
    with unchanged(world):
        assert_problem(route.send(world, key=key, number="+15550100405"), 401, "invalid_key")


def test_a_suspended_organization_places_no_calls_and_may_look_at_what_it_has(world: World) -> None:
    organization_id, key = a_caller(world, number="+15550100410")
    body = {"assistant_id": 1, "to_phone_number": "+15559876543"}
    assert world.initiate(body, key=key, headers={"idempotency-key": "before"}).status == 200
    world.stack.provision.suspend_organization(organization_id)
    with unchanged(world):
        for request in (body, {**body, "dry_run": True}, {**body, "agenda": 5}):
            assert_problem(world.initiate(request, key=key), 403, "organization_suspended")
        replay = world.initiate(body, key=key, headers={"idempotency-key": "before"})
        assert_problem(replay, 403, "organization_suspended")
        assert world.manage("GET /wallet", "/wallet", key=key).status == 200
        assert world.manage("GET /calls", "/calls", key=key).status == 200
    world.stack.provision.activate_organization(organization_id)
    assert world.initiate(body, key=key).status == 200


@pytest.mark.parametrize("body", [SEED2, {}, {"agenda": 5}, {**SEED2, "to_phone_number": "x"}])
def test_a_stranger_is_told_that_before_anything_about_the_request(world: World, body: dict[str, Any]) -> None:
    reader = a_key(world, world.demo.organization_id, "can_read_calls")
    with unchanged(world):
        assert_problem(world.initiate(body, key=wrong_keys(world)["another secret"]), 401, "invalid_key")
        assert_problem(world.initiate(body, key=reader), 403, "permission_denied")


def test_no_secret_is_stored(world: World) -> None:
    key = a_key(world, world.demo.organization_id)
    secret = PresentedKey.parse(key).secret
    for name in dataclasses.asdict(world.tables).values():
        assert secret not in str(stored_items(name))
    assert secret not in repr(PresentedKey.parse(key))


def test_x_api_key_and_bearer_are_the_same_key_and_bearer_counts_when_both_are_there(world: World) -> None:
    headers = {"x-api-key": world.demo.api_key}
    assert world.manage("GET /wallet", "/wallet", key=None, headers=headers).status == 200
    with_both = {"x-api-key": world.demo.second_api_key}
    mine = world.manage("GET /wallet", "/wallet", headers=with_both).json
    assert mine == world.wallet()
