"""The `dialplane` command, command by command, on a stack with the demo organizations in it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
from botocore.exceptions import NoCredentialsError
from typer.testing import CliRunner, Result

from cli import operations
from cli.main import app
from cli.stack import Stack, StackNotFound
from dialplane.carriers.registry import CARRIERS, credentials_of
from dialplane.domain.accounts import CarrierAccount, ConversationFlow
from dialplane.runtime.carrier_accounts import CarrierAccounts, CarrierSecrets
from dialplane.runtime.organization_secrets import OrganizationSecrets
from tests.fakes.world import (
    ACCOUNT_SID,
    AUTH_TOKEN,
    BASE_URL,
    ORGANIZATION_SECRETS_PREFIX,
    SECRETS_PREFIX,
    World,
)

BODY = {"from_phone_number": "+15551234567", "to_phone_number": "+15550109999"}


@pytest.fixture(autouse=True)
def _stack(world: World) -> Iterator[None]:
    """Whatever stack a command names is the world's."""
    sqs = world.session.client("sqs")
    queues = {
        "CarrierEventsQueueUrl": "events",
        "CarrierEventsDeadLetterQueueUrl": "events-dead",
        "ConversationTasksQueueUrl": "tasks",
        "ConversationTasksDeadLetterQueueUrl": "tasks-dead",
        "DialsQueueUrl": "queued-dials",
        "DialsDeadLetterQueueUrl": "dials-dead",
        "ReconcilerDeadLetterQueueUrl": "reconciler-dead",
    }
    urls = {output: sqs.create_queue(QueueName=name)["QueueUrl"] for output, name in queues.items()}
    outputs = {**world.stack.outputs, **urls, "ReconcilerFunctionName": "reconciler", "PublicBaseUrl": BASE_URL}
    with patch.object(Stack, "find", lambda name: Stack(world.aws, outputs)):
        yield
    for url in urls.values():
        sqs.delete_queue(QueueUrl=url)


def run(*arguments: str, stdin: str | None = None) -> Result:
    """Run a command and expect it to succeed."""
    result = CliRunner().invoke(app, arguments, input=stdin)
    assert result.exit_code == 0, result.output
    return result


def run_json(*arguments: str, stdin: str | None = None) -> Any:
    """Run a command with --json and read what it prints."""
    return json.loads(run(*arguments, "--json", stdin=stdin).stdout)


def refusal(*arguments: str, stdin: str | None = None) -> str:
    """Run a command that is to be refused: exit code 1 and one sentence on stderr."""
    result = CliRunner().invoke(app, arguments, input=stdin)
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    return result.stderr


def create_organization(*options: str) -> str:
    """A fresh organization's id."""
    return str(run_json("admin", "organization", "create", "Acme", *options)["id"])


def test_a_customer_made_by_commands_alone_can_place_a_call(world: World) -> None:
    organization = create_organization("--rate", "0.05", "--country", "US", "--country", "CA")
    on = ("--organization", organization)
    run("admin", "assistant", "put", "7", *on, "--name", "Reminder", "--welcome-message", "Hello.")
    secret = json.dumps({"account_sid": ACCOUNT_SID, "auth_token": AUTH_TOKEN})
    account = run_json("admin", "carrier-account", "create", *on, stdin=secret)["id"]
    run("admin", "number", "put", "+15551112222", *on, "--carrier-account", account, "--assistant", "7")
    run("admin", "deposit", "10.50", *on)
    key = run_json("admin", "key", "create", *on, "--name", "CI", "--scope", "can_initiate_calls")["key"]

    reply = world.initiate({**BODY, "from_phone_number": "+15551112222"}, key=key)

    assert reply.status == 200
    shown = run_json("admin", "organization", "show", organization)
    assert shown["allowed_countries"] == ["CA", "US"]
    assert shown["wallet"]["held"] == {"amount": "0.500000", "currency": "USD"}
    assert shown["wallet"]["available"] == {"amount": "10.000000", "currency": "USD"}


def test_a_key_is_shown_once_and_never_again(world: World) -> None:
    organization = create_organization()
    created = run_json("admin", "key", "create", "--organization", organization, "--name", "CI")

    shown = run("admin", "organization", "show", organization, "--json").stdout

    assert created["id"] in shown
    assert created["key"].rpartition("_")[2] not in shown


def test_a_revoked_key_opens_nothing(world: World) -> None:
    on = ("--organization", world.demo.organization_id)
    created = run_json("admin", "key", "create", *on, "--name", "CI")
    assert world.manage("GET /wallet", "/wallet", key=created["key"]).status == 200

    run("admin", "key", "revoke", *on, created["id"])

    assert world.manage("GET /wallet", "/wallet", key=created["key"]).status == 401


def test_a_suspended_organization_places_no_calls_until_it_is_activated(world: World) -> None:
    run("admin", "organization", "suspend", world.demo.organization_id)
    suspended = world.initiate(BODY).status
    run("admin", "organization", "activate", world.demo.organization_id)

    assert suspended == 403
    assert world.initiate(BODY).status == 200


def test_carrier_credentials_come_from_the_environment_and_go_to_the_secret_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWILIO_ACCOUNT_SID", ACCOUNT_SID)
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", "not-to-be-printed")
    on = ("--organization", world.demo.organization_id)

    result = run("admin", "carrier-account", "create", *on, "--api-base-url", "http://127.0.0.1:8090", "--json")

    assert "not-to-be-printed" not in result.output
    account_id = json.loads(result.stdout)["id"]
    found = CarrierAccounts(world.aws, SECRETS_PREFIX).credentials(world.demo.organization_id, account_id)
    assert found is not None
    assert (found["auth_token"], found["api_base_url"]) == ("not-to-be-printed", "http://127.0.0.1:8090")


