"""What each function loads from an empty process to its first answer: that is what a cold start waits for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dialplane.carriers.registry import CARRIERS, DEFAULT_CARRIER
from dialplane.dialects.registry import DEFAULT_DIALECT
from dialplane.dialects.registry import ROUTES as DIALECT_ROUTES
from tests.fakes import cold_start
from tests.fakes.emulated import Emulated
from tests.fakes.emulated import emulated as emulated_aws
from tests.fakes.event_files import BY_NAME
from tests.fakes.template import ROOT

# Each function's module and the events of its usual way, which is Twilio's and the older dialect's.
FUNCTIONS = {
    "initiate.app": ("initiate_seed2_custom", "initiate_idempotency_key", "initiate_wrong_types"),
    "initiate.dial": ("dial_queued",),
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
    "conversation.app": (
        "conversation_handshake",
        "conversation_handshake_forged",
        "conversation_connect",
        "conversation_setup",
        "conversation_prompt",
        "conversation_interrupt",
        "conversation_disconnect",
    ),
    "conversation.tasks": ("conversation_tasks_look",),
    "conversation.analysis": ("call_analysis_talked",),
}
FUNCTION_PACKAGES = ("conversation", "initiate", "manage", "status", "twiml")
WEBHOOKS = ("twiml.app", "status.webhook", "conversation.app")

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
# A carrier waits for the answer while a callee says hello: these load next to nothing.
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
# Every module of ours and of the SDK that the functions load which somebody waits for: a carrier or whoever asks for a
# call. A new one is a decision: it makes each first answer later.
STATUS_WEBHOOK_MODULES = """
    dialplane
    dialplane.aws dialplane.aws.client dialplane.aws.retries dialplane.aws.sigv4 dialplane.aws.transport
    dialplane.carriers dialplane.carriers.contract dialplane.carriers.registry
    dialplane.carriers.twilio dialplane.carriers.twilio.fields dialplane.carriers.twilio.webhooks
    dialplane.domain dialplane.domain.errors dialplane.domain.money dialplane.domain.times
    dialplane.dynamodb dialplane.dynamodb.tables
    dialplane.runtime dialplane.runtime.callback_urls dialplane.runtime.carrier_accounts
    dialplane.runtime.carrier_events dialplane.runtime.clock dialplane.runtime.entry dialplane.runtime.http
    dialplane.runtime.observability dialplane.runtime.problems dialplane.runtime.secrets dialplane.runtime.settings
    dialplane.runtime.signed_callbacks
    dialplane.tls
    twilio twilio.request_validator
"""
TWIML_ONLY_MODULES = """
    dialplane.carriers.speech_config dialplane.carriers.twilio.instructions
    dialplane.domain.ids dialplane.domain.instructions dialplane.domain.statuses
    dialplane.dynamodb.answers dialplane.dynamodb.codec
    dialplane.usecases dialplane.usecases.serve_instructions
    twilio.twiml twilio.twiml.voice_response
"""
CREATE_CALL_MODULES = """
    dialplane
    dialplane.aws dialplane.aws.client dialplane.aws.retries dialplane.aws.sigv4 dialplane.aws.transport
    dialplane.carriers dialplane.carriers.contract dialplane.carriers.http dialplane.carriers.registry
    dialplane.carriers.twilio dialplane.carriers.twilio.api dialplane.carriers.twilio.events
    dialplane.carriers.twilio.fields
    dialplane.dialects dialplane.dialects.bodies dialplane.dialects.burki dialplane.dialects.burki.answers
    dialplane.dialects.burki.requests dialplane.dialects.contract dialplane.dialects.registry
    dialplane.domain dialplane.domain.accounts dialplane.domain.admission dialplane.domain.assistants
    dialplane.domain.builtin_tools dialplane.domain.calls dialplane.domain.carrier
    dialplane.domain.conversation_planning dialplane.domain.conversation_settings dialplane.domain.errors
    dialplane.domain.idempotency dialplane.domain.ids dialplane.domain.instructions dialplane.domain.json_schema
    dialplane.domain.language_model dialplane.domain.llm_config dialplane.domain.money dialplane.domain.number_pool
    dialplane.domain.phone_numbers dialplane.domain.resolution dialplane.domain.statuses dialplane.domain.templates
    dialplane.domain.times dialplane.domain.tool_urls dialplane.domain.wallets
    dialplane.dynamodb dialplane.dynamodb.accounts dialplane.dynamodb.admissions dialplane.dynamodb.calls
    dialplane.dynamodb.codec dialplane.dynamodb.facts dialplane.dynamodb.pacing dialplane.dynamodb.settlements
    dialplane.dynamodb.tables
    dialplane.runtime dialplane.runtime.callback_urls dialplane.runtime.carrier_accounts dialplane.runtime.clock
    dialplane.runtime.dialing dialplane.runtime.documents dialplane.runtime.entry dialplane.runtime.http
    dialplane.runtime.observability dialplane.runtime.problems dialplane.runtime.secrets dialplane.runtime.settings
    dialplane.tls
    dialplane.usecases dialplane.usecases.dial_call dialplane.usecases.initiate_call
