"""What each function loads from an empty process to its first answer: that is what a cold start waits for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.fakes import cold_start
from tests.fakes.emulated import Emulated
from tests.fakes.emulated import emulated as emulated_aws
from tests.fakes.event_files import FOLDER
from tests.fakes.template import ROOT

# Each function's module and the events that are played to it: the common way, and a way that needs more.
FUNCTIONS = {
    "initiate.app": ("initiate_seed2_custom", "initiate_idempotency_key", "initiate_wrong_types"),
    "twiml.app": ("twiml_answered", "twiml_forged"),
    "status.webhook": ("status_webhook_completed", "status_webhook_forged"),
    "status.worker": ("status_worker_completed",),
    "status.completion": ("call_completion_ended",),
    "status.reconciler": ("reconciler_tick",),
    "manage.app": (
        "manage_list_calls_filtered",
        "manage_list_calls_burki",
        "manage_deposit",
        "manage_dnc_put",
        "manage_control_ringing",
        "manage_docs_file",
    ),
}
WEBHOOKS = ("twiml.app", "status.webhook")

# Each of these costs more than a whole function of ours, or belongs to another program altogether.
FORBIDDEN = (
    "boto3",
    "botocore.session",
    "botocore.client",
    "botocore.loaders",
    "requests",
    "aiohttp",
    "aws_xray_sdk",
    "twilio.rest",
    "twilio.http",
    "twilio.base",
    "phonenumbers.geodata",
    "phonenumbers.geocoder",
    "phonenumbers.carrier",
    "phonenumbers.carrierdata",
    "phonenumbers.timezone",
    "phonenumbers.tzdata",
    "cli",
    "sandbox",
    "tests",
    "dialplane.aws.boto",
    "dialplane.usecases.provision",
)
# A carrier waits for the answer while a callee says hello: these two load next to nothing.
FORBIDDEN_FOR_WEBHOOKS = (
    "asyncio",
    "aws_lambda_powertools",
    "botocore",
    "decimal",
    "jmespath",
    "phonenumbers",
    "pydantic",
    "typing_extensions",
    "urllib3",
    "xmlrpc",
    "zipfile",
)
# Every module of ours and of the SDK that they load. A new one is a decision: it makes each first answer later.
STATUS_WEBHOOK_MODULES = """
    dialplane
    dialplane.aws dialplane.aws.client dialplane.aws.retries dialplane.aws.sigv4
    dialplane.carriers dialplane.carriers.contract dialplane.carriers.registry
    dialplane.carriers.twilio dialplane.carriers.twilio.fields dialplane.carriers.twilio.webhooks
    dialplane.domain dialplane.domain.errors dialplane.domain.money dialplane.domain.times
    dialplane.dynamodb dialplane.dynamodb.tables
    dialplane.runtime dialplane.runtime.callback_urls dialplane.runtime.carrier_accounts
    dialplane.runtime.carrier_events dialplane.runtime.clock dialplane.runtime.entry dialplane.runtime.http
    dialplane.runtime.observability dialplane.runtime.problems dialplane.runtime.settings
    dialplane.runtime.signed_callbacks
    dialplane.tls
    twilio twilio.request_validator
"""
TWIML_ONLY_MODULES = """
    dialplane.carriers.twilio.instructions dialplane.domain.instructions dialplane.domain.statuses
    dialplane.dynamodb.answers dialplane.dynamodb.codec
    dialplane.usecases dialplane.usecases.serve_instructions
    twilio.twiml twilio.twiml.voice_response
