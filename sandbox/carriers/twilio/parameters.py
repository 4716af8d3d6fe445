"""What a request to create or update a call may say, checked as Twilio checks it.

Turns form pairs into typed parameters or raises the TwilioError that Twilio would answer. Touches no call.
Source: https://www.twilio.com/docs/voice/api/call-resource and twilio_api_v2010.json of twilio-oai.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import phonenumbers

from sandbox.carriers.documents import Instructions
from sandbox.carriers.twilio.errors import TwilioError, invalid_parameter, invalid_to

CALL_EVENTS = ("initiated", "ringing", "answered", "completed")
TWIML_LENGTH_MAX = 4000
TIME_LIMIT_SECONDS_DEFAULT = 14_400
RING_TIMEOUT_SECONDS_DEFAULT = 60
AMD_TIMEOUT_SECONDS_DEFAULT = 30

_E164 = re.compile(r"\+[1-9][0-9]{1,14}")
_CLIENT_OR_SIP = re.compile(r"(client:|sips?:)\S+")
_SEND_DIGITS = re.compile(r"[0-9A-D#*wW]{1,32}")
_INTEGER = re.compile(r"[0-9]{1,9}")

Form = Mapping[str, list[str]]
Check = Callable[[str, str], None]


@dataclass(frozen=True)
class CallParameters:
    """A checked create request. Durations are seconds; `status_callback_events` is None when one was not an event."""

    to: str
    from_: str
    instructions: Instructions
    fallback_url: str | None
    fallback_method: str
    status_callback: str | None
    status_callback_method: str
    status_callback_events: frozenset[str] | None
    timeout: int
    time_limit: int
    machine_detection: str | None
    machine_detection_timeout: int
    async_amd: bool
    async_amd_status_callback: str | None
    async_amd_status_callback_method: str


@dataclass(frozen=True)
class CallUpdate:
    """A checked update request; what is None stays as it was."""

    status: str | None
    instructions: Instructions | None
    fallback_url: str | None
    fallback_method: str | None
    status_callback: str | None
    status_callback_method: str | None
    time_limit: int | None


@dataclass(frozen=True)
class RecordingParameters:
    """A checked request to record a call."""

    channels: int
    callback: str | None
    callback_method: str
    events: frozenset[str]


def group(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Form pairs by name, in order."""
    grouped: dict[str, list[str]] = {}
    for name, value in pairs:
        grouped.setdefault(name, []).append(value)
    return grouped


def parse_create(form: Form, owned_numbers: frozenset[str] | None) -> CallParameters:
    """Check a create request. `owned_numbers` None means that every caller number is owned. Raises TwilioError."""
    to, from_ = _checked_to(form), _checked_from(form, owned_numbers)
    instructions = _instructions(form)
    if instructions is None:
        if "ApplicationSid" in form:
            # The simulated account has no applications, so the only true answer is that this one does not exist.
            raise TwilioError(400, 21218, f"ApplicationSid '{_first(form, 'ApplicationSid')}' is not valid")
        raise TwilioError(400, 21205, "Url parameter is required.")
    _check_all(form)
    send_digits = _first(form, "SendDigits")
    return CallParameters(
        to=to,
        from_=from_,
        instructions=instructions,
        fallback_url=_first(form, "FallbackUrl"),
        fallback_method=_method(form, "FallbackMethod"),
        status_callback=_first(form, "StatusCallback"),
        status_callback_method=_method(form, "StatusCallbackMethod"),
        status_callback_events=_events(form),
        timeout=_integer(form, "Timeout", RING_TIMEOUT_SECONDS_DEFAULT),
        time_limit=_integer(form, "TimeLimit", TIME_LIMIT_SECONDS_DEFAULT),
        # Digits to send tell Twilio that a machine is expected: it then does not look for one.
        machine_detection=None if send_digits else _first(form, "MachineDetection"),
        machine_detection_timeout=_integer(form, "MachineDetectionTimeout", AMD_TIMEOUT_SECONDS_DEFAULT),
        async_amd=_first(form, "AsyncAmd") == "true",
        async_amd_status_callback=_first(form, "AsyncAmdStatusCallback"),
        async_amd_status_callback_method=_method(form, "AsyncAmdStatusCallbackMethod"),
    )


def parse_update(form: Form) -> CallUpdate:
    """Check an update request. Raises TwilioError."""
    status = _first(form, "Status")
    if status is not None and status not in ("canceled", "completed"):
        raise invalid_parameter("Status", status, "one of canceled, completed")
    instructions = _instructions(form)
    _check_all(form)
    return CallUpdate(
        status=status,
        instructions=instructions,
        fallback_url=_first(form, "FallbackUrl"),
        fallback_method=_method(form, "FallbackMethod") if "FallbackMethod" in form else None,
        status_callback=_first(form, "StatusCallback"),
        status_callback_method=_method(form, "StatusCallbackMethod") if "StatusCallbackMethod" in form else None,
        time_limit=_integer(form, "TimeLimit", 0) or None,
    )


def parse_recording(form: Form) -> RecordingParameters:
    """Check a request to record. Raises TwilioError."""
    events = [word for value in form.get("RecordingStatusCallbackEvent", ["completed"]) for word in value.split()]
    _check_all({**form, "RecordingStatusCallbackEvent": events})
    return RecordingParameters(
        channels=2 if _first(form, "RecordingChannels") == "dual" else 1,
        callback=_first(form, "RecordingStatusCallback"),
        callback_method=_method(form, "RecordingStatusCallbackMethod"),
        events=frozenset(events),
    )


