"""Anything at all, sent to every route: never a 5xx, always our own documents; what is refused changes nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dialplane.dialects.burki.requests import InitiateCallRequest
from dialplane.runtime.entry import serve
from functions.manage import app as manage_app
from tests.fakes.world import ANSWERED_CALL, Reply, World
from tests.functional.expectations import SEED2, SEED2_CUSTOM, everything, unchanged
from tests.functional.routes import INITIATE, ROUTES

# The world is shared on purpose: a refused request leaves no trace, and an accepted one is allowed to.
fuzz = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=10**37, max_value=10**60)
    | st.floats()
    | st.text(max_size=40)
    | st.text(alphabet=st.characters(categories=["Cs", "Cc", "Nd", "Co"]), max_size=10),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=8), children, max_size=4),
    max_leaves=12,
)
numbers = st.sampled_from(["+15559876543", "+15551234567", "+15551234569", "+15557654321", "+442079460123"])
plausible = {
    "from_phone_number": numbers,
    "to_phone_number": numbers,
    "assistant_id": st.sampled_from([123, 456, 789, 0, -1, 2**63]),
    "welcome_message": st.text(alphabet="{} |:\"'abc.default", max_size=30),
    "agenda": st.text(max_size=30),
    "variables": st.dictionaries(st.text(alphabet="abc_.1", max_size=3), anything, max_size=4),
    "dry_run": st.just(True),
}
near_bodies = st.fixed_dictionaries(
    {}, optional={name: st.one_of(values, values, values, anything) for name, values in plausible.items()}
)


def check(reply: Reply) -> None:
    """The reply is one of ours: no server error, well-formed JSON, the members of a problem."""
    assert reply.status < 500, reply.body
    assert reply.headers["x-request-id"]
    if not reply.body:
        return
    document = json.loads(reply.body, parse_constant=lambda name: pytest.fail(f"{name} in an answer"))
    if reply.status >= 400:
        assert reply.headers["content-type"] == "application/problem+json"
        assert {"type", "title", "status", "detail", "code", "request_id"} <= set(document)
        assert document["status"] == reply.status


def check_harmless(world: World, send: Any) -> None:
    """Check a request's reply, and that a refusal changed nothing."""
    before, dials = everything(world), len(world.carrier.requests)
    reply = send()
    check(reply)
    if reply.status >= 400:
        assert everything(world) == before
        assert len(world.carrier.requests) == dials


@fuzz
@given(body=near_bodies)
@example(body=dict.fromkeys(InitiateCallRequest.model_fields))
def test_a_body_that_is_nearly_right(world: World, body: dict[str, Any]) -> None:
    check_harmless(world, lambda: world.initiate(body))


@fuzz
@given(body=anything)
def test_a_body_of_any_json(world: World, body: Any) -> None:
    check_harmless(world, lambda: world.initiate(body, headers={"idempotency-key": "fuzz"}))


@fuzz
@given(body=st.binary(max_size=200))
def test_a_body_of_any_bytes(world: World, body: bytes) -> None:
    check_harmless(world, lambda: world.initiate(body))


@fuzz
@given(data=st.data())
def test_a_right_body_with_one_byte_changed(world: World, data: st.DataObject) -> None:
    body = bytearray(json.dumps(SEED2_CUSTOM).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(body) - 1))
        body[position] = data.draw(st.integers(0, 255))
    check_harmless(world, lambda: world.initiate(bytes(body), query={"dry_run": "true"}))


header_values = st.text(max_size=60) | st.text(alphabet=st.characters(max_codepoint=127), max_size=300)
headers = st.dictionaries(
    st.sampled_from(["authorization", "x-api-key", "idempotency-key", "x-request-id", "content-type", "X-Other"]),
    header_values,
)


@fuzz
@given(route=st.sampled_from(ROUTES), headers=headers, is_key_sent=st.booleans())
def test_any_headers_on_any_route(world: World, route: Any, headers: dict[str, str], is_key_sent: bool) -> None:
    key = world.demo.api_key if is_key_sent else None
    body = {"body": {**SEED2, "dry_run": True}} if route.name == INITIATE else {}
    check_harmless(world, lambda: route.send(world, key=key, number="+15550100990", headers=headers, **body))


