"""What a request to create, modify or list calls may say, checked as Vonage checks it.

Turns JSON into typed parameters or raises the VonageError that Vonage would answer. Touches no call.
Source: the Voice API's OpenAPI document (voice.yml 1.3.7) and https://developer.vonage.com/en/api/voice.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import urlsplit

from sandbox.carriers.vonage.errors import VonageError, bad_request, invalid_parameter
from sandbox.carriers.vonage.ncco import Action, NccoError, parse_ncco

LENGTH_TIMER_SECONDS_DEFAULT = 7200
RINGING_TIMER_SECONDS_DEFAULT = 60
PAGE_SIZE_DEFAULT = 10
PAGE_SIZE_MAX = 100
CALL_STATUSES = (
    "started",
    "ringing",
    "answered",
    "machine",
    "completed",
    "busy",
    "cancelled",
    "failed",
    "rejected",
    "timeout",
    "unanswered",
)
# What Vonage picks from for random_from_number; the simulated application has this one number.
APPLICATION_NUMBER = "15550100000"

_PHONE_NUMBER = re.compile(r"[1-9][0-9]{6,14}")
_SIP_URI = re.compile(r"sips?:\+?[\w.%-]+@\S+")
_ACTIONS = ("hangup", "mute", "unmute", "earmuff", "unearmuff", "transfer")

Endpoint = Mapping[str, Any]


@dataclass(frozen=True)
class Instructions:
    """Where a call's NCCO comes from: a document at a URL, or the actions themselves."""

    url: str | None = None
    method: str = "GET"
    actions: tuple[Action, ...] = ()


@dataclass(frozen=True)
class MachineDetection:
    """`behavior` is what happens when a machine answers; `mode` detect_beep reports its beep as well."""

    behavior: Literal["continue", "hangup"]
    mode: str = "detect"


@dataclass(frozen=True)
class CallParameters:
    """A checked create request. Durations are seconds, numbers are without `+`."""

    to: Endpoint
    from_: Endpoint
    instructions: Instructions
    event_url: str | None
    event_method: str
    machine_detection: MachineDetection | None
    length_timer: int
    ringing_timer: int


@dataclass(frozen=True)
class CallModification:
    """A checked PUT; `instructions` are a transfer's."""

    action: str
    instructions: Instructions | None = None


@dataclass(frozen=True)
class ListQuery:
    """A checked list request; None does not filter."""

    status: str | None
    date_start: datetime | None
    date_end: datetime | None
    conversation_uuid: str | None
    page_size: int
    record_index: int
    is_descending: bool


def parse_create(body: Any) -> CallParameters:
    """Check a create request. Raises VonageError."""
    if not isinstance(body, dict):
        raise bad_request("The body must be a JSON object")
    from_ = _caller(body)
    return CallParameters(
        to=_destination(body.get("to")),
        from_=from_,
        instructions=_instructions(body),
        event_url=_url_in_list(body, "event_url"),
        event_method=_choice(body, "event_method", ("POST", "GET"), "POST"),
        machine_detection=_machine_detection(body),
        length_timer=_whole(body, "length_timer", LENGTH_TIMER_SECONDS_DEFAULT, 1, 7200),
        ringing_timer=_whole(body, "ringing_timer", RINGING_TIMER_SECONDS_DEFAULT, 1, 120),
    )


def parse_modification(body: Any) -> CallModification:
    """Check a PUT of a call. Raises VonageError."""
    if not isinstance(body, dict):
        raise bad_request("The body must be a JSON object")
    action = body.get("action")
    if action not in _ACTIONS:
        raise invalid_parameter("action", f"must be one of {', '.join(_ACTIONS)}")
    if action != "transfer":
        return CallModification(action)
    destination = body.get("destination")
    if not isinstance(destination, dict) or destination.get("type") != "ncco":
        raise invalid_parameter("destination", 'must be an object of type "ncco"')
    if ("url" in destination) == ("ncco" in destination):
        raise invalid_parameter("destination", "must have either url or ncco")
    if "ncco" in destination:
        return CallModification(action, Instructions(actions=_ncco(destination["ncco"], "destination.ncco")))
    return CallModification(action, Instructions(url=_url_in_list(destination, "url")))


def parse_list_query(query: Mapping[str, str]) -> ListQuery:
    """Check a list request. Raises VonageError."""
    status = query.get("status")
    if status is not None and status not in CALL_STATUSES:
        raise invalid_parameter("status", f"must be one of {', '.join(CALL_STATUSES)}")
    return ListQuery(
        status=status,
        date_start=_moment(query, "date_start"),
        date_end=_moment(query, "date_end"),
        conversation_uuid=query.get("conversation_uuid"),
        page_size=_whole_text(query, "page_size", PAGE_SIZE_DEFAULT, 1, PAGE_SIZE_MAX),
        record_index=_whole_text(query, "record_index", 0, 0, 10**9),
        is_descending=_choice(query, "order", ("asc", "desc"), "asc") == "desc",
    )


def text_of(endpoint: Endpoint) -> str:
    """An endpoint as webhooks name it: a number, a URI, an extension."""
    return str(endpoint.get("number") or endpoint.get("uri") or endpoint.get("extension", ""))


