"""Telnyx's Call Control API for calls to a SIP host of the customer's own."""

from __future__ import annotations

from dialplane.carriers.contract import CarrierCredentials
from dialplane.carriers.telnyx import api as telnyx


def open_api(credentials: CarrierCredentials, *, timeout_seconds: float) -> telnyx.TelnyxApi:
    """The API of a Call Control application. Raises ValueError when the secret lacks something."""
    user, password = credentials.get("sip_username"), credentials.get("sip_password")
    if (user is None) != (password is None):
        raise ValueError("sip_username and sip_password go together")
    route = telnyx.Route(credentials["sip_host"], user, password)
    return telnyx.open_api(credentials, timeout_seconds=timeout_seconds, route=route)
