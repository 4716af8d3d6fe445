"""What an assistant must be to speak at all, and what it is for one call: its settings with that call's changes.

Which assistant a call gets belongs to ``resolution``; filling its texts to ``admission``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, get_args

from dialplane.domain.accounts import Assistant
from dialplane.domain.conversation_settings import OnFailure, OnMachine
from dialplane.domain.errors import ConfigurationInvalid, ValueInvalid
from dialplane.domain.json_schema import check_schema
from dialplane.domain.llm_config import check_llm_config
from dialplane.domain.phone_numbers import PhoneNumber
from dialplane.domain.templates import PROMPT_LENGTH_MAX, check_text

NAME_LENGTH_MAX = 200
MAX_DURATION_SECONDS = 14_400
_RING_TIMEOUT_SECONDS_MAX = 600
END_PHRASES_MAX = 20
END_PHRASE_LENGTH_MAX = 100
CONFIGURATION_BYTES_MAX = 64 * 1024
"""Of one configuration as JSON. It is kept with every call and every conversation, which have 400 kB each."""
BOUNDS: Mapping[str, tuple[int, int]] = {
    "max_duration_seconds": (1, MAX_DURATION_SECONDS),
    "ring_timeout_seconds": (1, _RING_TIMEOUT_SECONDS_MAX),
    "silence_timeout_seconds": (3, 60),
    "silence_prompts": (0, 3),
    "response_timeout_seconds": (2, 15),
    "turns_max": (1, 500),
}
"""The least and the greatest that each number among an assistant's settings may be."""
_TEXTS = (
    "welcome_message",
    "goodbye_message",
    "agenda",
    "silence_message",
    "fallback_message",
    "opt_out_message",
    "voicemail_message",
)
_CONFIGURATIONS = ("llm_config", "stt_config", "tts_config")
# Speech to speech: the model hears and speaks by itself. The others need somebody to listen and to speak for them.
_REALTIME_PROVIDERS = frozenset({"xai_realtime"})
_TEXT_PROVIDERS = frozenset({"openai", "mistral", "xai"})

CHANGEABLE = frozenset(
    {
        "name",
        "welcome_message",
        "goodbye_message",
        "prompt",
        "agenda",
        "engine",
        "engine_url",
        "agent_id",
        "voice",
        "language",
        "max_duration_seconds",
        "ring_timeout_seconds",
        "machine_detection",
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
        *_CONFIGURATIONS,
    }
)
"""What a single call may change of its assistant."""


def with_changes(assistant: Assistant, changes: Mapping[str, Any]) -> Assistant:
    """The assistant as one call has it. Configurations merge entry by entry, lists and everything else are replaced.

    Null takes a setting away, in configurations too (RFC 7396). Raises ValueError for a field that no call may change.
    """
    if unknown := set(changes) - CHANGEABLE:
        raise ValueError(f"no call may change {', '.join(sorted(unknown))}")
    merged = {
        name: _merge(getattr(assistant, name), value) if name in _CONFIGURATIONS else value
        for name, value in changes.items()
    }
    return replace(assistant, **merged)


def _merge(base: Any, change: Any) -> Any:
    if not isinstance(change, Mapping):
        return change
    kept = base if isinstance(base, Mapping) else {}
    merged = {**kept, **{name: _merge(kept.get(name), value) for name, value in change.items()}}
    return {name: value for name, value in merged.items() if value is not None or name not in change}


def is_realtime(llm_config: Mapping[str, Any] | None) -> bool:
    """True for models that take no text while they speak, so that commands reach them unreliably."""
    return llm_config is not None and llm_config.get("provider") in _REALTIME_PROVIDERS


def check_assistant(assistant: Assistant) -> None:
    """Raise ValueInvalid, PhoneNumberInvalid or ConfigurationInvalid for settings that no call could use."""
    for field in _TEXTS:
        check_text(getattr(assistant, field) or "", field=field)
    check_text(assistant.prompt or "", field="prompt", length_max=PROMPT_LENGTH_MAX)
    _check_engine(assistant)
    for field in ("caller_number", "transfer_number"):
        if (number := getattr(assistant, field)) is not None:
            PhoneNumber.parse(number, field=field)
    check_name(assistant.name)
    for field, (lowest, highest) in BOUNDS.items():
        check_within(lowest, highest, **{field: getattr(assistant, field)})
    _check_conversation(assistant)
    check_configuration(assistant)