def checked_endpoint(endpoint: Any, name: str) -> Endpoint:
    """An endpoint that may be called. Raises VonageError."""
    kind = endpoint.get("type") if isinstance(endpoint, dict) else None
    match kind:
        case "phone":
            if not _matches(_PHONE_NUMBER, endpoint.get("number")):
                raise invalid_parameter(f"{name}.number", "must be 7 to 15 digits in E.164 without a leading +")
        case "sip":
            if not _matches(_SIP_URI, endpoint.get("uri")):
                raise invalid_parameter(f"{name}.uri", "must be a SIP URI")
        case "websocket":
            if not is_socket_url(endpoint.get("uri")):
                raise invalid_parameter(f"{name}.uri", "must start with wss://")
        case "vbc":
            if not isinstance(endpoint.get("extension"), str) or not endpoint["extension"].isdigit():
                raise invalid_parameter(f"{name}.extension", "must be digits")
        case _:
            raise invalid_parameter(f"{name}.type", "must be phone, sip, websocket or vbc")
    return dict(endpoint)


def is_socket_url(url: object) -> bool:
    """Vonage takes wss; plain ws is taken for this machine only, where the sandbox has no certificate."""
    parts = _split(url)
    return parts is not None and (parts[0] == "wss" or (parts[0] == "ws" and parts[1] in _LOOPBACK))


def is_web_url(url: object) -> bool:
    """Vonage calls http and https."""
    parts = _split(url)
    return parts is not None and parts[0] in ("http", "https")


_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def _split(url: object) -> tuple[str, str] | None:
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
    except ValueError:
        parts = None
    return (parts.scheme, parts.hostname) if parts is not None and parts.hostname else None


def _matches(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _destination(to: Any) -> Endpoint:
    if not isinstance(to, list) or len(to) != 1:
        raise invalid_parameter("to", "must be a list of exactly one endpoint")
    endpoint = checked_endpoint(to[0], "to")
    if endpoint["type"] not in ("phone", "sip"):
        raise invalid_parameter("to.type", "the simulated Vonage calls phones and SIP addresses only")
    return endpoint


def _caller(body: Mapping[str, Any]) -> Endpoint:
    from_, is_random = body.get("from"), body.get("random_from_number") is True
    if is_random == (from_ is not None):
        raise invalid_parameter("from", "give either from or random_from_number")
    if is_random:
        return {"type": "phone", "number": APPLICATION_NUMBER}
    if not isinstance(from_, dict) or from_.get("type") != "phone":
        raise invalid_parameter("from", 'must be an object of type "phone"')
    return checked_endpoint(from_, "from")


def _instructions(body: Mapping[str, Any]) -> Instructions:
    if (body.get("ncco") is None) == (body.get("answer_url") is None):
        raise invalid_parameter("answer_url", "give either ncco or answer_url")
    if body.get("ncco") is not None:
        return Instructions(actions=_ncco(body["ncco"], "ncco"))
    method = _choice(body, "answer_method", ("GET", "POST"), "GET")
    return Instructions(url=_url_in_list(body, "answer_url"), method=method)


def _ncco(document: Any, name: str) -> tuple[Action, ...]:
    try:
        return parse_ncco(document)
    except NccoError as error:
        raise invalid_parameter(name, str(error)) from None


def _url_in_list(body: Mapping[str, Any], name: str) -> str | None:
    urls = body.get(name)
    if urls is None:
        return None
    if not isinstance(urls, list) or len(urls) != 1 or not is_web_url(urls[0]):
        raise invalid_parameter(name, "must be a list of exactly one absolute URL")
    return str(urls[0])


def _machine_detection(body: Mapping[str, Any]) -> MachineDetection | None:
    advanced = body.get("advanced_machine_detection")
    if advanced is not None:
        if not isinstance(advanced, dict):
            raise invalid_parameter("advanced_machine_detection", "must be an object")
        _whole(advanced, "beep_timeout", 45, 45, 120)
        behavior = _choice(advanced, "behavior", ("continue", "hangup"), "continue")
        mode = _choice(advanced, "mode", ("default", "detect", "detect_beep"), "detect")
        return MachineDetection("hangup" if behavior == "hangup" else "continue", mode)
    if body.get("machine_detection") is None:
        return None
    behavior = _choice(body, "machine_detection", ("continue", "hangup"), "continue")
    return MachineDetection("hangup" if behavior == "hangup" else "continue")


def _choice(values: Mapping[str, Any], name: str, allowed: tuple[str, ...], default: str) -> str:
    value = values.get(name)
    if value is None:
        return default
    if value not in allowed:
        raise invalid_parameter(name, f"must be one of {', '.join(allowed)}")
    return str(value)


def _whole(values: Mapping[str, Any], name: str, default: int, least: int, most: int) -> int:
    value = values.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise _out_of_range(name, least, most)
    return value


def _whole_text(query: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 11 and least <= int(text) <= most):
        raise _out_of_range(name, least, most)
    return int(text)


def _out_of_range(name: str, least: int, most: int) -> VonageError:
    return invalid_parameter(name, f"must be a whole number from {least} to {most}")


def _moment(query: Mapping[str, str], name: str) -> datetime | None:
    text = query.get(name)
    if text is None:
        return None
    try:
        # A plus sign that nobody escaped arrives as a space.
        moment = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
    except ValueError:
        raise invalid_parameter(name, "must be a time like 2016-11-14T07:45:14Z") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
