"""How a call's conversation is to be held: from the assistant as the call has it, its organization and the variables.

Whether a call may be made at all belongs to ``admission``; what the settings lead to, to ``conversations``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dialplane.domain.accounts import Assistant, Organization
from dialplane.domain.assistants import is_realtime
from dialplane.domain.builtin_tools import transfer_destinations
from dialplane.domain.conversation_settings import DISCLOSURE, RECORDING_DISCLOSURE, ConversationSettings
from dialplane.domain.errors import ConfigurationInvalid
from dialplane.domain.language_model import PROVIDERS, PROVIDERS_WITH_KEY
from dialplane.domain.phone_numbers import PhoneNumber
from dialplane.domain.templates import PROMPT_LENGTH_MAX, Variables, render, render_references

# Said as the assistant has them; where it has none the settings have the platform's own words, or nothing is said.
_TEXTS = ("goodbye_message", "voicemail_message", "silence_message", "fallback_message", "opt_out_message")
_COPIED = (
    "language",
    "silence_timeout_seconds",
    "silence_prompts",
    "response_timeout_seconds",
    "on_failure",
    "transfer_number",
    "end_phrases",
    "turns_max",
    "on_machine",
    "analysis_schema",
    "is_recorded",
)


def names_model(llm_config: object) -> bool:
    """True when a configuration names a language model that can hold a conversation."""
    return isinstance(llm_config, Mapping) and llm_config.get("provider") in PROVIDERS


def check_conversation(assistant: Assistant, organization: Organization) -> None:
    """Raise ConfigurationInvalid when nobody could think in this assistant's conversation."""
    provider = (assistant.llm_config or {}).get("provider")
    if is_realtime(assistant.llm_config):
        raise ConfigurationInvalid(
            f'The provider "{provider}" hears and speaks by itself; the engine "conversation" needs a model that is '
            f"asked in text: {', '.join(sorted(PROVIDERS))}.",
            param="llm_config",
        )
    if provider in PROVIDERS_WITH_KEY - organization.model_providers:
        raise ConfigurationInvalid(
            f'No key for the provider "{provider}" is stored for your organization. Ask the operator to store it, or '
            "choose another provider.",
            param="llm_config",
        )
    if provider == "bedrock" and provider not in organization.model_providers:
        raise ConfigurationInvalid(
            'Models of the provider "bedrock" are paid for by the operator, and your organization may not ask any. '
            "Ask the operator to allow it, or choose another provider.",
            param="llm_config",
        )


def transfer_numbers(assistant: Assistant) -> list[PhoneNumber]:
    """Whom the callee may be connected with when the conversation says so. Raises PhoneNumberInvalid."""
    kept = ConversationSettings("", llm=assistant.llm_config or {}, transfer_number=assistant.transfer_number)
    return [PhoneNumber.parse(number, field="transfer_number") for number in transfer_destinations(kept)]


def settings_of(
    assistant: Assistant, organization: Organization, *, first_message: str, agenda: str | None, variables: Variables
) -> ConversationSettings:
    """The settings, every text that is spoken filled. ``first_message`` is filled already, ``agenda`` is a template.

    Raises VariablesMissing and TemplateInvalid.
    """
    own: dict[str, Any] = {name: getattr(assistant, name) for name in _COPIED}
    for name in _TEXTS:
        text = render(getattr(assistant, name) or "", variables, field=name)
        if text.strip():
            own[name] = text
    prompt, llm = _prompt_and_model(assistant, variables)
    return ConversationSettings(
        first_message=first_message,
        disclosure=_disclosure(assistant, organization),
        prompt=prompt,
        agenda=render_references(agenda, variables, field="agenda") if agenda else None,
        variables=variables,
        organization_name=organization.name,
        assistant_name=assistant.name,
        llm=llm,
        opt_out_digit=organization.opt_out_digit,
        retention_days=organization.retention_days,
        **own,
    )


def _disclosure(assistant: Assistant, organization: Organization) -> str | None:
    if not organization.discloses:
        return None
    names = {"organization": organization.name, "assistant": assistant.name}
    words = render(organization.disclosure_message or DISCLOSURE, names, field="disclosure_message")
    return f"{words} {RECORDING_DISCLOSURE}" if assistant.is_recorded else words


def _prompt_and_model(assistant: Assistant, variables: Variables) -> tuple[str | None, dict[str, Any]]:
    """What the model is to do, and its configuration with what is left of its messages.

    Messages of the system are the prompt of an assistant that has no other.
    """
    llm = dict(assistant.llm_config or {})
    _check_script(llm, variables)
    messages = list(_messages(llm.pop("messages", None)))
    prompt = assistant.prompt or "\n\n".join(text for role, text in messages if role == "system")
    examples = [
        {"role": role, "content": render_references(text, variables, field="llm_config", length_max=PROMPT_LENGTH_MAX)}
        for role, text in messages
        if role != "system"
    ]
    if examples:
        llm["messages"] = examples
    return (render_references(prompt, variables, field="prompt", length_max=PROMPT_LENGTH_MAX) if prompt else None), llm


def _messages(messages: object) -> Iterator[tuple[str, str]]:
    """Role and text of each. What is none has been refused; every gate is run all the same."""
    for message in messages if isinstance(messages, list) else ():
        if isinstance(message, Mapping) and isinstance(message.get("content"), str):
            yield str(message.get("role")), message["content"]


def _check_script(llm: Mapping[str, Any], variables: Variables) -> None:
    """Every line of a script can be filled. Which step is said is decided on the phone, where nobody can be asked."""
    script = llm.get("script")
    steps = script.get("steps") if isinstance(script, Mapping) else None
    for name, step in steps.items() if isinstance(steps, Mapping) else ():
        line = step.get("say") if isinstance(step, Mapping) else None
        if isinstance(line, str):
            render(line, variables, field=f"llm_config.script.steps.{name}.say")
