"""Whose request it is: API keys, and the applications that belong to each."""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from aiohttp import web

from sandbox.carriers.carrier import Account, AccountError, keyed
from sandbox.carriers.telnyx.errors import authentication_failed
from sandbox.carriers.telnyx.keys import Signer


@dataclass(frozen=True)
class TelnyxAccount:
    """One Telnyx account; `applications` are the given accounts by their application's id."""

    api_key: str
    signer: Signer
    applications: dict[str, Account] = field(default_factory=dict)


class TelnyxAccounts:
    """The accounts of one kind of application."""

    def __init__(self, carrier: str, accounts: Sequence[Account], application: str, *others: str) -> None:
        """`application` and `others` name what an account must have besides its keys. Raises AccountError."""
        self._by_key: dict[str, TelnyxAccount] = {}
        for given in keyed(carrier, accounts, application, "api_key", "public_key", "signing_key", *others).values():
            signer = Signer(given["signing_key"])
            if signer.public_key != given["public_key"]:
                raise AccountError(f"an account of {carrier} has a public_key that is not its signing_key's")
            account = self._by_key.setdefault(given["api_key"], TelnyxAccount(given["api_key"], signer))
            account.applications[given[application]] = given

    def authenticate(self, headers: Mapping[str, str]) -> TelnyxAccount:
        """The account of a request's Bearer key. Raises TelnyxError."""
        scheme, _, key = headers.get("Authorization", "").partition(" ")
        for account in self._by_key.values():
            if scheme.lower() == "bearer" and hmac.compare_digest(account.api_key.encode(), key.encode()):
                return account
        raise authentication_failed()


ACCOUNT = web.RequestKey("telnyx_account", TelnyxAccount)