def test_a_carrier_account_without_credentials_is_refused(world: World) -> None:
    assert "TWILIO_AUTH_TOKEN" in refusal(
        "admin", "carrier-account", "create", "--organization", world.demo.organization_id, stdin="{}"
    )


@pytest.mark.parametrize(
    ("secret", "named"),
    [
        ({"account_sid": "AC1", "auth_token": "secret-value"}, "account_sid"),
        ({"account_sid": ACCOUNT_SID, "auth_token": "secret value"}, "auth_token"),
        ({"account_sid": ACCOUNT_SID, "auth_token": "secret-value", "api_key": "secret-value"}, "api_key"),
        ({"account_sid": ACCOUNT_SID, "auth_token": "secret-value", "api_base_url": "//secret-value"}, "api_base_url"),
    ],
    ids=str,
)
def test_a_secret_that_its_carrier_cannot_use_is_refused_by_name_and_never_repeated(
    world: World, secret: dict[str, str], named: str
) -> None:
    on = ("--organization", world.demo.organization_id)
    before = run_json("admin", "carrier-account", "list", *on)
    shown = refusal("admin", "carrier-account", "create", *on, stdin=json.dumps(secret))
    assert named in shown
    assert not any(value in shown for name, value in secret.items() if name != "account_sid")
    assert run_json("admin", "carrier-account", "list", *on) == before


def test_a_credential_may_come_from_a_file(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWILIO_ACCOUNT_SID", ACCOUNT_SID)
    (tmp_path / "token").write_text("from-a-file\n")
    on = ("--organization", world.demo.organization_id)
    file = ("--credential-file", f"auth_token={tmp_path / 'token'}")

    account = run_json("admin", "carrier-account", "create", *on, *file)["id"]

    found = CarrierAccounts(world.aws, SECRETS_PREFIX).credentials(world.demo.organization_id, account)
    assert found is not None
    assert found["auth_token"] == "from-a-file"


@pytest.mark.parametrize("file", ["auth_token", "auth_token=", "auth_token=/nowhere/token", "="])
def test_a_credential_file_that_is_none_is_refused(world: World, file: str) -> None:
    on = ("--organization", world.demo.organization_id)
    assert "NAME=PATH" in refusal("admin", "carrier-account", "create", *on, "--credential-file", file)


def test_carrier_accounts_are_listed_and_shown_without_their_secrets(world: World) -> None:
    on = ("--organization", world.demo.organization_id)
    secret = json.dumps({"account_sid": ACCOUNT_SID, "auth_token": "not-to-be-printed"})
    created = run_json("admin", "carrier-account", "create", *on, "--calls-per-second", "5", stdin=secret)

    listed = run("admin", "carrier-account", "list", *on, "--json").stdout
    shown = run("admin", "carrier-account", "show", created["id"], *on, "--json").stdout

    assert created["calls_per_second"] == 5
    assert created in json.loads(listed)["carrier_accounts"]
    assert json.loads(shown) == created
    for text in (listed, shown):
        assert "not-to-be-printed" not in text
        assert ACCOUNT_SID not in text


def test_an_account_is_given_another_token_pace_and_name_and_keeps_the_rest(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on = ("--organization", world.demo.organization_id)
    secret = {"account_sid": ACCOUNT_SID, "auth_token": "old", "api_base_url": "http://127.0.0.1:8090"}
    created = run_json("admin", "carrier-account", "create", *on, "--calls-per-second", "5", stdin=json.dumps(secret))
    update = ("admin", "carrier-account", "update", created["id"], *on)

    def stored() -> dict[str, str]:
        found = CarrierAccounts(world.aws, SECRETS_PREFIX).credentials(world.demo.organization_id, created["id"])
        return dict(found or {})

    monkeypatch.setenv("TWILIO_ACCOUNT_SID", "AC" + "0" * 32)  # of another account: nobody asked for it
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", "from-the-environment")
    assert run_json(*update, "--credential", "auth_token") == created
    assert stored() == secret | {"auth_token": "from-the-environment"}

    (tmp_path / "token").write_text("from-a-file\n")
    run(*update, "--credential-file", f"auth_token={tmp_path / 'token'}")
    assert stored() == secret | {"auth_token": "from-a-file"}

    assert run_json(*update, "--name", "Second", "--calls-per-second", "9") == created | {
        "name": "Second",
        "calls_per_second": 9,
    }
    assert run_json(*update, "--calls-per-second", "0")["calls_per_second"] is None
    assert stored() == secret | {"auth_token": "from-a-file"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "Nothing to change"),
        (("--credential", "api_key"), "must be one of account_sid, auth_token"),
        (("--credential", "auth_token"), "TWILIO_AUTH_TOKEN"),
        (("--calls-per-second", "-1"), "calls_per_second"),
        (("--name", " "), "name"),
    ],
)
def test_an_update_that_could_not_be_used_changes_nothing(world: World, options: tuple[str, ...], said: str) -> None:
    on = ("--organization", world.demo.organization_id)
    account = world.demo.carrier_accounts["twilio"]
    before = run_json("admin", "carrier-account", "show", account, *on)
    assert said in refusal("admin", "carrier-account", "update", account, *on, *options, stdin="{}")
    assert run_json("admin", "carrier-account", "show", account, *on) == before


def test_an_account_that_does_not_exist_is_not_updated(world: World) -> None:
    on = ("--organization", world.demo.organization_id)
    assert "acct_none" in refusal("admin", "carrier-account", "update", "acct_none", *on, "--name", "X")


def test_the_help_names_what_every_carrier_needs() -> None:
    shown = CliRunner().invoke(app, ["admin", "carrier-account", "create", "--help"], env={"COLUMNS": "400"}).output
    for carrier in CARRIERS:
        for credential in credentials_of(carrier):
            assert f"{carrier}_{credential.name}".upper().replace("-", "_") in shown