"""
CONVERSATION_MODULES = """
    dialplane
    dialplane.aws dialplane.aws.client dialplane.aws.retries dialplane.aws.sigv4 dialplane.aws.sockets
    dialplane.aws.transport
    dialplane.carriers dialplane.carriers.contract dialplane.carriers.registry
    dialplane.carriers.twilio dialplane.carriers.twilio.fields dialplane.carriers.twilio.webhooks
    dialplane.domain dialplane.domain.builtin_tools dialplane.domain.conversation_settings
    dialplane.domain.conversations dialplane.domain.dnc dialplane.domain.errors dialplane.domain.ids
    dialplane.domain.instructions dialplane.domain.language_model dialplane.domain.money
    dialplane.domain.opt_out dialplane.domain.opt_out_words dialplane.domain.prompting dialplane.domain.statuses
    dialplane.domain.templates dialplane.domain.times
    dialplane.dynamodb dialplane.dynamodb.answers dialplane.dynamodb.codec dialplane.dynamodb.conversations
    dialplane.dynamodb.destinations dialplane.dynamodb.tables
    dialplane.models dialplane.models.registry dialplane.models.scripted
    dialplane.runtime dialplane.runtime.callback_urls dialplane.runtime.carrier_accounts dialplane.runtime.clock
    dialplane.runtime.conversation_tasks dialplane.runtime.conversing dialplane.runtime.observability
    dialplane.runtime.organization_secrets dialplane.runtime.secrets dialplane.runtime.settings
    dialplane.tls
    dialplane.usecases dialplane.usecases.answering dialplane.usecases.converse
    dialplane.usecases.serve_instructions dialplane.usecases.sockets dialplane.usecases.speech
    twilio twilio.request_validator
