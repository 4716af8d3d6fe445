"""Secrets by name: read from Secrets Manager and kept for a few minutes. Whose they are and what they hold is said by
``carrier_accounts`` and ``organization_secrets``.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dialplane.aws.client import AwsClient, AwsError

_KEPT_SECONDS = 300.0
# A secret that was just created is found within this time; until then strangers cannot make us ask at every request.
_ABSENCE_KEPT_SECONDS = 15.0
_KEPT_MAX = 1_000
# How old a kept secret must be before a signature that does not fit is reason enough to read it again.
_TRUSTED_SECONDS = 10.0


@dataclass(slots=True)
class KeptSecrets:
    """Reads secrets that are JSON objects."""

    client: AwsClient
    monotonic: Callable[[], float] = time.monotonic
    _kept: dict[str, tuple[float, dict[str, Any] | None]] = field(default_factory=dict, repr=False)

    def read(self, name: str) -> dict[str, Any] | None:
        """The secret, or None when there is none of that name. Raises AwsError, and ValueError for another shape."""
        until, kept = self._kept.get(name, (0.0, None))
        if self.monotonic() < until:
            return kept
        found = self._fetch(name)
        if len(self._kept) >= _KEPT_MAX:
            # Names that were made up go first: they must not push out the secrets that are in use.
            self._kept = {each: entry for each, entry in self._kept.items() if entry[1] is not None}
        if len(self._kept) >= _KEPT_MAX:
            self._kept.clear()
        lifetime = _KEPT_SECONDS if found is not None else _ABSENCE_KEPT_SECONDS
        self._kept[name] = (self.monotonic() + lifetime, found)
        return found

    def read_if_changed(self, name: str) -> dict[str, Any] | None:
        """The secret, read again, if it is another than the one kept; None when it is the same or was read just now."""
        until, kept = self._kept.get(name, (0.0, None))
        if kept is None or self.monotonic() < until - _KEPT_SECONDS + _TRUSTED_SECONDS:
            return None
        del self._kept[name]
        current = self.read(name)
        return current if current != kept else None

    def _fetch(self, name: str) -> dict[str, Any] | None:
        try:
            reply = self.client.call("secretsmanager", "GetSecretValue", {"SecretId": name})
        except AwsError as error:
            if error.code == "ResourceNotFoundException":
                return None
            raise
        secret = json.loads(reply["SecretString"])
        if not isinstance(secret, dict):
            raise ValueError("a secret of ours is a JSON object")
        return secret


def put_secret(client: AwsClient, name: str, secret: Mapping[str, str]) -> None:
    """Create a secret, or give it a new value. For administration, never for functions. Raises AwsError."""
    # Secrets Manager wants a token of whoever does not use an SDK: it becomes the version's id.
    value = {"SecretString": json.dumps(dict(secret)), "ClientRequestToken": str(uuid.uuid4())}
    try:
        client.call("secretsmanager", "CreateSecret", {"Name": name, **value})
    except AwsError as error:
        if error.code != "ResourceExistsException":
            raise
        client.call("secretsmanager", "PutSecretValue", {"SecretId": name, **value})
