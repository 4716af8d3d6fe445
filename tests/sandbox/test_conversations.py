"""Conversations on the deployed stack: what callees heard is what the transcript has, and every end is settled.

Callees follow scripts over real ConversationRelay frames, against the deployed WebSocket. First those that are looked
at one by one; while they wait for what takes time, fifty more are called, who all have their answers at one moment.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import Any

import pytest

from cli.talk import Screen, hold
from dialplane.domain.accounts import Assistant, Organization
from dialplane.domain.ids import new_id
from sandbox.carriers.scenarios import PERSON_NUMBER
from sandbox.demo_data import APPOINTMENT_ANALYSIS, APPOINTMENT_SCRIPT
from sandbox.models import API_KEY_PREFIX, BASE_PATH
from tests.fakes.sandbox_client import SandboxClient

NUMBERS = {"twilio": "+15551230201", "telnyx": "+15551230202", "telnyx-texml": "+15551230203"}
AT_ONCE = 50
PLACED_TOGETHER = 3
OPT_OUT_SECONDS_MAX = 10
# Simulated seconds per second, for ten minutes of thought.
THOUGHT_SPEED = 400
# By how much a busy machine's emulator may be late: its timers, and the processes of its functions.
LATENESS_SECONDS_MAX = 10
SCRIPTED, ENDLESS, PATIENT, VOICEMAIL, MODEL, BROKEN_MODEL, HASTY, CROWD = range(1, 9)
FIRST_MESSAGE = "Would Monday or Tuesday suit you?"
MESSAGE_TO_MACHINES = "Please call us back."
_ENDLESS = {"start": "ask", "note": "I know that {{ note }}.", "steps": {"ask": {"say": "And why?"}}}
_SPEECH = {"stt_config": {"provider": "deepgram"}, "tts_config": {"provider": "elevenlabs"}}
_TRANSIENT = {
    "name": "Ada",
    "first_message": "This is Ada. Is this a good moment?",
    "llm_config": {
        "provider": "openai",
        "model": "gpt-4o",
        "messages": [{"role": "system", "content": "Find a day for the check-up."}],
    },
    "stt_config": {"provider": "deepgram", "model": "nova-3-general"},
    "tts_config": {"provider": "elevenlabs", "voice_id": "21m00Tcm4TlvDq8ikWAM"},
}
_ASSISTANTS: Mapping[int, Mapping[str, Any]] = {
    SCRIPTED: {"llm_config": {"script": APPOINTMENT_SCRIPT}, "analysis_schema": APPOINTMENT_ANALYSIS},
    ENDLESS: {"llm_config": {"script": _ENDLESS}, "turns_max": 3},
    PATIENT: {"llm_config": {"script": _ENDLESS}, "silence_timeout_seconds": 60},
    VOICEMAIL: {"on_machine": "leave_message", "voicemail_message": MESSAGE_TO_MACHINES},
    MODEL: {"llm_config": {"provider": "openai", "model": "simulated"}, **_SPEECH},
    BROKEN_MODEL: {
        "llm_config": {"provider": "openai", "model": "broken"},
        "fallback_message": "Sorry, not today.",
        **_SPEECH,
    },
    HASTY: {"silence_timeout_seconds": 3, "silence_message": "Hello?"},
    CROWD: {"llm_config": {"script": APPOINTMENT_SCRIPT}, "silence_timeout_seconds": 60, "max_duration_seconds": 1800},
}
# What is called, from which carrier's number, and who speaks.
Lives = Mapping[str, tuple[str, str, int]]
_OPT_OUTS: Lives = {
    "stop-calling": ("stop-calling", "twilio", SCRIPTED),
    "presses-9": ("presses-9", "twilio", SCRIPTED),
    "stops-and-slams": ("stops-and-slams", "twilio", SCRIPTED),
}
_OTHERS: Lives = {
    "agrees": ("agrees", "twilio", SCRIPTED),
    "refuses": ("refuses", "twilio", SCRIPTED),
    "refuses over telnyx": ("refuses", "telnyx", SCRIPTED),
    "refuses over telnyx-texml": ("refuses", "telnyx-texml", SCRIPTED),
    "interrupts": ("interrupts", "twilio", SCRIPTED),
    "late-interrupt": ("late-interrupt", "twilio", SCRIPTED),
    "talks-over-disclosure": ("talks-over-disclosure", "twilio", SCRIPTED),
    "hangs-up-mid-sentence": ("hangs-up-mid-sentence", "twilio", SCRIPTED),
    "talkative": ("talkative", "twilio", ENDLESS),
    "silent": ("silent", "twilio", HASTY),
    "voicemail": ("voicemail", "twilio", VOICEMAIL),
    "a language model": ("answered", "twilio", MODEL),
    "a broken language model": ("agrees", "twilio", BROKEN_MODEL),
    "garbage": ("garbage", "twilio", SCRIPTED),
    "binary": ("binary", "twilio", SCRIPTED),
    "oversized": ("oversized", "twilio", SCRIPTED),
    "second-socket": ("second-socket", "twilio", SCRIPTED),
    "socket-dies": ("socket-dies", "twilio", SCRIPTED),
}
_LIVES = {**_OPT_OUTS, **_OTHERS}
# Whose transcript cannot know how much of the last words was heard, because nobody tells.
_CUT_UNTOLD = ("hangs-up-mid-sentence", "stops-and-slams", "oversized", "socket-dies", "late-interrupt", "garbage")


@dataclass(frozen=True)
class Life:
    """A call as its customer sees it, and what its callee heard and did."""

    call: Any
    events: list[Any]

    def of(self, *kinds: str) -> list[str]:
        """The texts of the callee's events of these kinds."""
        return [event.get("text", "") for event in self.events if event["event"] in kinds]

    def turns(self, *speakers: str) -> list[str]:
        """The transcript's texts."""
        return [turn["text"] for turn in self.call["conversation"]["turns"] if turn["speaker"] in speakers]

    def seconds(self, begin: str, end: str) -> float:
        """Real seconds between the first events of two kinds."""
        moments = {event["event"]: datetime.fromisoformat(event["at"]) for event in reversed(self.events)}
        return (moments[end] - moments[begin]).total_seconds()


