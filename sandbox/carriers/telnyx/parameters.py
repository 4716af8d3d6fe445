"""What a Call Control command may say, checked as Telnyx checks it. Touches no call.

Source: the SDK's types and https://developers.telnyx.com/api-reference/call-commands/dial.
"""

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import phonenumbers

from sandbox.carriers.telnyx.errors import TelnyxError, invalid, missing, not_e164
from sandbox.carriers.telnyx.leg import RING_TIMEOUT_SECONDS_DEFAULT, TIME_LIMIT_SECONDS_MAX
from sandbox.carriers.telnyx.webhooks import RETRIES_MS_DEFAULT

Body = Mapping[str, Any]
Check = Callable[[str, Any], None]

SPEECH_LENGTH_MAX = 3000
CLIENT_STATE_LENGTH_MAX = 2048
_E164 = re.compile(r"\+[1-9][0-9]{1,14}")
_SIP_URI = re.compile(r"(sips?:)[^@\s]+@\S+")
_DISPLAY_NAME = re.compile(r"[A-Za-z0-9 \-_~!.+]{0,128}")
_SEND_DIGITS = re.compile(r"[0-9A-DwW*#]{1,64}")


@dataclass(frozen=True)
class DialParameters:
    """A checked dial or transfer. Durations are seconds; `relay` and `stream_url` are what the answer connects to."""

    to: str
    from_: str
    timeout_seconds: int = RING_TIMEOUT_SECONDS_DEFAULT
    time_limit_seconds: int = TIME_LIMIT_SECONDS_MAX
    stops_at_timeout: bool = False
    client_state: str | None = None
    webhook_url: str | None = None
    webhook_urls: Mapping[str, list[str]] = field(default_factory=dict)
    retries_ms: Mapping[str, list[int]] = field(default_factory=dict)
    detection: str | None = None
    relay: Mapping[str, Any] | None = None
    stream_url: str | None = None

    def urls_of(self, event_type: str) -> list[str]:
        """Where webhooks of an event go."""
        return self.webhook_urls.get(event_type) or ([self.webhook_url] if self.webhook_url else [])

    def retries_of(self, event_type: str) -> list[int]:
        """The delays between the attempts to deliver an event, in milliseconds."""
        return self.retries_ms.get(event_type, list(RETRIES_MS_DEFAULT))


@dataclass(frozen=True)
class Speech:
    """A checked speak command; `loops` None repeats until the call ends."""

    text: str
    pauses_seconds: float
    loops: int | None


@dataclass(frozen=True)
class RecordingParameters:
    """A checked record_start command."""

    channels: int
    format: str


def parse_dial(body: Body, owned_numbers_check: Callable[[str], None]) -> DialParameters:
    """Check a dial. `owned_numbers_check` refuses caller numbers that are not the account's. Raises TelnyxError."""
    from_ = _text(body, "from")
    if not is_phone_number(from_):
        raise not_e164("from")
    owned_numbers_check(from_)
    return _outbound(body, _destination(body), from_)


def parse_transfer(body: Body, from_: str) -> DialParameters:
    """Check a transfer; `from_` is the caller number unless it names one. Raises TelnyxError."""
    if body.get("from") and not is_phone_number(_text(body, "from")):
        raise not_e164("from")
    return _outbound(body, _destination(body), body.get("from") or from_, client_state="target_leg_client_state")


def parse_speech(body: Body) -> Speech:
    """Check a speak command. Raises TelnyxError."""
    payload = _text(body, "payload")
    _text(body, "voice")
    if len(payload) > SPEECH_LENGTH_MAX:
        raise invalid("payload", f"The payload may have {SPEECH_LENGTH_MAX} characters.")
    _one_of("text", "ssml")("payload_type", body.get("payload_type", "text"))
    loop = body.get("loop", 1)
    if loop != "infinity" and not str(loop).isdigit():
        raise invalid("loop", "loop must be a number or infinity.")
    pauses = 0.0
    if body.get("payload_type") == "ssml":
        pauses = sum(float(seconds) for seconds in re.findall(r'<break\s+time="([0-9.]+)s"\s*/>', payload))
        payload = re.sub(r"<[^>]*>", " ", payload)
    return Speech(payload, pauses, None if loop == "infinity" else int(loop))


