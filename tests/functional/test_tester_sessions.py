"""What a tester's client said in advance: found by its cookie or its key, for a day, within its organization."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from http.cookies import SimpleCookie
from typing import Any

import pytest

from dialplane.domain.accounts import PresentedKey
from dialplane.dynamodb.sessions import SESSION_LIFETIME
from tests.fakes.world import Reply, World
from tests.functional.dialects import TESTER, Customer, a_customer
from tests.functional.expectations import a_key, everything, put_back, unchanged

CALL = {"to_number": "+15550100200"}
NO_DESCRIPTION = "Provide a business description first."


@pytest.fixture(scope="module")
def customer(world: World) -> Customer:
    return a_customer(world, "+12125550111")


@pytest.fixture(scope="module")
def stranger(world: World) -> Customer:
    return a_customer(world, "+12125550112")


@pytest.fixture(autouse=True)
def _unspoilt(world: World, customer: Customer, stranger: Customer) -> Iterator[None]:
    """Every test begins with customers that have said nothing."""
    moment = world.clock.moment
    with put_back(world):
        yield
    world.clock.moment = moment


def keep(world: World, key: str, scenario: str, cookie: str | None = None) -> str:
    """Keep a context; the cookie it is found by, as a browser sends it back."""
    headers = {"cookie": cookie} if cookie is not None else {}
    reply = world.post("/api/context", {"description": "We bake.", "scenario": scenario}, key=key, headers=headers)
    assert reply.status == 200, reply.body
    (morsel,) = SimpleCookie(reply.headers["set-cookie"]).values()
    assert (morsel["httponly"], morsel["secure"], morsel["samesite"]) == (True, True, "Strict")
    assert int(morsel["max-age"]) == SESSION_LIFETIME.total_seconds()
    return f"{morsel.key}={morsel.value}"


def call(world: World, key: str, cookie: str | None = None) -> Reply:
    return TESTER.send(world, CALL, key=key, headers={"cookie": cookie} if cookie is not None else {})


def another_key(world: World, customer: Customer) -> str:
    return a_key(world, customer.organization_id)


def scenario_of(reply: Reply) -> str:
    assert reply.status == 200, reply.body
    return str(reply.json["scenario"])


def assert_unknown(world: World, key: str, cookie: str | None = None) -> None:
    with unchanged(world):
        assert TESTER.assert_refused(call(world, key, cookie), 400, NO_DESCRIPTION) == {"error": NO_DESCRIPTION}


def test_a_client_with_cookies_is_found_by_its_cookie(world: World, customer: Customer) -> None:
    cookie = keep(world, customer.key, "buy bread")
    assert scenario_of(call(world, customer.key, cookie)) == "buy bread"


def test_a_client_without_cookies_is_found_by_its_key(world: World, customer: Customer) -> None:
    keep(world, customer.key, "buy bread")
    assert scenario_of(call(world, customer.key)) == "buy bread"
    assert_unknown(world, another_key(world, customer))


def test_of_two_browsers_with_one_key_each_has_its_own(world: World, customer: Customer) -> None:
    first, second = keep(world, customer.key, "buy bread"), keep(world, customer.key, "buy cake")
    assert first != second
    assert scenario_of(call(world, customer.key, first)) == "buy bread"
    assert scenario_of(call(world, customer.key, second)) == "buy cake"
    assert scenario_of(call(world, customer.key)) == "buy cake", "without a cookie the latest one counts"


def test_a_browser_keeps_its_cookie_when_it_says_something_new(world: World, customer: Customer) -> None:
    cookie = keep(world, customer.key, "buy bread")
    assert keep(world, customer.key, "buy cake", cookie) == cookie
    assert scenario_of(call(world, customer.key, cookie)) == "buy cake"


def test_a_cookie_goes_with_any_key_of_its_organization(world: World, customer: Customer) -> None:
    """A browser that changes its key is the same browser."""
    cookie = keep(world, customer.key, "buy bread")
    assert scenario_of(call(world, another_key(world, customer), cookie)) == "buy bread"


def test_a_cookie_of_another_organization_finds_nothing(world: World, customer: Customer, stranger: Customer) -> None:
    theirs = keep(world, customer.key, "buy bread")
    assert_unknown(world, stranger.key, theirs)
    keep(world, stranger.key, "sell bread", theirs)
    assert scenario_of(call(world, customer.key, theirs)) == "buy bread", "and overwrites nothing"
    assert scenario_of(call(world, stranger.key, theirs)) == "sell bread"


def test_a_session_ends_after_a_day_to_the_second(world: World, customer: Customer) -> None:
    cookie = keep(world, customer.key, "buy bread")
    world.clock.moment += SESSION_LIFETIME - timedelta(seconds=1)
    assert scenario_of(call(world, customer.key, cookie)) == "buy bread"
    assert scenario_of(call(world, customer.key)) == "buy bread"
    world.clock.moment += timedelta(seconds=1)
    assert_unknown(world, customer.key, cookie)
    assert_unknown(world, customer.key)


def test_saying_it_again_begins_a_new_day(world: World, customer: Customer) -> None:
    cookie = keep(world, customer.key, "buy bread")
    world.clock.moment += SESSION_LIFETIME / 2
    keep(world, customer.key, "buy bread", cookie)
    world.clock.moment += SESSION_LIFETIME / 2
    assert scenario_of(call(world, customer.key, cookie)) == "buy bread"


FORGED = (
    *("", ";", "=", "dialplane_session", "dialplane_session=", "dialplane_session=x", "dialplane_session=" + "x" * 33),
    *("dialplane_session=" + "x" * 10_000, "dialplane_session=../../x", "dialplane_session=%00", "\ud800", "é=é"),
    *('dialplane_session="' + "x" * 32 + '\\"', "dialplane_session=" + "x" * 31 + "#", "other=1; $Version=1"),
    *("dialplane_session=\u0661" + "x" * 31, "dialplane_session=" + "x" * 32 + "\n", "a" * 60_000),
)


@pytest.mark.parametrize("cookie", FORGED, ids=lambda cookie: ascii(cookie)[:40])
def test_what_is_no_cookie_of_ours_is_none(world: World, customer: Customer, cookie: str) -> None:
    assert_unknown(world, customer.key, cookie)
    kept = keep(world, customer.key, "buy bread", cookie)
    assert kept != cookie
    assert scenario_of(call(world, customer.key, cookie)) == "buy bread", "by the key, as for a client without cookies"


@pytest.mark.parametrize("name", ["key", "organization", "idempotency key"])
def test_a_cookie_cannot_name_what_else_is_kept(world: World, customer: Customer, name: str) -> None:
    other = PresentedKey.parse(another_key(world, customer))
    keep(world, other.text, "buy bread")
    TESTER.send(world, {**CALL, "business_description": "x"}, key=customer.key, headers={"idempotency-key": "k" * 32})
    value = {"key": other.id, "organization": customer.organization_id, "idempotency key": "k" * 32}[name]
    assert_unknown(world, customer.key, f"dialplane_session={value}")


def test_a_cookie_that_nobody_was_given_has_said_nothing(world: World, customer: Customer) -> None:
    keep(world, customer.key, "buy bread")
    assert_unknown(world, customer.key, f"dialplane_session={'x' * 32}")


def test_a_cookie_alone_is_no_key(world: World, customer: Customer) -> None:
    cookie = keep(world, customer.key, "buy bread")
    with unchanged(world):
        reply = TESTER.send(world, CALL, key=None, headers={"cookie": cookie})
    TESTER.assert_refused(reply, 401, "No API key was sent.")


def test_a_strangers_key_finds_no_session_and_learns_nothing(world: World, customer: Customer) -> None:
    keep(world, customer.key, "buy bread")
    forged = customer.key[:-1] + ("A" if customer.key[-1] != "A" else "B")
    with unchanged(world):
        known, unknown = (TESTER.send(world, body, key=forged) for body in (CALL, {}))
    assert known.body == unknown.body
    TESTER.assert_refused(known, 401, "The API key is invalid or inactive.")


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'{"description":"x","description":"y"}',
        {"description": 5},
        {"description": ["x"]},
        {"description": "x", "scenario": 5},
        {"description": "x", "senario": "y"},
        {"description": "a\x00b"},
        {"description": "\ud800"},
        {"description": "x" * 8_193},
        {"description": "x", "scenario": "y" * 1_025},
        b" " * 65_537,
    ],
    ids=lambda body: ascii(body)[:40],
)
def test_a_context_that_is_none_is_refused_and_not_kept(world: World, customer: Customer, body: Any) -> None:
    with unchanged(world):
        reply = world.post("/api/context", body, key=customer.key)
    assert reply.status in (400, 413)
    TESTER.assert_refused(reply, reply.status, "")


def test_the_longest_context_there_may_be_is_spoken(world: World, customer: Customer) -> None:
    context = {"description": "é" * 8_192, "scenario": "ö" * 1_024}
    assert world.post("/api/context", context, key=customer.key).status == 200
    assert scenario_of(call(world, customer.key)) == "ö" * 1_024
    assert "é" * 8_192 in str(world.carrier.requests[-1].instructions.prompt)


def test_a_context_is_kept_in_one_table_alone(world: World, customer: Customer) -> None:
    before, _ = everything(world)
    keep(world, customer.key, "buy bread")
    after, _ = everything(world)
    changed = [index for index, (one, other) in enumerate(zip(before, after, strict=True)) if one != other]
    assert len(changed) == 1
