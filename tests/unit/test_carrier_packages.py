"""What every carrier's package has, and what the table of carriers promises of it."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import timedelta
from inspect import signature
from typing import TYPE_CHECKING, Any, get_args

import pytest

from dialplane.carriers import contract, registry
from dialplane.carriers.contract import CarrierApi, CarrierCredentials
from dialplane.carriers.elevenlabs.api import ElevenLabsApi
from dialplane.carriers.registry import CARRIERS, ENGINES, TRAITS, CarrierUnknown, check_credentials, open_carrier
from dialplane.carriers.telnyx.api import TelnyxApi
from dialplane.carriers.telnyx_texml.api import TelnyxTexmlApi
from dialplane.carriers.twilio.api import TwilioApi
from dialplane.carriers.vonage.api import VonageApi
from dialplane.domain.errors import CarrierUnavailable, ValueInvalid
from dialplane.domain.instructions import Engine

if TYPE_CHECKING:  # the type checker holds a package against the contract
    from dialplane.carriers.twilio import api, events, instructions, webhooks

    _API: contract.ApiModule = api
    _WEBHOOKS: contract.WebhooksModule = webhooks
    _EVENTS: contract.EventsModule = events
    _INSTRUCTIONS: contract.InstructionsModule = instructions

SECRET = {"account_sid": "AC" + "a" * 32, "auth_token": "token"}
PUBLIC = [name for name, member in vars(CarrierApi).items() if callable(member) and not name.startswith("_")]


def parameters(function: Any) -> list[str]:
    return [name for name in signature(function).parameters if name != "self"]


@pytest.mark.parametrize("carrier", sorted(CARRIERS))
def test_a_package_has_every_module_of_the_contract(carrier: str) -> None:
    webhooks = registry.webhooks_of(carrier)
    assert webhooks.SIGNATURE_HEADER.lower() == webhooks.SIGNATURE_HEADER
    assert webhooks.UNSIGNED_STATUS in (403, 429)
    assert parameters(webhooks.is_authentic) == ["credentials", "request"]
    assert parameters(webhooks.is_authentic_socket) == ["credentials", "request"]
    socket_header = webhooks.SOCKET_SIGNATURE_HEADER
    assert socket_header is None or socket_header.lower() == socket_header
    assert parameters(webhooks.parse_report) == ["credentials", "body"]
    assert parameters(registry.events_of(carrier).to_call_event) == ["fields", "received_at"]
    assert parameters(registry.api_of(carrier).open_api)[:2] == ["credentials", "timeout_seconds"]


@pytest.mark.parametrize("carrier", sorted(CARRIERS))
def test_who_fetches_instructions_has_words_for_them_and_for_hanging_up(carrier: str) -> None:
    if not TRAITS[carrier].fetches_instructions:
        pytest.skip("is told what to say with the dial")
    assert parameters(registry.webhooks_of(carrier).parse_answer) == ["credentials", "body"]
    assert parameters(registry.instructions_of(carrier).render)[:2] == ["instructions", "action_url"]
    document = registry.instructions_of(carrier).hang_up()
    assert document.content_type
    assert document.text


@pytest.mark.parametrize("carrier", sorted(CARRIERS))
def test_credentials_say_where_they_are_found_and_what_they_look_like(carrier: str) -> None:
    credentials = registry.credentials_of(carrier)
    assert [each.name for each in credentials if each.is_required]
    for credential in credentials:
        assert re.fullmatch(r"[a-z][a-z_]*", credential.name)
        assert credential.where.endswith(".")
        re.compile(credential.pattern)


@pytest.mark.parametrize("carrier", sorted(CARRIERS))
def test_an_empty_secret_is_refused_by_the_name_of_what_it_lacks(carrier: str) -> None:
    with pytest.raises(ValueInvalid) as raised:
        check_credentials(carrier, {})
    assert raised.value.details["field"] in {each.name for each in registry.credentials_of(carrier)}
    with pytest.raises(CarrierUnavailable, match="cannot be used"):
        open_carrier(carrier, CarrierCredentials({}), timeout_seconds=1.0)


@pytest.mark.parametrize("carrier", sorted(CARRIERS))
@pytest.mark.parametrize("module", ["webhooks", "events", "account"])
def test_what_a_carrier_waits_for_and_what_reads_its_words_loads_next_to_nothing(carrier: str, module: str) -> None:
    heavy = ("urllib3", "pydantic", "requests", "boto3", "botocore", "cryptography", "twilio.rest", "http.client")
    allowed = () if module != "events" else ("decimal", "email")
    light = [name for name in ("decimal", "email") if name not in allowed]
    code = (
        f"import sys; import dialplane.carriers.{carrier.replace('-', '_')}.{module};"
        f"print([name for name in {[*heavy, *light]} if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_the_table_itself_loads_no_package() -> None:
    code = (
        "import sys; import dialplane.carriers.registry;"
        "print(sorted(name for name in sys.modules if name.startswith('dialplane.carriers.')))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "['dialplane.carriers.contract', 'dialplane.carriers.registry']"


def test_every_engine_can_be_spoken_somewhere_and_no_carrier_names_another() -> None:
    assert frozenset().union(*ENGINES.values()) == set(get_args(Engine))
    assert {name: traits.engines for name, traits in TRAITS.items()} == ENGINES


@pytest.mark.parametrize(
    "find",
    [
        registry.api_of,
        registry.webhooks_of,
        registry.events_of,
        registry.instructions_of,
        registry.credentials_of,
    ],
)
@pytest.mark.parametrize("name", ["", "alien", "Twilio", "contract", "../twilio", "twilio.api"])
def test_an_unknown_carrier_is_named_with_those_there_are(find: Any, name: str) -> None:
    with pytest.raises(CarrierUnknown, match=r"not supported\. Supported: twilio, telnyx"):
        find(name)
    with pytest.raises(CarrierUnavailable, match="not supported"):
        open_carrier(name, CarrierCredentials(SECRET), timeout_seconds=1.0)
    with pytest.raises(ValueInvalid, match="not supported"):
        check_credentials(name, SECRET)


def test_open_carrier_opens_the_accounts_api() -> None:
    api = open_carrier("twilio", CarrierCredentials(SECRET), timeout_seconds=1.0)
    for name in PUBLIC:
        assert callable(getattr(api, name)), name


def test_only_call_control_forgets_its_calls_within_a_day() -> None:
    others = (TwilioApi, TelnyxTexmlApi, VonageApi, ElevenLabsApi)
    assert TelnyxApi.list_keeps == timedelta(hours=24)
    assert [each.list_keeps for each in others] == [None] * 4


# ---- credentials ----------------------------------------------------------------------------------------------------


def test_good_credentials_pass() -> None:
    check_credentials("twilio", SECRET)
    check_credentials("twilio", {**SECRET, "api_base_url": "http://127.0.0.1:8090"})
    check_credentials("twilio", {**SECRET, "api_base_url": "https://api.twilio.example/eu"})


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"account_sid": ""}, "account_sid"),
        ({"account_sid": "AC1"}, "account_sid"),
        ({"account_sid": SECRET["account_sid"] + "\n"}, "account_sid"),
        ({"auth_token": "a b"}, "auth_token"),
        ({"auth_token": "x" * 501}, "auth_token"),
        ({"auth_token": "é"}, "auth_token"),
        ({"api_base_url": "ftp://x"}, "api_base_url"),
        ({"api_base_url": "https://x/"}, "api_base_url"),
        ({"api_base_url": "https://x?y=1"}, "api_base_url"),
        ({"api_base_url": "https://user:pass@x"}, "api_base_url"),
        ({"api_key": "x"}, "api_key"),
    ],
    ids=str,
)
def test_a_bad_credential_is_named_and_its_value_not_repeated(changes: dict[str, str], named: str) -> None:
    with pytest.raises(ValueInvalid) as raised:
        check_credentials("twilio", SECRET | changes)
    assert raised.value.details["field"] == named
    assert named in str(raised.value)
    for value in changes.values():
        assert len(value) < 4 or value not in str(raised.value)


def test_credentials_never_show_their_values() -> None:
    credentials = CarrierCredentials(SECRET)
    assert repr(credentials) == "CarrierCredentials(account_sid, auth_token)"
    assert "token" not in str(credentials).replace("auth_token", "")


def test_credentials_are_a_mapping_that_names_what_is_missing() -> None:
    credentials = CarrierCredentials({**SECRET, "api_base_url": ""})
    assert dict(credentials) == SECRET
    assert "auth_token" in credentials
    assert "api_base_url" not in credentials
    assert credentials.get("api_base_url") is None
    with pytest.raises(ValueError, match="no api_base_url"):
        credentials["api_base_url"]
    with pytest.raises(ValueError, match="texts only"):
        CarrierCredentials({"account_sid": 1})
    assert credentials == CarrierCredentials(SECRET) != CarrierCredentials({**SECRET, "auth_token": "other"})