@dataclass(frozen=True)
class Customer:
    """An organization with assistants that hold conversations."""

    client: SandboxClient
    organization_id: str
    key: str
    carrier_call_ids: dict[str, str] = field(default_factory=dict)
    """Those of the calls that were placed, by our ids."""

    def call(self, destination: str, carrier: str = "twilio", assistant: int = SCRIPTED) -> Any:
        """Have an assistant call a number; the answer."""
        body = {"from_phone_number": NUMBERS[carrier], "assistant_id": assistant, "to_phone_number": destination}
        return self.client.request("POST", "/calls/initiate", body, key=self.key)

    def place(self, destination: str, carrier: str = "twilio", assistant: int = SCRIPTED) -> str:
        """The same for a call that is placed; its id."""
        answer = self.call(destination, carrier, assistant)
        assert answer.status == 200, answer.body
        call_id: str = answer.headers["location"].removeprefix("/calls/")
        self.carrier_call_ids[call_id] = answer.json["call_sid"]
        return call_id

    def calls(self) -> list[Any]:
        """Every call."""
        page = self.client.request("GET", "/calls?limit=100", key=self.key).json
        return list(page["calls"])

    def place_transient(self, destination: str) -> str:
        """Have an assistant call that the request brings along, in seed 3's format; the call's id."""
        body = {"destination": destination, "number_id": NUMBERS["twilio"], "assistant": _TRANSIENT}
        answer = self.client.request("POST", "/calls/outbound", body, key=self.key)
        assert answer.status == 200, answer.body
        return str(answer.json["call_id"])

    def record(self, call_id: str) -> list[Any]:
        """What the callee of a call heard and did so far."""
        if call_id not in self.carrier_call_ids:
            self.carrier_call_ids[call_id] = self.client.call(call_id, key=self.key)["carrier_call_id"]
        try:
            return list(self.client.carrier(f"/_conversations/{self.carrier_call_ids[call_id]}")["events"])
        except KeyError:  # nothing yet
            return []

    def life(self, call_id: str) -> Life:
        """A call and its callee's record."""
        return Life(self.client.call(call_id, key=self.key), self.record(call_id))

    def until(self, is_so: Callable[[str], bool], ids: Iterable[str]) -> None:
        """Wait until something is so of all of these calls."""
        left = list(ids)

        def is_so_of_all() -> bool:
            left[:] = [call_id for call_id in left if not is_so(call_id)]
            return not left

        self.client.until(is_so_of_all, seconds_max=120)

    def is_concluded(self, call_id: str) -> bool:
        """Whether nothing more is to be found out of a conversation."""
        return self.client.call(call_id, key=self.key)["conversation"]["ended_at"] is not None

    def until_heard(self, text: str, *ids: str) -> None:
        """Wait until callees have heard a text."""
        self.until(lambda call_id: text in str(self.record(call_id)), ids)

    def command(self, call_id: str, **command: Any) -> Any:
        """Give a call a command."""
        return self.client.request("POST", f"/calls/{call_id}/control", command, key=self.key)


