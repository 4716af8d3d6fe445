"""Settings from the environment. Nothing else reads it; a missing one is named."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from dialplane.dynamodb.tables import Tables


class SettingMissing(Exception):
    """An environment variable that this function needs is not set."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The environment variable {name} is not set; template.yaml sets it for every function.")


@dataclass(frozen=True, slots=True)
class Settings:
    """The environment of a function, read by name when it is needed."""

    environ: Mapping[str, str]

    @classmethod
    def from_environment(cls) -> Settings:
        """The settings of this process."""
        return cls(os.environ)

    def text(self, name: str) -> str:
        """A setting that must not be empty. Raises SettingMissing."""
        value = self.environ.get(name, "")
        if not value:
            raise SettingMissing(name)
        return value

    def duration(self, name: str) -> timedelta:
        """A number of seconds. Raises SettingMissing."""
        return timedelta(seconds=int(self.text(name)))

    def tables(self, *names: str) -> Tables:
        """The named tables, from ``<NAME>_TABLE_NAME``. Raises SettingMissing."""
        return Tables(**{name: self.text(f"{name.upper()}_TABLE_NAME") for name in names})

    @property
    def public_base_url(self) -> str:
        """What carriers call us by, and therefore what they sign. Raises SettingMissing."""
        return self.text("PUBLIC_BASE_URL").rstrip("/")