def parse_recording(body: Body) -> RecordingParameters:
    """Check a record_start command. Raises TelnyxError."""
    for name in ("channels", "format"):
        _text(body, name)
        _CHECKS[f"record_{name}"](name, body[name])
    for name, check in {"max_length": _integer_between(0, 14_400), "play_beep": _one_of(True, False)}.items():
        if body.get(name) is not None:
            check(name, body[name])
    return RecordingParameters(2 if body["channels"] == "dual" else 1, body["format"])


def check_command(body: Body) -> None:
    """Check what every command may say. Raises TelnyxError."""
    for name in ("command_id", "client_state"):
        if body.get(name) is not None:
            _CHECKS[name](name, body[name])


def _outbound(body: Body, to: str, from_: str, *, client_state: str = "client_state") -> DialParameters:
    for name, value in body.items():
        check = _CHECKS.get(name)
        if check is not None and value is not None:
            check(name, value)
    if body.get("audio_url") and body.get("media_name"):
        raise invalid("audio_url", "audio_url and media_name cannot be used together.")
    detection = body.get("answering_machine_detection")
    return DialParameters(
        to=to,
        from_=from_,
        timeout_seconds=body.get("timeout_secs") or RING_TIMEOUT_SECONDS_DEFAULT,
        time_limit_seconds=body.get("time_limit_secs") or TIME_LIMIT_SECONDS_MAX,
        stops_at_timeout=body.get("retry_on_timeout") is False,
        client_state=body.get(client_state),
        webhook_url=body.get("webhook_url"),
        webhook_urls=body.get("webhook_urls") or {},
        retries_ms={
            event: policy["retries_ms"] for event, policy in (body.get("webhook_retries_policies") or {}).items()
        },
        detection=None if detection == "disabled" else detection,
        relay=body.get("conversation_relay_config"),
        stream_url=body.get("stream_url"),
    )


def _destination(body: Body) -> str:
    to = body.get("to")
    if isinstance(to, list):
        if len(to) != 1:
            raise invalid("to", "The simulated Telnyx dials one destination at a time.")
        to = to[0]
    if not isinstance(to, str) or not to:
        raise missing("to")
    # Digits to send may follow a single destination.
    number = to.partition(",")[0] if not to.startswith("sip") else to
    if not is_destination(number):
        raise not_e164("to")
    return number


def is_destination(value: str) -> bool:
    """Whether a text is a phone number or a SIP URI."""
    return bool(_SIP_URI.fullmatch(value)) or is_phone_number(value)


def is_phone_number(value: str) -> bool:
    """Whether a text is a possible number in E.164."""
    if not _E164.fullmatch(value):
        return False
    try:
        return phonenumbers.is_possible_number(phonenumbers.parse(value))
    except phonenumbers.NumberParseException:
        return False