"""
MODULES = {
    "conversation.app": set(CONVERSATION_MODULES.split()),
    "initiate.app": set(CREATE_CALL_MODULES.split()),
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
    "initiate.dial": {*_POWERTOOLS, "ulid", "urllib3"},
    "twiml.app": {"twilio"},
    "status.webhook": {"twilio"},
    "status.worker": _POWERTOOLS,
    "status.completion": {"ulid"},
    "status.reconciler": {*_POWERTOOLS, "ulid"},
    "manage.app": {"phonenumbers", "ulid"},
    "conversation.app": {"twilio"},
    "conversation.tasks": _POWERTOOLS,
    "conversation.analysis": set(),
}


# What another carrier or another dialect adds to the usual way: modules of ours, below `dialplane`, and packages. The
# lists are exact. Of the carriers only Telnyx needs a package to check a signature.
_CRYPTOGRAPHY = frozenset({"cryptography", "_cffi_backend", "_openssl"})
_NOTHING = frozenset[str]()
_TELNYX_SIGNATURE = "carriers.telnyx carriers.telnyx.signature"
_TELNYX_WEBHOOKS = f"{_TELNYX_SIGNATURE} carriers.telnyx.webhooks domain.ids"
_TEXML_WEBHOOKS = f"{_TELNYX_SIGNATURE} carriers.telnyx_texml carriers.telnyx_texml.webhooks"
_TELNYX_API = (
    "carriers.speech_config carriers.telnyx carriers.telnyx.api carriers.telnyx.events carriers.telnyx.instructions "
    "carriers.telnyx.rest carriers.telnyx.signature carriers.telnyx.webhooks"
)
_VONAGE_API = (
    "carriers.vonage carriers.vonage.api carriers.vonage.events carriers.vonage.instructions carriers.vonage.webhooks"
)
_ELEVENLABS_API = "carriers.elevenlabs carriers.elevenlabs.api carriers.elevenlabs.events carriers.elevenlabs.webhooks"
_TESTER = "dialects.elevenlabs_tester dialects.elevenlabs_tester.requests domain.sessions dynamodb.sessions"
ADDED: dict[tuple[str, str], tuple[str, frozenset[str]]] = {
    ("status.webhook", "status_webhook_sip_twilio_completed"): (
        "carriers.sip_twilio carriers.sip_twilio.webhooks",
        _NOTHING,
    ),
    ("status.webhook", "status_webhook_telnyx_hangup"): (_TELNYX_WEBHOOKS, _CRYPTOGRAPHY),
    ("status.webhook", "status_webhook_telnyx_stale"): (_TELNYX_WEBHOOKS, _NOTHING),
    ("status.webhook", "status_webhook_sip_telnyx_hangup"): (
        f"{_TELNYX_WEBHOOKS} carriers.sip_telnyx carriers.sip_telnyx.webhooks",
        _CRYPTOGRAPHY,
    ),
    ("status.webhook", "status_webhook_telnyx_texml_completed"): (_TEXML_WEBHOOKS, _CRYPTOGRAPHY),
    ("status.webhook", "status_webhook_vonage_completed"): ("carriers.vonage carriers.vonage.webhooks", _NOTHING),
    ("status.webhook", "status_webhook_elevenlabs_transcription"): (
        "carriers.elevenlabs carriers.elevenlabs.webhooks domain.ids",
        _NOTHING,
    ),
    ("twiml.app", "twiml_sip_twilio_answered"): (
        "carriers.sip_twilio carriers.sip_twilio.instructions carriers.sip_twilio.webhooks",
        _NOTHING,
    ),
    ("twiml.app", "twiml_telnyx_texml_answered"): (
        f"{_TEXML_WEBHOOKS} carriers.telnyx.instructions carriers.telnyx_texml.instructions",
        _CRYPTOGRAPHY,
    ),
    ("twiml.app", "twiml_vonage_answered"): (
        "carriers.vonage carriers.vonage.instructions carriers.vonage.webhooks",
        _NOTHING,
    ),
    ("twiml.app", "twiml_elevenlabs_refused"): ("", _NOTHING),
    ("initiate.app", "initiate_klen"): (
        "dialects.klen dialects.klen.answers dialects.klen.requests dialects.words",
        _NOTHING,
    ),
    ("initiate.app", "initiate_hms_transient"): (
        "dialects.hms dialects.hms.answers dialects.hms.requests dialects.words",
        _NOTHING,
    ),
    ("initiate.app", "initiate_tester_context"): (_TESTER, _NOTHING),
    ("initiate.app", "initiate_tester_call"): (
        f"{_TESTER} dialects.elevenlabs_tester.answers dialects.words {_ELEVENLABS_API}",
        _NOTHING,
    ),
    ("initiate.app", "initiate_over_telnyx"): (_TELNYX_API, _NOTHING),
    ("initiate.app", "initiate_over_vonage"): (_VONAGE_API, _CRYPTOGRAPHY),
    ("initiate.app", "initiate_over_sip_twilio"): ("carriers.sip_twilio carriers.sip_twilio.api", _NOTHING),
    ("initiate.dial", "dial_over_telnyx"): (_TELNYX_API, _NOTHING),
    ("status.worker", "status_worker_telnyx_answered"): (
        f"{_TELNYX_API} carriers.http",
        frozenset({"urllib3"}),
    ),
    ("status.worker", "status_worker_telnyx_ended"): (
        "carriers.telnyx carriers.telnyx.events carriers.telnyx.signature carriers.telnyx.webhooks",
        _NOTHING,
    ),
    ("status.worker", "status_worker_vonage_completed"): (
        "carriers.vonage carriers.vonage.events carriers.vonage.webhooks",
        _NOTHING,
    ),
    ("status.worker", "status_worker_elevenlabs_failure"): (
        "carriers.elevenlabs carriers.elevenlabs.events carriers.elevenlabs.webhooks",
        _NOTHING,
    ),
    ("manage.app", "manage_list_calls_klen"): (
        "dialects.klen dialects.klen.answers dialects.klen.calls dialects.transcripts dialects.words",
        _NOTHING,
    ),
    ("manage.app", "manage_list_calls_hms"): ("dialects.hms dialects.hms.calls dialects.transcripts", _NOTHING),
    ("manage.app", "manage_control_end_call"): (
        "carriers.http carriers.twilio carriers.twilio.api carriers.twilio.events carriers.twilio.fields",
        frozenset({"urllib3"}),
    ),
}


@dataclass(frozen=True)
class ColdStarts:
    """Fresh processes, one for each event, and what they have loaded; their events do not disturb one another."""

    emulated: Emulated
    _known: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict)

    def usual(self, module: str) -> frozenset[str]:
        """Names of the modules that a function has loaded when it has answered the events of its usual way."""
        return frozenset().union(*(self.loaded(module, event) for event in FUNCTIONS[module]))

    def loaded(self, module: str, event: str) -> frozenset[str]:
        """Names of the modules that were loaded when a fresh process had answered the event."""
        if (module, event) not in self._known:
            self._known[module, event] = self._played(module, event)
        return self._known[module, event]

    def _played(self, module: str, event: str) -> frozenset[str]:
        self.emulated.refill()
        # Without the tests' own import path, and without what a developer's shell adds to Python's.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        environment["PYTHONPATH"] = os.pathsep.join([str(ROOT / "functions"), str(ROOT / "layers/common")])
        finished = subprocess.run(
            [sys.executable, "-P", str(Path(cold_start.__file__)), module],
            env=environment | {"PYTHONDONTWRITEBYTECODE": "1"},
            input=json.dumps(BY_NAME[event].at(datetime.now(UTC))),
            capture_output=True,
            text=True,
            check=False,
        )
        assert finished.returncode == 0, finished.stderr
        report = json.loads(finished.stdout.splitlines()[-1])
        assert BY_NAME[event].mismatch(report["answer"]) == ""
        return frozenset(report["modules"])


@pytest.fixture(scope="module")
def cold_starts() -> Iterator[ColdStarts]:
    """Processes on an emulated AWS."""
    with emulated_aws() as made:
        yield ColdStarts(made)


def members(names: frozenset[str], packages: tuple[str, ...]) -> list[str]:
    """The names that are one of the packages or lie in one."""
    return sorted(name for name in names if any(name == each or name.startswith(f"{each}.") for each in packages))


def third_party(names: frozenset[str]) -> set[str]:
    """The packages that are neither ours nor Python's."""
    ours = {"dialplane", *FUNCTION_PACKAGES}
    # What stands in for a newer Python's own module is loaded or not as the Python is.
    packages = {name.partition(".")[0] for name in names} - sys.stdlib_module_names - ours - {"typing_extensions"}
    return {package for package in packages if not package.startswith(("_sysconfigdata", "__"))}