def test_an_account_that_is_called_back_at_one_address_shows_that_address(world: World) -> None:
    organization = create_organization()
    world.stack.accounts.put(CarrierAccount("acct_1", organization, "elevenlabs", "Agents", world.clock.now()))
    shown = run_json("admin", "carrier-account", "show", "acct_1", "--organization", organization)
    assert shown["callback_url"] == f"{BASE_URL}/status/elevenlabs/{organization}/acct_1"


def test_an_assistant_without_a_number_calls_from_the_first_one_that_names_it(world: World) -> None:
    organization = create_organization()
    on = ("--organization", organization)
    run("admin", "assistant", "put", "7", *on, "--name", "Reminder", "--welcome-message", "Hello.")
    secret = json.dumps({"account_sid": ACCOUNT_SID, "auth_token": AUTH_TOKEN})
    account = run_json("admin", "carrier-account", "create", *on, stdin=secret)["id"]
    for number in ("+15551113333", "+15551114444"):
        run("admin", "number", "put", number, *on, "--carrier-account", account, "--assistant", "7")

    (assistant,) = run_json("admin", "organization", "show", organization)["assistants"]

    assert assistant["caller_number"] == "+15551113333"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("admin organization create Acme --rate 0,03", "decimal"),
        ("admin organization create Acme --rate 0", "at least 1"),
        ("admin organization create Acme --currency usd", "ISO 4217"),
        ("admin organization create Acme --country USA", "USA"),
        ("admin organization create Acme --number-type mobile", "premium_rate"),
        ("admin organization show org_none", "no organization org_none"),
        ("admin key create --organization org_none --name CI", "no organization org_none"),
        ("admin key create --organization {org} --name CI --scope can_fly", "can_fly"),
        ("admin key create --organization {org} --name CI --expires-at 2020-01-01T00:00:00Z", "past"),
        ("admin key create --organization {org} --name CI --expires-at 2030-01-01", "offset"),
        ("admin key create --organization {org} --name CI --dialect burki", "hms, klen"),
        ("admin key create --organization {org} --name CI --calls-per-minute 0", "at least 1"),
        ("admin key create --organization {org} --name CI --calls-per-day -1", "at least 1"),
        ("admin organization update {org}", "Nothing to change"),
        ("admin organization update {org} --rate 0", "at least 1"),
        ("admin organization update {org} --country USA", "USA"),
        ("admin organization update {org} --number-type mobile", "premium_rate"),
        ("admin organization update {org} --active-calls 0", "at least 1"),
        ("admin organization update {org} --default-assistant 9", "no assistant 9"),
        ("admin organization update org_none --rate 1", "no organization org_none"),
        ("admin flow put 1 --organization {org} --name F --base-assistant 9 --engine-url wss://f.test", "assistant 9"),
        ("admin flow put 1 --organization {org} --name F --base-assistant 123 --engine-url ws://f.test", "wss://"),
        (
            "admin flow put 1 --organization {org} --name F --base-assistant 123 --engine-url wss://f --engine say",
            "relay, stream",
        ),
        ("admin flow put 0 --organization {org} --name F --base-assistant 123 --engine-url wss://f.test", "from 1 to"),
        ("admin assistant put 9 --organization {org} --name A --welcome-message Hi --public-id 123", "only digits"),
        ("admin assistant put 9 --organization {org} --name A --welcome-message Hi --llm-config [1]", "--llm-config"),
        (
            'admin assistant put 9 --organization {org} --name A --welcome-message Hi --llm-config {{"provider":7}}',
            "provider",
        ),
        (
            "admin assistant put 9 --organization {org} --name A --welcome-message Hi --tts-config @/none",
            "cannot be read",
        ),
        (
            "admin assistant put 9 --organization {org} --name A --welcome-message Hi --prompt-file /none",
            "cannot be read",
        ),
        (
            "admin assistant put 9 --organization {org} --name A --welcome-message Hi --prompt-file /none --prompt P",
            "Leave one",
        ),
        ("admin number put +15551112222 --organization {org} --carrier-account {acct} --flow 9", "no flow 9"),
        ("admin key revoke --organization {org} 00000000", "no key 00000000"),
        ("admin assistant put 0 --organization {org} --name A --welcome-message Hi", "from 1 to"),
        ("admin assistant put 9 --organization {org} --name A --welcome-message Hi --engine chat", "relay"),
        ("admin assistant put 9 --organization {org} --name A --welcome-message Hi --engine relay", "wss://"),
        ("admin assistant put 9 --organization org_none --name A --welcome-message Hi", "no organization"),
        ("admin number put +15551112222 --organization {org} --carrier-account acct_none", "no carrier account"),
        ("admin number put +15551112222 --organization {org} --carrier-account {acct} --assistant 9", "no assistant 9"),
        ("admin number put 5551112222 --organization {org} --carrier-account {acct}", "E.164"),
        ("admin deposit --organization {org} -- -5", "decimal"),
        ("admin deposit 0 --organization {org}", "more than 0"),
        ("admin deposit 5 --organization org_none", "no organization"),
        ("admin dnc add +15550109998", "--platform"),
        ("admin dnc add +15550109998 --platform --organization {org}", "--platform"),
        ("admin dnc add 5550109998 --platform", "E.164"),
        ("admin dnc remove +15550109998 --organization {org}", "not on the do-not-call list"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence_and_changes_nothing(world: World, command: str, said: str) -> None:
    entities = world.stack.provision.entities(world.demo.organization_id)
    account = next(each.id for each in entities if isinstance(each, CarrierAccount))
    before = world.fingerprint()

    message = refusal(*command.format(org=world.demo.organization_id, acct=account).split(" "))

    assert said in message
    assert world.fingerprint() == before


def test_an_assistant_is_put_with_everything_it_has_and_shown_so(world: World, tmp_path: Path) -> None:
    organization = create_organization()
    (tmp_path / "prompt.txt").write_text("Remind {{ name }}.\nBe brief.")
    (tmp_path / "tts.json").write_text('{"provider": "elevenlabs", "speed": 1.1}')
    llm = {"provider": "openai", "temperature": 0.7, "messages": [{"role": "system", "content": "Hi"}]}
    put = run_json(
        *("admin", "assistant", "put", "7", "--organization", organization, "--name", "Reminder"),
        *("--welcome-message", "Hello.", "--public-id", "17a0cb75-fa09-4bdd-9a44-92a70d829c88"),
        *("--prompt-file", str(tmp_path / "prompt.txt"), "--agent-id", "agent_1"),
        *("--llm-config", json.dumps(llm), "--stt-config", '{"provider": "deepgram"}'),
        *("--tts-config", f"@{tmp_path / 'tts.json'}"),
    )

    (shown,) = run_json("admin", "organization", "show", organization)["assistants"]

    assert shown == put
    assert put["public_id"] == "17a0cb75-fa09-4bdd-9a44-92a70d829c88"
    assert (put["prompt"], put["agent_id"]) == ("Remind {{ name }}.\nBe brief.", "agent_1")
    assert put["llm_config"] == llm
    assert (put["stt_config"], put["tts_config"]["speed"]) == ({"provider": "deepgram"}, 1.1)


CONVERSATION: dict[str, Any] = {
    "silence_timeout_seconds": 8,
    "silence_prompts": 2,
    "silence_message": "Hello?",
    "response_timeout_seconds": 4,
    "fallback_message": "One moment.",
    "on_failure": "transfer",
    "transfer_number": "+15550001111",
    "end_phrases": ["goodbye", "that is all"],
    "turns_max": 50,
    "opt_out_message": "You will not be called again.",
    "on_machine": "leave_message",
    "voicemail_message": "Please call us back.",
    "analysis_schema": {"type": "object", "properties": {"agreed": {"type": "boolean"}}},
    "is_recorded": True,
}


def test_an_assistant_holds_conversations_as_it_is_told(world: World, tmp_path: Path) -> None:
    organization = create_organization()
    put = ("admin", "assistant", "put", "8", "--organization", organization, "--name", "Reminder")
    put += ("--welcome-message", "Hello.", "--engine", "conversation")
    (tmp_path / "conversation.json").write_text(json.dumps(CONVERSATION))

    run(*put, "--conversation", f"@{tmp_path / 'conversation.json'}")

    (shown,) = run_json("admin", "organization", "show", organization)["assistants"]
    assert (shown["engine"], shown["conversation"]) == ("conversation", CONVERSATION)
    assert run_json(*put, "--conversation", '{"turns_max": 7}')["conversation"]["turns_max"] == 7
    assert "goodbye, that is all" in run(*put, "--conversation", json.dumps(CONVERSATION)).stdout


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"colour": "red"}, "its entries are silence_timeout_seconds"),
        ({"turns_max": "7"}, "turns_max"),
        ({"turns_max": True}, "turns_max"),
        ({"turns_max": None}, "turns_max"),
        ({"turns_max": 0}, "from 1 to 500"),
        ({"is_recorded": 1}, "is_recorded"),
        ({"end_phrases": "goodbye"}, "end_phrases"),
        ({"end_phrases": ["goodbye", 7]}, "end_phrases"),
        ({"analysis_schema": []}, "analysis_schema"),
        ({"analysis_schema": {"type": "array"}}, "analysis_schema"),
        ({"on_machine": None}, "on_machine"),
        ({"on_machine": "wait"}, "hang_up, leave_message, continue"),
        ({"on_failure": "transfer"}, "transfer_number"),
        ({"transfer_number": "5550001111"}, "E.164"),
    ],
    ids=str,
)
def test_a_conversation_that_could_not_be_held_is_refused_and_nothing_kept(
    world: World, settings: dict[str, Any], said: str
) -> None:
    on = ("--organization", world.demo.organization_id, "--name", "A", "--welcome-message", "Hi")
    before = world.fingerprint()
    assert said in refusal("admin", "assistant", "put", "9", *on, "--conversation", json.dumps(settings))
    assert world.fingerprint() == before


