"""The `dialplane` command as it is installed: a process of its own that finds its stack through CloudFormation."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import boto3
import pytest

from cli.stack import Stack, StackNotFound
from tests.fakes.ministack import running_ministack
from tests.fakes.template import create_tables

NAME = "my-dialplane"


@pytest.fixture(scope="module", autouse=True)
def _deployed() -> Iterator[None]:
    """A stack of which only tables and outputs are there, on an AWS that the environment leads to."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DIALPLANE_"))}
    credentials = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    with running_ministack() as url:
        environment = {**inherited, **credentials, "AWS_ENDPOINT_URL": url}
        with patch.dict(os.environ, environment, clear=True):
            tables = create_tables(boto3.Session())
            outputs = {f"{name.capitalize()}TableName": getattr(tables, name) for name in tables.__dataclass_fields__}
            outputs["CarrierSecretsPrefix"] = "dialplane/carriers"
            template = {
                "Resources": {"Queue": {"Type": "AWS::SQS::Queue"}},
                "Outputs": {name: {"Value": value} for name, value in outputs.items()},
            }
            boto3.client("cloudformation").create_stack(StackName=NAME, TemplateBody=json.dumps(template))
            yield


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    program = "import sys; from cli.main import app; sys.argv[0] = 'dialplane'; app()"
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_stack_is_found_by_its_option_and_by_its_variable() -> None:
    created = run("admin", "organization", "create", "Acme", "--json", "--stack", NAME)
    organization = json.loads(created.stdout)["id"]

    shown = run("admin", "organization", "show", organization, "--json", DIALPLANE_STACK=NAME)

    assert json.loads(shown.stdout)["name"] == "Acme"


def test_the_region_is_the_one_of_aws_region_and_its_absence_is_told() -> None:
    elsewhere = {name: text for name, text in os.environ.items() if name != "AWS_DEFAULT_REGION"}
    nowhere = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    with patch.dict(os.environ, elsewhere, clear=True):
        found = run("admin", "organization", "create", "Acme", "--stack", NAME, AWS_REGION="us-east-1", **nowhere)
        lost = run("admin", "organization", "create", "Acme", "--stack", NAME, **nowhere)

    assert found.returncode == 0, found.stderr
    assert lost.returncode == 1
    assert lost.stderr == "Error: No AWS region is set. Set AWS_REGION, or one in the profile of AWS_PROFILE.\n"


def test_a_customer_of_every_kind_of_call_is_set_up_by_commands_alone(tmp_path: Path) -> None:
    (tmp_path / "prompt.txt").write_text("Remind {{ name }}.")
    (tmp_path / "tts.json").write_text('{"provider": "elevenlabs", "speed": 1.1}')

    def admin(*arguments: str, **environment: str) -> Any:
        finished = run("admin", *arguments, "--json", DIALPLANE_STACK=NAME, **environment)
        assert finished.returncode == 0, finished.stderr
        return json.loads(finished.stdout)

    organization = admin("organization", "create", "Acme")["id"]
    on = ("--organization", organization)
    prompt = ("--prompt-file", str(tmp_path / "prompt.txt"), "--public-id", "reminder")
    models = ("--llm-config", '{"provider": "openai"}', "--stt-config", '{"provider": "x"}')
    speaker = ("assistant", "put", "7", *on, "--name", "Reminder", "--welcome-message", "Hello.")
    assistant = admin(*speaker, *prompt, *models, "--tts-config", f"@{tmp_path / 'tts.json'}")
    base = ("--base-assistant", "7", "--engine-url", "wss://flows.example.test")
    flow = admin("flow", "put", "3", *on, "--name", "Intake", *base)
    secret = {"TWILIO_ACCOUNT_SID": "AC" + "a" * 32, "TWILIO_AUTH_TOKEN": "not-to-be-printed"}
    account = admin("carrier-account", "create", *on, "--calls-per-second", "5", **secret)["id"]
    number = admin("number", "put", "+15551112222", *on, "--carrier-account", account, "--flow", "3", "--not-in-pool")
    key = admin("key", "create", *on, "--name", "CI", "--dialect", "klen", "--calls-per-minute", "60")
    updated = admin("organization", "update", organization, "--default-assistant", "7", "--country", "NL")

    shown = admin("organization", "show", organization)

    assert (shown["assistants"], shown["flows"], shown["numbers"]) == ([assistant], [flow], [number])
    assert (assistant["prompt"], assistant["tts_config"]["speed"]) == ("Remind {{ name }}.", 1.1)
    assert shown["keys"][0]["calls_per_minute_max"] == key["calls_per_minute_max"] == 60
    assert (shown["default_assistant_id"], shown["allowed_countries"]) == (7, updated["allowed_countries"])
    assert not any(each in json.dumps(shown) for each in (key["key"], "not-to-be-printed"))


def test_a_stack_that_is_not_there_is_one_sentence_on_stderr_and_exit_code_1() -> None:
    finished = run("admin", "organization", "create", "Acme")

    assert (finished.returncode, finished.stdout) == (1, "")
    assert finished.stderr.startswith("Error: The stack 'dialplane' was not found")
    assert "Traceback" not in finished.stderr


def test_an_aws_that_does_not_answer_is_no_traceback() -> None:
    finished = run("admin", "organization", "create", "Acme", AWS_ENDPOINT_URL="http://127.0.0.1:9")

    assert finished.returncode == 1
    assert finished.stderr.startswith("Error: ")
    assert "Traceback" not in finished.stderr


def test_an_output_that_is_missing_says_so() -> None:
    stack = Stack.find(NAME)

    with pytest.raises(StackNotFound, match="no output ReconcilerFunctionName"):
        stack.output("ReconcilerFunctionName")
