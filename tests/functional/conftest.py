"""One world for each file: tests in a file use values of their own and do not disturb one another."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fakes.moto_dynamodb import empty_table
from tests.fakes.world import World, a_world


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """A deployment with the demo organizations, shared by the tests of a file."""
    with a_world() as made:
        yield made


@pytest.fixture(autouse=True)
def _obliging_carrier(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test tells the shared carrier to do ends with the test."""
    yield
    if "world" in request.fixturenames:
        carrier = request.getfixturevalue("world").carrier
        carrier.outcomes.clear()
        carrier.on_create = lambda call, carrier_call_id: None


@pytest.fixture
def forgotten_calls(world: World) -> Iterator[None]:
    """Calls are gone after each test: moto copies every table for every transaction, so a full one is slow."""
    yield
    empty_table(world.tables.calls)
