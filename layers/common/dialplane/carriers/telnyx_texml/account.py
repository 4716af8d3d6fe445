"""What the secret of a Telnyx account with a TeXML application holds."""

from __future__ import annotations

from dialplane.carriers.contract import API_BASE_URL, Credential
from dialplane.carriers.telnyx.account import API_KEY, PUBLIC_KEY

CREDENTIALS = (
    API_KEY,
    PUBLIC_KEY,
    Credential(
        "account_sid",
        "The organization_id that GET /v2/whoami answers with the API key; TeXML calls it AccountSid.",
        pattern=r"[A-Za-z0-9-]{1,64}",
    ),
    Credential(
        "application_sid",
        "Mission Control Portal, Voice, Programmable Voice: the TeXML application's ID, a number.",
        pattern=r"[A-Za-z0-9-]{1,64}",
    ),
    API_BASE_URL,
)
