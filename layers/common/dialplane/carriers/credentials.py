"""What it takes to speak for a carrier account."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class CarrierCredentials:
    """The account's own id with the carrier, its secret, and its API's address when it is not the carrier's usual one.

    A regional or a private address is as much part of an account as its token.
    """

    account_id: str
    auth_token: str = field(repr=False)
    api_base_url: str | None = None

    @classmethod
    def from_secret(cls, secret: Mapping[str, Any]) -> CarrierCredentials:
        """Read the secret ``{"account_sid", "auth_token", "api_base_url"}``. Raises ValueError when it is not one."""
        account_id, auth_token = secret.get("account_sid"), secret.get("auth_token")
        if not isinstance(account_id, str) or not isinstance(auth_token, str) or not account_id or not auth_token:
            raise ValueError('the secret must hold the texts "account_sid" and "auth_token"')
        return cls(account_id, auth_token, secret.get("api_base_url") or None)
