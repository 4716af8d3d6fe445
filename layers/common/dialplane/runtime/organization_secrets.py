"""What an organization keeps with us that nobody may see: keys of language models, and the key its tools know us by.

One secret each, named ``{prefix}/{organization}/{name}``. Operators write them; no request of the API does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from dialplane.aws.client import AwsClient
from dialplane.runtime.secrets import KeptSecrets, put_secret

TOOLS = "tools"
"""``signing_key``: what requests to the organization's own tools are signed with."""
MODEL_OPENAI, MODEL_MISTRAL, MODEL_XAI = "model-openai", "model-mistral", "model-xai"
"""``api_key``, and perhaps ``base_url`` where the provider is another than the one of that name."""
NAMES = frozenset({TOOLS, MODEL_OPENAI, MODEL_MISTRAL, MODEL_XAI})


@dataclass(slots=True)
class OrganizationSecrets:
    """Reads them, each for five minutes; ``put`` is for administration."""

    client: AwsClient
    prefix: str
    monotonic: Callable[[], float] = time.monotonic
    _secrets: KeptSecrets = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._secrets = KeptSecrets(self.client, self.monotonic)

    def read(self, organization_id: str, name: str) -> Mapping[str, str] | None:
        """The secret of this name, or None when the organization has none, as with any name that is not of ``NAMES``.

        Raises AwsError, and ValueError for a secret that holds anything but texts.
        """
        if name not in NAMES:
            return None
        secret = self._secrets.read(self._full_name(organization_id, name))
        if secret is not None and not all(isinstance(value, str) for value in secret.values()):
            raise ValueError("an organization's secret holds texts only")
        return secret

    def put(self, organization_id: str, name: str, secret: Mapping[str, str]) -> None:
        """Create the secret, or give it a new value. Raises AwsError, and ValueError for another name than ours."""
        if name not in NAMES:
            raise ValueError(f"an organization has no secret {name!r}; there are {', '.join(sorted(NAMES))}")
        put_secret(self.client, self._full_name(organization_id, name), secret)

    def _full_name(self, organization_id: str, name: str) -> str:
        return f"{self.prefix}/{organization_id}/{name}"
