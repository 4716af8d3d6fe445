"""What the secret of an ElevenLabs account holds."""

from __future__ import annotations

from dialplane.carriers.contract import API_BASE_URL, Credential

CREDENTIALS = (
    Credential("api_key", "ElevenLabs, Developers, API keys: a key that may use ElevenAgents."),
    Credential(
        "webhook_secret",
        "ElevenLabs, Developers, Webhooks: shown once, when the webhook to this account's status address is made.",
    ),
    Credential(
        "twilio_account_sid",
        "Twilio Console: the account whose number was imported to ElevenLabs. ElevenLabs itself cannot end a call: "
        "without this and the next, neither can Dialplane.",
        is_required=False,
        pattern=r"AC[0-9a-fA-F]{32}",
    ),
    Credential("twilio_auth_token", "Twilio Console: that account's Auth Token.", is_required=False),
    Credential(
        "twilio_api_base_url",
        "The address of Twilio's API where it is not the usual one.",
        is_required=False,
        pattern=API_BASE_URL.pattern,
    ),
    API_BASE_URL,
)