def _checked_to(form: Form) -> str:
    to = _first(form, "To")
    if not to:
        raise TwilioError(400, 21201, "No 'To' number is specified")
    if not _CLIENT_OR_SIP.fullmatch(to) and not _is_phone_number(to):
        raise invalid_to(to)
    return to


def _checked_from(form: Form, owned_numbers: frozenset[str] | None) -> str:
    from_ = _first(form, "From")
    if not from_:
        raise TwilioError(400, 21213, "No 'From' number is specified")
    if not _CLIENT_OR_SIP.fullmatch(from_) and not _is_phone_number(from_):
        raise TwilioError(400, 21212, f"The phone number provided: {from_}, is not valid.")
    if owned_numbers is not None and from_ not in owned_numbers:
        raise TwilioError(
            400,
            21210,
            f"The source phone number provided, {from_}, is not yet verified for your account. "
            "You may only make calls from phone numbers that you've verified or purchased from Twilio.",
        )
    return from_


def _is_phone_number(value: str) -> bool:
    if not _E164.fullmatch(value):
        return False
    try:
        return phonenumbers.is_possible_number(phonenumbers.parse(value))
    except phonenumbers.NumberParseException:
        return False


def _instructions(form: Form) -> Instructions | None:
    url, twiml = _first(form, "Url"), _first(form, "Twiml")
    if url:
        _url("Url", url)
        return Instructions(url=url, method=_method(form, "Method"))
    if twiml:
        if len(twiml) > TWIML_LENGTH_MAX:
            raise invalid_parameter("Twiml", f"{len(twiml)} characters", f"at most {TWIML_LENGTH_MAX} characters long")
        return Instructions(twiml=twiml)
    return None


def _events(form: Form) -> frozenset[str] | None:
    """The events asked for, None when a word is none: Twilio then takes the call and sends no callback (21626)."""
    if "StatusCallbackEvent" not in form:
        return frozenset({"completed"})
    events = frozenset(form["StatusCallbackEvent"])
    return events if events <= frozenset(CALL_EVENTS) else None


def _first(form: Form, name: str) -> str | None:
    values = form.get(name)
    return values[0] if values else None


def _method(form: Form, name: str) -> str:
    return (_first(form, name) or "POST").upper()


def _integer(form: Form, name: str, default: int) -> int:
    value = _first(form, name)
    return default if value is None else int(value)


def _check_all(form: Form) -> None:
    for name, values in form.items():
        check = _CHECKS.get(name)
        if check is not None:
            for value in values:
                check(name, value)


def _url(name: str, value: str) -> None:
    try:
        parts = urlsplit(value)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and not re.search(r"\s", value)
    except ValueError:
        valid = False
    if not valid:
        raise TwilioError(400, 21205, f"{name} is not a valid URL: {value}")


def _http_method(name: str, value: str) -> None:
    if value.upper() not in ("GET", "POST"):
        raise TwilioError(400, 21209, f"{name} must be GET or POST, got '{value}'")


def _digits(name: str, value: str) -> None:
    if not _SEND_DIGITS.fullmatch(value):
        raise TwilioError(400, 21206, f"{name} may hold up to 32 of 0-9, A-D, #, *, w and W, got '{value}'")


def _ring_timeout(name: str, value: str) -> None:
    if not _INTEGER.fullmatch(value) or not 1 <= int(value) <= 600:
        raise TwilioError(400, 21208, f"{name} must be an integer from 1 to 600, got '{value}'")


def _integer_between(least: int, most: int) -> Check:
    def check(name: str, value: str) -> None:
        if not _INTEGER.fullmatch(value) or not least <= int(value) <= most:
            raise invalid_parameter(name, value, f"an integer from {least} to {most}")

    return check


def _one_of(*words: str) -> Check:
    def check(name: str, value: str) -> None:
        if value not in words:
            raise invalid_parameter(name, value, f"one of {', '.join(words)}")

    return check


_boolean = _one_of("true", "false", "True", "False")

_CHECKS: Final[Mapping[str, Check]] = {
    "Method": _http_method,
    "FallbackUrl": _url,
    "FallbackMethod": _http_method,
    "StatusCallback": _url,
    "StatusCallbackMethod": _http_method,
    "SendDigits": _digits,
    "Timeout": _ring_timeout,
    "TimeLimit": _integer_between(1, 86_400),
    "Record": _boolean,
    "RecordingChannels": _one_of("mono", "dual"),
    "RecordingTrack": _one_of("inbound", "outbound", "both"),
    "RecordingStatusCallback": _url,
    "RecordingStatusCallbackMethod": _http_method,
    "RecordingStatusCallbackEvent": _one_of("in-progress", "completed", "absent"),
    "Trim": _one_of("trim-silence", "do-not-trim"),
    "MachineDetection": _one_of("Enable", "DetectMessageEnd"),
    "MachineDetectionTimeout": _integer_between(3, 59),
    "MachineDetectionSpeechThreshold": _integer_between(1000, 6000),
    "MachineDetectionSpeechEndThreshold": _integer_between(500, 5000),
    "MachineDetectionSilenceTimeout": _integer_between(2000, 10_000),
    # Strings, not booleans: Twilio takes exactly these two.
    "AsyncAmd": _one_of("true", "false"),
    "AsyncAmdStatusCallback": _url,
    "AsyncAmdStatusCallbackMethod": _http_method,
    "ClientNotificationUrl": _url,
}
