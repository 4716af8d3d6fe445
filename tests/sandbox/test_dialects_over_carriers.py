"""Any dialect over any carrier: a call asked for in each format completes and settles, if the carrier can speak so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from dialplane.carriers.registry import ENGINES
from dialplane.domain.accounts import NUMBER_ID_PREFIX, Assistant
from dialplane.domain.instructions import Engine
from sandbox.demo_data import AGENT_ID
from tests.fakes.carrier_journal import accepted_dials
from tests.fakes.live_world import LiveWorld, a_live_world
from tests.fakes.world import Reply
from tests.sandbox.canonical_ends import NUMBERS

DESTINATION = "+15559870900"
DIALECTS = ("burki", "klen", "hms", "elevenlabs_tester")
SETTLED_SECONDS_MAX = 60.0
_ENGINES: tuple[Engine, ...] = ("say", "relay", "stream", "agent")
# Conversations over a socket need somebody at its other end: who can hold them is shown by the carriers' own tests.
_LIVED: tuple[Engine, ...] = ("say", "agent")
_CALLED = [
    (dialect, carrier, engine)
    for dialect in DIALECTS
    for carrier in NUMBERS
    for engine in _LIVED
    if engine in ENGINES[carrier]
]
_REFUSED = [
    (dialect, carrier, engine)
    for dialect in DIALECTS
    for carrier in NUMBERS
    for engine in _ENGINES
    if engine not in ENGINES[carrier]
]


@pytest.fixture(scope="module")
def world() -> Iterator[LiveWorld]:
    with a_live_world(speed=20.0) as made:
        yield made


@pytest.fixture(scope="module")
def calls(world: LiveWorld) -> dict[tuple[str, str, str], tuple[Reply, str]]:
    """Every call that can be held, asked for one after the other and settled; the answer and our id."""
    placed = {}
    for life in _CALLED:
        world.wait_for_backlog(below=3)
        reply = _initiate(world, *life)
        assert reply.status == 200, (life, reply.body)
        placed[life] = reply, reply.headers["location"].removeprefix("/calls/")
    world.wait_until_settled(SETTLED_SECONDS_MAX)
    return placed


def _initiate(world: LiveWorld, dialect: str, carrier: str, engine: Engine) -> Reply:
    """Ask in a dialect for a call over a carrier by an assistant that speaks so."""
    number = NUMBERS[carrier]
    assistant = _assistant(world, carrier, engine)
    if dialect == "burki":
        body: dict[str, Any] = {
            "from_phone_number": number,
            "to_phone_number": DESTINATION,
            "assistant_id": assistant.id,
        }
        return world.post("/calls/initiate", body)
    if dialect == "klen":
        return world.post("/calls", {"phone_number": DESTINATION, "agent_id": assistant.id})
    if dialect == "hms":
        number_id = NUMBER_ID_PREFIX + number.removeprefix("+")
        body = {"destination": DESTINATION, "assistant_id": assistant.public_id, "number_id": number_id}
        return world.post("/calls/outbound", body)
    # This one names no assistant: it is the organization's.
    world.stack.provision.update_organization(world.demo.organization_id, default_assistant_id=assistant.id)
    body = {"to_number": DESTINATION, "business_description": "A bakery.", "scenario": "buy bread"}
    return world.post("/api/call", body)


def _assistant(world: LiveWorld, carrier: str, engine: Engine) -> Assistant:
    """The assistant that speaks with an engine from the number with a carrier."""
    place = 1_000 + 10 * list(NUMBERS).index(carrier) + _ENGINES.index(engine)
    return world.stack.provision.put_assistant(
        Assistant(
            id=place,
            public_id=f"{engine}-over-{carrier}",
            organization_id=world.demo.organization_id,
            name=f"{engine} over {carrier}",
            welcome_message="Good morning.",
            caller_number=NUMBERS[carrier],
            engine=engine,
            engine_url="wss://media.example.test/calls" if engine in ("relay", "stream") else None,
            agent_id=AGENT_ID if engine == "agent" else None,
        )
    )


@pytest.mark.parametrize(("dialect", "carrier", "engine"), _CALLED)
def test_a_call_in_each_dialect_over_each_carrier_completes_and_settles(
    world: LiveWorld,
    calls: dict[tuple[str, str, str], tuple[Reply, str]],
    dialect: str,
    carrier: str,
    engine: Engine,
) -> None:
    call = world.call(calls[dialect, carrier, engine][1])
    assert (call.dialect, call.carrier, call.instructions.engine) == (dialect, carrier, engine)
    assert (call.status, call.ended_reason) == ("completed", "hang_up")
    assert call.charge_micros == 30_000 * -(-(call.duration_seconds or 0) // 60) > 0


def test_each_of_those_calls_rang_once(world: LiveWorld, calls: dict[tuple[str, str, str], tuple[Reply, str]]) -> None:
    rang = accepted_dials(world.journal(), DESTINATION)
    assert len(rang) == len(calls)
    assert rang == {world.call(call_id).carrier_call_id for _, call_id in calls.values()}


@pytest.mark.parametrize(("dialect", "carrier", "engine"), _REFUSED)
def test_an_engine_that_a_carrier_has_no_words_for_is_refused_in_each_dialect(
    world: LiveWorld, dialect: str, carrier: str, engine: Engine
) -> None:
    before = accepted_dials(world.journal(), DESTINATION)
    reply = _initiate(world, dialect, carrier, engine)
    assert (reply.status, _refusal(dialect, reply)) == _expected_refusal(dialect, carrier, engine)
    assert accepted_dials(world.journal(), DESTINATION) == before


def _refusal(dialect: str, reply: Reply) -> str:
    """Where each dialect has the code; one has sentences only."""
    if dialect == "elevenlabs_tester":
        return str(reply.json["error"]).partition(";")[0]
    return str(reply.json["error" if dialect == "klen" else "code"])


def _expected_refusal(dialect: str, carrier: str, engine: Engine) -> tuple[int, str]:
    if dialect != "elevenlabs_tester":
        return 422, "engine_unsupported"
    if engine == "agent":
        # The seed's own words: an agent calls from a number that ElevenLabs knows, and this one it does not.
        return 500, "Missing required environment variables: ELEVENLABS_AGENT_PHONE_NUMBER_ID"
    return 422, f'The carrier "{carrier}" has no words for the engine "{engine}"'