def test_how_an_organizations_conversations_are_held_is_shown_and_changed(world: World) -> None:
    words = "I am {{ assistant }}, an artificial voice of {{ organization }}."
    organization = create_organization("--disclosure-message", words, "--opt-out-digit", "*", "--retention-days", "7")
    update = ("admin", "organization", "update", organization)

    def shown() -> list[Any]:
        document = run_json("admin", "organization", "show", organization)
        return [document[name] for name in ("discloses", "disclosure_message", "opt_out_digit", "retention_days")]

    assert shown() == [True, words, "*", 7]
    run(*update, "--no-disclosure", "--opt-out-digit", "none")
    assert shown() == [False, words, None, 7]
    run(*update, "--disclosure", "--disclosure-message", "", "--opt-out-digit", "9", "--retention-days", "30")
    assert shown() == [True, None, "9", 30]
    assert "opt_out_digit" in refusal(*update, "--opt-out-digit", "99")
    assert "name" in refusal(*update, "--disclosure-message", "Hello {{ name }}")
    assert shown() == [True, None, "9", 30]
    quiet = create_organization("--no-disclosure", "--opt-out-digit", "none")
    kept = world.stack.provision.organization(quiet)
    assert (kept.discloses, kept.opt_out_digit, kept.retention_days) == (False, None, 90)