@pytest.fixture(scope="module")
def customer(sandbox_client: SandboxClient) -> Customer:
    """A customer of its own: other tests' calls would be in its ledger, and its opt-outs on their lists."""
    stack, state = sandbox_client.stack, sandbox_client.state
    provision = stack.provision
    organization = provision.create_organization(
        Organization(
            id=new_id("org"),
            name="Acme",
            active_calls_max=500,
            disclosure_message="This is an artificial voice of {{ organization }}.",
        )
    )
    stack.keys.put_model_key(
        organization.id,
        provider="openai",
        api_key=f"{API_KEY_PREFIX}conversations",
        base_url=f"{state.carrier_url}{BASE_PATH}",
    )
    for number, settings in _ASSISTANTS.items():
        provision.put_assistant(
            Assistant(
                id=number,
                organization_id=organization.id,
                name=f"Assistant {number}",
                engine="conversation",
                welcome_message=FIRST_MESSAGE,
                caller_number=NUMBERS["twilio"],
                # Longer than a busy machine takes to start a function.
                **{"max_duration_seconds": 300, "silence_timeout_seconds": 30, **settings},
            )
        )
    for carrier, number in NUMBERS.items():
        secret = {**state.carrier_secrets[carrier], "api_base_url": state.carrier_url}
        account = provision.create_carrier_account(organization.id, carrier=carrier, name=carrier, secret=secret)
        provision.put_number(organization.id, number, account, assistant_id=SCRIPTED)
    stack.wallets.deposit(organization.id, micros=100_000_000, currency="USD", note=None)
    return Customer(sandbox_client, organization.id, provision.create_key(organization.id, name="Test").text)


@dataclass(frozen=True)
class Everything:
    """What came of all calls."""

    named: Mapping[str, Life]
    crowd: list[Life]
    commanded: Life
    transferred: Life
    command_answers: Mapping[str, Any]
    talked: str


