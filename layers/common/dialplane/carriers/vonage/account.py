"""What the secret of a Vonage account holds: one Voice application and the key its webhooks are signed with."""

from __future__ import annotations

from dialplane.carriers.contract import API_BASE_URL, Credential

CREDENTIALS = (
    Credential(
        "application_id",
        "Vonage Dashboard, Applications: the Application ID, a UUID. The application needs the Voice capability and "
        "signed webhooks.",
        pattern=r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
    ),
    Credential(
        "private_key",
        "The private.key file that the dashboard gave once, when the application's key pair was made: an RSA key in "
        "PEM, line breaks included.",
        pattern=r"\s*-----BEGIN (RSA )?PRIVATE KEY-----[A-Za-z0-9+/=\s]{1,8000}-----END (RSA )?PRIVATE KEY-----\s*",
    ),
    Credential("api_key", "Vonage Dashboard, API Settings: the API key.", pattern=r"[0-9A-Za-z]{4,40}"),
    Credential(
        "signature_secret",
        "Vonage Dashboard, API Settings: the signature secret, which is not the API secret. It signs Vonage's requests "
        "to us.",
    ),
    API_BASE_URL,
)