"""
MODULES = {
    "status.webhook": set(STATUS_WEBHOOK_MODULES.split()),
    "twiml.app": set(STATUS_WEBHOOK_MODULES.split()) - {"dialplane.runtime.carrier_events"}
    | set(TWIML_ONLY_MODULES.split()),
}
_POWERTOOLS = {
    "aws_lambda_powertools",
    "jmespath",
    "botocore",  # the bare package: Powertools looks whether there is an SDK to announce itself in
}
# Packages that are neither ours nor Python's. The lists are exact: what is no longer loaded must leave them.
PACKAGES = {
    "initiate.app": {
        "annotated_types",
        "phonenumbers",
        "pydantic",
        "pydantic_core",
        "typing_inspection",
        "ulid",
        "urllib3",
    },
    "twiml.app": {"twilio"},
    "status.webhook": {"twilio"},
    "status.worker": _POWERTOOLS,
    "status.completion": {"ulid"},
    "status.reconciler": _POWERTOOLS,
    "manage.app": {"phonenumbers", "ulid"},
}


@pytest.fixture(scope="module")
def emulated() -> Iterator[Emulated]:
    """The AWS that the processes talk to; their events do not disturb one another."""
    with emulated_aws() as made:
        made.refill()
        yield made


@cache
def loaded(module: str) -> frozenset[str]:
    """Names of the modules that were loaded when a fresh process had answered the module's events, one process each."""
    return frozenset().union(*(loaded_by(module, event) for event in FUNCTIONS[module]))


def loaded_by(module: str, event: str) -> frozenset[str]:
    """Names of the modules that were loaded when a fresh process had answered one event."""
    # Without the tests' own import path, and without what a developer's shell adds to Python's.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT / "functions"), str(ROOT / "layers/common")])
    finished = subprocess.run(
        [sys.executable, "-P", str(Path(cold_start.__file__)), module, str(FOLDER / f"{event}.json")],
        env=environment | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    report = json.loads(finished.stdout.splitlines()[-1])
    status = report["answer"].get("statusCode", 200)
    assert status < 500, f"{event} was answered {status}"
    return frozenset(report["modules"])


def members(names: frozenset[str], packages: tuple[str, ...]) -> list[str]:
    """The names that are one of the packages or lie in one."""
    return sorted(name for name in names if any(name == each or name.startswith(f"{each}.") for each in packages))


def third_party(names: frozenset[str]) -> set[str]:
    """The packages that are neither ours nor Python's."""
    ours = {"dialplane", "initiate", "manage", "status", "twiml"}
    # What stands in for a newer Python's own module is loaded or not as the Python is.
    packages = {name.partition(".")[0] for name in names} - sys.stdlib_module_names - ours - {"typing_extensions"}
    return {package for package in packages if not package.startswith(("_sysconfigdata", "__"))}


@pytest.mark.usefixtures("emulated")
@pytest.mark.parametrize("module", FUNCTIONS)
def test_no_function_loads_an_sdk_or_another_program(module: str) -> None:
    assert members(loaded(module), FORBIDDEN) == []


@pytest.mark.usefixtures("emulated")
@pytest.mark.parametrize("module", WEBHOOKS)
def test_what_a_carrier_waits_for_loads_next_to_nothing(module: str) -> None:
    assert members(loaded(module), FORBIDDEN_FOR_WEBHOOKS) == []


@pytest.mark.usefixtures("emulated")
@pytest.mark.parametrize("module", WEBHOOKS)
def test_what_a_carrier_waits_for_loads_no_module_that_is_not_listed(module: str) -> None:
    found = set(members(loaded(module), ("dialplane", "twilio")))

    assert sorted(found - MODULES[module]) == [], f"{module} loads modules that it is not listed with"
    assert sorted(MODULES[module] - found) == [], f"{module} is listed with modules that it no longer loads"


@pytest.mark.usefixtures("emulated")
@pytest.mark.parametrize("module", FUNCTIONS)
def test_each_function_loads_the_packages_it_is_listed_with(module: str) -> None:
    found = third_party(loaded(module))

    assert sorted(found - PACKAGES[module]) == [], f"{module} loads packages that it is not listed with"
    assert sorted(PACKAGES[module] - found) == [], f"{module} is listed with packages that it no longer loads"


@pytest.mark.usefixtures("emulated")
@pytest.mark.parametrize("module", FUNCTIONS)
def test_no_function_loads_another_function(module: str) -> None:
    package = module.partition(".")[0]

    found = members(loaded(module), ("initiate", "manage", "status", "twiml"))

    assert found == [package, module]


@pytest.mark.usefixtures("emulated")
def test_of_managements_requests_only_one_that_goes_to_a_carrier_loads_an_http_client() -> None:
    assert members(loaded("manage.app"), ("urllib3",)) == []
    assert members(loaded_by("manage.app", "manage_terminate"), ("urllib3",)) != []