query_names = st.sampled_from(
    ["status", "assistant_id", "from", "to", "created_after", "created_before", "limit", "cursor", "dry_run", "x"]
)
query_values = st.text(max_size=30) | st.text(alphabet="0123456789+-:TZ .", max_size=30) | st.datetimes().map(str)


@fuzz
@given(
    route=st.sampled_from(ROUTES[1:]),
    query=st.dictionaries(query_names, query_values, max_size=3),
    segment=st.text(max_size=30) | st.text(alphabet="%0aF+/.", max_size=10) | numbers,
    body=st.none() | anything,
)
def test_any_path_query_and_body_on_any_route(
    world: World, route: Any, query: dict[str, str], segment: str, body: Any
) -> None:
    how = {"call_id": segment, "number": segment, "query": query, "body": body}
    check_harmless(world, lambda: route.send(world, **how))


@fuzz
@given(amount=st.text(alphabet="0123456789.,-+e", max_size=20), note=st.text(max_size=20) | st.none())
def test_any_amount_is_paid_in_exactly_or_refused(world: World, amount: str, note: str | None) -> None:
    body = {"amount": amount, "currency": "USD", "note": note}
    check_harmless(world, lambda: world.manage("POST /wallet/deposits", "/wallet/deposits", body=body))


@fuzz
@given(event=st.dictionaries(st.sampled_from(["headers", "queryStringParameters", "pathParameters"]), st.none()))
def test_an_event_with_parts_left_out(world: World, event: dict[str, Any]) -> None:
    api = manage_app.build(world.settings, world.aws, now=world.clock.now)
    answer = serve(event, lambda request: api.respond("GET /wallet", request))
    assert (answer["statusCode"], json.loads(answer["body"])["code"]) == (401, "authentication_required")


form_names = st.sampled_from(
    ["CallSid", "AccountSid", "CallStatus", "CallDuration", "SequenceNumber", "Timestamp", "AnsweredBy", "Price", "X"]
) | st.text(max_size=10)
form_values = st.sampled_from([*ANSWERED_CALL, "busy", "61", "CA" + "1" * 32]) | st.text(max_size=20)


@fuzz
@given(form=st.dictionaries(form_names, form_values, max_size=6), is_signed=st.booleans())
def test_any_form_to_the_callbacks(world: World, form: dict[str, str], is_signed: bool) -> None:
    """Signed or not: never a 5xx from /twiml, and what is refused changes nothing."""
    call = _call(world)
    how = {} if is_signed else {"signature": "x" * 28}
    before = everything(world)
    status = world.callback(call, _encodable(form), **how)
    assert status.status in ((204, 400, 403) if is_signed else (403,))
    if status.status != 204:
        assert everything(world) == before
    before = everything(world)
    twiml = world.fetch_instructions(call, _encodable(form), **how)
    assert twiml.status == (200 if is_signed else 403)
    if "<Hangup" in twiml.body and "<Say" not in twiml.body:
        assert everything(world) == before


@fuzz
@given(body=st.binary(max_size=300), content_type=st.text(max_size=40))
def test_any_bytes_to_the_callbacks(world: World, body: bytes, content_type: str) -> None:
    call = _call(world)
    with unchanged(world):
        assert world.callback(call, {}, body=body, content_type=content_type).status == 403
        assert world.fetch_instructions(call, {}, body=body, content_type=content_type).status == 403


@pytest.fixture(scope="module", autouse=True)
def _a_call_to_report_about(world: World) -> None:
    """Made before the fuzzing, and with money enough that none of it is refused for want of money."""
    world.stack.wallets.deposit(world.demo.organization_id, micros=10**9, currency="USD", note=None)
    world.initiate(SEED2)


def _call(world: World) -> Any:
    return world.call(next(iter(world.carrier.call_ids)))


def _encodable(form: dict[str, str]) -> dict[str, str]:
    """A form cannot carry half a surrogate pair."""
    return {name: value.encode("utf-8", "replace").decode() for name, value in form.items()}
