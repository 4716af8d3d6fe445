"""What an account of ElevenLabs is: a workspace with a key, agents, numbers, and one address for its webhooks."""

import hashlib
from dataclasses import dataclass

from sandbox.carriers.carrier import Account


@dataclass
class Workspace:
    """A workspace; `agent_ids` and `phone_numbers` (by id) None stand for any that are asked for."""

    api_key: str
    webhook_secret: str
    webhook_url: str | None
    agent_ids: frozenset[str] | None
    phone_numbers: dict[str, str] | None
    twilio_account_sid: str
    twilio_auth_token: str | None

    def number(self, phone_number_id: str) -> str | None:
        """The number behind an id; where any id goes, a number that follows from it."""
        if self.phone_numbers is not None:
            return self.phone_numbers.get(phone_number_id)
        digits = int(_digest(phone_number_id), 16) % 10_000_000
        return f"+1555{digits:07d}"


def workspace_of(account: Account) -> Workspace:
    """The workspace of a secret.

    Only the simulator knows `webhook_url` (at ElevenLabs it is set in the workspace, here also by a control endpoint),
    `agent_ids` ("agent_1,agent_2") and `phone_numbers` ("phnum_1=+15551234567,…"). Legs run over the Twilio account
    that the secret names, else over one of nobody's.
    """
    agents, numbers = account.get("agent_ids"), account.get("phone_numbers")
    return Workspace(
        api_key=account["api_key"],
        webhook_secret=account["webhook_secret"],
        webhook_url=account.get("webhook_url") or None,
        agent_ids=frozenset(agents.split(",")) if agents else None,
        phone_numbers=dict(pair.split("=", 1) for pair in numbers.split(",")) if numbers else None,
        twilio_account_sid=account.get("twilio_account_sid") or f"AC{_digest(account['api_key'])[:32]}",
        twilio_auth_token=account.get("twilio_auth_token"),
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
