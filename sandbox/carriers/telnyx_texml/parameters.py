"""What a TeXML request to create or update a call may say, checked as Telnyx checks it. Touches no call."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from sandbox.carriers.carrier import Account
from sandbox.carriers.documents import Instructions
from sandbox.carriers.telnyx.errors import (
    TelnyxError,
    invalid,
    missing,
    not_e164,
    unknown_application,
    unverified_origination_number,
)
from sandbox.carriers.telnyx.leg import RING_TIMEOUT_SECONDS_DEFAULT, TIME_LIMIT_SECONDS_MAX
from sandbox.carriers.telnyx.parameters import is_destination, is_phone_number

CALL_EVENTS = ("initiated", "ringing", "answered", "completed")
DETECTION_MILLISECONDS_DEFAULT = 30_000

# Names and values as texts, whether they came as a form or as JSON.
Fields = Mapping[str, str]


@dataclass(frozen=True)
class TexmlParameters:
    """A checked create request. Durations are seconds, as far as their name says nothing else."""

    application_sid: str
    to: str
    from_: str
    caller_id: str
    instructions: Instructions
    fallback: Instructions | None
    status_callback: str | None
    status_callback_method: str
    status_callback_events: frozenset[str]
    timeout_seconds: int
    time_limit_seconds: int
    detection: str | None
    detection_milliseconds: int
    detects_beside_the_call: bool
    detection_callback: str | None


@dataclass(frozen=True)
class TexmlUpdate:
    """A checked update request; what is None stays as it was."""

    ends: bool
    instructions: Instructions | None
    status_callback: str | None


@dataclass(frozen=True)
class TexmlRecordingParameters:
    """A checked request to record a call; `tells_url` says whether callbacks may carry the address of the audio."""

    channels: int
    callback: str | None
    callback_method: str
    events: frozenset[str]
    tells_url: bool


def parse_create(
    fields: Fields, applications: Mapping[str, Account], owned_numbers: frozenset[str] | None
) -> TexmlParameters:
    """Check a create request against the account's applications. Raises TelnyxError."""
    application_sid = _required(fields, "ApplicationSid")
    if application_sid not in applications:
        raise unknown_application("ApplicationSid")
    application = applications[application_sid]
    to, from_ = _required(fields, "To"), _required(fields, "From")
    if not is_destination(to):
        raise not_e164("To")
    if not is_phone_number(from_):
        raise not_e164("From")
    if owned_numbers is not None and from_ not in owned_numbers:
        raise unverified_origination_number("From")
    instructions = _instructions({"Url": application.get("voice_url", ""), **fields}, "UrlMethod")
    if instructions is None:
        raise missing("Url")
    detection = _word(fields, "MachineDetection", ("Enable", "Disable", "DetectMessageEnd"), "Disable")
    fallback_url = _url(fields, "FallbackUrl")
    return TexmlParameters(
        application_sid=application_sid,
        to=to,
        from_=from_,
        caller_id=fields.get("CallerId", from_),
        instructions=instructions,
        fallback=Instructions(url=fallback_url, method=_method(fields, "FallbackMethod")) if fallback_url else None,
        status_callback=_url(fields, "StatusCallback") or application.get("status_callback"),
        status_callback_method=_method(fields, "StatusCallbackMethod"),
        status_callback_events=_events(fields, "StatusCallbackEvent", CALL_EVENTS),
        timeout_seconds=_integer(fields, "Timeout", 5, 120, RING_TIMEOUT_SECONDS_DEFAULT),
        time_limit_seconds=_integer(fields, "TimeLimit", 30, TIME_LIMIT_SECONDS_MAX, TIME_LIMIT_SECONDS_MAX),
        detection=None if detection == "Disable" else detection,
        detection_milliseconds=_integer(fields, "MachineDetectionTimeout", 500, 60_000, DETECTION_MILLISECONDS_DEFAULT),
        detects_beside_the_call=_word(fields, "AsyncAmd", ("true", "false"), "false") == "true",
        detection_callback=_url(fields, "AsyncAmdStatusCallback"),
    )


def parse_update(fields: Fields) -> TexmlUpdate:
    """Check an update request. Raises TelnyxError."""
    return TexmlUpdate(
        ends=_word(fields, "Status", ("completed",), "") == "completed",
        instructions=_instructions(fields, "Method"),
        status_callback=_url(fields, "StatusCallback"),
    )


def parse_recording(fields: Fields) -> TexmlRecordingParameters:
    """Check a request to record. Raises TelnyxError."""
    _word(fields, "RecordingTrack", ("inbound", "outbound", "both"), "both")
    _word(fields, "PlayBeep", ("true", "false"), "true")
    return TexmlRecordingParameters(
        channels=2 if _word(fields, "RecordingChannels", ("single", "dual"), "dual") == "dual" else 1,
        callback=_url(fields, "RecordingStatusCallback"),
        callback_method=_method(fields, "RecordingStatusCallbackMethod"),
        events=_events(fields, "RecordingStatusCallbackEvent", ("in-progress", "completed", "absent")),
        tells_url=_word(fields, "SendRecordingUrl", ("true", "false"), "true") == "true",
    )


def _instructions(fields: Fields, method: str) -> Instructions | None:
    if fields.get("Texml"):
        return Instructions(twiml=fields["Texml"])
    url = _url(fields, "Url")
    return Instructions(url=url, method=_method(fields, method)) if url else None


def _events(fields: Fields, name: str, events: tuple[str, ...]) -> frozenset[str]:
    """One text with the events in it, unlike Twilio's repeated parameter."""
    words = fields.get(name, "completed").split()
    unknown = [word for word in words if word not in events]
    if unknown:
        raise invalid(name, f"{name} may hold {', '.join(events)}.")
    return frozenset(words)


def _required(fields: Fields, name: str) -> str:
    if not fields.get(name):
        raise missing(name)
    return fields[name]


def _url(fields: Fields, name: str) -> str | None:
    value = fields.get(name)
    if not value:
        return None
    try:
        parts = urlsplit(value)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and not re.search(r"\s", value)
    except ValueError:
        valid = False
    if not valid:
        raise TelnyxError(
            422, "10003", "Invalid URL", "The URL provided was invalid, malformed, or too long.", f"/{name}"
        )
    return value


def _method(fields: Fields, name: str) -> str:
    return _word(fields, name, ("GET", "POST"), "POST")


def _word(fields: Fields, name: str, words: tuple[str, ...], default: str) -> str:
    value = fields.get(name, default)
    if value != default and value not in words:
        raise invalid(name, f"{name} must be one of {', '.join(words)}.")
    return value


def _integer(fields: Fields, name: str, least: int, most: int, default: int) -> int:
    value = fields.get(name)
    if value is None:
        return default
    if not re.fullmatch(r"[0-9]{1,6}", value) or not least <= int(value) <= most:
        raise invalid(name, f"{name} must be an integer from {least} to {most}.")
    return int(value)
