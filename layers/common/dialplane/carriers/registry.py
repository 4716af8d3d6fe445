"""Which carriers there are: one line each, and its package ``carriers.<name>`` found by its name.

A package is imported when its carrier is met and only the module that is asked for, so that this table costs a webhook
nothing. Nothing else in Dialplane names a carrier.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, cast

from dialplane.carriers.contract import (
    API_BASE_URL,
    ApiModule,
    CarrierApi,
    CarrierCredentials,
    Credential,
    EventsModule,
    InstructionsModule,
    WebhooksModule,
)
from dialplane.domain.errors import CarrierUnavailable, ValueInvalid

if TYPE_CHECKING:
    from dialplane.domain.instructions import Engine


@dataclass(frozen=True, slots=True)
class CarrierTraits:
    """What must be known of a carrier before any of its code is loaded."""

    display_name: str
    engines: frozenset[Engine]
    """What a call over this carrier can speak with."""
    fetches_instructions: bool = False
    """Whether it asks at ``/twiml/…`` what to say; the others are told in the dial or by later commands."""
    calls_back_per_account: bool = False
    """Whether it calls back one address for all calls of an account, instead of one for each call."""
    received_status: int = 204
    """What it takes for "received"; most take any 2xx."""


_TELEPHONY: frozenset[Engine] = frozenset({"say", "relay", "stream", "conversation"})
TRAITS: Mapping[str, CarrierTraits] = {
    "twilio": CarrierTraits("Twilio", _TELEPHONY, fetches_instructions=True),
    "telnyx": CarrierTraits("Telnyx", _TELEPHONY),
    "telnyx-texml": CarrierTraits("Telnyx TeXML", _TELEPHONY, fetches_instructions=True),
    "vonage": CarrierTraits("Vonage", frozenset({"say", "stream"}), fetches_instructions=True),
    "elevenlabs": CarrierTraits("ElevenLabs", frozenset({"agent"}), calls_back_per_account=True, received_status=200),
    "sip-twilio": CarrierTraits("SIP through Twilio", _TELEPHONY, fetches_instructions=True),
    "sip-telnyx": CarrierTraits("SIP through Telnyx", _TELEPHONY),
}
CARRIERS = frozenset(TRAITS)
DEFAULT_CARRIER = "twilio"
"""The carrier of an account that names none, and the one whose modules webhooks load before their first request: while
a function starts it has a whole processor, afterwards a seventh of one.
"""
ENGINES: Mapping[str, frozenset[Engine]] = {name: traits.engines for name, traits in TRAITS.items()}


class CarrierUnknown(ValueError):
    """No package speaks for a carrier of this name."""

    def __init__(self, carrier: str) -> None:
        super().__init__(f"The carrier {carrier!r} is not supported. Supported: {', '.join(TRAITS)}.")


def credentials_of(carrier: str) -> Sequence[Credential]:
    """What the secret of an account with this carrier holds."""
    credentials: Sequence[Credential] = _module(carrier, "account").CREDENTIALS
    return credentials


def api_of(carrier: str) -> ApiModule:
    """The carrier's ``api`` module; the one that loads an HTTP client."""
    return cast(ApiModule, _module(carrier, "api"))


def webhooks_of(carrier: str) -> WebhooksModule:
    """The carrier's ``webhooks`` module."""
    return cast(WebhooksModule, _module(carrier, "webhooks"))


def events_of(carrier: str) -> EventsModule:
    """The carrier's ``events`` module."""
    return cast(EventsModule, _module(carrier, "events"))


def instructions_of(carrier: str) -> InstructionsModule:
    """The carrier's ``instructions`` module, for carriers that fetch instructions."""
    return cast(InstructionsModule, _module(carrier, "instructions"))


def open_carrier(carrier: str, credentials: CarrierCredentials, *, timeout_seconds: float) -> CarrierApi:
    """The API of a carrier account. Raises CarrierUnavailable for a carrier that is not known here, and for a secret
    that its package cannot use.
    """
    try:
        return api_of(carrier).open_api(credentials, timeout_seconds=timeout_seconds)
    except ValueError as error:
        raise CarrierUnavailable(f"The carrier account cannot be used: {error}") from error


def check_credentials(carrier: str, secret: Mapping[str, str]) -> None:
    """Hold a secret to be stored against what its carrier's package asks for.

    Raises ValueInvalid with the credential's name and where to find it. No value is repeated.
    """
    if carrier not in CARRIERS:
        raise ValueInvalid(str(CarrierUnknown(carrier)), field="carrier")
    known = {each.name: each for each in (API_BASE_URL, *credentials_of(carrier))}
    if unknown := sorted(set(secret) - set(known)):
        raise ValueInvalid(
            f"{carrier} has no credential {', '.join(unknown)}. It has: {', '.join(known)}.", field=unknown[0]
        )
    for credential in known.values():
        value = secret.get(credential.name, "")
        if not value and credential.is_required:
            raise ValueInvalid(f"{credential.name} is empty. {credential.where}", field=credential.name)
        if value and not re.fullmatch(credential.pattern, value):
            raise ValueInvalid(f"{credential.name} has another form. {credential.where}", field=credential.name)
    try:  # what only all of them together show, such as one of two that must be there
        api_of(carrier).open_api(CarrierCredentials(secret), timeout_seconds=1.0)
    except ValueError as error:
        raise ValueInvalid(f"The credentials cannot be used: {error}.", field="secret") from error


def _module(carrier: str, name: str) -> ModuleType:
    if carrier not in CARRIERS:
        raise CarrierUnknown(carrier)
    return import_module(f"dialplane.carriers.{carrier.replace('-', '_')}.{name}")
