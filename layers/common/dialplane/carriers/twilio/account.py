"""What the secret of a Twilio account holds."""

from __future__ import annotations

from dialplane.carriers.contract import API_BASE_URL, Credential

CREDENTIALS = (
    Credential(
        "account_sid",
        "Twilio Console, Account Info: the Account SID, AC and 32 hexadecimal digits.",
        pattern=r"AC[0-9a-fA-F]{32}",
    ),
    Credential("auth_token", "Twilio Console, Account Info: the Auth Token."),
    API_BASE_URL,
)
