"""Which language models there are, and which module opens which; only that module is loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dialplane.domain.language_model import PROVIDERS, LanguageModel, ModelFailed

__all__ = ["PROVIDERS", "open_model"]


@dataclass(frozen=True, slots=True)
class _Compatible:
    """A provider that speaks OpenAI's Chat Completions, and the model that is asked where none is chosen."""

    base_url: str
    default_model: str
    length_field: str = "max_tokens"


_COMPATIBLE: Mapping[str, _Compatible] = {
    # Its newer models refuse the field that everybody else knows.
    "openai": _Compatible("https://api.openai.com/v1", "gpt-4.1-mini", length_field="max_completion_tokens"),
    "mistral": _Compatible("https://api.mistral.ai/v1", "mistral-small-latest"),
    "xai": _Compatible("https://api.x.ai/v1", "grok-3-mini"),
}
_DEFAULT_BEDROCK_MODEL = "amazon.nova-lite-v1:0"


def open_model(
    llm: Mapping[str, Any],
    *,
    secret: Callable[[str], Mapping[str, str] | None],
    variables: Mapping[str, Any],
    language: str | None = None,
) -> LanguageModel:
    """The model that an ``llm_config`` names; the scripted one when it names none. Raises ModelFailed.

    ``secret`` gives what the organization has stored for a provider: ``api_key`` and, for a server of its own,
    ``base_url``. ``variables`` fill the lines of a script. ``language`` is what the call is held in; models are told it
    in their instructions, and scripts are in one language.
    """
    provider = llm.get("provider") or "scripted"
    if provider == "scripted":
        from dialplane.models.scripted import ScriptedModel  # noqa: PLC0415 - only the module that is needed

        return ScriptedModel(llm.get("script"), variables)
    if provider == "bedrock":
        from dialplane.models.bedrock import BedrockModel  # noqa: PLC0415 - as above

        return BedrockModel(model=llm.get("model") or _DEFAULT_BEDROCK_MODEL, temperature=llm.get("temperature"))
    if provider in _COMPATIBLE:
        return _open_compatible(provider, llm, secret(provider))
    raise ModelFailed("there is no language model of this provider")


def _open_compatible(provider: str, llm: Mapping[str, Any], secret: Mapping[str, str] | None) -> LanguageModel:
    from dialplane.models.openai import OpenAiModel  # noqa: PLC0415 - only the module that is needed

    if secret is None:
        raise ModelFailed(f"no key for {provider} is stored")
    known = _COMPATIBLE[provider]
    own_url = secret.get("base_url")
    return OpenAiModel(
        own_url or known.base_url,
        secret.get("api_key"),
        model=llm.get("model") or known.default_model,
        temperature=llm.get("temperature"),
        # A server of one's own under OpenAI's name is seldom OpenAI's.
        length_field="max_tokens" if own_url else known.length_field,
    )
