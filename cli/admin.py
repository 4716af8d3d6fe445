"""`dialplane admin`: organizations, keys, assistants, flows, deposits.

Every rule is in the use cases; here are only words.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, get_args

import typer

from cli import carrier_admin, dnc_admin, key_admin
from cli.documents import (
    CONVERSATION_SETTINGS,
    assistant_document,
    carrier_account_document,
    flow_document,
    key_document,
    number_document,
    organization_document,
)
from cli.output import CommandFailed, JsonOption, StackOption, show
from cli.stack import Stack
from dialplane.dialects.registry import LISTING_DIALECTS
from dialplane.domain.accounts import (
    ApiKey,
    Assistant,
    CallerNumber,
    CarrierAccount,
    ConversationFlow,
    Organization,
)
from dialplane.domain.conversation_settings import OPT_OUT_DIGIT, RETENTION_DAYS
from dialplane.domain.idempotency import IdempotencyKey
from dialplane.domain.ids import new_id
from dialplane.domain.instructions import Engine
from dialplane.domain.money import parse_amount
from dialplane.runtime.documents import ledger_entry_document, wallet_document
from dialplane.usecases.provision import CUSTOMER_SCOPES

app = typer.Typer(no_args_is_help=True, help="Set up customers: any stack that your AWS credentials may write to.")
organization = typer.Typer(no_args_is_help=True, help="Customers of the platform.")
key = typer.Typer(no_args_is_help=True, help="API keys.")
assistant = typer.Typer(no_args_is_help=True, help="Who speaks.")
flow = typer.Typer(no_args_is_help=True, help="Conversations that live in a runtime of their own.")
app.add_typer(organization, name="organization")
app.add_typer(key, name="key")
app.add_typer(assistant, name="assistant")
app.add_typer(flow, name="flow")
app.add_typer(carrier_admin.carrier_account, name="carrier-account")
app.add_typer(carrier_admin.number, name="number")
app.add_typer(dnc_admin.app, name="dnc")
app.command("set-model-key")(key_admin.set_model_key)
app.command("set-tools-key")(key_admin.set_tools_key)

OrganizationOption = Annotated[str, typer.Option("--organization", help="Id of the organization (org_…).")]
KeyInQueryOption = typer.Option(
    "--allow-key-in-query/--no-key-in-query",
    help="Whether a key may come in a URL, and so in the logs of every proxy on the way; only Klen's format does that.",
)
DisclosureOption = typer.Option(
    "--disclosure/--no-disclosure",
    help="Whether conversations begin with the words that an artificial voice speaks. Leave them out only where the "
    "customer attests that no law asks for them.",
)
DisclosureMessageOption = typer.Option(
    help="Its own words for that; {{ organization }} and {{ assistant }} stand for the names. Empty for the usual ones."
)
OptOutDigitOption = typer.Option(help='Key that puts a callee on the do-not-call list; "none" for none.')
RetentionDaysOption = typer.Option(help="Days that transcripts, summaries and analyses are kept.")
BedrockOption = typer.Option(
    "--bedrock/--no-bedrock",
    help="Whether its assistants may ask models of Amazon Bedrock, which your account pays for.",
)
CONFIG_HELP = "as a JSON object, or @FILE with one."
CONVERSATION_HELP = (
    f'How the engine "conversation" holds a conversation, {CONFIG_HELP} '
    f"Its entries: {', '.join(CONVERSATION_SETTINGS)}."
)
_FLOW_ENGINES = ("relay", "stream")


@organization.command("create")
def create_organization(
    *,
    name: Annotated[str, typer.Argument(help="Name of the organization.")],
    currency: Annotated[str, typer.Option(help="ISO 4217 code of its wallet.")] = "USD",
    rate: Annotated[str, typer.Option(help="Price of a minute of connected time, as a decimal.")] = "0.03",
    billing_increment: Annotated[int, typer.Option(help="Seconds that started time is rounded up to.")] = 60,
    active_calls: Annotated[int, typer.Option(help="Calls it may have open at a time.")] = 100,
    country: Annotated[
        list[str] | None, typer.Option(help="ISO 3166 code of a country it may call; repeat for more. Default: US.")
    ] = None,
    number_type: Annotated[
        list[str] | None,
        typer.Option(help="Kind of number that is refused by default and that it may call, such as toll_free; repeat."),
    ] = None,
    key_in_query: Annotated[bool, KeyInQueryOption] = False,
    disclosure: Annotated[bool, DisclosureOption] = True,
    disclosure_message: Annotated[str | None, DisclosureMessageOption] = None,
    opt_out_digit: Annotated[str, OptOutDigitOption] = OPT_OUT_DIGIT,
    retention_days: Annotated[int, RetentionDaysOption] = RETENTION_DAYS,
    bedrock: Annotated[bool, BedrockOption] = False,
    stack: StackOption = "dialplane",
    as_json: JsonOption = False,
) -> None:
    """Create a customer with its rate, limits and countries."""
    created = Stack.find(stack).provision.create_organization(
        Organization(
            id=new_id("org"),
            name=name,
            currency=currency,
            rate_micros_per_minute=_micros(rate, "--rate"),
            billing_increment_seconds=billing_increment,
            active_calls_max=active_calls,
            allowed_countries=frozenset(country or ["US"]),
            allowed_number_types=frozenset(number_type or []),
            allows_key_in_query=key_in_query,
            discloses=disclosure,
            disclosure_message=disclosure_message or None,
            opt_out_digit=None if opt_out_digit == "none" else opt_out_digit,
            retention_days=retention_days,
            model_providers=frozenset({"bedrock"}) if bedrock else frozenset(),
        )
    )
    show(organization_document(created), as_json=as_json)


@organization.command("update")
def update_organization(
    *,
    organization_id: Annotated[str, typer.Argument(help="Id of the organization (org_…).")],
    name: Annotated[str | None, typer.Option(help="Name of the organization.")] = None,
    rate: Annotated[str | None, typer.Option(help="Price of a minute; calls that are open keep theirs.")] = None,
    billing_increment: Annotated[int | None, typer.Option(help="Seconds that started time is rounded up to.")] = None,
    active_calls: Annotated[int | None, typer.Option(help="Calls it may have open at a time.")] = None,
    country: Annotated[
        list[str] | None, typer.Option(help="Country it may call, instead of those before; repeat for more.")
    ] = None,
    number_type: Annotated[
        list[str] | None,
        typer.Option(help='Refused kind of number it may call, instead of those before; repeat; "none" for none.'),
    ] = None,
    key_in_query: Annotated[bool | None, KeyInQueryOption] = None,
    default_assistant: Annotated[
        int | None, typer.Option(help="Number of the assistant for formats that name nobody; 0 for no assistant.")
    ] = None,
    disclosure: Annotated[bool | None, DisclosureOption] = None,
    disclosure_message: Annotated[str | None, DisclosureMessageOption] = None,
    opt_out_digit: Annotated[str | None, OptOutDigitOption] = None,
    retention_days: Annotated[int | None, RetentionDaysOption] = None,
    bedrock: Annotated[bool | None, BedrockOption] = None,
    stack: StackOption = "dialplane",
    as_json: JsonOption = False,
) -> None:
    """Change what is given and leave the rest. It holds from the next call on."""
    given: dict[str, Any] = {
        "name": name,
        "rate_micros_per_minute": _micros(rate, "--rate") if rate is not None else None,
        "billing_increment_seconds": billing_increment,
        "active_calls_max": active_calls,
        "allowed_countries": frozenset(country) if country else None,
        "allowed_number_types": frozenset(number_type) - {"none"} if number_type else None,
        "allows_key_in_query": key_in_query,
        "discloses": disclosure,
        "retention_days": retention_days,
    }
    changes = {field: value for field, value in given.items() if value is not None}
    if default_assistant is not None:
        changes["default_assistant_id"] = default_assistant or None
    if disclosure_message is not None:
        changes["disclosure_message"] = disclosure_message or None
    if opt_out_digit is not None:
        changes["opt_out_digit"] = None if opt_out_digit == "none" else opt_out_digit
    if not changes and bedrock is None:
        raise CommandFailed("Nothing to change was given. See --help for what can be.")
    provision = Stack.find(stack).provision
    if bedrock is not None:
        others = provision.organization(organization_id).model_providers - {"bedrock"}
        changes["model_providers"] = others | {"bedrock"} if bedrock else others
    show(organization_document(provision.update_organization(organization_id, **changes)), as_json=as_json)


@organization.command("show")
def show_organization(
    organization_id: Annotated[str, typer.Argument(help="Id of the organization (org_…).")],
    stack: StackOption = "dialplane",
    as_json: JsonOption = False,
) -> None:
    """Show an organization with everything it has. Never shows a secret."""
    found = Stack.find(stack)
    document: dict[str, Any] = {"wallet": wallet_document(found.wallets.wallet(organization_id))}
    document |= {"keys": [], "assistants": [], "flows": [], "numbers": [], "carrier_accounts": []}
    for entity in found.provision.entities(organization_id):
        match entity:
            case Organization():
                document = organization_document(entity) | document
            case ApiKey():
                document["keys"].append(key_document(entity))
            case Assistant():
                document["assistants"].append(assistant_document(entity))
            case ConversationFlow():
                document["flows"].append(flow_document(entity))
            case CallerNumber():
                document["numbers"].append(number_document(entity))
            case CarrierAccount():
                document["carrier_accounts"].append(carrier_account_document(entity))
    show(document, as_json=as_json)


@organization.command("suspend")
def suspend_organization(
    organization_id: Annotated[str, typer.Argument(help="Id of the organization (org_…).")],
    stack: StackOption = "dialplane",
    as_json: JsonOption = False,
) -> None:
    """Let an organization place no more calls; calls under way are not touched."""
    suspended = Stack.find(stack).provision.suspend_organization(organization_id)
    show(organization_document(suspended), as_json=as_json)


@organization.command("activate")
def activate_organization(
    organization_id: Annotated[str, typer.Argument(help="Id of the organization (org_…).")],
    stack: StackOption = "dialplane",
    as_json: JsonOption = False,
) -> None:
    """Let a suspended organization place calls again."""
    activated = Stack.find(stack).provision.activate_organization(organization_id)
    show(organization_document(activated), as_json=as_json)


@key.command("create")
def create_key(
    *,
    organization_id: OrganizationOption,
    name: Annotated[str, typer.Option(help="What the key is for.")],
    scope: Annotated[
        list[str] | None, typer.Option(help=f"What it may do; repeat. Default: {', '.join(sorted(CUSTOMER_SCOPES))}.")
    ] = None,
    expires_at: Annotated[str | None, typer.Option(help="When it ends, such as 2027-01-31T00:00:00Z.")] = None,
    dialect: Annotated[
        str | None,
        typer.Option(
            help=f"Format of its answers on routes that formats share: {', '.join(sorted(LISTING_DIALECTS))}. "
            "Default: Dialplane's own."
        ),
    ] = None,
    calls_per_minute: Annotated[
        int | None, typer.Option(help="Calls it may place in a minute of the clock; any number by default.")
    ] = None,
    calls_per_day: Annotated[
        int | None, typer.Option(help="Calls it may place on a day (UTC); any number by default.")
    ] = None,
    stack: StackOption = "dialplane",
    as_json: JsonOption = False,
) -> None:
    """Create an API key and print it: this once, because only its hash is kept."""
    scopes = frozenset(scope) if scope else CUSTOMER_SCOPES
    presented = Stack.find(stack).provision.create_key(
        organization_id,
        name=name,
        scopes=scopes,
        expires_at=_moment(expires_at),
        dialect=dialect,
        calls_per_minute_max=calls_per_minute,
        calls_per_day_max=calls_per_day,
    )
    document = {"key": presented.text, "id": presented.id, "name": name, "scopes": sorted(scopes)}
    limits = {"calls_per_minute_max": calls_per_minute, "calls_per_day_max": calls_per_day}
    show(document | {"dialect": dialect, **limits, "expires_at": expires_at}, as_json=as_json)


@key.command("revoke")
def revoke_key(
    organization_id: OrganizationOption,
    key_id: Annotated[str, typer.Argument(help="Id of the key: the eight characters before its secret.")],
    stack: StackOption = "dialplane",
    as_json: JsonOption = False,
) -> None:
    """Make an API key useless, for good."""
    show(key_document(Stack.find(stack).provision.revoke_key(organization_id, key_id)), as_json=as_json)


@assistant.command("put")
def put_assistant(
    *,
    assistant_id: Annotated[int, typer.Argument(help="Number of the assistant, unique in its organization.")],
    organization_id: OrganizationOption,
    name: Annotated[str, typer.Option(help="Name of the assistant.")],
    welcome_message: Annotated[str, typer.Option(help="What it says first; {{ name }} stands for a variable.")],
    goodbye_message: Annotated[str | None, typer.Option(help='What the engine "say" says last.')] = None,
    engine: Annotated[str, typer.Option(help=f"One of {', '.join(get_args(Engine))}.")] = "say",
    engine_url: Annotated[str | None, typer.Option(help="wss:// address of the engines relay and stream.")] = None,
    agent_id: Annotated[str | None, typer.Option(help='The carrier\'s own agent, for the engine "agent".')] = None,
    public_id: Annotated[
        str | None, typer.Option(help="What requests may name it by instead of its number, such as a UUID.")
    ] = None,
    prompt: Annotated[str | None, typer.Option(help="What it is to do; {{ name }} stands for a variable.")] = None,
    prompt_file: Annotated[Path | None, typer.Option(help="A file with the prompt, instead of --prompt.")] = None,
    agenda: Annotated[str | None, typer.Option(help="What the call is about.")] = None,
    voice: Annotated[str | None, typer.Option(help="Voice, in the carrier's words.")] = None,
    language: Annotated[str | None, typer.Option(help="Language, such as en-US.")] = None,
    caller_number: Annotated[str | None, typer.Option(help="Number it calls from, in E.164.")] = None,
    max_duration_seconds: Annotated[int, typer.Option(help="Longest call; the hold pays for so much.")] = 600,
    ring_timeout_seconds: Annotated[int, typer.Option(help="How long to let it ring.")] = 30,
    machine_detection: Annotated[bool, typer.Option(help="Ask the carrier who answers.")] = False,
    llm_config: Annotated[str | None, typer.Option(help=f"Its language model, {CONFIG_HELP}")] = None,
    stt_config: Annotated[str | None, typer.Option(help=f"Its speech recognition, {CONFIG_HELP}")] = None,
    tts_config: Annotated[str | None, typer.Option(help=f"Its voice, {CONFIG_HELP}")] = None,
    conversation: Annotated[str | None, typer.Option(help=CONVERSATION_HELP)] = None,
    stack: StackOption = "dialplane",
    as_json: JsonOption = False,
) -> None:
    """Create an assistant, or replace the one with this number."""
    if engine not in get_args(Engine):
        raise CommandFailed(f"--engine is {engine!r}; it must be one of {', '.join(get_args(Engine))}.")
    if prompt is not None and prompt_file is not None:
        raise CommandFailed("--prompt and --prompt-file were both given. Leave one of them out.")
    put = Stack.find(stack).provision.put_assistant(
        Assistant(
            id=assistant_id,
            organization_id=organization_id,
            name=name,
            welcome_message=welcome_message,
            goodbye_message=goodbye_message,
            engine=engine,  # type: ignore[arg-type] # one of them, as was just checked
            engine_url=engine_url,
            agent_id=agent_id,
            public_id=public_id,
            prompt=_file_text("--prompt-file", prompt_file) if prompt_file is not None else prompt,
            agenda=agenda,
            voice=voice,
            language=language,
            caller_number=caller_number,
            max_duration_seconds=max_duration_seconds,
            ring_timeout_seconds=ring_timeout_seconds,
            machine_detection=machine_detection,
            llm_config=_configuration("--llm-config", llm_config),
            stt_config=_configuration("--stt-config", stt_config),
            tts_config=_configuration("--tts-config", tts_config),
            **_conversation_settings(conversation),
        )
    )
    show(assistant_document(put), as_json=as_json)


@flow.command("put")
def put_flow(
    *,
    flow_id: Annotated[int, typer.Argument(help="Number of the flow, unique in its organization.")],
    organization_id: OrganizationOption,
    name: Annotated[str, typer.Option(help="Name of the flow.")],
    base_assistant: Annotated[
        int, typer.Option(help="Number of the assistant that lends it its voice, words and limits.")
    ],
    engine_url: Annotated[str, typer.Option(help="wss:// address of the conversation.")],
    engine: Annotated[str, typer.Option(help=f"One of {', '.join(_FLOW_ENGINES)}.")] = "relay",
    stack: StackOption = "dialplane",
    as_json: JsonOption = False,
) -> None:
    """Create a conversation flow, or replace the one with this number."""
    if engine not in _FLOW_ENGINES:
        raise CommandFailed(f"--engine is {engine!r}; it must be one of {', '.join(_FLOW_ENGINES)}.")
    put = Stack.find(stack).provision.put_flow(
        ConversationFlow(
            id=flow_id,
            organization_id=organization_id,
            name=name,
            base_assistant_id=base_assistant,
            engine=engine,  # type: ignore[arg-type] # one of them, as was just checked
            engine_url=engine_url,
        )
    )
    show(flow_document(put), as_json=as_json)


@app.command("deposit")
def deposit(
    *,
    amount: Annotated[str, typer.Argument(help="Decimal amount in the organization's currency, such as 25.00.")],
    organization_id: OrganizationOption,
    note: Annotated[str | None, typer.Option(help="What the ledger says about it.")] = None,
    idempotency_key: Annotated[
        str | None, typer.Option(help="Pay in once however often the command is repeated with this key.")
    ] = None,
    stack: StackOption = "dialplane",
    as_json: JsonOption = False,
) -> None:
    """Pay money into an organization's wallet."""
    found = Stack.find(stack)
    body = {"amount": amount, "organization_id": organization_id}
    entry, _ = found.wallets.deposit(
        organization_id,
        micros=_micros(amount, "The amount"),
        currency=found.provision.organization(organization_id).currency,
        note=note,
        key=IdempotencyKey.of(idempotency_key, route="admin deposit", body=body) if idempotency_key else None,
    )
    show(ledger_entry_document(entry), as_json=as_json)


