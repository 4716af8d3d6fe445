"""Setting up customers: what refers to something needs it, ids lead to one thing each, and limits are limits."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from typing import Any

import pytest

from dialplane.domain.accounts import (
    ApiKey,
    Assistant,
    CallerNumber,
    CarrierAccount,
    ConversationFlow,
    Organization,
    PresentedKey,
)
from dialplane.domain.errors import (
    ConfigurationInvalid,
    EntityNotFound,
    PhoneNumberInvalid,
    TemplateInvalid,
    ValueInvalid,
)
from dialplane.domain.ids import new_id
from dialplane.runtime.organization_secrets import OrganizationSecrets
from dialplane.usecases.provision import ProvisionUseCase
from tests.fakes.moto_dynamodb import stored_items
from tests.fakes.world import ORGANIZATION_SECRETS_PREFIX, TWILIO_SECRET, World
from tests.functional.expectations import a_key, an_assistant, an_organization, unchanged

PUBLIC_ID = "17a0cb75-fa09-4bdd-9a44-92a70d829c88"


@pytest.fixture
def provision(world: World) -> ProvisionUseCase:
    """What sets customers up."""
    return world.stack.provision


@pytest.fixture
def organization_id(world: World) -> str:
    """A customer that has nothing yet."""
    return an_organization(world, micros=1_000_000_000).id


@pytest.fixture
def account(provision: ProvisionUseCase, organization_id: str) -> CarrierAccount:
    """Its account with a carrier."""
    return provision.create_carrier_account(organization_id, carrier="twilio", name="Main", secret=TWILIO_SECRET)


# ---- public ids ------------------------------------------------------------------------------------------------------


def speaker(world: World, key: str, agent_id: str | int) -> tuple[int, Any]:
    """The status of a call that names its assistant so, and who speaks."""
    reply = world.post("/calls", {"phone_number": "+15559876543", "agent_id": agent_id}, key=key)
    return reply.status, reply.json["agent"]["id"] if reply.status == 200 else reply.json["error"]


def test_s1_3_a_public_id_leads_to_its_assistant_as_its_number_does(
    world: World, provision: ProvisionUseCase, organization_id: str, account: CarrierAccount
) -> None:
    an_assistant(world, organization_id, 7, public_id=PUBLIC_ID)
    provision.put_number(organization_id, "+15550100801", account, assistant_id=7)
    key = a_key(world, organization_id)
    assert [speaker(world, key, each) for each in (PUBLIC_ID, 7, "7")] == [(200, 7)] * 3
    assert speaker(world, key, "no-such-id") == (404, "agent_not_found")


def test_two_assistants_of_an_organization_never_share_a_public_id(
    world: World, provision: ProvisionUseCase, organization_id: str
) -> None:
    first = an_assistant(world, organization_id, 1, public_id=PUBLIC_ID)
    with unchanged(world), pytest.raises(ValueInvalid, match="belongs to another assistant"):
        an_assistant(world, organization_id, 2, public_id=PUBLIC_ID)
    assert provision.put_assistant(first) == first, "its own it may keep"


def test_another_organization_may_have_the_same_public_id_and_reaches_its_own(
    world: World, provision: ProvisionUseCase
) -> None:
    spoken = []
    for number, assistant_id in (("+15550100802", 1), ("+15550100803", 2)):
        organization = an_organization(world)
        an_assistant(world, organization.id, assistant_id, public_id="shared")
        account = provision.create_carrier_account(organization.id, carrier="twilio", name="Main", secret=TWILIO_SECRET)
        provision.put_number(organization.id, number, account, assistant_id=assistant_id)
        spoken.append(speaker(world, a_key(world, organization.id), "shared"))
    assert spoken == [(200, 1), (200, 2)]


def test_of_two_who_want_the_same_public_id_at_once_one_gets_it(world: World, organization_id: str) -> None:
    start = Barrier(8)

    def want(assistant_id: int) -> bool:
        start.wait()
        try:
            an_assistant(world, organization_id, assistant_id, public_id="wanted")
        except ValueInvalid:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(want, range(1, 9)))
    having = [
        each.id
        for each in world.stack.provision.entities(organization_id)
        if isinstance(each, Assistant) and each.public_id == "wanted"
    ]
    assert (got.count(True), having) == (1, [got.index(True) + 1])


def test_a_public_id_that_was_given_up_stays_taken_and_reaches_nobody_else(
    world: World, provision: ProvisionUseCase, organization_id: str, account: CarrierAccount
) -> None:
    first = an_assistant(world, organization_id, 1, public_id="old")
    provision.put_number(organization_id, "+15550100804", account, assistant_id=1)
    provision.put_assistant(replace(provision_assistant(world, first), public_id="new"))
    with pytest.raises(ValueInvalid, match="belongs to another assistant"):
        an_assistant(world, organization_id, 2, public_id="old")
    key = a_key(world, organization_id)
    assert [speaker(world, key, each) for each in ("new", "old")] == [(200, 1), (200, 1)]


def provision_assistant(world: World, assistant: Assistant) -> Assistant:
    """The assistant as it is stored."""
    found = world.stack.accounts.find(Assistant, assistant.organization_id, assistant.id)
    assert found is not None
    return found


@pytest.mark.parametrize("public_id", ["", "123", "a b", "a/b", "é", "a" * 65, "a\n", "#"])
def test_what_is_no_public_id_is_refused(world: World, organization_id: str, public_id: str) -> None:
    with unchanged(world), pytest.raises(ValueInvalid, match="public_id"):
        an_assistant(world, organization_id, 1, public_id=public_id)


def test_public_ids_are_no_entities(world: World, provision: ProvisionUseCase, organization_id: str) -> None:
    put = an_assistant(world, organization_id, 1, public_id=PUBLIC_ID)
    assert [type(each) for each in provision.entities(organization_id)].count(Assistant) == 1
    assert put in provision.entities(organization_id)


# ---- what refers to something needs it -------------------------------------------------------------------------------


def a_flow(organization_id: str, **changes: Any) -> ConversationFlow:
    defaults: dict[str, Any] = {"id": 3, "name": "Intake", "base_assistant_id": 7, "engine": "relay"}
    facts = {**defaults, "engine_url": "wss://flows.example.test", **changes}
    return ConversationFlow(organization_id=organization_id, **facts)


def test_a_flow_is_put_once_its_base_assistant_is_there(
    world: World, provision: ProvisionUseCase, organization_id: str
) -> None:
    with unchanged(world), pytest.raises(EntityNotFound, match="no assistant 7"):
        provision.put_flow(a_flow(organization_id))
    an_assistant(world, organization_id, 7)
    assert provision.put_flow(a_flow(organization_id)) in provision.entities(organization_id)


def test_a_base_assistant_of_another_organization_is_none(
    world: World, provision: ProvisionUseCase, organization_id: str
) -> None:
    with unchanged(world), pytest.raises(EntityNotFound):
        provision.put_flow(a_flow(organization_id, base_assistant_id=123))  # the demo organization's


@pytest.mark.parametrize(
    "changes", [{"id": 0}, {"name": " "}, {"engine_url": "ws://flows.example.test"}, {"engine_url": ""}], ids=str
)
def test_a_flow_that_no_call_could_use_is_refused(
    world: World, provision: ProvisionUseCase, organization_id: str, changes: dict[str, Any]
) -> None:
    an_assistant(world, organization_id, 7)
    with unchanged(world), pytest.raises(ValueInvalid):
        provision.put_flow(a_flow(organization_id, **changes))


def test_s2_7_the_flow_on_a_number_speaks_before_its_assistant(
    world: World, provision: ProvisionUseCase, organization_id: str, account: CarrierAccount
) -> None:
    an_assistant(world, organization_id, 7, voice="base")
    an_assistant(world, organization_id, 8)
    provision.put_flow(a_flow(organization_id))
    provision.put_number(organization_id, "+15550100805", account, assistant_id=8, flow_id=3)
    body = {"from_phone_number": "+15550100805", "to_phone_number": "+15559876543", "dry_run": True}
    plan = world.initiate(body, key=a_key(world, organization_id))
    assert plan.status == 200
    assert world.initiate({**body, "dry_run": False}, key=a_key(world, organization_id)).status == 200
    spoken = world.carrier.requests[-1].instructions
    assert (spoken.engine, spoken.url, spoken.voice) == ("relay", "wss://flows.example.test", "base")
    assert spoken.parameters["flow_id"] == "3"


@pytest.mark.parametrize("missing", [{"assistant_id": 9}, {"flow_id": 9}], ids=str)
def test_a_number_needs_the_assistant_and_the_flow_that_it_names(
    world: World,
    provision: ProvisionUseCase,
    organization_id: str,
    account: CarrierAccount,
    missing: dict[str, int],
) -> None:
    with unchanged(world), pytest.raises(EntityNotFound, match="9"):
        provision.put_number(organization_id, "+15550100806", account, **missing)  # type: ignore[arg-type]


def test_a_number_that_is_none_is_refused(
    world: World, provision: ProvisionUseCase, organization_id: str, account: CarrierAccount
) -> None:
    with unchanged(world), pytest.raises(PhoneNumberInvalid):
        provision.put_number(organization_id, "5550100806", account)


def test_an_account_of_another_organization_is_none(
    world: World, provision: ProvisionUseCase, organization_id: str
) -> None:
    with pytest.raises(EntityNotFound):
        provision.carrier_account(organization_id, world.demo.carrier_accounts["twilio"])


def test_a_number_is_kept_with_everything_it_was_given(
    world: World, provision: ProvisionUseCase, organization_id: str, account: CarrierAccount
) -> None:
    options = {"can_dial_out": False, "in_pool": False, "carrier_number_id": "phnum_1"}
    put = provision.put_number(organization_id, "+15550100807", account, **options)  # type: ignore[arg-type]
    found = world.stack.accounts.find(CallerNumber, organization_id, "+15550100807")
    assert put == found
    assert put == CallerNumber("+15550100807", organization_id, "twilio", account.id, **options)  # type: ignore[arg-type]
    assert put.id == "num_15550100807"


@pytest.mark.parametrize("rate", [0, -1, 1_001])
def test_a_pace_is_from_one_to_a_thousand_calls_a_second(
    world: World, provision: ProvisionUseCase, organization_id: str, rate: int
) -> None:
    with unchanged(world), pytest.raises(ValueInvalid, match="calls_per_second"):
        provision.create_carrier_account(
            organization_id, carrier="twilio", name="Main", secret=TWILIO_SECRET, calls_per_second=rate
        )


def test_an_assistant_that_contradicts_itself_is_not_kept(world: World, organization_id: str) -> None:
    with unchanged(world), pytest.raises(ConfigurationInvalid):
        an_assistant(world, organization_id, 1, llm_config={"provider": "openai"}, public_id="unused")


def test_configurations_come_back_as_they_were_given(
    world: World, provision: ProvisionUseCase, organization_id: str
) -> None:
    llm = {"provider": "openai", "temperature": 0.7, "none": None, "empty": {}, "messages": [{"content": "Hé"}]}
    put = an_assistant(world, organization_id, 1, llm_config=llm, stt_config={"a": []}, tts_config={"b": False})
    assert provision_assistant(world, put) == put


# ---- organizations ---------------------------------------------------------------------------------------------------


WRONG = [
    {"name": " "},
    {"rate_micros_per_minute": 0},
    {"billing_increment_seconds": 0},
    {"active_calls_max": 0},
    {"allowed_countries": frozenset({"USA"})},
    {"allowed_number_types": frozenset({"mobile"})},
    {"disclosure_message": ""},
    {"disclosure_message": " "},
    {"disclosure_message": "\x00"},
    {"disclosure_message": "d" * 5_000},
    {"disclosure_message": "Hello {{ name }}, I am a voice."},
    {"opt_out_digit": ""},
    {"opt_out_digit": "10"},
    {"opt_out_digit": "A"},
    {"opt_out_digit": "\u0669"},
    {"retention_days": 0},
    {"retention_days": 3_651},
]


@pytest.mark.parametrize("changes", WRONG, ids=ascii)
def test_what_an_organization_cannot_be_created_with_it_cannot_be_updated_to(
    world: World, provision: ProvisionUseCase, organization_id: str, changes: dict[str, Any]
) -> None:
    with unchanged(world), pytest.raises(ValueInvalid):
        provision.create_organization(Organization(**{"id": new_id("org"), "name": "New", **changes}))
    with unchanged(world), pytest.raises(ValueInvalid):
        provision.update_organization(organization_id, **changes)


def test_a_disclosure_that_no_call_could_fill_is_refused(
    world: World, provision: ProvisionUseCase, organization_id: str
) -> None:
    with unchanged(world), pytest.raises(TemplateInvalid, match="disclosure_message"):
        provision.update_organization(organization_id, disclosure_message="I am {{ a voice }}.")


def test_how_conversations_are_held_is_kept_and_can_be_taken_back(
    world: World, provision: ProvisionUseCase, organization_id: str
) -> None:
    def kept() -> tuple[Any, ...]:
        found = world.stack.accounts.find(Organization, organization_id)
        assert found is not None
        return (found.discloses, found.disclosure_message, found.opt_out_digit, found.retention_days)

    assert kept() == (True, None, "9", 90)
    words = "I am {{ assistant }}, an artificial voice of {{ organization }}."
    changes = {"discloses": False, "disclosure_message": words, "opt_out_digit": None, "retention_days": 1}
    provision.update_organization(organization_id, **changes)
    assert kept() == (False, words, None, 1)
    provision.update_organization(organization_id, discloses=True, disclosure_message=None, opt_out_digit="*")
    assert kept() == (True, None, "*", 1)


@pytest.mark.parametrize("field", ["id", "currency", "is_active", "colour"])
def test_what_an_update_cannot_change(
    world: World, provision: ProvisionUseCase, organization_id: str, field: str
) -> None:
    with unchanged(world), pytest.raises(ValueInvalid, match=field):
        provision.update_organization(organization_id, **{field: "EUR"})


def test_a_default_assistant_is_one_of_the_organizations_own(
    world: World, provision: ProvisionUseCase, organization_id: str
) -> None:
    with unchanged(world), pytest.raises(EntityNotFound):
        provision.update_organization(organization_id, default_assistant_id=123)  # the demo organization's
    an_assistant(world, organization_id, 7)
    assert provision.update_organization(organization_id, default_assistant_id=7).default_assistant_id == 7


def test_an_organization_of_nobody_cannot_be_updated(world: World, provision: ProvisionUseCase) -> None:
    with unchanged(world), pytest.raises(EntityNotFound):
        provision.update_organization("org_none", name="New")


# ---- keys of models and tools ----------------------------------------------------------------------------------------

MODEL_KEY = "sk-0123456789abcdef"


def secret_of(world: World, organization_id: str, name: str) -> Any:
    return OrganizationSecrets(world.aws, ORGANIZATION_SECRETS_PREFIX).read(organization_id, name)


def test_a_key_for_a_model_is_stored_and_known_to_be_there(world: World, organization_id: str) -> None:
    keys = world.stack.keys
    assert keys.put_model_key(organization_id, provider="openai", api_key=MODEL_KEY).model_providers == {"openai"}
    stored = keys.put_model_key(
        organization_id, provider="mistral", api_key=MODEL_KEY, base_url="http://127.0.0.1:8080/v1"
    )
    assert stored.model_providers == {"openai", "mistral"}
    assert world.stack.accounts.find(Organization, organization_id) == stored
    assert secret_of(world, organization_id, "model-openai") == {"api_key": MODEL_KEY}
    assert secret_of(world, organization_id, "model-mistral") == {
        "api_key": MODEL_KEY,
        "base_url": "http://127.0.0.1:8080/v1",
    }
    assert secret_of(world, organization_id, "model-xai") is None
    assert MODEL_KEY not in json.dumps(stored_items(world.tables.accounts), default=str)


def test_another_key_takes_the_place_of_the_one_before_with_its_address(world: World, organization_id: str) -> None:
    keys = world.stack.keys
    keys.put_model_key(organization_id, provider="xai", api_key=MODEL_KEY, base_url="https://models.example.com")
    keys.put_model_key(organization_id, provider="xai", api_key=f"{MODEL_KEY}-2")
    assert secret_of(world, organization_id, "model-xai") == {"api_key": f"{MODEL_KEY}-2"}


def test_a_signing_key_is_stored_for_the_tools(world: World, organization_id: str) -> None:
    world.stack.keys.put_signing_key(organization_id, "whsec_0123456789")
    assert secret_of(world, organization_id, "tools") == {"signing_key": "whsec_0123456789"}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"provider": "bedrock"}, "provider"),
        ({"provider": "scripted"}, "provider"),
        ({"provider": "xai_realtime"}, "provider"),
        ({"provider": ""}, "provider"),
        ({"api_key": ""}, "key"),
        ({"api_key": "short"}, "key"),
        ({"api_key": "with a space in it"}, "key"),
        ({"api_key": f"{MODEL_KEY}\r\nX-Injected: 1"}, "key"),
        ({"api_key": "\u00e9" * 20}, "key"),
        ({"api_key": "k" * 513}, "key"),
        ({"base_url": "models.example.com"}, "base_url"),
        ({"base_url": "file:///etc/passwd"}, "base_url"),
        ({"base_url": "https://user:password@models.example.com"}, "base_url"),
        ({"base_url": "https://models.example.com/?key=1"}, "base_url"),
        ({"base_url": "https://models.example.com/\r\n"}, "base_url"),
        ({"base_url": ""}, "base_url"),
    ],
    ids=lambda value: value if isinstance(value, str) else ascii(value),
)
def test_a_key_that_could_not_be_used_is_refused_and_not_repeated(
    world: World, organization_id: str, changes: dict[str, str], field: str
) -> None:
    with unchanged(world), pytest.raises(ValueInvalid) as refused:
        world.stack.keys.put_model_key(organization_id, **{"provider": "openai", "api_key": MODEL_KEY, **changes})
    assert refused.value.details["field"] == field
    assert "0123456789" not in refused.value.message
    assert secret_of(world, organization_id, "model-openai") is None


def test_nobodys_keys_are_stored(world: World) -> None:
    with unchanged(world), pytest.raises(EntityNotFound):
        world.stack.keys.put_model_key("org_none", provider="openai", api_key=MODEL_KEY)
    with unchanged(world), pytest.raises(EntityNotFound):
        world.stack.keys.put_signing_key("org_none", "whsec_0123456789")
    with unchanged(world), pytest.raises(ValueInvalid):
        world.stack.keys.put_signing_key("org_none", "short")


# ---- keys ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"dialect": "burki"},  # its list has a route of its own
        {"dialect": "esperanto"},
        {"calls_per_minute_max": 0},
        {"calls_per_day_max": 0},
        {"calls_per_day_max": -1},
        {"scopes": frozenset()},
        {"scopes": frozenset({"can_fly"})},
        {"name": ""},
    ],
    ids=str,
)
def test_a_key_that_could_do_nothing_or_speaks_nothing_is_refused(
    world: World, provision: ProvisionUseCase, organization_id: str, options: dict[str, Any]
) -> None:
    with unchanged(world), pytest.raises(ValueInvalid):
        provision.create_key(organization_id, **{"name": "Key", **options})


@pytest.mark.parametrize("dialect", ["klen", "hms", None])
def test_a_key_is_kept_with_its_dialect_and_limits_and_without_its_secret(
    world: World, provision: ProvisionUseCase, organization_id: str, dialect: str | None
) -> None:
    limits = {"calls_per_minute_max": 60, "calls_per_day_max": 100}
    presented = provision.create_key(organization_id, name="Key", dialect=dialect, **limits)  # type: ignore[arg-type]
    kept = world.stack.accounts.find(ApiKey, organization_id, presented.id)
    assert kept is not None
    assert (kept.dialect, kept.calls_per_minute_max, kept.calls_per_day_max) == (dialect, 60, 100)
    assert presented.secret not in json.dumps(stored_items(world.tables.accounts), default=str)


def test_revoking_keeps_everything_else_about_a_key(
    world: World, provision: ProvisionUseCase, organization_id: str
) -> None:
    presented: PresentedKey = provision.create_key(organization_id, name="Key", dialect="hms", calls_per_day_max=3)
    before = world.stack.accounts.find(ApiKey, organization_id, presented.id)
    assert before is not None
    assert provision.revoke_key(organization_id, presented.id) == replace(before, is_active=False)
