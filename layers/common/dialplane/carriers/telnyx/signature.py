"""Is a request really from Telnyx? Call Control's webhooks and TeXML's callbacks are signed alike, and no handshake.

Only authenticity, and where Telnyx is; what a request says belongs to ``webhooks``. The signature covers the body and
the time, not the address: nothing may be concluded from the address that the body contradicts.
https://developers.telnyx.com/docs/messaging/messages/receiving-webhooks#webhook-signing
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode

from dialplane.carriers.contract import CarrierCredentials, SignedRequest

BASE_URL = "https://api.telnyx.com"
SIGNATURE_HEADER = "telnyx-signature-ed25519"
SOCKET_SIGNATURE_HEADER: str | None = None
"""Telnyx documents no signature of the handshake with which it opens a conversation's WebSocket."""
TIMESTAMP_HEADER = "telnyx-timestamp"
TOLERANCE_SECONDS = 300
BODY_BYTES_MAX = 64 * 1024
_TIMESTAMP = re.compile(r"[0-9]{1,12}", re.ASCII)
_KEY_BYTES = 32
_SIGNATURE_BYTES = 64


def is_authentic(credentials: CarrierCredentials, request: SignedRequest) -> bool:
    """Say whether the account's Telnyx signed this body at most five minutes ago. Never raises for any request.

    Times ahead of ours are bounded alike. Bodies over 64 kB are not authentic.
    """
    key = _decode(credentials.get("public_key"), _KEY_BYTES)
    signature = _decode(request.headers.get(SIGNATURE_HEADER), _SIGNATURE_BYTES)
    timestamp = request.headers.get(TIMESTAMP_HEADER, "")
    if key is None or signature is None or not _TIMESTAMP.fullmatch(timestamp) or len(request.body) > BODY_BYTES_MAX:
        return False
    if abs(request.now.timestamp() - int(timestamp)) > TOLERANCE_SECONDS:
        return False
    return _is_signed(key, signature, timestamp.encode("ascii") + b"|" + request.body)


def is_authentic_socket(credentials: CarrierCredentials, request: SignedRequest) -> bool:
    """Say whether the account is Telnyx's at all: nothing in a handshake proves that Telnyx has sent it.

    What opens the WebSocket is the token in its address, which was told to Telnyx only, over TLS, and opens it once.
    """
    del request
    return _decode(credentials.get("public_key"), _KEY_BYTES) is not None


def api_url(credentials: CarrierCredentials) -> str:
    """Where the account's API is, without a trailing slash."""
    return credentials.get("api_base_url") or BASE_URL


def _is_signed(key: bytes, signature: bytes, message: bytes) -> bool:
    # Loaded only by requests that could be Telnyx's: it takes longer to load than everything else here.
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415

    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _decode(text: str | None, size: int) -> bytes | None:
    """The bytes of a base64 text, if it is the one text that stands for them."""
    if not text or len(text) > 2 * size:
        return None
    try:
        decoded = b64decode(text, validate=True)
    except ValueError:
        return None
    return decoded if len(decoded) == size and b64encode(decoded).decode() == text else None
