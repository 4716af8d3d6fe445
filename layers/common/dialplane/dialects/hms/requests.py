"""The HMS Sovereign dialect's request, in its three modes and with its three deprecated names.

- reference: ``assistant_id``, an assistant that is kept;
- transient: ``assistant``, one that is brought along and not kept;
- hybrid: ``assistant_id`` and ``assistant_override``, which changes it for this call.

What the parts of an assistant must be together is a gate in ``domain.admission``; here each is looked at alone.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from dialplane.dialects.bodies import AssistantId, Body, is_blank, require, validated
from dialplane.dialects.contract import Arrival
from dialplane.domain.accounts import NUMBER_ID_PREFIX, Assistant
from dialplane.domain.admission import InitiateCall
from dialplane.domain.errors import PhoneNumberInvalid, ValueInvalid
from dialplane.domain.instructions import Engine
from dialplane.domain.language_model import PROVIDERS
from dialplane.domain.phone_numbers import PhoneNumber
from dialplane.domain.templates import check_text, check_variables

_NEW_NAMES = {"agent_id": "assistant_id", "agent": "assistant", "agent_config": "assistant_override"}
_TRANSIENT_NAME = "Transient assistant"
# Carriers are given these as they are: what no setting of theirs has in it is refused before it can break a document.
_Token = Annotated[str, Field(pattern=r"^[\x21-\x7e]([\x20-\x7e]{0,253}[\x21-\x7e])?$")]
_Url = Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,2048}$")]
# In the schema alone: pydantic's own flag warns whoever reads the field, which is us.
_DEPRECATED = Field(json_schema_extra={"deprecated": True})


class Message(Body):
    """One message of a conversation; those of the system are what the assistant is to do."""

    role: Literal["system", "user", "assistant"]
    content: str


class LlmConfig(Body):
    """The language model. Settings of its provider are kept as they are sent."""

    model_config = ConfigDict(extra="allow")

    provider: str | None = None
    model: str | None = None
    messages: list[Message] | None = None


class AssistantSettings(Body):
    """An assistant that is brought along, or what changes of one that is kept.

    ``engine``, ``engine_url`` and ``agent_id`` (the carrier's own agent) say who holds the conversation; they are ours,
    and so is everything from ``goodbye_message`` on. Who names a language model and no engine has a conversation with
    it.
    """

    name: str | None = None
    first_message: str | None = None
    llm_config: LlmConfig | None = None
    stt_config: dict[str, Any] | None = None
    tts_config: dict[str, Any] | None = None
    voice: _Token | None = None
    language: _Token | None = None
    max_duration_seconds: int | None = None
    engine: Literal["conversation", "say", "relay", "stream", "agent"] | None = None
    engine_url: _Url | None = None
    agent_id: _Token | None = None
    goodbye_message: str | None = None
    end_phrases: list[str] | None = None
    turns_max: int | None = None
    silence_timeout_seconds: int | None = None
    silence_prompts: int | None = None
    silence_message: str | None = None
    response_timeout_seconds: int | None = None
    fallback_message: str | None = None
    on_failure: Literal["end", "transfer"] | None = None
    transfer_number: str | None = None
    opt_out_message: str | None = None
    on_machine: Literal["hang_up", "leave_message", "continue"] | None = None
    voicemail_message: str | None = None
    analysis_schema: dict[str, Any] | None = None
    is_recorded: bool | None = None


class InitiateCallRequest(Body):
    """``number_id`` is the id of a number or the number itself; without it the organization's pool chooses one."""

    destination: str
    number_id: str | None = None
    assistant_id: AssistantId | None = None
    assistant: AssistantSettings | None = None
    assistant_override: AssistantSettings | None = None
    agent_id: Annotated[AssistantId | None, _DEPRECATED] = None
    agent: Annotated[AssistantSettings | None, _DEPRECATED] = None
    agent_config: Annotated[AssistantSettings | None, _DEPRECATED] = None
    first_message: str | None = None
    variables: dict[str, Any] | None = None


def parse(arrival: Arrival) -> InitiateCall:
    """Read a body into a command.

    Raises FieldMissing, FieldsInvalid, ValueInvalid for names and modes that contradict one another, and
    PhoneNumberInvalid; ValueInvalid also for texts and variables that cannot be spoken.
    """
    require(arrival.body, "destination")
    request, deprecated = _with_new_names(validated(InitiateCallRequest, arrival.body))
    _check_mode(request)
    check_text(request.first_message or "", field="first_message")
    variables = request.variables or {}
    check_variables(variables)
    return InitiateCall(
        dialect="hms",
        request_id=arrival.request_id,
        presented_key=arrival.presented_key,
        destination=_destination(request.destination),
        caller_number=_number(request.number_id) if request.number_id is not None else None,
        assistant_id=request.assistant_id,
        welcome_message=None if is_blank(request.first_message) else request.first_message,
        agenda=None,
        variables=variables,
        idempotency_key=arrival.idempotency_key,
        assistant=_transient(request.assistant) if request.assistant is not None else None,
        override=_settings(request.assistant_override) if request.assistant_override is not None else {},
        uses_pool=request.number_id is None,
        deprecated_fields=deprecated,
    )


def _with_new_names(request: InitiateCallRequest) -> tuple[InitiateCallRequest, tuple[str, ...]]:
    """The request without its deprecated names, and which it had. Raises ValueInvalid when old and new disagree."""
    values = {old: value for old in _NEW_NAMES if (value := getattr(request, old)) is not None}
    for old, value in values.items():
        new = _NEW_NAMES[old]
        other = getattr(request, new)
        if other is not None and _as_sent(other) != _as_sent(value):
            raise ValueInvalid(
                f"{old} and {new} say different things. {old} is the deprecated name of {new}: send {new} alone.",
                field=old,
            )
    return request.model_copy(update={_NEW_NAMES[old]: value for old, value in values.items()}), tuple(values)


def _as_sent(value: Body | int | str) -> str:
    """A value as JSON, to compare: to Python true is 1, and a setting that is null is as good as one that is absent."""
    return json.dumps(value.model_dump(exclude_unset=True) if isinstance(value, Body) else value, sort_keys=True)


def _check_mode(request: InitiateCallRequest) -> None:
    """The combinations that the seed leaves open are refused. Raises ValueInvalid."""
    if request.assistant is not None and request.assistant_id is not None:
        raise ValueInvalid(
            "assistant and assistant_id are two modes. Send assistant_id for an assistant that is kept (with "
            "assistant_override to change it for this call), or assistant for one that is not.",
            field="assistant",
        )
    if request.assistant is not None and request.assistant_override is not None:
        raise ValueInvalid(
            "assistant_override changes an assistant that is kept; change assistant itself instead.",
            field="assistant_override",
        )
    if request.assistant is None and request.assistant_id is None:
        if request.assistant_override is not None:
            raise ValueInvalid(
                "assistant_override changes the assistant that assistant_id names. Send assistant_id as well.",
                field="assistant_override",
            )
        raise ValueInvalid(
            "Nobody is named who should speak. Send assistant_id, or assistant for one that is not kept.",
            field="assistant_id",
        )


def _destination(text: str) -> PhoneNumber:
    if text.lower().startswith(("sip:", "sips:")):
        raise PhoneNumberInvalid("destination", "is a SIP URI, and only telephone numbers can be called.")
    return PhoneNumber.parse(text, field="destination")


def _number(text: str) -> PhoneNumber:
    number = text.removeprefix(NUMBER_ID_PREFIX)
    return PhoneNumber.parse(text if number == text else f"+{number}", field="number_id")


def _transient(settings: AssistantSettings) -> Assistant:
    fields = {name: value for name, value in _settings(settings).items() if value is not None}
    defaults = {
        "name": _TRANSIENT_NAME,
        "welcome_message": "",
        "engine": _engine(settings),
    }
    return Assistant(id=0, organization_id="", **{**defaults, **fields})


def _engine(settings: AssistantSettings) -> Engine:
    """Who names an agent of the carrier's wants it to speak, who names a language model wants to have it answer."""
    if settings.agent_id is not None:
        return "agent"
    model = settings.llm_config.provider if settings.llm_config is not None else None
    return "conversation" if model in PROVIDERS else "say"


_OUR_NAMES = {"first_message": "welcome_message"}
_CONFIGURATIONS = ("llm_config", "stt_config", "tts_config", "analysis_schema")
_NEVER_NULL = frozenset(
    {
        "name",
        "first_message",
        "max_duration_seconds",
        "engine",
        "end_phrases",
        "turns_max",
        "silence_timeout_seconds",
        "silence_prompts",
        "response_timeout_seconds",
        "on_failure",
        "on_machine",
        "is_recorded",
    }
)


def _settings(settings: AssistantSettings) -> dict[str, Any]:
    """The settings that were sent, by our names. Null takes a setting away, where an assistant can be without it."""
    sent = settings.model_dump(exclude_unset=True)
    fields = {
        _OUR_NAMES.get(name, name): value
        for name, value in sent.items()
        if value is not None or name not in _NEVER_NULL
    }
    for name in _CONFIGURATIONS:
        _check_characters(fields.get(name), name)
    if settings.llm_config is not None and settings.llm_config.messages is not None:
        system = [message.content for message in settings.llm_config.messages if message.role == "system"]
        fields["prompt"] = "\n\n".join(system) or None
    if "end_phrases" in fields:
        fields["end_phrases"] = tuple(fields["end_phrases"])
    return fields


def _check_characters(configuration: object, name: str) -> None:
    """Any text can be kept but half a character, which JSON can write and UTF-8 cannot. Raises ValueInvalid."""
    try:
        json.dumps(configuration, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise ValueInvalid(f"{name} has half of a surrogate pair. Send whole characters.", field=name) from error
