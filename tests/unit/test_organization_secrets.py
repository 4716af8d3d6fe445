"""Secrets of organizations: by their names only, kept for a while, never shown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from dialplane.aws.retries import AwsError
from dialplane.runtime.organization_secrets import MODEL_OPENAI, NAMES, TOOLS, OrganizationSecrets

PREFIX = "dialplane/organizations"


class SecretsManager:
    """Secrets Manager as far as it is used, with a record of what was asked."""

    def __init__(self) -> None:
        self.secrets: dict[str, str] = {}
        self.reads: list[str] = []

    def call(self, service: str, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Answer as AWS does."""
        name = params.get("SecretId") or params["Name"]
        if operation == "GetSecretValue":
            self.reads.append(name)
            if name not in self.secrets:
                raise AwsError(service=service, operation=operation, code="ResourceNotFoundException")
            return {"SecretString": self.secrets[name]}
        if operation == "CreateSecret" and name in self.secrets:
            raise AwsError(service=service, operation=operation, code="ResourceExistsException")
        assert params["ClientRequestToken"]
        self.secrets[name] = params["SecretString"]
        return {}


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def manager() -> SecretsManager:
    return SecretsManager()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def secrets(manager: SecretsManager, clock: Clock) -> OrganizationSecrets:
    return OrganizationSecrets(manager, PREFIX, clock)


@pytest.mark.parametrize("name", sorted(NAMES))
def test_what_was_put_is_read_under_the_organizations_own_name(
    secrets: OrganizationSecrets, manager: SecretsManager, name: str
) -> None:
    secrets.put("org_1", name, {"api_key": "swordfish"})
    assert list(manager.secrets) == [f"{PREFIX}/org_1/{name}"]
    assert secrets.read("org_1", name) == {"api_key": "swordfish"}
    assert secrets.read("org_2", name) is None


def test_a_second_value_replaces_the_first(secrets: OrganizationSecrets, clock: Clock) -> None:
    secrets.put("org_1", TOOLS, {"signing_key": "old"})
    secrets.put("org_1", TOOLS, {"signing_key": "new"})
    assert secrets.read("org_1", TOOLS) == {"signing_key": "new"}


def test_a_secret_is_kept_for_five_minutes_and_its_absence_for_seconds(
    secrets: OrganizationSecrets, manager: SecretsManager, clock: Clock
) -> None:
    assert [secrets.read("org_1", TOOLS) for _ in range(3)] == [None, None, None]
    assert len(manager.reads) == 1
    secrets.put("org_1", TOOLS, {"signing_key": "k"})
    clock.seconds += 15
    assert [secrets.read("org_1", TOOLS) for _ in range(3)] == [{"signing_key": "k"}] * 3
    clock.seconds += 299
    secrets.read("org_1", TOOLS)
    assert len(manager.reads) == 2
    clock.seconds += 1
    secrets.read("org_1", TOOLS)
    assert len(manager.reads) == 3


@pytest.mark.parametrize("name", ["", "model-scripted", "model-openai/../tools", "model-*", "MODEL-OPENAI"])
def test_no_other_name_is_ever_asked_for_or_written(
    secrets: OrganizationSecrets, manager: SecretsManager, name: str
) -> None:
    assert secrets.read("org_1", name) is None
    assert manager.reads == []
    with pytest.raises(ValueError, match="an organization has no secret"):
        secrets.put("org_1", name, {"api_key": "swordfish"})
    assert manager.secrets == {}


@pytest.mark.parametrize("content", ['["a"]', '{"api_key": 1}', "swordfish"])
def test_a_secret_of_another_shape_is_an_error_that_does_not_show_it(
    secrets: OrganizationSecrets, manager: SecretsManager, content: str
) -> None:
    manager.secrets[f"{PREFIX}/org_1/{MODEL_OPENAI}"] = content
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - what it says is looked at next
        secrets.read("org_1", MODEL_OPENAI)
    assert "swordfish" not in str(raised.value)


def test_an_error_of_aws_is_no_absence(secrets: OrganizationSecrets, manager: SecretsManager) -> None:
    def refuse(service: str, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        raise AwsError(service=service, operation=operation, code="AccessDeniedException")

    manager.call = refuse  # type: ignore[method-assign]
    with pytest.raises(AwsError):
        secrets.read("org_1", TOOLS)


def test_what_was_read_is_not_shown(secrets: OrganizationSecrets) -> None:
    secrets.put("org_1", TOOLS, {"signing_key": "swordfish"})
    secrets.read("org_1", TOOLS)
    assert "swordfish" not in repr(secrets)
    assert "swordfish" not in json.dumps(str(secrets._secrets))