def test_bedrock_is_allowed_and_forbidden_and_other_models_stay(world: World) -> None:
    organization = create_organization("--bedrock")
    on = ("--organization", organization, "--provider", "openai")
    run("admin", "set-model-key", *on, stdin="sk-0123456789-secret\n")
    provision = world.stack.provision
    assert provision.organization(organization).model_providers == {"bedrock", "openai"}
    run("admin", "organization", "update", organization, "--no-bedrock")
    assert provision.organization(organization).model_providers == {"openai"}
    run("admin", "organization", "update", organization, "--bedrock")
    assert provision.organization(organization).model_providers == {"bedrock", "openai"}


def test_a_models_key_comes_from_standard_input_and_is_shown_nowhere(world: World) -> None:
    organization = create_organization()
    on = ("--organization", organization, "--provider", "openai")
    key = "sk-not-to-be-printed"

    result = run("admin", "set-model-key", *on, "--base-url", "https://models.example.com/v1", stdin=f"{key}\n")

    shown = run("admin", "organization", "show", organization, "--json").stdout
    assert json.loads(shown)["model_providers"] == ["openai"]
    assert key not in result.output + shown
    secrets = OrganizationSecrets(world.aws, ORGANIZATION_SECRETS_PREFIX)
    assert secrets.read(organization, "model-openai") == {"api_key": key, "base_url": "https://models.example.com/v1"}


def test_a_key_for_tools_is_given_or_made(world: World) -> None:
    organization = create_organization()
    on = ("--organization", organization)

    def stored() -> Any:
        return OrganizationSecrets(world.aws, ORGANIZATION_SECRETS_PREFIX).read(organization, "tools")

    given = run("admin", "set-tools-key", *on, stdin="whsec_not-to-be-printed")
    assert "whsec_not" not in given.output
    assert stored() == {"signing_key": "whsec_not-to-be-printed"}
    made = run_json("admin", "set-tools-key", *on, "--generate")["signing_key"]
    assert made.startswith("whsec_")
    assert stored() == {"signing_key": made}
    assert run_json("admin", "set-tools-key", *on, "--generate")["signing_key"] != made


@pytest.mark.parametrize(
    ("command", "stdin", "said"),
    [
        ("set-model-key --provider openai", "", "standard input"),
        ("set-model-key --provider openai", "short-secret", "from 16 to 512"),
        ("set-model-key --provider bedrock", "sk-0123456789-secret", "mistral, openai, xai"),
        ("set-model-key --provider openai --base-url ftp://x", "sk-0123456789-secret", "base_url"),
        ("set-tools-key", " \n", "standard input"),
        ("set-tools-key", "two words-secret", "no spaces"),
    ],
)
def test_a_key_that_could_not_be_used_is_refused_and_not_repeated(
    world: World, command: str, stdin: str, said: str
) -> None:
    before = world.fingerprint()
    message = refusal("admin", *command.split(), "--organization", world.demo.organization_id, stdin=stdin)
    assert said in message
    assert "secret" not in message
    assert world.fingerprint() == before


@pytest.mark.parametrize("text", ["", "{", "null", '{"provider": NaN}', "@"])
def test_a_configuration_that_is_no_json_object_is_refused(world: World, text: str) -> None:
    on = ("--organization", world.demo.organization_id)
    command = ("admin", "assistant", "put", "9", *on, "--name", "A", "--welcome-message", "Hi", "--llm-config", text)
    assert "--llm-config" in refusal(*command)


def test_flows_numbers_and_keys_show_what_they_were_given(world: World) -> None:
    organization = create_organization("--allow-key-in-query")
    on = ("--organization", organization)
    run("admin", "assistant", "put", "7", *on, "--name", "Reminder", "--welcome-message", "Hello.")
    secret = json.dumps({"account_sid": ACCOUNT_SID, "auth_token": AUTH_TOKEN})
    account = run_json("admin", "carrier-account", "create", *on, "--calls-per-second", "5", stdin=secret)["id"]
    command = ("admin", "flow", "put", "3", *on, "--name", "Intake", "--base-assistant", "7")
    flow = run_json(*command, "--engine", "stream", "--engine-url", "wss://flows.example.test")
    options = ("--flow", "3", "--assistant", "7", "--no-dial-out", "--not-in-pool", "--carrier-number-id", "phnum_1")
    number = run_json("admin", "number", "put", "+15551115555", *on, "--carrier-account", account, *options)
    limits = ("--dialect", "klen", "--calls-per-minute", "60", "--calls-per-day", "100")
    key = run_json("admin", "key", "create", *on, "--name", "CI", *limits)

    shown = run_json("admin", "organization", "show", organization)

    assert shown["allows_key_in_query"] is True
    assert shown["flows"] == [flow]
    assert (flow["id"], flow["base_assistant_id"], flow["engine"]) == (3, 7, "stream")
    assert shown["numbers"] == [number]
    assert (number["id"], number["flow_id"], number["assistant_id"]) == ("num_15551115555", 3, 7)
    assert (number["can_dial_out"], number["in_pool"], number["carrier_number_id"]) == (False, False, "phnum_1")
    assert shown["carrier_accounts"][0]["calls_per_second"] == 5
    (shown_key,) = shown["keys"]
    assert shown_key.items() <= (key | {"is_active": True}).items()
    assert (key["dialect"], key["calls_per_minute_max"], key["calls_per_day_max"]) == ("klen", 60, 100)


