"""Carrier credentials, by reference: each account's secret is read from Secrets Manager and kept for a few minutes."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from dialplane.aws.client import AwsClient, AwsError
from dialplane.carriers.contract import CarrierCredentials

_KEPT_SECONDS = 300.0
# A secret that was just created is found within this time; until then strangers cannot make us ask at every request.
_ABSENCE_KEPT_SECONDS = 15.0
_KEPT_MAX = 1_000
# How old a kept secret must be before a signature that does not fit is reason enough to read it again.
_TRUSTED_SECONDS = 10.0


def secret_name(prefix: str, organization_id: str, carrier_account_id: str) -> str:
    """The name of an account's secret."""
    return f"{prefix}/{organization_id}/{carrier_account_id}"


@dataclass(slots=True)
class CarrierAccounts:
    """Reads credentials."""

    client: AwsClient
    secrets_prefix: str
    monotonic: Callable[[], float] = time.monotonic
    _kept: dict[str, tuple[float, CarrierCredentials | None]] = field(default_factory=dict)

    def credentials(self, organization_id: str, carrier_account_id: str) -> CarrierCredentials | None:
        """The account's credentials, or None when there is no such account.

        Raises AwsError, and ValueError for a secret that is not one of ours.
        """
        name = secret_name(self.secrets_prefix, organization_id, carrier_account_id)
        until, kept = self._kept.get(name, (0.0, None))
        if self.monotonic() < until:
            return kept
        found = self._read(name)
        if len(self._kept) >= _KEPT_MAX:
            # Names that were made up go first: they must not push out the accounts that are in use.
            self._kept = {each: entry for each, entry in self._kept.items() if entry[1] is not None}
        if len(self._kept) >= _KEPT_MAX:
            self._kept.clear()
        lifetime = _KEPT_SECONDS if found is not None else _ABSENCE_KEPT_SECONDS
        self._kept[name] = (self.monotonic() + lifetime, found)
        return found

    def credentials_if_changed(self, organization_id: str, carrier_account_id: str) -> CarrierCredentials | None:
        """The account's credentials, read again, if they are others than those kept; None when they are the same.

        For a signature that does not fit: the token may have been rotated a moment ago. Strangers can cause one such
        read in ten seconds and account, no more.
        """
        name = secret_name(self.secrets_prefix, organization_id, carrier_account_id)
        until, kept = self._kept.get(name, (0.0, None))
        if kept is None or self.monotonic() < until - _KEPT_SECONDS + _TRUSTED_SECONDS:
            return None
        del self._kept[name]
        current = self.credentials(organization_id, carrier_account_id)
        return current if current != kept else None

    def _read(self, name: str) -> CarrierCredentials | None:
        try:
            reply = self.client.call("secretsmanager", "GetSecretValue", {"SecretId": name})
        except AwsError as error:
            if error.code == "ResourceNotFoundException":
                return None
            raise
        secret = json.loads(reply["SecretString"])
        if not isinstance(secret, dict):
            raise ValueError("a carrier secret is a JSON object")
        return CarrierCredentials(secret)


@dataclass(frozen=True, slots=True)
class CarrierSecrets:
    """Writes credentials: for administration, never for functions that serve requests."""

    client: AwsClient
    secrets_prefix: str

    def put(self, organization_id: str, carrier_account_id: str, secret: Mapping[str, str]) -> None:
        """Create the secret of a carrier account, or give it a new value."""
        name = secret_name(self.secrets_prefix, organization_id, carrier_account_id)
        # Secrets Manager wants a token of whoever does not use an SDK: it becomes the version's id.
        value = {"SecretString": json.dumps(dict(secret)), "ClientRequestToken": str(uuid.uuid4())}
        try:
            self.client.call("secretsmanager", "CreateSecret", {"Name": name, **value})
        except AwsError as error:
            if error.code != "ResourceExistsException":
                raise
            self.client.call("secretsmanager", "PutSecretValue", {"SecretId": name, **value})
