"""The key in each dialect: in either header; in a URL for Klen alone, where it is allowed, and told to nobody."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from dialplane.domain.accounts import PresentedKey
from dialplane.runtime.observability import _JsonLines
from tests.fakes.world import Reply, World
from tests.functional.dialects import BURKI, HMS, KLEN, TESTER, Customer, Dialect, a_customer, every_dialect
from tests.functional.expectations import put_back, unchanged

NO_KEY = {"burki": "authentication_required", "klen": "authentication_required", "hms": "authentication_required"}
WRONG_KEY = {"burki": "invalid_key", "klen": "invalid_key", "hms": "invalid_key"}


@pytest.fixture(scope="module")
def customer(world: World) -> Customer:
    """One whose organization allows a key in a URL."""
    return a_customer(world, "+12125550130", allows_key_in_query=True)


@pytest.fixture(scope="module")
def cautious(world: World) -> Customer:
    """One whose organization does not."""
    return a_customer(world, "+12125550131")


@pytest.fixture(autouse=True)
def _unspoilt(world: World, customer: Customer, cautious: Customer) -> Iterator[None]:
    with put_back(world):
        yield


def assert_no_key(dialect: Dialect, reply: Reply) -> None:
    dialect.assert_refused(reply, 401, NO_KEY.get(dialect.name, "No API key was sent."))
    assert reply.headers["www-authenticate"].startswith("Bearer")


@every_dialect
@pytest.mark.parametrize("header", ["authorization", "x-api-key"])
def test_every_dialect_takes_the_key_from_either_header(
    world: World, customer: Customer, dialect: Dialect, header: str
) -> None:
    value = f"Bearer {customer.key}" if header == "authorization" else customer.key
    assert dialect.send(world, dialect.body(), key=None, headers={header: value}).status == 200


@every_dialect
def test_bearer_counts_when_both_headers_are_there(world: World, customer: Customer, dialect: Dialect) -> None:
    headers = {"x-api-key": world.demo.second_api_key}
    assert dialect.send(world, dialect.body(), key=customer.key, headers=headers).status == 200


@pytest.mark.parametrize("path", ["/calls", "/calls/initiate"])
def test_s1_06_klens_key_may_come_in_the_url_where_the_organization_allows_it(
    world: World, customer: Customer, path: str
) -> None:
    reply = world.post(path, KLEN.body(), key=None, query={"api_key": customer.key})
    assert (reply.status, reply.json["status"]) == (200, "queued")


@pytest.mark.parametrize("path", ["/calls", "/calls/initiate"])
def test_s1_06_and_not_where_it_does_not(world: World, cautious: Customer, path: str) -> None:
    with unchanged(world):
        for key in (cautious.key, ""):
            assert_no_key(KLEN, world.post(path, KLEN.body(), key=None, query={"api_key": key}))


@pytest.mark.parametrize("dialect", [BURKI, HMS, TESTER], ids=lambda dialect: dialect.name)
def test_no_other_dialect_looks_for_a_key_in_the_url(world: World, customer: Customer, dialect: Dialect) -> None:
    with unchanged(world):
        assert_no_key(dialect, dialect.send(world, dialect.body(), key=None, query={"api_key": customer.key}))


def test_nor_does_the_testers_context(world: World, customer: Customer) -> None:
    with unchanged(world):
        reply = world.post("/api/context", {"description": "x"}, key=None, query={"api_key": customer.key})
        assert_no_key(TESTER, reply)


def test_a_header_counts_before_the_url(world: World, customer: Customer) -> None:
    with unchanged(world):
        reply = KLEN.send(world, KLEN.body(), key="dp_wrong", query={"api_key": customer.key})
        KLEN.assert_refused(reply, 401, "invalid_key")
    assert KLEN.send(world, KLEN.body(), key=customer.key, query={"api_key": "dp_wrong"}).status == 200


def test_a_wrong_key_in_the_url_is_told_as_any_wrong_key(world: World, customer: Customer) -> None:
    with unchanged(world):
        for key in ("x", customer.key[:-1], PresentedKey.generate(customer.organization_id).text):
            KLEN.assert_refused(KLEN.send(world, KLEN.body(), key=None, query={"api_key": key}), 401, "invalid_key")


@every_dialect
def test_a_key_in_the_url_is_in_no_line_of_the_log_and_in_no_answer(
    world: World, customer: Customer, dialect: Dialect, caplog: pytest.LogCaptureFixture
) -> None:
    """Placed, refused, tried and failed: with every extra field that a line has, as Lambda writes it."""
    secret = PresentedKey.parse(customer.key).secret
    bodies = [dialect.body(), dialect.body("x"), dialect.body("+442079460123"), {}, b"{", dialect.body(dry_run=True)]
    with caplog.at_level(logging.DEBUG):
        replies = [dialect.send(world, body, key=None, query={"api_key": customer.key}) for body in bodies]
        replies += [
            dialect.send(world, dialect.body(), key=customer.key[:-1]),
            dialect.send(world, {}, key=customer.key),
        ]
        world.dial_queued()
    lines = [_JsonLines().format(record) for record in caplog.records if record.name.startswith("dialplane")]
    assert lines
    for text in (*lines, *(reply.body + json.dumps(dict(reply.headers)) for reply in replies)):
        assert secret not in text


@every_dialect
def test_a_stranger_is_told_the_same_whatever_the_body(world: World, customer: Customer, dialect: Dialect) -> None:
    forged = PresentedKey.generate(customer.organization_id).text
    with unchanged(world):
        replies = [
            dialect.send(world, body, key=forged) for body in (dialect.body(), dialect.body("x"), {"unknown": 1})
        ]
    own = replies if dialect is not BURKI else replies[:2]
    for reply in own:
        dialect.assert_refused(reply, 401, WRONG_KEY.get(dialect.name, "The API key is invalid or inactive."))
    assert len({reply.body for reply in own}) == 1