def test_an_update_changes_what_is_given_and_leaves_the_rest(world: World) -> None:
    organization = create_organization("--rate", "0.05", "--number-type", "toll_free")
    on = ("--organization", organization)
    run("admin", "assistant", "put", "7", *on, "--name", "Reminder", "--welcome-message", "Hello.")
    before = world.stack.provision.organization(organization)
    update = ("admin", "organization", "update", organization)

    given = ("--country", "NL", "--country", "BE", "--rate", "0.07", "--active-calls", "7", "--billing-increment", "1")
    run(*update, *given)
    run(*update, "--name", "Acme Dental", "--number-type", "none")
    run(*update, "--allow-key-in-query", "--default-assistant", "7")

    assert world.stack.provision.organization(organization) == replace(
        before,
        name="Acme Dental",
        allowed_countries=frozenset({"NL", "BE"}),
        allowed_number_types=frozenset(),
        rate_micros_per_minute=70_000,
        active_calls_max=7,
        billing_increment_seconds=1,
        allows_key_in_query=True,
        default_assistant_id=7,
    )
    run(*update, "--no-key-in-query", "--default-assistant", "0")
    after = world.stack.provision.organization(organization)
    assert (after.allows_key_in_query, after.default_assistant_id) == (False, None)


def test_a_country_that_was_taken_away_is_not_called_any_more(world: World) -> None:
    update = ("admin", "organization", "update", world.demo.organization_id)
    run(*update, "--country", "NL")
    refused = world.initiate(BODY).status
    run(*update, "--country", "US", "--country", "NL")

    assert refused == 403
    assert world.initiate(BODY).status == 200


def test_a_deposit_with_a_key_is_made_once(world: World) -> None:
    organization = create_organization()
    command = ("admin", "deposit", "5", "--organization", organization, "--idempotency-key", "invoice-17")

    assert run_json(*command)["id"] == run_json(*command)["id"]
    assert run_json("admin", "organization", "show", organization)["wallet"]["deposited"]["amount"] == "5.000000"


def test_a_deposit_is_in_the_organizations_own_currency(world: World) -> None:
    organization = create_organization("--currency", "EUR")

    entry = run_json("admin", "deposit", "5", "--organization", organization)

    assert entry["amount"] == {"amount": "5.000000", "currency": "EUR"}


def test_a_number_on_the_organizations_list_is_not_called_until_it_is_taken_off(world: World) -> None:
    number = ("+15550109997", "--organization", world.demo.organization_id)
    body = {**BODY, "to_phone_number": "+15550109997"}
    run("admin", "dnc", "add", *number, "--reason", "asked")
    refused = world.initiate(body).status
    run("admin", "dnc", "remove", *number)

    assert refused == 403
    assert world.initiate(body).status == 200


