"""Secrets of simulated ElevenLabs accounts, for tests and the sandbox: the same name gives the same secret."""

import hashlib


def make_secret(name: str = "demo") -> dict[str, str]:
    """An account's secret: api_key, webhook_secret. Worth nothing outside the simulator."""
    digest = hashlib.sha256(f"elevenlabs:{name}".encode()).hexdigest()
    return {"api_key": f"sk_{digest[:48]}", "webhook_secret": f"wsec_{digest}"}