@pytest.fixture(scope="module")
def everything(customer: Customer) -> Iterator[Everything]:
    """All lives, lived to their settlement."""
    numbers = {scenario["name"]: scenario["number"] for scenario in customer.client.carrier("/_scenarios")}
    with ThreadPoolExecutor(8) as pool:
        # Those with a limit first: where many processes are started at the same time, each takes long.
        ids = _place(customer, pool, _OPT_OUTS, numbers)
        customer.until_heard("You will not be called again", ids["stop-calling"], ids["presses-9"])
        commanding = pool.submit(_command, customer, numbers["silent"])
        transferring = pool.submit(_transfer, customer, numbers["silent"])
        talking = pool.submit(_talk, customer)
        ids |= _place(customer, pool, _OTHERS, numbers)
        ids["transient"] = customer.place_transient(numbers["answered"])
        (commanded, answers), transferred, talked = commanding.result(), transferring.result(), talking.result()
        crowd = list(pool.map(lambda _: customer.place(numbers["thinks-long"], assistant=CROWD), range(AT_ONCE)))
    customer.until_heard(FIRST_MESSAGE, *crowd)
    speed = customer.client.carrier("/_speed")["speed"]
    customer.client.set_carriers_speed(THOUGHT_SPEED)  # all of them think until now
    try:
        customer.client.until(lambda: all(call["settled_at"] for call in customer.calls()), seconds_max=120)
    finally:
        customer.client.set_carriers_speed(speed)
    # What is found out of a conversation is found out after that.
    customer.until(customer.is_concluded, [*ids.values(), *crowd])
    with ThreadPoolExecutor(4) as pool:
        yield Everything(
            dict(zip(ids, pool.map(customer.life, ids.values()), strict=True)),
            list(pool.map(customer.life, crowd)),
            customer.life(commanded),
            customer.life(transferred),
            answers,
            talked,
        )


def _place(customer: Customer, pool: ThreadPoolExecutor, lives: Lives, numbers: Mapping[str, str]) -> dict[str, str]:
    """Place calls, a few at a time: functions that are started for all of them at once are started slowly."""
    ids: dict[str, str] = {}
    for start in range(0, len(lives), PLACED_TOGETHER):
        batch = dict(islice(lives.items(), start, start + PLACED_TOGETHER))
        placing = [pool.submit(customer.place, numbers[callee], *rest) for callee, *rest in batch.values()]
        placed = {name: each.result() for name, each in zip(batch, placing, strict=True)}
        customer.until(lambda call_id: len(customer.record(call_id)) > 1, placed.values())
        ids |= placed
    return ids


def _command(customer: Customer, number: str) -> tuple[str, dict[str, Any]]:
    """One call that gets one command after the other, each once the one before it was heard."""
    call_id = customer.place(number, assistant=PATIENT)
    customer.until_heard(FIRST_MESSAGE, call_id)
    once = {"type": "say", "content": "Please hold the line.", "command_id": "one"}
    answers = {"say": customer.command(call_id, **once), "again": customer.command(call_id, **once)}
    customer.until_heard("Please hold the line.", call_id)
    answers["inject-context"] = customer.command(
        call_id, type="inject-context", content="the code is 42", trigger_response=True
    )
    customer.until_heard("the code is 42", call_id)
    answers["end-call"] = customer.command(call_id, type="end-call", message="We stop here.")
    return call_id, answers


def _transfer(customer: Customer, number: str) -> str:
    call_id = customer.place(number, assistant=PATIENT)
    customer.until_heard(FIRST_MESSAGE, call_id)
    customer.command(call_id, type="transfer", destination="+15559870099", message="I connect you.")
    return call_id


def _talk(customer: Customer) -> str:
    """Somebody at a terminal: ``dialplane talk``."""
    shown: list[str] = []
    body = {"from_phone_number": NUMBERS["twilio"], "to_phone_number": PERSON_NUMBER}
    state = replace(customer.client.state, api_key=customer.key)
    asyncio.run(asyncio.wait_for(hold(state, body, io.StringIO("Monday.\nNo, thanks.\n"), Screen(shown.append)), 90))
    return "".join(shown)


# ---- what was said --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in _LIVES if name not in (*_CUT_UNTOLD, "voicemail")])
def test_the_transcript_has_what_the_callee_heard_and_said(everything: Everything, name: str) -> None:
    life = everything.named[name]
    assert " ".join(life.turns("assistant")) == " ".join(text for text in life.of("heard", "cut") if text)
    said = [f"[pressed {event['text']}]" if event["event"] == "pressed" else event["text"] for event in life.events
            if event["event"] in ("said", "pressed")]  # fmt: skip
    # Who hangs up with the last words may be gone before they are taken in.
    assert life.turns("callee") in (said, said[:-1])


