"""Twilio's request signature (X-Twilio-Signature), computed the way Twilio documents it.

Own code on purpose: the official SDK's validator is what the tests hold it against.
Source: https://www.twilio.com/docs/usage/security#validating-requests
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable


def compute_signature(auth_token: str, url: str, form: Iterable[tuple[str, str]] = ()) -> str:
    """Sign a request to `url` (as called, fragment excluded) that posts `form`; base64 of HMAC-SHA1.

    Each distinct name in byte order is followed by its distinct values, in order. A GET, a JSON body and a WebSocket
    handshake sign the URL alone.
    """
    signed = url.partition("#")[0] + "".join(name + value for name, value in sorted(set(form)))
    digest = hmac.new(auth_token.encode(), signed.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()
