"""Twilio's REST API for calls that take a route of the customer's own."""

from __future__ import annotations

from dialplane.carriers.contract import CarrierCredentials
from dialplane.carriers.twilio import api as twilio


def open_api(credentials: CarrierCredentials, *, timeout_seconds: float) -> twilio.TwilioApi:
    """The API of a Twilio account. Raises ValueError when the secret lacks something or does not name one route."""
    return twilio.open_api(credentials, timeout_seconds=timeout_seconds, route=_route(credentials))


def _route(credentials: CarrierCredentials) -> twilio.Route:
    trunk, host = credentials.get("byoc_trunk_sid"), credentials.get("sip_host")
    user, password = credentials.get("sip_username"), credentials.get("sip_password")
    if (trunk is None) == (host is None):
        raise ValueError("exactly one of byoc_trunk_sid (your trunk) and sip_host (your SIP host) must be there")
    if (user is None) != (password is None) or (user is not None and host is None):
        raise ValueError("sip_username and sip_password go together, and with sip_host")
    return twilio.Route(trunk, host, user, password)
