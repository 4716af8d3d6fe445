"""Which model an llm_config opens, with whose key, and that nothing is loaded that is not needed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from dialplane.domain.language_model import Message, ModelFailed, ModelRequest
from dialplane.models.openai import OpenAiModel
from dialplane.models.registry import PROVIDERS, open_model
from tests.fakes.model_server import ModelServer, model_server, says

REQUEST = ModelRequest("", [Message("user", "yes")])


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with model_server() as scripted:
        yield scripted


def no_secret(_: str) -> Mapping[str, str] | None:
    return None


def test_without_a_configuration_there_is_a_script() -> None:
    for llm in ({}, {"provider": None}, {"provider": "scripted"}, {"messages": []}):
        assert next(iter(open_model(llm, secret=no_secret, variables={}).stream(REQUEST))) == "Wonderful, thank you. "


def test_variables_fill_the_lines_of_a_script() -> None:
    script = {"start": "a", "steps": {"a": {"say": "Hello {{ name }}."}}}
    model = open_model({"script": script}, secret=no_secret, variables={"name": "Ada"}, language="nl-NL")
    assert list(model.stream(REQUEST)) == ["Hello Ada."]


@pytest.mark.parametrize("provider", ["openai", "mistral", "xai"])
def test_a_provider_is_asked_with_the_organizations_key_at_the_organizations_server(
    server: ModelServer, provider: str
) -> None:
    server.script = [says("Hello.")]
    asked_for: list[str] = []

    def secret(name: str) -> Mapping[str, str]:
        asked_for.append(name)
        return {"api_key": "sk-1", "base_url": server.url}

    llm = {"provider": provider, "model": "m-2", "temperature": 0.5}
    assert list(open_model(llm, secret=secret, variables={}).stream(REQUEST)) == ["Hello."]
    assert asked_for == [provider]
    [asked] = server.asked
    assert asked.headers["Authorization"] == "Bearer sk-1"
    assert (asked.body["model"], asked.body["temperature"], asked.body["max_tokens"]) == ("m-2", 0.5, 400)


@pytest.mark.parametrize(
    ("provider", "host", "field"),
    [
        ("openai", "api.openai.com", "max_completion_tokens"),
        ("mistral", "api.mistral.ai", "max_tokens"),
        ("xai", "api.x.ai", "max_tokens"),
    ],
)
def test_without_a_server_of_its_own_the_provider_is_asked(provider: str, host: str, field: str) -> None:
    model = open_model({"provider": provider}, secret=lambda _: {"api_key": "sk-1"}, variables={})
    assert isinstance(model, OpenAiModel)
    assert (model._server._pool.scheme, model._server._pool.host, model._path) == (
        "https",
        host,
        "/v1/chat/completions",
    )
    body = model._body(REQUEST)
    assert body[field] == 400
    assert body["model"], "there is a model to ask where none is chosen"


def test_a_base_url_in_the_configuration_means_nothing(server: ModelServer) -> None:
    """Whoever may write assistants must not have our keys sent anywhere."""
    llm = {"provider": "openai", "base_url": server.url, "api_key": "x"}
    model = open_model(llm, secret=lambda _: {"api_key": "sk-1"}, variables={})
    assert isinstance(model, OpenAiModel)
    assert model._server._pool.host == "api.openai.com"


@pytest.mark.parametrize(
    ("llm", "reason"),
    [
        ({"provider": "openai"}, "no key for openai is stored"),
        ({"provider": "mistral"}, "no key for mistral is stored"),
        ({"provider": "xai_realtime"}, "there is no language model of this provider"),
        ({"provider": "../x"}, "there is no language model of this provider"),
    ],
)
def test_a_model_that_cannot_be_opened_is_a_failure(llm: dict[str, Any], reason: str) -> None:
    with pytest.raises(ModelFailed) as failed:
        open_model(llm, secret=no_secret, variables={})
    assert failed.value.reason == reason


def test_every_provider_that_is_named_can_be_opened() -> None:
    for provider in PROVIDERS:
        open_model({"provider": provider}, secret=lambda _: {"api_key": "x"}, variables={})


@pytest.mark.parametrize(
    ("provider", "not_loaded"),
    [
        ("scripted", ("boto3", "botocore", "urllib3", "http.client", "phonenumbers", "pydantic")),
        ("openai", ("boto3", "botocore", "phonenumbers", "pydantic")),
        ("bedrock", ("dialplane.models.openai", "phonenumbers", "pydantic")),
    ],
)
def test_only_the_module_that_is_needed_is_loaded(provider: str, not_loaded: tuple[str, ...]) -> None:
    """What is loaded is waited for by a callee; boto3 is loaded when a model of Bedrock is opened."""
    program = (
        "import sys\n"
        "from dialplane.models.registry import open_model\n"
        f"open_model({{'provider': {provider!r}}}, secret=lambda _: {{'api_key': 'x'}}, variables={{}})\n"
        f"print([name for name in {not_loaded!r} if name in sys.modules])\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
