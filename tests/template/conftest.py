"""The template as data: as written, and translated to CloudFormation offline with the same code AWS runs."""

from pathlib import Path
from typing import Any

import pytest
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

ROOT = Path(__file__).resolve().parents[2]


class _NoManagedPolicies:
    """The translator asks AWS for names of managed policies; the template uses none by name."""

    def load(self) -> dict[str, str]:
        return {}


@pytest.fixture(scope="session")
def template() -> dict[str, Any]:
    """template.yaml with intrinsic functions in their long form."""
    parsed: dict[str, Any] = yaml_parse((ROOT / "template.yaml").read_text())
    return parsed


@pytest.fixture(scope="session")
def resources(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = template["Resources"]
    return found


@pytest.fixture(scope="session")
def cloudformation() -> dict[str, Any]:
    """What AWS makes of the template: roles, event source mappings and schedules spelled out."""
    source = yaml_parse((ROOT / "template.yaml").read_text())
    source["Globals"]["Function"]["CodeUri"] = "s3://bucket/functions.zip"
    for resource in source["Resources"].values():
        properties = resource["Properties"]
        if "ContentUri" in properties:
            properties["ContentUri"] = "s3://bucket/layer.zip"
        if "DefinitionUri" in properties:
            properties["DefinitionUri"] = "s3://bucket/definition.json"
    defaults = {name: parameter["Default"] for name, parameter in source["Parameters"].items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")  # it names the partition; nothing is asked over the network
        translated: dict[str, Any] = transform(source, defaults, _NoManagedPolicies())
    return translated


@pytest.fixture(scope="session")
def functions(resources: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Properties of every function by logical id."""
    return {
        name: resource["Properties"]
        for name, resource in resources.items()
        if resource["Type"] == "AWS::Serverless::Function"
    }


@pytest.fixture(scope="session")
def global_environment(template: dict[str, Any]) -> set[str]:
    return set(template["Globals"]["Function"]["Environment"]["Variables"])
