"""Carrier credentials, by reference: each account's secret, under the prefix that the stack was told."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from dialplane.aws.client import AwsClient
from dialplane.carriers.contract import CarrierCredentials
from dialplane.runtime.secrets import KeptSecrets, put_secret


def secret_name(prefix: str, organization_id: str, carrier_account_id: str) -> str:
    """The name of an account's secret."""
    return f"{prefix}/{organization_id}/{carrier_account_id}"


@dataclass(slots=True)
class CarrierAccounts:
    """Reads credentials."""

    client: AwsClient
    secrets_prefix: str
    monotonic: Callable[[], float] = time.monotonic
    _secrets: KeptSecrets = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._secrets = KeptSecrets(self.client, self.monotonic)

    def credentials(self, organization_id: str, carrier_account_id: str) -> CarrierCredentials | None:
        """The account's credentials, or None when there is no such account.

        Raises AwsError, and ValueError for a secret that is not one of ours.
        """
        secret = self._secrets.read(secret_name(self.secrets_prefix, organization_id, carrier_account_id))
        return CarrierCredentials(secret) if secret is not None else None

    def credentials_if_changed(self, organization_id: str, carrier_account_id: str) -> CarrierCredentials | None:
        """The account's credentials, read again, if they are others than those kept; None when they are the same.

        For a signature that does not fit: the token may have been rotated a moment ago. Strangers can cause one such
        read in ten seconds and account, no more.
        """
        secret = self._secrets.read_if_changed(secret_name(self.secrets_prefix, organization_id, carrier_account_id))
        return CarrierCredentials(secret) if secret is not None else None


@dataclass(frozen=True, slots=True)
class CarrierSecrets:
    """Writes credentials: for administration, never for functions that serve requests."""

    client: AwsClient
    secrets_prefix: str

    def put(self, organization_id: str, carrier_account_id: str, secret: Mapping[str, str]) -> None:
        """Create the secret of a carrier account, or give it a new value."""
        put_secret(self.client, secret_name(self.secrets_prefix, organization_id, carrier_account_id), secret)
