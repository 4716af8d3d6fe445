"""AWS Signature Version 4 for one shape of request: to a path without a query string, body held in memory.

No I/O, no environment, no retries belong here. Specification:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request is signed with; ``session_token`` is set for roles, which is every Lambda function."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


def sign_headers(
    headers: dict[str, str],
    body: bytes,
    *,
    method: str = "POST",
    path: str,
    credentials: Credentials,
    region: str,
    signing_name: str,
    timestamp: str,
) -> dict[str, str]:
    """Return ``headers`` with X-Amz-Date, X-Amz-Security-Token (when there is one) and Authorization added.

    ``headers`` must hold Host; every one of them is signed. ``timestamp`` is ``YYYYMMDDTHHMMSSZ``.
    ``path`` is as it is sent; the signature is over the path encoded once more, as every service but S3 wants it.
    """
    signed = {**headers, "X-Amz-Date": timestamp}
    if credentials.session_token:
        signed["X-Amz-Security-Token"] = credentials.session_token
    by_name = sorted((name.lower(), " ".join(value.split())) for name, value in signed.items())
    names = ";".join(name for name, _ in by_name)
    canonical_headers = "".join(f"{name}:{value}\n" for name, value in by_name)
    canonical_path = quote(path, safe="/~")
    canonical_request = (
        f"{method}\n{canonical_path}\n\n{canonical_headers}\n{names}\n{hashlib.sha256(body).hexdigest()}"
    )

    date = timestamp[:8]
    scope = f"{date}/{region}/{signing_name}/aws4_request"
    digest = hashlib.sha256(canonical_request.encode()).hexdigest()
    key = _signing_key(credentials.secret_access_key, date, region, signing_name)
    signature = hmac.new(key, f"AWS4-HMAC-SHA256\n{timestamp}\n{scope}\n{digest}".encode(), hashlib.sha256).hexdigest()
    signed["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credentials.access_key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return signed


# The key depends on the day, not on the request: four of the six HMACs of a signature are saved.
@lru_cache(maxsize=16)
def _signing_key(secret_access_key: str, date: str, region: str, signing_name: str) -> bytes:
    key = f"AWS4{secret_access_key}".encode()
    for part in (date, region, signing_name, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key
