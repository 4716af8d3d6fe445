"""Who is calling back: nothing of a carrier's request is believed before its signature is checked.

It is checked by the carrier's package, with the secret of the account in the path, over the raw body and over the
address as we gave it, never over what the request says of itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from dialplane.carriers.contract import CarrierCredentials, SignedRequest, WebhooksModule
from dialplane.carriers.registry import TRAITS, webhooks_of
from dialplane.runtime.callback_urls import INSTRUCTIONS, CallbackAddress
from dialplane.runtime.carrier_accounts import CarrierAccounts
from dialplane.runtime.http import HttpRequest, HttpResponse

_INVALID = "Invalid webhook signature"
REFUSED = HttpResponse(403, _INVALID, "text/plain")
"""The answer to every request that is not authentic, whatever is wrong with it."""


class CallbackRefused(Exception):
    """The request is not what a carrier sends to this address; ``response`` is all that is told of it."""

    def __init__(self, response: HttpResponse = REFUSED) -> None:
        super().__init__(_INVALID)
        self.response = response


@dataclass(frozen=True, slots=True)
class AuthenticCallback:
    """A request that the carrier of its address signed, with what it takes to read it."""

    address: CallbackAddress
    credentials: CarrierCredentials
    webhooks: WebhooksModule
    body: bytes


@dataclass(frozen=True, slots=True)
class SignedCallbacks:
    """Authenticates callbacks of one kind (``twiml`` or ``status``)."""

    kind: str
    accounts: CarrierAccounts
    base_url: str
    now: Callable[[], datetime]

    def address(self, request: HttpRequest) -> CallbackAddress:
        """Which call or account the request says it is about. Raises CallbackRefused when its path is none of ours."""
        address = CallbackAddress.from_path(self.kind, request.path_parameters)
        traits = TRAITS.get(address.carrier) if address is not None else None
        if address is None or traits is None:
            raise CallbackRefused
        if self.kind == INSTRUCTIONS and not traits.fetches_instructions:
            raise CallbackRefused
        if (address.call_id is None) != traits.calls_back_per_account:
            raise CallbackRefused
        return address

    def authenticate(self, address: CallbackAddress, request: HttpRequest) -> AuthenticCallback:
        """The request, if the account in its address signed it.

        Raises CallbackRefused, and AwsError when the account's secret cannot be read.
        """
        webhooks = webhooks_of(address.carrier)
        # Looked at first, so that requests which nobody signed cost no secret being read.
        if not request.headers.get(webhooks.SIGNATURE_HEADER):
            raise CallbackRefused(HttpResponse(webhooks.UNSIGNED_STATUS, _INVALID, "text/plain"))
        signed = SignedRequest(address.url(self.base_url), request.body, request.headers, self.now())
        account = (address.organization_id, address.carrier_account_id)
        credentials = self.accounts.credentials(*account)
        if credentials is not None and not webhooks.is_authentic(credentials, signed):
            rotated = self.accounts.credentials_if_changed(*account)
            credentials = rotated if rotated is not None and webhooks.is_authentic(rotated, signed) else None
        if credentials is None:
            raise CallbackRefused
        return AuthenticCallback(address, credentials, webhooks, request.body)