def _micros(text: str, name: str) -> int:
    micros = parse_amount(text)
    if micros is None:
        raise CommandFailed(f"{name} is {text!r}; it must be a decimal with at most six places, such as 0.03.")
    return micros


def _configuration(option: str, text: str | None) -> dict[str, Any] | None:
    """A JSON object as it is given, or as it lies in the file that @ names."""
    if text is None:
        return None
    written = _file_text(option, Path(text[1:])) if text.startswith("@") else text
    try:
        configuration = json.loads(written, parse_constant=_no_number)
    except ValueError:
        configuration = None
    if not isinstance(configuration, dict):
        raise CommandFailed(f'{option} must be a JSON object such as {{"provider": "…"}}, or @FILE with one.')
    return configuration


_OPTIONAL_TEXT = (str, NoneType)
_TYPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(CONVERSATION_SETTINGS, (int,)),
    **{name: _OPTIONAL_TEXT for name in CONVERSATION_SETTINGS if name.endswith(("_message", "_number"))},
    **dict.fromkeys(("on_failure", "on_machine"), (str,)),
    "end_phrases": (list,),
    "analysis_schema": (dict, NoneType),
    "is_recorded": (bool,),
}


def _conversation_settings(text: str | None) -> dict[str, Any]:
    """The settings of a conversation by their names. Whether they are within their bounds is not judged here."""
    settings = _configuration("--conversation", text) or {}
    for name, value in settings.items():
        if name not in _TYPES:
            raise CommandFailed(f"--conversation has {name!r}; its entries are {', '.join(CONVERSATION_SETTINGS)}.")
        is_right = isinstance(value, _TYPES[name]) and (not isinstance(value, bool) or bool in _TYPES[name])
        if not is_right or (isinstance(value, list) and not all(isinstance(each, str) for each in value)):
            raise CommandFailed(f"{name} in --conversation is {value!r}, which is of the wrong type.")
    return settings | ({"end_phrases": tuple(settings["end_phrases"])} if "end_phrases" in settings else {})


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _file_text(option: str, path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, ValueError) as error:
        raise CommandFailed(f"{option} names {str(path)!r}, which cannot be read ({type(error).__name__}).") from error


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise CommandFailed(
            f"--expires-at is {text!r}; it must be a time with its offset, such as 2027-01-31T00:00:00Z."
        )
    return moment.astimezone(UTC)
