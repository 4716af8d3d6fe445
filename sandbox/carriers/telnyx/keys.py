"""Telnyx's Ed25519 keys: the public one is in the application's secret, the private one is Telnyx's alone.

A signature is over `{timestamp}|{body}`, its time in unix seconds.
Source: https://developers.telnyx.com/development/api-fundamentals/webhooks/receiving-webhooks
"""

import base64
import time
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sandbox.carriers.carrier import AccountError

SIGNATURE_HEADER = "telnyx-signature-ed25519"
TIMESTAMP_HEADER = "telnyx-timestamp"
_SEED_BYTES = 32


@dataclass(frozen=True)
class SigningKeys:
    """A matching pair, each 32 bytes in base64. An account's JSON has both, under these names."""

    signing_key: str
    public_key: str


def new_signing_keys() -> SigningKeys:
    """A random pair."""
    return _pair(Ed25519PrivateKey.generate().private_bytes_raw())


def fixed_signing_keys(first_byte: int = 0) -> SigningKeys:
    """The same pair every time, for tests: the private key is 32 bytes counting up from `first_byte`."""
    return _pair(bytes((first_byte + position) % 256 for position in range(_SEED_BYTES)))


class Signer:
    """Signs what Telnyx sends for an account."""

    def __init__(self, signing_key: str) -> None:
        """Raises AccountError."""
        try:
            self._key = Ed25519PrivateKey.from_private_bytes(base64.b64decode(signing_key, validate=True))
        except ValueError:
            raise AccountError(f"signing_key must be {_SEED_BYTES} bytes in base64") from None
        self.public_key = base64.b64encode(self._key.public_key().public_bytes_raw()).decode()

    def headers(self, body: bytes) -> dict[str, str]:
        """The headers that prove a body to be Telnyx's, sent now."""
        timestamp = str(int(time.time()))
        signature = self._key.sign(timestamp.encode() + b"|" + body)
        return {SIGNATURE_HEADER: base64.b64encode(signature).decode(), TIMESTAMP_HEADER: timestamp}


def _pair(seed: bytes) -> SigningKeys:
    signing_key = base64.b64encode(seed).decode()
    return SigningKeys(signing_key, Signer(signing_key).public_key)