@pytest.mark.parametrize("name", _LIVES)
def test_the_disclosure_is_the_first_thing_that_is_heard(everything: Everything, name: str) -> None:
    first = next(event for event in everything.named[name].events if event["event"] in ("heard", "cut", "missed"))
    text = f"{first['text']} {first.get('unheard', '')}".strip()
    assert text == "This is an artificial voice of Acme."


@pytest.mark.parametrize(
    ("name", "end_reason", "outcome"),
    [
        ("agrees", "assistant", "unclear"),
        ("refuses", "assistant", "declined"),
        ("refuses over telnyx", "assistant", "declined"),
        ("refuses over telnyx-texml", "assistant", "declined"),
        ("interrupts", "assistant", "tuesday"),
    ],
)
def test_the_script_is_followed_and_summed_up(everything: Everything, name: str, end_reason: str, outcome: str) -> None:
    conversation = everything.named[name].call["conversation"]
    assert (conversation["end_reason"], conversation["analysis"]) == (end_reason, {"outcome": outcome})
    assert conversation["summary"]


def test_what_is_cut_off_is_in_no_transcript(everything: Everything) -> None:
    life = everything.named["interrupts"]
    (cut,) = [event for event in life.events if event["event"] == "cut"]
    turn = next(turn for turn in life.call["conversation"]["turns"] if turn["interrupted"])
    assert turn["text"] == cut["text"]
    assert not cut["unheard"] or cut["unheard"] not in " ".join(life.turns("assistant"))


def test_a_conversation_has_a_limit_of_turns(everything: Everything) -> None:
    life = everything.named["talkative"]
    assert life.call["conversation"]["end_reason"] == "turn_limit"
    assert life.events[-1]["by"] == "application"


def test_silence_is_asked_about_and_then_ends_the_call(everything: Everything) -> None:
    life = everything.named["silent"]
    assert life.of("heard").count("Hello?") == 1
    assert (life.call["conversation"]["end_reason"], life.call["ended_reason"]) == ("silence", "silence")


@pytest.mark.parametrize("name", ["stop-calling", "presses-9"])
def test_who_does_not_want_to_be_called_is_heard_told_left_and_never_called_again(
    everything: Everything, customer: Customer, name: str
) -> None:
    life = everything.named[name]
    assert life.of("heard")[-1] == "I understand. You will not be called again. Goodbye."
    asked = "said" if name == "stop-calling" else "pressed"
    assert life.seconds(asked, "ended") <= OPT_OUT_SECONDS_MAX + LATENESS_SECONDS_MAX
    assert life.call["ended_reason"] == "opt_out"
    entry = customer.client.request("GET", f"/dnc/{life.call['to']}", key=customer.key)
    assert (entry.status, entry.json["source"]) == (200, "callee")
    again = customer.call(life.call["to"])
    assert (again.status, again.json["code"]) == (403, "do_not_call")


def test_who_hangs_up_with_the_wish_not_to_be_called_is_never_called_again(
    everything: Everything, customer: Customer
) -> None:
    life = everything.named["stops-and-slams"]
    assert life.of("said") == ["Do not call me again!"]
    assert customer.call(life.call["to"]).json["code"] == "do_not_call"


def test_a_machine_has_our_message_on_its_tape(everything: Everything) -> None:
    life = everything.named["voicemail"]
    assert life.of("recorded")[-1].endswith(MESSAGE_TO_MACHINES)
    assert life.call["ended_reason"] == "voicemail"
    assert life.call["conversation"]["voicemail"]["message_played_at"] is not None


# ---- models ---------------------------------------------------------------------------------------------------------


def test_a_language_model_of_openais_kind_holds_a_conversation(everything: Everything) -> None:
    life = everything.named["a language model"]
    assert "Very good, I have noted that. Shall I send you a reminder?" in life.turns("assistant")
    conversation = life.call["conversation"]
    assert all(turn["first_token_ms"] is not None for turn in conversation["turns"] if turn["source"] == "model")
    assert conversation["summary"].startswith("A call was held")


