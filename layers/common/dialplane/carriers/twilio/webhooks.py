"""Twilio's requests to us: are they Twilio's, and what do they say.

Loaded while a callee says hello, so nothing else is here. Which fields may travel on belongs to ``fields``, what they
mean to ``events``.
https://www.twilio.com/docs/usage/webhooks/webhooks-security
"""

from __future__ import annotations

import hmac
from urllib.parse import parse_qs, urlsplit

from twilio.request_validator import RequestValidator

from dialplane.carriers.contract import Answer, CarrierCredentials, ForeignAccount, Report, SignedRequest
from dialplane.carriers.twilio.fields import FIELDS_MAX, parse_fields, to_answered_by, to_session_status

SIGNATURE_HEADER = "x-twilio-signature"
SOCKET_SIGNATURE_HEADER: str | None = SIGNATURE_HEADER
UNSIGNED_STATUS = 403
BODY_BYTES_MAX = 64 * 1024
_FORM = "application/x-www-form-urlencoded"
_JSON = "application/json"
_DEFAULT_PORTS = {"https": 443, "wss": 443}


class _MultiValues(dict[str, list[str]]):
    """Form values by name in the interface that the validator looks for; a plain dict would lose repeated names."""

    def getlist(self, name: str) -> list[str]:
        return self[name]


def is_authentic(credentials: CarrierCredentials, request: SignedRequest) -> bool:
    """Say whether Twilio signed this request with the account's auth token.

    The answer is that of Twilio's own validator, with its pitfalls closed: bodies over 64 kB, other content types than
    a form or JSON, and JSON without ``bodySHA256`` in the URL are not authentic.
    """
    signature, token = request.headers.get(SIGNATURE_HEADER), credentials.get("auth_token")
    # Without a token the account is another carrier's: an address can name any carrier beside any account.
    if not signature or token is None or len(request.body) > BODY_BYTES_MAX:
        return False
    validator = RequestValidator(token)
    # Connection overrides (#rc=2) are for Twilio's client and are not part of what it signs.
    url = request.url.partition("#")[0]
    try:
        parameters = _signed_parameters(url, request.body, request.headers.get("content-type"))
        return bool(validator.validate(url, parameters, signature))
    except ValueError:  # not UTF-8, too many fields, an impossible port: nothing that Twilio sends
        return False


def is_authentic_socket(credentials: CarrierCredentials, request: SignedRequest) -> bool:
    """Say whether Twilio signed this handshake with the account's auth token.

    Twilio documents that it signs "the request URL". Its own server library validates a WebSocket's query string as if
    it were a form; as one with the address, as everywhere else, it is validated here too. With and without a port, as
    for any request.
    """
    signature, token = request.headers.get(SIGNATURE_HEADER), credentials.get("auth_token")
    if not signature or token is None:
        return False
    validator = RequestValidator(token)
    try:
        expected = [
            validator.compute_signature(url, parameters)
            for address in _with_and_without_port(request.url.partition("#")[0])
            for url, parameters in ((address, {}), _query_as_form(address))
        ]
    except ValueError:
        return False
    # As bytes: compare_digest refuses texts that are not ASCII, and this one is whatever somebody sent.
    sent = signature.encode("utf-8", "replace")
    return any(hmac.compare_digest(each.encode(), sent) for each in expected)


def _with_and_without_port(url: str) -> set[str]:
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 80)
    return {url, parts._replace(netloc=host).geturl(), parts._replace(netloc=f"{host}:{port}").geturl()}


def _query_as_form(url: str) -> tuple[str, dict[str, str]]:
    parts = urlsplit(url)
    query = parse_qs(parts.query, keep_blank_values=True, max_num_fields=FIELDS_MAX)
    return parts._replace(query="").geturl(), {name: values[0] for name, values in query.items()}


def parse_report(credentials: CarrierCredentials, body: bytes) -> Report:
    """Read an authentic status callback. Raises InvalidCallback and ForeignAccount."""
    return Report(_fields_of(credentials, body))


def parse_answer(credentials: CarrierCredentials, body: bytes) -> Answer:
    """Read an authentic request for TwiML. Raises InvalidCallback and ForeignAccount."""
    fields = _fields_of(credentials, body)
    raw = fields.get("AnsweredBy")
    return Answer(fields["CallSid"], to_answered_by(raw), raw, to_session_status(fields.get("SessionStatus")))


def _signed_parameters(url: str, raw_body: bytes, content_type: str | None) -> _MultiValues | str:
    """What the validator is to check beside the URL. Raises ValueError for a body that Twilio would not send."""
    media_type = (content_type or "").partition(";")[0].strip().lower()
    body = raw_body.decode("utf-8")
    if media_type == _JSON:
        # Without the hash in the URL the signature would not cover the body at all.
        if "bodySHA256" not in parse_qs(urlsplit(url).query):
            raise ValueError("a JSON body whose hash is not in the URL")
        return body
    if media_type != _FORM:
        raise ValueError("neither a form nor JSON")
    # Strict, because the lenient defaults read different bodies as one: invalid bytes as U+FFFD, "B&x" as "B=x" signed.
    fields = parse_qs(
        body, keep_blank_values=True, strict_parsing=bool(body), errors="strict", max_num_fields=FIELDS_MAX
    )
    return _MultiValues(fields)


def _fields_of(credentials: CarrierCredentials, body: bytes) -> dict[str, str]:
    fields = parse_fields(body)
    if fields["AccountSid"] != credentials["account_sid"]:
        raise ForeignAccount
    return fields
