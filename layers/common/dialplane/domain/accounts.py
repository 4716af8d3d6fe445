"""Who may call, as whom: organizations, API keys, assistants, flows, caller numbers, carrier accounts.

Facts and the checks on them. How they are stored belongs to ``dynamodb``; whether a call may be made to ``admission``.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from dialplane.domain.conversation_settings import (
    OPT_OUT_DIGIT,
    RESPONSE_TIMEOUT_SECONDS,
    RETENTION_DAYS,
    SILENCE_PROMPTS,
    SILENCE_TIMEOUT_SECONDS,
    TURNS_MAX,
    OnFailure,
    OnMachine,
)
from dialplane.domain.errors import AuthenticationRequired, KeyInvalid, OrganizationSuspended, PermissionDenied
from dialplane.domain.instructions import Engine


class Scope(StrEnum):
    """What an API key may do."""

    INITIATE_CALLS = "can_initiate_calls"
    READ_CALLS = "can_read_calls"
    CONTROL_CALLS = "can_control_calls"
    ERASE_TRANSCRIPTS = "can_erase_transcripts"
    READ_WALLET = "can_read_wallet"
    DEPOSIT = "can_deposit"
    READ_DNC = "can_read_dnc"
    WRITE_DNC = "can_write_dnc"
    READ_ACCOUNTS = "can_read_accounts"


@dataclass(frozen=True, slots=True)
class Organization:
    """A customer of the platform. The rate is micro-units of ``currency`` per minute of connected time."""

    id: str
    name: str
    currency: str = "USD"
    rate_micros_per_minute: int = 30_000
    billing_increment_seconds: int = 60
    active_calls_max: int = 100
    allowed_countries: frozenset[str] = frozenset({"US"})
    allowed_number_types: frozenset[str] = frozenset()
    """Kinds that are refused by default and that this organization may call all the same."""
    allows_key_in_query: bool = False
    """Whether a key may come in a URL, where it ends up in the logs of every proxy on the way."""
    default_assistant_id: int | None = None
    """Who speaks when a request's format names neither an assistant nor a caller number."""
    is_active: bool = True
    discloses: bool = True
    """Whether a conversation begins with the words that it is an artificial voice that speaks; ours, not a model's."""
    disclosure_message: str | None = None
    """Its own words for that, a template with ``organization`` and ``assistant``; None for the usual ones."""
    opt_out_digit: str | None = OPT_OUT_DIGIT
    """The key that puts a callee on the do-not-call list; None for none."""
    retention_days: int = RETENTION_DAYS
    """How long transcripts, summaries and analyses are kept."""
    model_providers: frozenset[str] = frozenset()
    """The providers of language models that it may ask: those whose key is stored, and Bedrock where it is allowed."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key as it is kept: never the secret itself, only its SHA-256 in hex.

    ``dialect`` is the format in which routes that several formats share answer this key; None is Dialplane's own.
    """

    id: str
    organization_id: str
    name: str
    secret_sha256: str
    scopes: frozenset[str]
    is_active: bool = True
    expires_at: datetime | None = None
    dialect: str | None = None
    calls_per_minute_max: int | None = None
    calls_per_day_max: int | None = None


TALK_SECONDS = 600
"""How long an assistant may talk that says nothing of it."""


@dataclass(frozen=True, slots=True)
class Assistant:
    """Who speaks. The integer id is unique within the organization, and so is ``public_id``, a UUID or any other text.

    ``prompt`` is what it is to do, a template; ``agent_id`` the carrier's own agent for the engine ``agent``. The
    configurations of its language model, speech recognition and voice are kept as the customer wrote them.
    """

    id: int
    organization_id: str
    name: str
    welcome_message: str
    engine: Engine = "say"
    engine_url: str | None = None
    goodbye_message: str | None = None
    voice: str | None = None
    language: str | None = None
    agenda: str | None = None
    caller_number: str | None = None
    max_duration_seconds: int = TALK_SECONDS
    ring_timeout_seconds: int = 30
    machine_detection: bool = False
    is_active: bool = True
    public_id: str | None = None
    prompt: str | None = None
    agent_id: str | None = None
    llm_config: Mapping[str, Any] | None = None
    stt_config: Mapping[str, Any] | None = None
    tts_config: Mapping[str, Any] | None = None
    silence_timeout_seconds: int = SILENCE_TIMEOUT_SECONDS
    silence_prompts: int = SILENCE_PROMPTS
    """How often a silent callee is asked whether somebody is there before the call is ended."""
    silence_message: str | None = None
    response_timeout_seconds: int = RESPONSE_TIMEOUT_SECONDS
    """How long the model may take to its first word."""
    fallback_message: str | None = None
    on_failure: OnFailure = "end"
    """What follows the fallback message when the model has failed."""
    transfer_number: str | None = None
    end_phrases: tuple[str, ...] = ()
    """What the callee says to end the call."""
    turns_max: int = TURNS_MAX
    opt_out_message: str | None = None
    on_machine: OnMachine = "continue"
    voicemail_message: str | None = None
    analysis_schema: Mapping[str, Any] | None = None
    """The JSON schema of what is to be found out from the transcript."""
    is_recorded: bool = False


