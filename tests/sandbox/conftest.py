"""One running sandbox for all tests that need it: the real template, the simulated carriers, the front door."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.stack import Pace, Ports, Sandbox
from tests.fakes.sandbox_client import SandboxClient


@pytest.fixture(scope="session")
def sandbox_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxClient]:
    """A sandbox in a folder and on ports of its own, so that a developer's own one may go on running."""
    directory: Path = tmp_path_factory.mktemp("sandbox")
    pace = Pace(carriers_speed=20.0, check_interval_seconds=3, placement_grace_seconds=3)
    sandbox = Sandbox(directory, ports=Ports(0, 0, 0), pace=pace)
    state = sandbox.start()
    try:
        yield SandboxClient(state)
    finally:
        sandbox.stop()
