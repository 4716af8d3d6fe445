"""Anything at all in each dialect, through the whole back end: no 5xx, its own envelope, refusals change nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.fakes.arrivals import JSON, bodies
from tests.fakes.world import Reply, World
from tests.functional.dialects import HMS, KLEN, TESTER, Customer, Dialect, a_customer, every_newer_dialect
from tests.functional.expectations import everything

# The world is shared on purpose: a refused request leaves no trace, and an accepted one is a dry run.
fuzz = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
NUMBERS = st.sampled_from(["+15550100200", "+1 555 010 0201", "0015550100200", "+442079460123", "sip:a@b", "+1555"])
IDS = st.sampled_from([1, "1", "ada", "nobody", 0, 2**63, "", "\u0661", "1" * 19])
VARIABLES = st.dictionaries(st.sampled_from(["name", "a", "1", "a.b", "\ud800"]), JSON, max_size=3)
CONFIGURATIONS = st.dictionaries(
    st.sampled_from(["provider", "model", "messages", "temperature", "\ud800", ""]),
    st.sampled_from(["openai", "xai_realtime", "x", 0.5, None]) | JSON,
    max_size=4,
)
SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "name": JSON,
        "first_message": st.sampled_from(["Hello.", "{{name}}", "{{", "", None]) | JSON,
        "llm_config": CONFIGURATIONS | JSON,
        "stt_config": CONFIGURATIONS | JSON,
        "tts_config": CONFIGURATIONS | JSON,
        "voice": JSON,
        "max_duration_seconds": st.sampled_from([60, 0, 10**30, None]) | JSON,
        "engine": st.sampled_from(["say", "relay", "agent", "sing"]),
        "engine_url": st.sampled_from(["wss://x", "https://x", "wss://\n", None]),
        "agent_id": JSON,
    },
)
NUMBER_IDS = st.sampled_from(["num_12125550170", "+12125550170", "num_15557654321", "num_", "", None])
# A text is what a name of ours is, so that most bodies get past the shape of their fields.
BODIES = {
    "klen": bodies("contact_id", phone_number=NUMBERS, agent_id=IDS, variables=VARIABLES),
    "hms": st.one_of(
        bodies("first_message", "number_id", destination=NUMBERS, assistant_id=IDS, assistant_override=SETTINGS),
        bodies("first_message", "variables", destination=NUMBERS, assistant=SETTINGS, number_id=NUMBER_IDS),
        bodies(destination=NUMBERS, agent_id=IDS, agent_config=SETTINGS, assistant_override=SETTINGS),
    ),
    "tester": bodies(
        to_number=NUMBERS,
        business_description=st.text(max_size=20),
        scenario=st.none() | st.text(alphabet="{} |.a\ud800", max_size=8),
    ),
}
RIGHT = {
    "klen": KLEN.body(variables={"name": "John"}, contact_id=4),
    "hms": HMS.body(assistant_override={"first_message": "Hello {{name}}."}, variables={"name": "John"}),
    "tester": TESTER.body(scenario="buy bread"),
}


@pytest.fixture(scope="module", autouse=True)
def customer(world: World) -> Customer:
    return a_customer(world, "+12125550170")


def check_harmless(world: World, customer: Customer, dialect: Dialect, body: Any, **how: Any) -> None:
    """A refusal in the dialect's envelope or a dry run; and nothing was changed by either."""
    before, dials = everything(world), len(world.carrier.requests)
    how = {"key": customer.key, "query": {"dry_run": "true"}, **how}
    reply: Reply = dialect.send(world, body, **how)
    assert reply.status < 500, reply.body
    document = json.loads(reply.body, parse_constant=lambda name: pytest.fail(f"{name} in an answer"))
    if reply.status >= 400:
        word = {"klen": document["error"], "hms": document.get("code"), "tester": ""}[dialect.name]
        dialect.assert_refused(reply, reply.status, str(word))
    else:
        assert document["dry_run"] is True
    assert everything(world) == before
    assert len(world.carrier.requests) == dials


@every_newer_dialect
@fuzz
@given(data=st.data())
def test_a_body_that_is_nearly_right(world: World, customer: Customer, dialect: Dialect, data: st.DataObject) -> None:
    check_harmless(world, customer, dialect, data.draw(BODIES[dialect.name]))


@every_newer_dialect
@fuzz
@given(body=JSON)
@example(body={"\ud800": "\ud800"})
def test_a_body_of_any_json(world: World, customer: Customer, dialect: Dialect, body: Any) -> None:
    check_harmless(world, customer, dialect, body, headers={"idempotency-key": "fuzz"})


@every_newer_dialect
@fuzz
@given(body=st.binary(max_size=200))
def test_a_body_of_any_bytes(world: World, customer: Customer, dialect: Dialect, body: bytes) -> None:
    check_harmless(world, customer, dialect, body)


@every_newer_dialect
@fuzz
@given(data=st.data())
def test_a_right_body_with_a_few_bytes_changed(
    world: World, customer: Customer, dialect: Dialect, data: st.DataObject
) -> None:
    body = bytearray(json.dumps(RIGHT[dialect.name]).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    check_harmless(world, customer, dialect, bytes(body))


_VALUES = st.text(max_size=40) | st.text(alphabet='dialplane_session=;"\\ x0', max_size=60)
_HEADERS = st.dictionaries(
    st.sampled_from(["x-api-key", "idempotency-key", "x-request-id", "cookie", "content-type", "Cookie"]), _VALUES
)


@every_newer_dialect
@fuzz
@given(headers=_HEADERS, query=st.dictionaries(st.sampled_from(["api_key", "dry_run", "x"]), _VALUES, max_size=2))
def test_any_headers_and_any_query(
    world: World, customer: Customer, dialect: Dialect, headers: dict[str, str], query: dict[str, str]
) -> None:
    """With a body that asks for a dry run as well."""
    body = {**RIGHT[dialect.name], "dry_run": True}
    check_harmless(world, customer, dialect, body, headers=headers, query=query)


@fuzz
@given(
    body=bodies(description=st.text(max_size=20), scenario=st.none() | st.text(max_size=20)) | JSON, headers=_HEADERS
)
def test_any_context_is_kept_or_refused(world: World, customer: Customer, body: Any, headers: dict[str, str]) -> None:
    reply = world.post("/api/context", body, key=customer.key, headers=headers)
    assert reply.status < 500, reply.body
    if reply.status >= 400:
        TESTER.assert_refused(reply, reply.status, "")
    else:
        assert set(reply.json) == {"ok", "scenario"}
        assert "\n" not in reply.headers["set-cookie"]
