"""How the tests are spread over processes, and that none is timed. Fixtures belong to the folders that use them."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

ROOT = Path(__file__).parent.parent


@cache
def _group(file: str) -> str:
    """The tests of a file stay together, for they share a world; those of the one sandbox share a sandbox."""
    is_deployed = "sandbox_client: SandboxClient" in (ROOT / file).read_text()
    return "sandbox" if is_deployed else file


class _Groups(LoadScopeScheduling):
    """One process works on a whole group. The plugin's own groups rely on an attribute that pytest has renamed."""

    def _split_scope(self, nodeid: str) -> str:
        return _group(nodeid.partition("::")[0])


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Spread groups, in the order in which they were collected."""
    return _Groups(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest group first: whoever begins it last would still be at it when all others are done."""
    items.sort(key=lambda item: _group(item.nodeid.partition("::")[0]) != "sandbox")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """What only computes gives way to the sandbox, whose carriers lose patience in real time."""
    if "PYTEST_XDIST_WORKER" in os.environ and _group(item.nodeid.partition("::")[0]) != "sandbox":
        _give_way()


@cache
def _give_way() -> None:
    os.nice(10)
