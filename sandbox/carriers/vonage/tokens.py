"""Vonage's two kinds of JSON Web Tokens: the application's (RS256) are verified, those of webhooks (HS256) signed.

Own code on purpose: PyJWT and the official SDK are what the tests hold it against.
Sources: https://developer.vonage.com/en/getting-started/concepts/authentication#json-web-tokens and
https://developer.vonage.com/en/getting-started/concepts/webhooks#decoding-signed-webhooks
"""

import base64
import binascii
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from sandbox.carriers.carrier import Account, AccountError
from sandbox.carriers.vonage.errors import unauthorized

LIFETIME_SECONDS_DEFAULT = 15 * 60
LIFETIME_SECONDS_MAX = 24 * 3600
CLOCK_SKEW_SECONDS = 60


@dataclass
class Application:
    """An application of a Vonage account: who may call the API for it, and what its webhooks are signed with."""

    id: str
    public_key: RSAPublicKey
    api_key: str
    signature_secret: str
    used_token_ids: set[str] = field(default_factory=set)


def application_of(account: Account) -> Application:
    """The application of a secret; only the public half of its key is kept. Raises AccountError."""
    try:
        private_key = load_pem_private_key(account["private_key"].encode(), password=None)
    except ValueError:
        private_key = None
    if not isinstance(private_key, RSAPrivateKey):
        raise AccountError("the private_key of an account of vonage is no RSA key in PEM")
    return Application(
        account["application_id"],
        private_key.public_key(),
        account["api_key"],
        account["signature_secret"],
    )


def authenticate(authorization: str, applications: Mapping[str, Application]) -> Application:
    """Whose request carries this Authorization header; its token is used up. Raises VonageError."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or token.count(".") != 2:
        raise unauthorized("Send Authorization: Bearer with a JWT of your application")
    signed, _, signature = token.rpartition(".")
    header, claims = (_decode_json(part) for part in signed.split("."))
    if header.get("alg") != "RS256":
        raise unauthorized("The token must be signed with RS256")
    application = applications.get(str(claims.get("application_id")))
    if application is None:
        raise unauthorized("The token names no application of ours")
    try:
        application.public_key.verify(_decode(signature), signed.encode(), PKCS1v15(), SHA256())
    except InvalidSignature:
        raise unauthorized("The token's signature is not the application's") from None
    _check_claims(claims, application)
    return application


def _check_claims(claims: Mapping[str, Any], application: Application) -> None:
    now, issued_at = time.time(), _seconds(claims.get("iat"))
    expires_at = _seconds(claims.get("exp", issued_at + LIFETIME_SECONDS_DEFAULT))
    if issued_at > now + CLOCK_SKEW_SECONDS:
        raise unauthorized("The token was issued in the future")
    if expires_at <= now or expires_at - issued_at > LIFETIME_SECONDS_MAX:
        raise unauthorized("The token has expired, or lives longer than a day")
    token_id = claims.get("jti")
    if not isinstance(token_id, str) or not token_id:
        raise unauthorized("The token needs a jti")
    # Stricter than what is known of Vonage: a token's id is made to be used once, and its SDKs sign every request.
    if token_id in application.used_token_ids:
        raise unauthorized("The token's jti was used before")
    application.used_token_ids.add(token_id)


def sign_webhook(application: Application, body: bytes) -> str:
    """The token that a webhook with this body carries; a webhook without a body has no hash of one."""
    claims = {
        "iat": int(time.time()),
        "jti": str(uuid.uuid4()),
        "iss": "Vonage",
        "application_id": application.id,
        "api_key": application.api_key,
    }
    if body:
        claims["payload_hash"] = hashlib.sha256(body).hexdigest()
    signed = f"{_encode_json({'alg': 'HS256', 'typ': 'JWT'})}.{_encode_json(claims)}"
    digest = hmac.new(application.signature_secret.encode(), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{_encode(digest)}"


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise unauthorized("The token needs iat, and exp if it has one, in seconds")
    return value


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _encode_json(value: Mapping[str, Any]) -> str:
    return _encode(json.dumps(value, separators=(",", ":")).encode())


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise unauthorized("The token is not a JWT") from None


def _decode_json(text: str) -> dict[str, Any]:
    try:
        value = json.loads(_decode(text))
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise unauthorized("The token is not a JWT")
    return value
