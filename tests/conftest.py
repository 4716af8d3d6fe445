"""How the tests are spread over processes, and that none is timed. Fixtures belong to the folders that use them."""

from __future__ import annotations

import pytest
from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.hookimpl(tryfirst=True)  # before the plugin that reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of a file stay together, for they share a world; those of the one sandbox share a sandbox."""
    for item in items:
        is_deployed = "sandbox_client" in getattr(item, "fixturenames", ())
        item.add_marker(pytest.mark.xdist_group("sandbox" if is_deployed else item.nodeid.partition("::")[0]))