def test_the_platforms_list_holds_for_everyone_and_waits_out_every_dial(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    body = {**BODY, "to_phone_number": "+15550109996"}

    run("admin", "dnc", "add", "+15550109996", "--platform")

    assert waits == [12.0]  # the ten seconds in which a committed call may be dialed, and two for clocks that differ
    assert world.initiate(body).status == 403
    second = {**body, "from_phone_number": "+15557654321"}
    assert world.initiate(second, key=world.demo.second_api_key).status == 403
    run("admin", "dnc", "remove", "+15550109996", "--platform")
    assert world.initiate(body).status == 200


def carrier_event(status: str) -> str:
    """A message as the webhook queues it."""
    return json.dumps(
        {
            "carrier": "twilio",
            "organization_id": "org_x",
            "carrier_account_id": "acct_x",
            "call_id": "call_x",
            "source": "callback",
            "received_at": "2026-11-20T09:00:00.000Z",
            "fields": {"CallSid": "CA" + "1" * 32, "AccountSid": ACCOUNT_SID, "CallStatus": status},
        }
    )


def test_dead_letters_are_listed_with_their_reason_and_without_their_contents(world: World) -> None:
    sqs = world.session.client("sqs")
    url = sqs.get_queue_url(QueueName="events-dead")["QueueUrl"]
    for body in (carrier_event("hovering"), "+15550109995 is no JSON", carrier_event("ringing")):
        sqs.send_message(QueueUrl=url, MessageBody=body)

    listed = run("dlq", "list", "carrier-events", "--json").stdout
    again = run_json("dlq", "list", "carrier-events")["messages"]

    reasons = {each["reason"].split(";")[0].split(":")[0] for each in json.loads(listed)["messages"]}
    assert reasons == {"unknown Twilio CallStatus 'hovering'", "not a carrier event", "understood"}
    assert "+15550109995" not in listed
    assert len(again) == 3  # listing takes nothing away


def test_redriven_carrier_events_are_back_in_the_queue_and_gone_from_the_dead(world: World) -> None:
    sqs = world.session.client("sqs")
    url = sqs.get_queue_url(QueueName="events-dead")["QueueUrl"]
    body = carrier_event("ringing")
    sqs.send_message(QueueUrl=url, MessageBody=body)

    assert run_json("dlq", "redrive", "carrier-events") == {"redriven": 1}

    (message,) = sqs.receive_message(QueueUrl=Stack.find("any").output("CarrierEventsQueueUrl"))["Messages"]
    assert message["Body"] == body
    assert run_json("dlq", "list", "carrier-events") == {"messages": []}


def test_dead_dials_name_their_call_and_go_back_to_the_queue_of_dials(world: World) -> None:
    sqs = world.session.client("sqs")
    url = sqs.get_queue_url(QueueName="dials-dead")["QueueUrl"]
    bodies = [json.dumps({"organization_id": "org_x", "call_id": "call_x"}), "+15550109995", "[]"]
    for body in bodies:
        sqs.send_message(QueueUrl=url, MessageBody=body)

    listed = run_json("dlq", "list", "dials")["messages"]
    assert sorted(each["call_id"] or "-" for each in listed) == ["-", "-", "call_x"]
    assert all("+15550109995" not in each["reason"] for each in listed)

    assert run_json("dlq", "redrive", "dials") == {"redriven": 3}
    queue = Stack.find("any").output("DialsQueueUrl")
    returned = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    assert sorted(each["Body"] for each in returned) == sorted(bodies)
    assert run_json("dlq", "list", "dials") == {"messages": []}


def test_dead_tasks_name_their_call_and_never_what_was_to_be_said(world: World) -> None:
    sqs = world.session.client("sqs")
    url = sqs.get_queue_url(QueueName="tasks-dead")["QueueUrl"]
    task = {"kind": "command", "organization_id": "org_x", "call_id": "call_x", "command": {"text": "swordfish"}}
    bodies = [json.dumps(task), json.dumps({"kind": "look"}), "swordfish"]
    for body in bodies:
        sqs.send_message(QueueUrl=url, MessageBody=body)

    listed = run_json("dlq", "list", "conversation-tasks")["messages"]
    assert sorted(each["call_id"] or "-" for each in listed) == ["-", "-", "call_x"]
    assert "swordfish" not in str(listed)

    assert run_json("dlq", "redrive", "conversation-tasks") == {"redriven": 3}
    queue = Stack.find("any").output("ConversationTasksQueueUrl")
    returned = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    assert sorted(each["Body"] for each in returned) == sorted(bodies)


@pytest.mark.parametrize("queue", ["dials-dead", "tasks-dead"])
def test_doctor_sees_dead_letters(world: World, queue: str) -> None:
    url = world.session.client("sqs").get_queue_url(QueueName=queue)["QueueUrl"]
    world.session.client("sqs").send_message(QueueUrl=url, MessageBody="{}")
    assert "1 are waiting" in wrong(world.demo.organization_id)["dead letters"]


class ReconcilerInvocations:
    """Lambda, as far as the command uses it."""

    def __init__(self, payload: Any, *, is_failure: bool = False) -> None:
        self.reply = {"Payload": BytesIO(json.dumps(payload).encode())} | (
            {"FunctionError": "Unhandled"} if is_failure else {}
        )
        self.invoked: list[str] = []

    def invoke(self, *, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803 - boto3's names
        """Run it."""
        self.invoked.append(FunctionName)
        return self.reply


@pytest.fixture
def reconciler(monkeypatch: pytest.MonkeyPatch) -> ReconcilerInvocations:
    """The reconciler function, which finds nothing to do."""
    function = ReconcilerInvocations({"checked": 0, "settled": 0})
    session = SimpleNamespace(client=lambda service, config: function)
    monkeypatch.setattr(operations, "open_session", lambda: session)
    return function


def test_failed_runs_of_the_reconciler_are_made_up_for_by_one_run(
    world: World, reconciler: ReconcilerInvocations
) -> None:
    sqs = world.session.client("sqs")
    url = sqs.get_queue_url(QueueName="reconciler-dead")["QueueUrl"]
    failure = {"requestContext": {"condition": "RetriesExhausted"}, "responsePayload": {"errorType": "AwsError"}}
    sqs.send_message(QueueUrl=url, MessageBody=json.dumps(failure))
    sqs.send_message(
        QueueUrl=url,
        MessageBody="{}",
        MessageAttributes={"ERROR_CODE": {"DataType": "String", "StringValue": "ThrottlingException"}},
    )

    reasons = {each["reason"] for each in run_json("dlq", "list", "reconciler")["messages"]}
    done = run_json("dlq", "redrive", "reconciler")

    assert reasons == {"RetriesExhausted: AwsError", "the scheduler could not start it: ThrottlingException"}
    assert done == {"redriven": 2, "run": {"checked": 0, "settled": 0}}
    assert reconciler.invoked == ["reconciler"]
    assert run_json("dlq", "list", "reconciler") == {"messages": []}


def test_reconcile_says_what_the_run_did(reconciler: ReconcilerInvocations) -> None:
    assert run_json("reconcile") == {"checked": 0, "settled": 0}


def test_a_run_that_fails_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    function = ReconcilerInvocations({"errorType": "AwsError", "errorMessage": "…"}, is_failure=True)
    session = SimpleNamespace(client=lambda service, config: function)
    monkeypatch.setattr(operations, "open_session", lambda: session)

    assert "AwsError" in refusal("reconcile")


def test_doctor_names_what_is_wrong_and_exits_with_1(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = {
        **Stack.find("any").outputs,
        "PublicBaseUrl": "http://127.0.0.1:9",
        "PublicSocketUrl": "ws://127.0.0.1:9",
    }
    monkeypatch.setattr(Stack, "find", lambda name: Stack(world.aws, outputs))

    result = CliRunner().invoke(app, ["doctor", "--organization", world.demo.organization_id, "--json"])

    checks = {each["check"]: each["ok"] for each in json.loads(result.stdout)["checks"]}
    assert result.exit_code == 1
    assert checks == {
        "tables": True,
        "secrets": True,
        "dead letters": True,
        "public address": False,
        "WebSockets": False,
        "carrier accounts": True,
        "conversations": True,
        "models and tools": True,
    }


def wrong(organization: str) -> dict[str, str]:
    """What the doctor finds wrong with an organization, by check."""
    result = CliRunner().invoke(app, ["doctor", "--organization", organization, "--json"])
    return {each["check"]: each["detail"] for each in json.loads(result.stdout)["checks"] if not each["ok"]}


def test_doctor_holds_every_accounts_secret_against_what_its_carrier_needs(world: World) -> None:
    organization = create_organization()
    secrets = CarrierSecrets(world.aws, SECRETS_PREFIX)
    incomplete = {"api_key": "not-to-be-printed"}
    for account_id, carrier in {"acct_1": "vonage", "acct_2": "telnyx", "acct_3": "carrier-pigeon"}.items():
        world.stack.accounts.put(CarrierAccount(account_id, organization, carrier, "Account", world.clock.now()))
    secrets.put(organization, "acct_2", incomplete)
    secrets.put(organization, "acct_3", incomplete)

    found = wrong(organization)["carrier accounts"]

    assert "acct_1 has no secret" in found
    assert "acct_2 (telnyx) cannot be used: public_key is empty" in found
    assert "carrier-pigeon" in found
    assert "not-to-be-printed" not in found


def test_doctor_names_whoever_speaks_with_an_engine_that_the_numbers_carrier_lacks(world: World) -> None:
    organization = create_organization()
    on = ("--organization", organization)
    account = CarrierAccount("acct_1", organization, "vonage", "Account", world.clock.now())
    world.stack.accounts.put(account)
    relay = ("--engine", "relay", "--engine-url", "wss://m.test")
    run("admin", "assistant", "put", "1", *on, "--name", "A", "--welcome-message", "Hi", *relay)
    run("admin", "assistant", "put", "2", *on, "--name", "B", "--welcome-message", "Hi")
    run("admin", "flow", "put", "7", *on, "--name", "F", "--base-assistant", "2", "--engine-url", "wss://m.test")
    number = ("--carrier-account", "acct_1", "--assistant", "1", "--flow", "7")
    run("admin", "number", "put", "+15551112222", *on, *number)
    run("admin", "number", "put", "+15551113333", *on, "--carrier-account", "acct_1", "--assistant", "2")

    found = wrong(organization)["conversations"].split("; ")

    assert found == [
        'assistant 1 speaks with the engine "relay", which numbers of vonage (+15551112222) cannot',
        'flow 7 speaks with the engine "relay", which numbers of vonage (+15551112222) cannot',
    ]


def test_doctor_says_what_the_default_assistant_lacks(world: World) -> None:
    organization = create_organization()
    on = ("--organization", organization)
    run("admin", "assistant", "put", "1", *on, "--name", "A", "--welcome-message", "", "--engine", "agent")
    run("admin", "organization", "update", organization, "--default-assistant", "1")

    found = wrong(organization)["conversations"]

    assert "the default assistant 1 has no carrier account, no agent, no caller number" in found
    assert 'assistant 1 has the engine "agent" and no agent_id' in found


def test_doctor_misses_assistants_numbers_and_the_base_assistants_of_flows(world: World) -> None:
    organization = create_organization()
    number = ("--caller-number", "+15551114444")
    on = ("--organization", organization)
    run("admin", "assistant", "put", "1", *on, "--name", "A", "--welcome-message", "Hi", *number)
    world.stack.accounts.put(ConversationFlow(7, organization, "F", 9, "relay", "wss://m.test"))

    assert wrong(organization)["conversations"].split("; ") == [
        "assistant 1 calls from +15551114444, which the organization does not have",
        "flow 7 is based on assistant 9, which does not exist",
    ]


def test_doctor_misses_the_keys_of_models_and_tools(world: World) -> None:
    organization = create_organization()
    on = ("--organization", organization)
    tool = {
        "type": "function",
        "function": {"name": "find", "description": "Find."},
        "server": {"url": "https://tools.example.com/"},
    }
    speech = ("--stt-config", "{}", "--tts-config", "{}", "--engine", "conversation")
    llm = json.dumps({"provider": "mistral", "tools": [tool]})
    run("admin", "assistant", "put", "1", *on, "--name", "A", "--welcome-message", "Hi", *speech, "--llm-config", llm)
    run("admin", "assistant", "put", "2", *on, "--name", "B", "--welcome-message", "Hi", "--engine", "conversation")

    assert wrong(organization)["models and tools"].split("; ") == [
        "assistant 1 has no key for mistral: `dialplane admin set-model-key --provider mistral`",
        "assistant 1 has no key for tools: `dialplane admin set-tools-key`",
    ]

    world.stack.keys.put_model_key(organization, provider="mistral", api_key="k" * 20)
    world.stack.keys.put_signing_key(organization, "k" * 32)
    assert "models and tools" not in wrong(organization)


@pytest.mark.parametrize(("status", "is_well"), [(401, True), (403, False), (200, False)])
def test_doctor_knocks_where_carriers_open_websockets(
    world: World, monkeypatch: pytest.MonkeyPatch, status: int, is_well: bool
) -> None:
    asked: list[str] = []

    class Door(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.path} {self.headers['Upgrade']}")
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Door) as door:
        threading.Thread(target=door.handle_request, daemon=True).start()
        outputs = {**Stack.find("any").outputs, "PublicSocketUrl": f"ws://127.0.0.1:{door.server_port}/socket"}
        monkeypatch.setattr(Stack, "find", lambda name: Stack(world.aws, outputs))
        result = CliRunner().invoke(app, ["doctor", "--json"])
    found = {each["check"]: each for each in json.loads(result.stdout)["checks"]}["WebSockets"]
    assert (found["ok"], asked) == (is_well, ["/socket websocket"])


def test_tables_are_for_people(world: World) -> None:
    organization = create_organization("--rate", "0.05")

    shown = run("admin", "organization", "show", organization).stdout

    assert "0.050000 USD" in shown
    assert organization in shown


@pytest.mark.parametrize("failure", [StackNotFound("no such stack"), NoCredentialsError()])
def test_a_stack_that_cannot_be_reached_is_no_traceback(failure: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def find(name: str) -> Stack:
        raise failure

    monkeypatch.setattr(Stack, "find", find)

    assert str(failure) in refusal("admin", "organization", "show", "org_x")


def test_a_stack_of_something_else_is_said_to_be_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stack, "find", lambda name: Stack(world.aws, {}))

    assert "not a Dialplane stack" in refusal("admin", "organization", "show", "org_x")


def test_suspending_keeps_everything_else(world: World) -> None:
    organization = create_organization("--rate", "0.07", "--number-type", "toll_free")
    before = world.stack.provision.organization(organization)

    run("admin", "organization", "suspend", organization)

    assert world.stack.provision.organization(organization) == replace(before, is_active=False)