def _text(body: Body, name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise missing(name)
    return value


def _integer_between(least: int, most: int) -> Check:
    def check(name: str, value: Any) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise invalid(name, f"{name} must be an integer from {least} to {most}.")

    return check


def _one_of(*allowed: object) -> Check:
    def check(name: str, value: Any) -> None:
        if value not in allowed:
            raise invalid(name, f"{name} must be one of {', '.join(str(each) for each in allowed)}.")

    return check


def _matching(pattern: re.Pattern[str], what: str) -> Check:
    def check(name: str, value: Any) -> None:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise invalid(name, f"{name} must be {what}.")

    return check


def _url_with(*schemes: str) -> Check:
    def check(name: str, value: Any) -> None:
        try:
            parts = urlsplit(value) if isinstance(value, str) and not re.search(r"\s", value) else None
        except ValueError:
            parts = None
        if parts is None or parts.scheme not in schemes or not parts.hostname:
            raise TelnyxError(
                422, "10003", "Invalid URL", "The URL provided was invalid, malformed, or too long.", f"/{name}"
            )

    return check


def _of_type(kind: type, what: str) -> Check:
    def check(name: str, value: Any) -> None:
        if not isinstance(value, kind):
            raise invalid(name, f"{name} must be {what}.")

    return check


def _base64(name: str, value: Any) -> None:
    try:
        if not isinstance(value, str) or len(value) > CLIENT_STATE_LENGTH_MAX:
            raise ValueError
        base64.b64decode(value, validate=True)
    except ValueError:
        raise invalid(name, f"{name} must be a base64 text.") from None


def _relay(name: str, value: Any) -> None:
    if not isinstance(value, dict):
        raise invalid(name, f"{name} must be an object.")
    _url_with("wss", "ws")(f"{name}/url", value.get("url"))
    for field_name, given in value.items():
        check = _RELAY_CHECKS.get(field_name)
        if check is not None and given is not None:
            check(f"{name}/{field_name}", given)
    voice_settings = value.get("voice_settings") or {}
    if str(value.get("voice", "")).startswith("ElevenLabs.") and not voice_settings.get("api_key_ref"):
        raise invalid(f"{name}/voice_settings", "A voice of ElevenLabs' needs an api_key_ref.")


def _retries_policies(name: str, value: Any) -> None:
    policies = value.values() if isinstance(value, dict) else [None]
    for policy in policies:
        delays = policy.get("retries_ms") if isinstance(policy, dict) else None
        if (
            not isinstance(delays, list)
            or len(delays) > 5
            or not all(isinstance(delay, int) and delay >= 0 for delay in delays)
            or sum(delays) > 60_000
        ):
            raise invalid(name, "A policy has up to five retries_ms that sum up to 60000 at most.")


def _urls_by_event(name: str, value: Any) -> None:
    if not isinstance(value, dict) or not all(isinstance(urls, list) for urls in value.values()):
        raise invalid(name, f"{name} maps event types to lists of URLs.")
    for urls in value.values():
        for url in urls:
            _web_url(name, url)


_text_value, _object, _boolean = _of_type(str, "a text"), _of_type(dict, "an object"), _of_type(bool, "true or false")
_interruptions = _one_of("any", "none", "speech", "dtmf")
_RELAY_CHECKS: Final[Mapping[str, Check]] = {
    "custom_parameters": _object,
    "dtmf_detection": _boolean,
    "greeting": _text_value,
    "interruptible": _interruptions,
    "interruptible_greeting": _interruptions,
    "interruption_settings": _object,
    "language": _text_value,
    "transcription_engine": _one_of(
        *("Google", "Telnyx", "Deepgram", "Azure", "xAI", "AssemblyAI", "Speechmatics", "Soniox", "A", "B")
    ),
    "transcription_engine_config": _object,
    "tts_provider": _text_value,
    "voice": _text_value,
    "voice_settings": _object,
}
_web_url = _url_with("http", "https")
_command_id = _matching(re.compile(r"\S{1,255}"), "a text of up to 255 characters")
# Telnyx can also send webhooks with GET; the simulated one cannot, and says so.
_posted = _one_of("POST")

_CHECKS: Final[Mapping[str, Check]] = {
    "timeout_secs": _integer_between(5, 600),
    "time_limit_secs": _integer_between(1, TIME_LIMIT_SECONDS_MAX),
    "retry_on_timeout": _one_of(True, False),
    "command_id": _command_id,
    "client_state": _base64,
    "target_leg_client_state": _base64,
    "webhook_url": _web_url,
    "webhook_url_method": _posted,
    "webhook_urls": _urls_by_event,
    "webhook_urls_method": _posted,
    "webhook_retries_policies": _retries_policies,
    "from_display_name": _matching(_DISPLAY_NAME, "up to 128 letters, digits, spaces and -_~!.+"),
    "send_digits_on_answer": _matching(_SEND_DIGITS, "up to 64 of 0-9, A-D, w, W, * and #"),
    "answering_machine_detection": _one_of(
        *("premium", "detect", "detect_beep", "detect_words", "greeting_end", "disabled")
    ),
    "record": _one_of("record-from-answer"),
    "record_channels": _one_of("single", "dual"),
    "record_format": _one_of("wav", "mp3"),
    "record_max_length": _integer_between(0, 43_200),
    "stream_url": _url_with("wss", "ws"),
    "stream_track": _one_of("inbound_track", "outbound_track", "both_tracks"),
    "stream_bidirectional_mode": _one_of("mp3", "rtp"),
    "sip_transport_protocol": _one_of("UDP", "TCP", "TLS"),
    "media_encryption": _one_of("disabled", "SRTP", "DTLS"),
    "privacy": _one_of("id", "none"),
    "conversation_relay_config": _relay,
}
