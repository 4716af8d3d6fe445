"""Checks of a deployed stack: each finds one thing that would keep calls from working. Changes nothing."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import secrets
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

from cli.conversations import Conversations
from cli.stack import Stack, StackNotFound
from dialplane.aws.client import AwsError
from dialplane.carriers.registry import check_credentials
from dialplane.domain.accounts import Assistant, CarrierAccount
from dialplane.domain.errors import DialplaneError
from dialplane.domain.language_model import PROVIDERS_WITH_KEY
from dialplane.runtime.carrier_accounts import CarrierAccounts
from dialplane.runtime.organization_secrets import TOOLS, OrganizationSecrets

_HTTP_TIMEOUT_SECONDS = 30.0  # a first request may wait for a cold start


@dataclass(frozen=True, slots=True)
class Finding:
    """One check and what came of it."""

    check: str
    is_ok: bool
    detail: str


def examine(stack: Stack, organization_id: str | None) -> list[Finding]:
    """Run every check."""
    checks: dict[str, Callable[[], str]] = {
        "tables": lambda: _read_tables(stack),
        "secrets": lambda: _read_no_secret(stack),
        "dead letters": lambda: _count_dead_letters(stack),
        "public address": lambda: _ask_without_key(stack.output("PublicBaseUrl")),
        "WebSockets": lambda: _knock(stack.output("PublicSocketUrl")),
    }
    if organization_id is not None:
        checks["carrier accounts"] = lambda: _read_credentials(stack, organization_id)
        checks["conversations"] = lambda: _check_conversations(stack, organization_id)
        checks["models and tools"] = lambda: _check_keys(stack, organization_id)
    return [_finding(name, check) for name, check in checks.items()]


class _Unwell(Exception):
    """A check found something; the message says what."""


def _finding(name: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(name, True, check())
    except (_Unwell, StackNotFound, AwsError, DialplaneError) as error:
        return Finding(name, False, str(error))


def _read_tables(stack: Stack) -> str:
    tables = stack.tables
    names = (tables.accounts, tables.destinations, tables.wallets, tables.calls, tables.usage)
    for table in names:
        key = {"pk": {"S": "DOCTOR"}, "sk": {"S": "DOCTOR"}}
        stack.aws.call("dynamodb", "GetItem", {"TableName": table, "Key": key})
    stack.aws.call("dynamodb", "GetItem", {"TableName": tables.idempotency, "Key": {"pk": {"S": "DOCTOR"}}})
    return f"all {len(names) + 1} can be read"


def _read_no_secret(stack: Stack) -> str:
    # There is no such secret: being told so proves that we may ask.
    CarrierAccounts(stack.aws, stack.output("CarrierSecretsPrefix")).credentials("doctor", "doctor")
    return f"{stack.output('CarrierSecretsPrefix')}/* can be read"


def _read_credentials(stack: Stack, organization_id: str) -> str:
    accounts = [each for each in stack.provision.entities(organization_id) if isinstance(each, CarrierAccount)]
    if not accounts:
        raise _Unwell("the organization has none; create one with `dialplane admin carrier-account create`")
    reader = CarrierAccounts(stack.aws, stack.output("CarrierSecretsPrefix"))
    if faults := [fault for account in accounts for fault in _credential_faults(reader, account)]:
        raise _Unwell("; ".join(faults))
    return f"credentials of {', '.join(account.id for account in accounts)} are in place"


def _credential_faults(reader: CarrierAccounts, account: CarrierAccount) -> Iterator[str]:
    try:
        found = reader.credentials(account.organization_id, account.id)
        if found is None:
            yield f"{account.id} has no secret"
        else:
            check_credentials(account.carrier, found)
    except (ValueError, DialplaneError) as error:
        yield f"the secret of {account.id} ({account.carrier}) cannot be used: {error}"


def _check_conversations(stack: Stack, organization_id: str) -> str:
    conversations = Conversations.of(stack.provision.entities(organization_id))
    if faults := conversations.faults():
        raise _Unwell("; ".join(faults))
    counts = len(conversations.numbers), len(conversations.assistants), len(conversations.flows)
    return "{} numbers, {} assistants and {} flows fit together".format(*counts)


def _check_keys(stack: Stack, organization_id: str) -> str:
    """Whoever thinks in a conversation, and the tools that are used there, are asked with keys."""
    assistants = [each for each in stack.provision.entities(organization_id) if isinstance(each, Assistant)]
    reader = OrganizationSecrets(stack.aws, stack.output("OrganizationSecretsPrefix"))
    known = stack.provision.organization(organization_id).model_providers
    faults = []
    for assistant in assistants:
        for need in _needed_keys(assistant):
            provider = need.removeprefix("model-")
            if not _holds(reader, organization_id, need) or (need != TOOLS and provider not in known):
                command = "set-tools-key" if need == TOOLS else f"set-model-key --provider {provider}"
                faults.append(f"assistant {assistant.id} has no key for {provider}: `dialplane admin {command}`")
    if faults:
        raise _Unwell("; ".join(faults))
    return f"{len(assistants)} assistants have the keys that they need"


def _needed_keys(assistant: Assistant) -> Iterator[str]:
    llm = assistant.llm_config or {}
    if assistant.engine != "conversation":
        return
    if (provider := llm.get("provider")) in PROVIDERS_WITH_KEY:
        yield f"model-{provider}"
    if any(tool.get("type") == "function" for tool in llm.get("tools") or ()):
        yield TOOLS


def _holds(reader: OrganizationSecrets, organization_id: str, name: str) -> bool:
    try:
        return bool(reader.read(organization_id, name))
    except ValueError:  # a secret that is none of ours
        return False


def _count_dead_letters(stack: Stack) -> str:
    counts = {}
    for queue in ("CarrierEvents", "ConversationTasks", "Dials", "Reconciler"):
        name = f"{queue}DeadLetterQueueUrl"
        asked = {"QueueUrl": stack.output(name), "AttributeNames": ["ApproximateNumberOfMessages"]}
        reply = stack.aws.call("sqs", "GetQueueAttributes", asked)
        counts[name] = int(reply["Attributes"]["ApproximateNumberOfMessages"])
    if any(counts.values()):
        raise _Unwell(f"{sum(counts.values())} are waiting; see `dialplane dlq list`")
    return "none"


def _ask_without_key(base_url: str) -> str:
    """Ask as a stranger: being told that a key is missing proves the way from the address to our code."""
    try:
        with urllib.request.urlopen(f"{base_url}/wallet", timeout=_HTTP_TIMEOUT_SECONDS) as reply:  # noqa: S310
            status, body = reply.status, reply.read()
    except urllib.error.HTTPError as error:
        status, body = error.code, error.read()
    except (OSError, ValueError) as error:
        raise _Unwell(f"{base_url} does not answer: {error}") from error
    try:
        code = json.loads(body).get("code")
    except (ValueError, AttributeError):
        code = None
    if code != "authentication_required":
        raise _Unwell(f"{base_url}/wallet answers {status}, and not as Dialplane does")
    return f"{base_url} reaches the API"


def _knock(socket_url: str) -> str:
    """Ask for a WebSocket without saying for which call: being refused as nobody proves the way to our authorizer."""
    url = urlsplit(socket_url)
    connect = http.client.HTTPSConnection if url.scheme == "wss" else http.client.HTTPConnection
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(secrets.token_bytes(16)).decode(),
    }
    try:
        connection = connect(url.netloc, timeout=_HTTP_TIMEOUT_SECONDS)
        with contextlib.closing(connection):
            connection.request("GET", url.path or "/", headers=headers)
            status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        raise _Unwell(f"{socket_url} does not answer: {error}") from error
    if status != HTTPStatus.UNAUTHORIZED:
        raise _Unwell(f"{socket_url} answers {status} to a stranger, and not 401")
    return f"{socket_url} lets no stranger in"
