"""Checks of a deployed stack: each finds one thing that would keep calls from working. Changes nothing."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cli.conversations import Conversations
from cli.stack import Stack, StackNotFound
from dialplane.aws.client import AwsError
from dialplane.carriers.registry import check_credentials
from dialplane.domain.accounts import CarrierAccount
from dialplane.domain.errors import DialplaneError
from dialplane.runtime.carrier_accounts import CarrierAccounts

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
    }
    if organization_id is not None:
        checks["carrier accounts"] = lambda: _read_credentials(stack, organization_id)
        checks["conversations"] = lambda: _check_conversations(stack, organization_id)
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
