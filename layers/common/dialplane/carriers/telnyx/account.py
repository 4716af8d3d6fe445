"""What the secret of a Telnyx account with a Call Control application holds; TeXML's has two of these as well."""

from __future__ import annotations

from dialplane.carriers.contract import API_BASE_URL, Credential

API_KEY = Credential("api_key", "Mission Control Portal, API Keys: the key that begins with KEY.")
PUBLIC_KEY = Credential(
    "public_key", "Mission Control Portal, API Keys, Public Key: 32 bytes in base64.", pattern=r"[A-Za-z0-9+/]{43}="
)
CREDENTIALS = (
    API_KEY,
    PUBLIC_KEY,
    Credential("connection_id", "Mission Control Portal, Voice, Programmable Voice: the application's ID."),
    API_BASE_URL,
)