@dataclass(frozen=True, slots=True)
class ConversationFlow:
    """A conversation that lives at ``engine_url``, with the assistant that lends it its voice, words and limits."""

    id: int
    organization_id: str
    name: str
    base_assistant_id: int
    engine: Literal["relay", "stream"]
    engine_url: str
    is_active: bool = True


@dataclass(frozen=True, slots=True)
class CallerNumber:
    """A number of the organization that can be called from, and the carrier account it lives in.

    A flow on it goes before its assistant. ``in_pool`` numbers may be chosen for calls that name none.
    ``carrier_number_id`` is the number's own id with the carrier, where the carrier wants one.
    """

    number: str
    organization_id: str
    carrier: str
    carrier_account_id: str
    assistant_id: int | None = None
    is_active: bool = True
    flow_id: int | None = None
    can_dial_out: bool = True
    in_pool: bool = True
    carrier_number_id: str | None = None

    @property
    def id(self) -> str:
        """What requests name the number by when they do not write it out."""
        return f"{NUMBER_ID_PREFIX}{self.number.removeprefix('+')}"


NUMBER_ID_PREFIX = "num_"


@dataclass(frozen=True, slots=True)
class CarrierAccount:
    """An account of the organization with a carrier; its credentials lie in the secret named after its id.

    ``calls_per_second`` is how many dials the carrier takes from it; None leaves that to the carrier.
    """

    id: str
    organization_id: str
    carrier: str
    name: str
    created_at: datetime
    calls_per_second: int | None = None


_KEY = re.compile(
    r"dp_(?P<organization>org_[0-9A-HJKMNP-TV-Z]{26})_(?P<id>[0-9A-Za-z]{8})_(?P<secret>[0-9A-Za-z_-]{43})"
)


@dataclass(frozen=True, slots=True)
class PresentedKey:
    """A key as a client sends it. It names its organization, so one read brings all that a decision needs."""

    organization_id: str
    id: str
    secret: str = field(repr=False)
    is_from_query: bool = False

    @classmethod
    def parse(cls, text: str | None, *, is_from_query: bool = False) -> PresentedKey:
        """Take a key apart. Raises AuthenticationRequired without one and KeyInvalid when it has no key's shape."""
        if not text:
            raise AuthenticationRequired
        match = _KEY.fullmatch(text)
        if match is None:
            raise KeyInvalid
        return cls(match["organization"], match["id"], match["secret"], is_from_query)

    @classmethod
    def generate(cls, organization_id: str) -> PresentedKey:
        """A new key with 256 random bits."""
        return cls(organization_id, secrets.token_hex(4), secrets.token_urlsafe(32))

    @property
    def text(self) -> str:
        """The whole key, to be shown once."""
        return f"dp_{self.organization_id}_{self.id}_{self.secret}"

    @property
    def secret_sha256(self) -> str:
        """What is kept of the secret. A slow hash would add nothing to 256 random bits."""
        return hashlib.sha256(self.secret.encode()).hexdigest()


def authenticate(
    presented: PresentedKey, key: ApiKey | None, organization: Organization | None, *, now: datetime
) -> ApiKey:
    """The key on record that the presented one proves. Raises KeyInvalid, and tells nobody why."""
    known = key.secret_sha256 if key is not None else "0" * 64
    is_secret_right = hmac.compare_digest(known.encode(), presented.secret_sha256.encode())
    if key is None or organization is None or not is_secret_right or not key.is_active:
        raise KeyInvalid
    if key.expires_at is not None and key.expires_at <= now:
        raise KeyInvalid
    if presented.is_from_query and not organization.allows_key_in_query:
        raise AuthenticationRequired
    return key


def check_scope(key: ApiKey, scope: Scope) -> None:
    """Raise PermissionDenied unless the key carries the scope."""
    if scope.value not in key.scopes:
        raise PermissionDenied(scope.value)


def check_organization_active(organization: Organization) -> None:
    """Raise OrganizationSuspended unless the organization may use the platform."""
    if not organization.is_active:
        raise OrganizationSuspended
