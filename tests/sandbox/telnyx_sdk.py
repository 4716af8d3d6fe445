"""Telnyx's official SDK against the simulator: its client with another base URL, its own check of webhooks.

That check asks PyNaCl for Ed25519; the primitive comes from `cryptography` instead, which is what we have.
"""

import sys
from types import ModuleType

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from telnyx import Telnyx

from sandbox.carriers.telnyx.keys import fixed_signing_keys

KEYS = fixed_signing_keys()
API_KEY = "KEY0190-the-application-under-test"


class VerifyKey:
    """PyNaCl's class of this name as far as the SDK uses it."""

    def __init__(self, key: bytes) -> None:
        self._key = Ed25519PublicKey.from_public_bytes(key)

    def verify(self, message: bytes, signature: bytes) -> None:
        self._key.verify(signature, message)


def sdk_client(base_url: str, api_key: str = API_KEY, timeout: float = 20) -> Telnyx:
    """The SDK, unchanged but for its host; it must not repeat what the tests want to see once."""
    return Telnyx(
        api_key=api_key, public_key=KEYS.public_key, base_url=f"{base_url}/v2", max_retries=0, timeout=timeout
    )


def provide_nacl(patch: pytest.MonkeyPatch) -> None:
    """Let the SDK find PyNaCl's names."""
    signing, exceptions = ModuleType("nacl.signing"), ModuleType("nacl.exceptions")
    signing.VerifyKey = VerifyKey  # type: ignore[attr-defined]
    exceptions.BadSignatureError = InvalidSignature  # type: ignore[attr-defined]
    for name, module in {"nacl": ModuleType("nacl"), "nacl.signing": signing, "nacl.exceptions": exceptions}.items():
        patch.setitem(sys.modules, name, module)
