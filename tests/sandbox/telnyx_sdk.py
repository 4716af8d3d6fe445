"""Telnyx's official SDK against the simulator: its client with another base URL, its own check of webhooks."""

from telnyx import Telnyx

from sandbox.carriers.telnyx.keys import fixed_signing_keys

KEYS = fixed_signing_keys()
API_KEY = "KEY0190-the-application-under-test"


def sdk_client(base_url: str, api_key: str = API_KEY, timeout: float = 20) -> Telnyx:
    """The SDK, unchanged but for its host; it must not repeat what the tests want to see once."""
    return Telnyx(
        api_key=api_key, public_key=KEYS.public_key, base_url=f"{base_url}/v2", max_retries=0, timeout=timeout
    )
