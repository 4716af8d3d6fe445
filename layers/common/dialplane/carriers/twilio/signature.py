"""Is a request really from Twilio? The answer of Twilio's own validator, with its pitfalls closed.

Only authenticity; what the request says belongs to ``callbacks``.
https://www.twilio.com/docs/usage/webhooks/webhooks-security
"""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from twilio.request_validator import RequestValidator

BODY_BYTES_MAX = 64 * 1024
_FIELDS_MAX = 200
_FORM = "application/x-www-form-urlencoded"
_JSON = "application/json"


class _MultiValues(dict[str, list[str]]):
    """Form values by name in the interface that the validator looks for; a plain dict would lose repeated names."""

    def getlist(self, name: str) -> list[str]:
        return self[name]


def is_authentic(auth_token: str, url: str, raw_body: bytes, content_type: str | None, signature: str | None) -> bool:
    """Say whether Twilio signed this request with the account's auth token. Never raises.

    ``url`` is the address as we configured it, not as the request claims it: proxies change Host and scheme. Bodies
    over 64 kB, other content types than a form or JSON, and JSON without ``bodySHA256`` in the URL are not authentic.
    """
    if not signature or not auth_token or len(raw_body) > BODY_BYTES_MAX:
        return False
    # Connection overrides (#rc=2) are for Twilio's client and are not part of what it signs.
    url = url.partition("#")[0]
    try:
        return bool(
            RequestValidator(auth_token).validate(url, _signed_parameters(url, raw_body, content_type), signature)
        )
    except ValueError:  # not UTF-8, too many fields, an impossible port: nothing that Twilio sends
        return False


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
        body, keep_blank_values=True, strict_parsing=bool(body), errors="strict", max_num_fields=_FIELDS_MAX
    )
    return _MultiValues(fields)