WAYS = [*((module, event) for module in FUNCTIONS for event in FUNCTIONS[module]), *ADDED]


@pytest.mark.parametrize(("module", "event"), WAYS)
def test_no_function_loads_an_sdk_or_another_program(cold_starts: ColdStarts, module: str, event: str) -> None:
    assert members(cold_starts.loaded(module, event), FORBIDDEN) == []


@pytest.mark.parametrize(("module", "event"), [way for way in WAYS if way[0] in WEBHOOKS])
def test_what_a_carrier_waits_for_loads_next_to_nothing(cold_starts: ColdStarts, module: str, event: str) -> None:
    assert members(cold_starts.loaded(module, event), FORBIDDEN_FOR_WEBHOOKS) == []


@pytest.mark.parametrize("module", MODULES)
def test_what_somebody_waits_for_loads_no_module_that_is_not_listed(cold_starts: ColdStarts, module: str) -> None:
    found = set(members(cold_starts.usual(module), ("dialplane", "twilio")))

    assert sorted(found - MODULES[module]) == [], f"{module} loads modules that it is not listed with"
    assert sorted(MODULES[module] - found) == [], f"{module} is listed with modules that it no longer loads"


@pytest.mark.parametrize("module", FUNCTIONS)
def test_each_function_loads_the_packages_it_is_listed_with(cold_starts: ColdStarts, module: str) -> None:
    found = third_party(cold_starts.usual(module))

    assert sorted(found - PACKAGES[module]) == [], f"{module} loads packages that it is not listed with"
    assert sorted(PACKAGES[module] - found) == [], f"{module} is listed with packages that it no longer loads"


@pytest.mark.parametrize(("module", "event"), ADDED)
def test_a_carrier_or_a_dialect_adds_its_own_and_nothing_else(cold_starts: ColdStarts, module: str, event: str) -> None:
    modules, packages = ADDED[module, event]

    added = cold_starts.loaded(module, event) - cold_starts.usual(module)

    assert members(added, ("dialplane",)) == sorted(f"dialplane.{name}" for name in modules.split())
    assert third_party(added) == packages


@pytest.mark.parametrize("module", FUNCTIONS)
def test_the_usual_way_loads_no_other_carrier_and_no_other_dialect(cold_starts: ColdStarts, module: str) -> None:
    """One more of them must cost nobody a millisecond who does not use it."""
    others = [f"dialplane.carriers.{name.replace('-', '_')}" for name in CARRIERS - {DEFAULT_CARRIER}]
    others += [f"dialplane.dialects.{name}" for name in DIALECT_ROUTES if name != DEFAULT_DIALECT]

    assert members(cold_starts.usual(module), tuple(others)) == []


@pytest.mark.parametrize("module", FUNCTIONS)
def test_no_function_loads_another_function(cold_starts: ColdStarts, module: str) -> None:
    package = module.partition(".")[0]

    found = members(cold_starts.usual(module), FUNCTION_PACKAGES)

    assert found == [package, module]
