"""What the commands show: accounts as plain documents, with money and times as the API words them. No credentials."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from dialplane.domain.accounts import (
    ApiKey,
    Assistant,
    CallerNumber,
    CarrierAccount,
    ConversationFlow,
    Organization,
)
from dialplane.domain.times import to_text
from dialplane.runtime.documents import money


def organization_document(organization: Organization) -> dict[str, Any]:
    """A customer."""
    return {
        "id": organization.id,
        "name": organization.name,
        "is_active": organization.is_active,
        "rate_per_minute": money(organization.rate_micros_per_minute, organization.currency),
        "billing_increment_seconds": organization.billing_increment_seconds,
        "active_calls_max": organization.active_calls_max,
        "allowed_countries": sorted(organization.allowed_countries),
        "allowed_number_types": sorted(organization.allowed_number_types),
        "allows_key_in_query": organization.allows_key_in_query,
        "default_assistant_id": organization.default_assistant_id,
        "discloses": organization.discloses,
        "disclosure_message": organization.disclosure_message,
        "opt_out_digit": organization.opt_out_digit,
        "retention_days": organization.retention_days,
        "model_providers": sorted(organization.model_providers),
    }


def key_document(key: ApiKey) -> dict[str, Any]:
    """A key without its secret, which is kept nowhere."""
    return {
        "id": key.id,
        "name": key.name,
        "is_active": key.is_active,
        "scopes": sorted(key.scopes),
        "dialect": key.dialect,
        "calls_per_minute_max": key.calls_per_minute_max,
        "calls_per_day_max": key.calls_per_day_max,
        "expires_at": _time(key.expires_at),
    }


def assistant_document(assistant: Assistant) -> dict[str, Any]:
    """An assistant with everything it says."""
    return {
        "id": assistant.id,
        "public_id": assistant.public_id,
        "name": assistant.name,
        "engine": assistant.engine,
        "engine_url": assistant.engine_url,
        "agent_id": assistant.agent_id,
        "caller_number": assistant.caller_number,
        "welcome_message": assistant.welcome_message,
        "goodbye_message": assistant.goodbye_message,
        "prompt": assistant.prompt,
        "agenda": assistant.agenda,
        "voice": assistant.voice,
        "language": assistant.language,
        "max_duration_seconds": assistant.max_duration_seconds,
        "ring_timeout_seconds": assistant.ring_timeout_seconds,
        "machine_detection": assistant.machine_detection,
        "llm_config": assistant.llm_config,
        "stt_config": assistant.stt_config,
        "tts_config": assistant.tts_config,
        "conversation": {name: getattr(assistant, name) for name in CONVERSATION_SETTINGS},
    }


CONVERSATION_SETTINGS = (
    "silence_timeout_seconds",
    "silence_prompts",
    "silence_message",
    "response_timeout_seconds",
    "fallback_message",
    "on_failure",
    "transfer_number",
    "end_phrases",
    "turns_max",
    "opt_out_message",
    "on_machine",
    "voicemail_message",
    "analysis_schema",
    "is_recorded",
)
"""An assistant's settings for the engine "conversation", in the order in which they are shown."""


def flow_document(flow: ConversationFlow) -> dict[str, Any]:
    """A conversation flow."""
    return {
        "id": flow.id,
        "name": flow.name,
        "base_assistant_id": flow.base_assistant_id,
        "engine": flow.engine,
        "engine_url": flow.engine_url,
    }


def number_document(number: CallerNumber) -> dict[str, Any]:
    """A number to call from."""
    return {
        "id": number.id,
        "number": number.number,
        "flow_id": number.flow_id,
        "assistant_id": number.assistant_id,
        "can_dial_out": number.can_dial_out,
        "in_pool": number.in_pool,
        "carrier": number.carrier,
        "carrier_account_id": number.carrier_account_id,
        "carrier_number_id": number.carrier_number_id,
    }


def carrier_account_document(account: CarrierAccount) -> dict[str, Any]:
    """An account with a carrier; its credentials are in the secret store alone."""
    return {
        "id": account.id,
        "name": account.name,
        "carrier": account.carrier,
        "calls_per_second": account.calls_per_second,
        "created_at": to_text(account.created_at),
    }


def _time(moment: datetime | None) -> str | None:
    return to_text(moment) if moment is not None else None