def test_an_assistant_that_a_request_brings_along_holds_a_conversation(everything: Everything) -> None:
    life = everything.named["transient"]
    assert life.of("heard")[1:3] == ["This is Ada. Is this a good moment?", life.turns("assistant")[2]]
    assert life.call["assistant_name"] == "Ada"
    assert life.call["conversation"]["summary"]


def test_a_model_that_fails_is_spoken_for(everything: Everything) -> None:
    life = everything.named["a broken language model"]
    assert life.of("heard")[-1].startswith("Sorry, not today.")
    assert life.call["conversation"]["end_reason"] == "model_failed"


# ---- commands -------------------------------------------------------------------------------------------------------


def test_each_command_is_heard_by_the_callee(everything: Everything) -> None:
    heard = everything.commanded.of("heard")
    assert heard.count("Please hold the line.") == 1, "the same command twice is one command"
    assert "I know that the code is 42." in heard
    assert heard[-1] == "We stop here."
    assert everything.commanded.events[-1]["by"] == "application"
    assert {name: answer.status for name, answer in everything.command_answers.items()} == dict.fromkeys(
        ("say", "again", "inject-context", "end-call"), 200
    )
    assert everything.command_answers["again"].headers["idempotent-replayed"] == "true"


def test_a_transfer_is_announced_and_connects(everything: Everything) -> None:
    life = everything.transferred
    assert "I connect you." in life.of("heard")
    assert life.of("connected") == ["+15559870099"], life.events


def test_a_person_at_a_terminal_is_heard_and_hears(everything: Everything) -> None:
    lines = everything.talked.splitlines()[1:]
    # On a busy machine the first message comes after the first words that are typed, which cut it.
    first = f"assistant: {FIRST_MESSAGE[:10]}"
    assert any(line.startswith(first) for line in lines)
    assert [line for line in lines if not line.startswith(first)] == [
        "assistant: This is an artificial voice of Acme.",
        "you: Monday.",
        "assistant: Monday at ten it is. Shall I send you a reminder on the day before?",
        "you: No, thanks.",
        "assistant: Then I will not. Thank you, and goodbye.",
        "The call was ended by you.",
    ]


# ---- faults and money -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["garbage", "binary", "second-socket", "oversized", "socket-dies"])
def test_a_conversation_outlives_what_happens_to_its_line(everything: Everything, name: str) -> None:
    life = everything.named[name]
    assert life.call["conversation"]["analysis"] == {"outcome": "tuesday"}
    assert life.of("said")[-1] == "Thank you. Goodbye."


def test_an_address_that_was_used_opens_nothing(everything: Everything) -> None:
    assert everything.named["second-socket"].of("second_socket") == ["refused"]


@pytest.mark.parametrize("name", ["oversized", "socket-dies"])
def test_a_line_that_breaks_is_taken_up_again(everything: Everything, name: str) -> None:
    life = everything.named[name]
    assert [event["by"] for event in life.events if event["event"] == "ended"] == ["socket", "callee"]
    assert sum(event["event"] == "session" for event in life.events) == 2


def test_fifty_calls_talk_at_once(everything: Everything) -> None:
    moments = []
    for life in everything.crowd:
        assert life.call["status"] == "completed"
        assert life.of("said")[:1] == ["Tuesday would be good."], life.events
        assert life.turns("callee") in (life.of("said"), life.of("said")[:-1])
        begun, *_, ended = [event["at"] for event in life.events if event["event"] in ("session", "ended")]
        moments.append((begun, ended))
    assert max(begun for begun, _ in moments) < min(ended for _, ended in moments)


def test_after_all_of_it_every_micro_unit_is_accounted_for(everything: Everything, customer: Customer) -> None:
    assert customer.client.wallet_differences(key=customer.key) == []
    wallet = customer.client.request("GET", "/wallet", key=customer.key).json
    assert (wallet["held"]["amount"], wallet["active_calls"]) == ("0.000000", 0)
    charged = sum((Decimal(call["charge"]["amount"]) for call in customer.calls()), Decimal(0))
    assert Decimal(wallet["spent"]["amount"]) == charged
    assert len(customer.calls()) == len(everything.named) + len(everything.crowd) + 3