def _check_engine(assistant: Assistant) -> None:
    if assistant.engine in ("conversation", "say", "agent"):
        if assistant.engine_url is not None:
            raise ValueInvalid(
                f'engine_url has no meaning for the engine "{assistant.engine}". Leave it out.', field="engine_url"
            )
    elif not (assistant.engine_url or "").startswith("wss://"):
        raise ValueInvalid(
            f'The engine "{assistant.engine}" needs an engine_url that begins with wss://.', field="engine_url"
        )


def _check_conversation(assistant: Assistant) -> None:
    for field, values in (("on_failure", get_args(OnFailure)), ("on_machine", get_args(OnMachine))):
        if getattr(assistant, field) not in values:
            raise ValueInvalid(f"{field} must be one of {', '.join(values)}.", field=field)
    if assistant.on_failure == "transfer" and assistant.transfer_number is None:
        raise ConfigurationInvalid('on_failure "transfer" needs a transfer_number.', param="on_failure")
    if assistant.on_machine == "leave_message" and not (assistant.voicemail_message or "").strip():
        raise ConfigurationInvalid('on_machine "leave_message" needs a voicemail_message.', param="on_machine")
    _check_end_phrases(assistant.end_phrases)
    if assistant.analysis_schema is not None:
        check_schema(assistant.analysis_schema, param="analysis_schema")
        _check_json(assistant.analysis_schema, "analysis_schema")


def _check_end_phrases(phrases: Sequence[str]) -> None:
    if len(phrases) > END_PHRASES_MAX:
        raise ValueInvalid(
            f"end_phrases has {len(phrases)} phrases; at most {END_PHRASES_MAX} are allowed.", field="end_phrases"
        )
    for phrase in phrases:
        check_text(phrase, field="end_phrases", length_max=END_PHRASE_LENGTH_MAX)
        # Only words are compared with what a callee says.
        if not any(character.isalnum() for character in phrase):
            raise ValueInvalid("end_phrases has a phrase without a word.", field="end_phrases")


def _check_json(setting: Mapping[str, Any], name: str) -> None:
    """Any text can be kept that is not too long, but for half a character, which JSON can write and UTF-8 cannot."""
    try:
        length = len(json.dumps(setting, ensure_ascii=False, separators=(",", ":")).encode())
    except UnicodeEncodeError as error:
        raise ConfigurationInvalid(f"{name} has half of a surrogate pair. Use whole characters.", param=name) from error
    if length > CONFIGURATION_BYTES_MAX:
        raise ConfigurationInvalid(
            f"{name} has {length:,} bytes as JSON; at most {CONFIGURATION_BYTES_MAX:,} are allowed.", param=name
        )


def check_configuration(assistant: Assistant) -> None:
    """Raise ConfigurationInvalid when the parts of a configuration contradict one another.

    What is in them is judged only for conversations of ours; who else reads them knows what they may be.
    """
    for name in _CONFIGURATIONS:
        if (configuration := getattr(assistant, name)) is not None:
            _check_json(configuration, name)
    if assistant.llm_config is None:
        return
    if assistant.engine == "conversation":
        check_llm_config(assistant.llm_config)
    provider = assistant.llm_config.get("provider")
    if provider is None:  # messages alone, for whichever model the assistant has
        return
    speech = {name: getattr(assistant, name) for name in ("stt_config", "tts_config")}
    if not isinstance(provider, str) or not provider:
        raise ConfigurationInvalid("llm_config.provider must be the name of a provider.", param="llm_config")
    if provider in _REALTIME_PROVIDERS:
        for name, configuration in speech.items():
            if configuration is not None:
                raise ConfigurationInvalid(
                    f'{name} must be left out with the provider "{provider}", which hears and speaks by itself.',
                    param=name,
                )
    elif provider in _TEXT_PROVIDERS:
        for name, configuration in speech.items():
            if configuration is None:
                raise ConfigurationInvalid(f'{name} is required with the provider "{provider}".', param=name)


def check_name(name: str) -> None:
    """Raise ValueInvalid unless this can be the name of something."""
    check_text(name, field="name")
    if not 1 <= len(name.strip()) <= NAME_LENGTH_MAX:
        raise ValueInvalid(f"name must have from 1 to {NAME_LENGTH_MAX} characters.", field="name")


def check_within(lowest: int, highest: int, **values: int) -> None:
    """Raise ValueInvalid for values outside the bounds."""
    for name, value in values.items():
        if not lowest <= value <= highest:
            raise ValueInvalid(f"{name} is {value}; it must be from {lowest} to {highest}.", field=name)
