"""One deployment for all the tests of a module: every schedule starts by emptying it."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.simulation.simulation import Simulation, a_simulation


@pytest.fixture(scope="module")
def simulation() -> Iterator[Simulation]:
    logger = logging.getLogger("dialplane")
    logger.setLevel(logging.CRITICAL)
    with a_simulation() as made:
        yield made
    logger.setLevel(logging.INFO)
