"""Which package speaks for which carrier. Imports every API client: for functions that call out, not for webhooks."""

from __future__ import annotations

from dialplane.carriers.credentials import CarrierCredentials
from dialplane.carriers.twilio.api import TwilioApi
from dialplane.domain.errors import CarrierUnavailable

_APIS = {"twilio": TwilioApi}
CARRIERS = frozenset(_APIS)


def open_carrier(carrier: str, credentials: CarrierCredentials, *, timeout_seconds: float) -> TwilioApi:
    """The API of a carrier account. Raises CarrierUnavailable for a carrier that is not known here."""
    api = _APIS.get(carrier)
    if api is None:
        raise CarrierUnavailable(f"The carrier {carrier!r} is not supported. Supported: {', '.join(_APIS)}.")
    default = {"base_url": credentials.api_base_url} if credentials.api_base_url else {}
    return api(credentials.account_id, credentials.auth_token, timeout_seconds=timeout_seconds, **default)
