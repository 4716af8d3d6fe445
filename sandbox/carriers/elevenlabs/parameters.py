"""What a request to call, or to list conversations, may say, checked as ElevenLabs checks it.

Turns JSON into typed parameters or raises the ElevenLabsError that ElevenLabs would answer. Touches no conversation.
Source: https://elevenlabs.io/docs/api-reference/twilio/outbound-call and …/conversations/list
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from multidict import MultiMapping

from sandbox.carriers.elevenlabs.errors import ElevenLabsError, invalid

RING_TIMEOUT_SECONDS_DEFAULT = 60
RING_TIMEOUT_SECONDS_MAX = 600
PAGE_SIZE_DEFAULT = 30
PAGE_SIZE_MAX = 100

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_PLACEHOLDER = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_BODY = "body"
_CLIENT_DATA = "conversation_initiation_client_data"
_DIGITS_MAX = 12


@dataclass(frozen=True)
class OutboundCall:
    """A checked request for a call; `client_data` is what the conversation is initiated with, and echoes."""

    agent_id: str
    phone_number_id: str
    to_number: str
    ring_timeout_seconds: int
    client_data: Mapping[str, Any]

    @property
    def user_id(self) -> str | None:
        """Whom the conversation is with, in the customer's words."""
        user_id = self.client_data.get("user_id")
        return None if user_id is None else str(user_id)

    @property
    def dynamic_variables(self) -> Mapping[str, Any]:
        """What the agent's texts may refer to."""
        return self.client_data.get("dynamic_variables") or {}

    def override(self, name: str) -> str | None:
        """A text of the agent's that the request replaces: first_message or prompt."""
        agent = (self.client_data.get("conversation_config_override") or {}).get("agent") or {}
        value = agent.get(name)
        value = value.get("prompt") if isinstance(value, dict) else value
        return value if isinstance(value, str) and value else None

    def missing_variables(self) -> list[str]:
        """Variables that the replaced texts refer to and nobody gave."""
        texts = (self.override("first_message") or "", self.override("prompt") or "")
        named = {name for text in texts for name in _PLACEHOLDER.findall(text)}
        return sorted(name for name in named - self.dynamic_variables.keys() if not name.startswith("system__"))

    def filled(self, text: str) -> str:
        """A text with the values of its variables."""
        return _PLACEHOLDER.sub(lambda found: str(self.dynamic_variables.get(found[1], found[0])), text)


@dataclass(frozen=True)
class VariableFilter:
    """A condition on a dynamic variable: is it, or is it not, this text."""

    name: str
    is_equal: bool
    value: str


@dataclass(frozen=True)
class ListQuery:
    """A checked list request; None does not filter, times are unix seconds."""

    user_id: str | None
    agent_id: str | None
    start_after: int | None
    start_before: int | None
    variables: tuple[VariableFilter, ...]
    cursor: str | None
    page_size: int
    is_descending: bool


def parse_outbound_call(body: Any) -> OutboundCall:
    """Check a request for a call. Raises ElevenLabsError."""
    if not isinstance(body, dict):
        raise invalid([_BODY], "Input should be a valid dictionary", "dict_type")
    to_number = _text(body, "to_number")
    agent_id, phone_number_id = _text(body, "agent_id"), _text(body, "agent_phone_number_id")
    if not _E164.fullmatch(to_number):
        raise invalid([_BODY, "to_number"], "Value error, must be a phone number in E.164 format")
    return OutboundCall(
        agent_id=agent_id,
        phone_number_id=phone_number_id,
        to_number=to_number,
        ring_timeout_seconds=_ring_timeout(body.get("telephony_call_config")),
        client_data=_client_data(body.get(_CLIENT_DATA)),
    )


def parse_list_query(query: MultiMapping[str]) -> ListQuery:
    """Check a list request. Raises ElevenLabsError."""
    direction = query.get("sort_direction", "desc")
    if direction not in ("asc", "desc"):
        raise invalid(["query", "sort_direction"], "Input should be 'asc' or 'desc'", "enum")
    page_size = _whole(query, "page_size")
    if page_size is not None and not 1 <= page_size <= PAGE_SIZE_MAX:
        raise invalid(["query", "page_size"], f"Input should be from 1 to {PAGE_SIZE_MAX}", "less_than_equal")
    return ListQuery(
        user_id=query.get("user_id"),
        agent_id=query.get("agent_id"),
        start_after=_whole(query, "call_start_after_unix"),
        start_before=_whole(query, "call_start_before_unix"),
        variables=tuple(_variable_filter(text) for text in query.getall("dynamic_variable_params", [])),
        cursor=query.get("cursor"),
        page_size=page_size or PAGE_SIZE_DEFAULT,
        is_descending=direction == "desc",
    )


def _variable_filter(text: str) -> VariableFilter:
    name, _, condition = text.partition(":")
    operator, _, value = condition.partition(":")
    if not name or operator not in ("eq", "neq"):
        # ElevenLabs compares in more ways; an honest refusal is better than a wrong list.
        raise invalid(["query", "dynamic_variable_params"], "Value error, the simulator knows name:eq:… and name:neq:…")
    return VariableFilter(name, operator == "eq", value)


def _text(body: Mapping[str, Any], name: str) -> str:
    if name not in body:
        raise invalid([_BODY, name], "Field required", "missing")
    value = body[name]
    if not isinstance(value, str) or not value:
        raise invalid([_BODY, name], "Input should be a valid string", "string_type")
    return value


def _ring_timeout(config: Any) -> int:
    place = [_BODY, "telephony_call_config"]
    seconds = _object(config, place).get("ringing_timeout_secs")
    if seconds is None:
        return RING_TIMEOUT_SECONDS_DEFAULT
    if isinstance(seconds, bool) or not isinstance(seconds, int) or seconds < 1:
        raise invalid([*place, "ringing_timeout_secs"], "Input should be a valid integer", "int_type")
    # Twilio rings no longer than that, whatever ElevenLabs is asked for.
    return min(seconds, RING_TIMEOUT_SECONDS_MAX)


def _client_data(value: Any) -> Mapping[str, Any]:
    place = [_BODY, _CLIENT_DATA]
    data = _object(value, place)
    if not isinstance(data.get("user_id"), str | None):
        raise invalid([*place, "user_id"], "Input should be a valid string", "string_type")
    override = _object(data.get("conversation_config_override"), [*place, "conversation_config_override"])
    _object(override.get("agent"), [*place, "conversation_config_override", "agent"])
    for name, variable in _object(data.get("dynamic_variables"), [*place, "dynamic_variables"]).items():
        if name.startswith("system__") or not isinstance(variable, str | int | float | bool | None):
            message = "Value error, must be a text, number or boolean whose name does not start with system__"
            raise invalid([*place, "dynamic_variables", name], message)
    return data


def _object(value: Any, place: list[str]) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise invalid(place, "Input should be a valid dictionary", "dict_type")
    return value


def _whole(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX):
        raise _no_integer(name)
    return int(text)


def _no_integer(name: str) -> ElevenLabsError:
    return invalid(["query", name], "Input should be a valid integer", "int_parsing")
