"""Who is calling back: nothing of a carrier's request is believed before its signature is checked.

It is checked over the raw body and over the address as we gave it, never over what the request says of itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from dialplane.carriers.credentials import CarrierCredentials
from dialplane.carriers.twilio.signature import BODY_BYTES_MAX, is_authentic
from dialplane.runtime.callback_urls import CallbackAddress
from dialplane.runtime.carrier_accounts import CarrierAccounts
from dialplane.runtime.http import HttpRequest, HttpResponse

REFUSED = HttpResponse(403, "Invalid webhook signature", "text/plain")
"""The answer to every request that is not authentic, whatever is wrong with it."""


@dataclass(frozen=True, slots=True)
class SignedCallbacks:
    """Authenticates callbacks of one kind (``twiml`` or ``status``)."""

    kind: str
    accounts: CarrierAccounts
    base_url: str

    def address(self, request: HttpRequest) -> CallbackAddress | None:
        """Which call the request says it is about; None when its path is not one of ours."""
        address = CallbackAddress.from_path(self.kind, request.path_parameters)
        return address if address is not None and address.carrier == "twilio" else None

    def authenticate(self, address: CallbackAddress, request: HttpRequest) -> CarrierCredentials | None:
        """The account that signed the request, or None. Raises AwsError when its secret cannot be read."""
        # Looked at first, so that requests which nobody signed cost no secret being read.
        if not request.headers.get("x-twilio-signature") or len(request.body) > BODY_BYTES_MAX:
            return None
        account = (address.organization_id, address.carrier_account_id)
        credentials = self.accounts.credentials(*account)
        if credentials is None or self._is_signed(credentials, address, request):
            return credentials
        rotated = self.accounts.credentials_if_changed(*account)
        return rotated if rotated is not None and self._is_signed(rotated, address, request) else None

    def _is_signed(self, credentials: CarrierCredentials, address: CallbackAddress, request: HttpRequest) -> bool:
        return is_authentic(
            credentials.auth_token,
            address.url(self.base_url),
            request.body,
            request.headers.get("content-type"),
            request.headers.get("x-twilio-signature"),
        )
