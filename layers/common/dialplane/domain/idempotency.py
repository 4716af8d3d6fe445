"""Idempotency-Key: one key, one call.

The contract is the one of the IETF draft "The Idempotency-Key HTTP Header Field": 409 while the first request runs, 422
for another body. Where a record is kept belongs to ``dynamodb``; how a replay is worded to the dialect.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from dialplane.domain.errors import IdempotencyKeyReused, ValueInvalid

RETENTION = timedelta(hours=24)
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


def is_key(text: str) -> bool:
    """True when the text can name a request: 1 to 255 visible ASCII characters."""
    return _KEY.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """The scope (organization, route and key) as one SHA-256 in hex, and the fingerprint of the request's body."""

    scope_sha256: str
    fingerprint: str

    @classmethod
    def of(cls, text: str, *, route: str, body: Mapping[str, Any]) -> IdempotencyKey:
        """Read the header. Raises ValueInvalid unless it is 1 to 255 visible ASCII characters.

        The fingerprint is over the parsed body, so white space and the order of fields do not matter.
        """
        if not is_key(text):
            raise ValueInvalid(
                "Idempotency-Key must be 1 to 255 visible ASCII characters without spaces, such as a UUID.",
                field="Idempotency-Key",
            )
        canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return cls(
            hashlib.sha256(f"{route}\n{text}".encode()).hexdigest(), hashlib.sha256(canonical.encode()).hexdigest()
        )


@dataclass(frozen=True, slots=True)
class IdempotencyRecord:
    """The first request with a key, and the call or ledger entry it led to.

    It ends by comparing times, not by deletion: a record that lies there past its time is not one.
    """

    scope_sha256: str
    fingerprint: str
    result_id: str
    expires_at: int

    def is_live(self, now: datetime) -> bool:
        """True until 24 hours have passed, whether or not the record is still lying there."""
        return now.timestamp() < self.expires_at

    def check_fingerprint(self, key: IdempotencyKey) -> None:
        """Raise IdempotencyKeyReused when the key comes with another body."""
        if self.fingerprint != key.fingerprint:
            raise IdempotencyKeyReused
