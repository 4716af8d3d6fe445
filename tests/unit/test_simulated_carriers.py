"""Rules of the simulated carriers that need no network: signatures, time, the queue, parameters, the scenario table."""

import asyncio
import math
from datetime import timedelta

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from sandbox.carriers.clock import CallTimeline, SimulatedClock, SpeedError
from sandbox.carriers.delivery import DeliveryOrder
from sandbox.carriers.journal import Journal
from sandbox.carriers.line import CallEnds, Line
from sandbox.carriers.scenarios import CONVERSATIONS, SCENARIOS, Delivery, find_scenario
from sandbox.carriers.twilio.calls import country_of, format_number, format_price
from sandbox.carriers.twilio.errors import TwilioError
from sandbox.carriers.twilio.parameters import group, parse_create, parse_update
from sandbox.carriers.twilio.signature import compute_signature
from sandbox.carriers.twilio.simulator import CallQueue
from sandbox.carriers.twilio.webhooks import ConnectionOverrides

# Vectors computed with the official SDK, auth token 12345.
JSON_BODY_SHA256 = "0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620"
SIGNATURE_VECTORS = {
    "form": (
        "https://mycompany.com/myapp.php?foo=1&bar=2",
        (
            ("CallSid", "CA1234567890ABCDE"),
            ("Caller", "+12349013030"),
            ("Digits", "1234"),
            ("From", "+12349013030"),
            ("To", "+18005551212"),
        ),
        "0/KCTR6DLpKmkAf8muzZqo1nDgQ=",
    ),
    "status callback": (
        "https://api.example.test/v1/hooks/twilio/status?org=o_1&call=c_1",
        (
            ("CallSid", "CA00000000000000000000000000000001"),
            ("CallStatus", "completed"),
            ("SequenceNumber", "3"),
            ("CallDuration", "61"),
            ("Timestamp", "Tue, 01 Nov 2022 01:59:13 +0000"),
            ("CallbackSource", "call-progress-events"),
        ),
        "iKpcS5MUQfKHlcV2lc3EyHBXwF0=",
    ),
    "repeated name": (
        "https://e.test/x",
        (("A", "2"), ("A", "1"), ("A", "2"), ("B", "x")),
        "0eOGt3PyZO9WIRzFKuST17Qdk9E=",
    ),
    "JSON body": (
        f"https://mycompany.com/myapp.php?foo=1&bar=2&bodySHA256={JSON_BODY_SHA256}",
        (),
        "a9nBmqA0ju/hNViExpshrM61xv4=",
    ),
    "WebSocket": ("wss://relay.example.test/ws", (), "/nTAVQaD7mv9xlWefjAggCHKuMw="),
}


@pytest.mark.parametrize("vector", SIGNATURE_VECTORS)
def test_signatures_equal_the_known_vectors(vector: str) -> None:
    url, form, expected = SIGNATURE_VECTORS[vector]
    assert compute_signature("12345", url, form) == expected


@given(
    form=st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=12), max_size=6),
    port=st.sampled_from(["", ":8080"]),
)
def test_the_official_validator_accepts_every_signature(form: dict[str, str], port: str) -> None:
    url = f"http://127.0.0.1{port}/status/twilio/o/a/c"
    assert RequestValidator("secret").validate(url, form, compute_signature("secret", url, form.items()))


def test_a_fragment_takes_no_part_in_the_signature() -> None:
    assert compute_signature("12345", "https://e.test/x#rc=2") == compute_signature("12345", "https://e.test/x")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://e.test/x", ConnectionOverrides()),
        (
            "https://e.test/x#rc=2&rp=ct,rt,5xx&ct=700&rt=800&tt=900",
            ConnectionOverrides(0.7, 0.8, 0.9, 2, frozenset({"ct", "rt", "5xx"})),
        ),
        ("https://e.test/x#rp=all", ConnectionOverrides(retry_on=frozenset({"4xx", "5xx", "ct", "rt"}))),
        ("https://e.test/x#rc=9&ct=1&rt=oops&rp=never", ConnectionOverrides()),
    ],
)
def test_connection_overrides_are_read_from_the_fragment(url: str, expected: ConnectionOverrides) -> None:
    assert ConnectionOverrides.of(url) == expected


@pytest.mark.parametrize("speed", [0, -1, math.nan, math.inf, 10_001])
def test_the_clock_refuses_impossible_speeds(speed: float) -> None:
    with pytest.raises(SpeedError):
        SimulatedClock(speed)


def test_waiting_advances_a_call_by_exactly_the_simulated_seconds() -> None:
    async def live() -> tuple[float, timedelta]:
        timeline = CallTimeline(SimulatedClock(1000))
        begun = timeline.now()
        await timeline.sleep(12)
        await timeline.sleep(0.5)
        return timeline.elapsed_seconds, timeline.now() - begun

    assert asyncio.run(live()) == (12.5, timedelta(seconds=12.5))


def test_a_sleeper_follows_a_change_of_speed() -> None:
    async def live() -> float:
        clock = SimulatedClock(0.001)
        sleeper = asyncio.ensure_future(clock.sleep(10))
        await asyncio.sleep(0)
        clock.speed = 5000
        await asyncio.wait_for(sleeper, 5)
        return clock.seconds()

    assert asyncio.run(live()) >= 10


def test_a_line_ends_the_call_at_its_limit_and_not_later() -> None:
    async def live() -> float:
        line = Line(CallTimeline(SimulatedClock(1000)))
        line.end_at(7)
        await line.wait(3)
        with pytest.raises(CallEnds):
            await line.wait(1_000_000)
        return line.timeline.elapsed_seconds

    assert asyncio.run(live()) == 7


def test_calls_leave_the_queue_one_interval_apart() -> None:
    async def reserve() -> list[float]:
        clock = SimulatedClock(0.001)
        queue = CallQueue(clock, calls_per_second=2)
        return [queue.reserve() for _ in range(4)]

    assert asyncio.run(reserve()) == pytest.approx([0, 0.5, 1, 1.5], abs=0.01)


def test_scenario_numbers_are_unique_possible_and_not_valid() -> None:
    numbers = [scenario.number for scenario in (*SCENARIOS, *CONVERSATIONS)]
    assert len(set(numbers)) == len(numbers)
    for number in numbers:
        parsed = phonenumbers.parse(number)
        assert phonenumbers.is_possible_number(parsed), number
        assert not phonenumbers.is_valid_number(parsed), number
        assert number.startswith("+155501001")
    assert all(scenario.proves for scenario in (*SCENARIOS, *CONVERSATIONS))


def test_any_other_number_answers() -> None:
    assert find_scenario("+15559876543").callee is find_scenario("+15550100101").callee


@pytest.mark.parametrize(
    "written", ["+15550100102", "15550100102", "sip:+15550100102@pbx.example", "sip:15550100102@pbx.example:5060;a=b"]
)
def test_a_scenario_is_found_however_a_carrier_writes_its_number(written: str) -> None:
    assert find_scenario(written).name == "busy"


@pytest.mark.parametrize("written", ["", "client:bob", "sip:bob@pbx.example", "+1555010010", "busy +15550100102"])
def test_what_is_no_number_of_the_table_answers(written: str) -> None:
    assert find_scenario(written).callee is find_scenario("+15550100101").callee


def events_leaving(delivery: Delivery) -> list[str]:
    """What leaves, of an answered call whose end is told in two events."""
    order: DeliveryOrder[str] = DeliveryOrder(delivery)
    return [
        *order.departing("initiated"),
        *order.departing("answered", overtaken=True),
        *order.departing("hangup", terminal=True, last=False),
        *order.departing("cost", terminal=True, last=True),
    ]


@pytest.mark.parametrize(
    ("delivery", "leaving"),
    [
        (Delivery.IN_ORDER, "initiated answered hangup cost"),
        (Delivery.DUPLICATED, "initiated initiated answered answered hangup hangup cost cost"),
        (Delivery.REVERSED, "cost hangup answered initiated"),
        (Delivery.LOST, ""),
        (Delivery.ONLY_TERMINAL, "hangup cost"),
        (Delivery.TERMINAL_LOST, "initiated answered"),
        (Delivery.TERMINAL_BEFORE_RINGING, "initiated hangup answered cost"),
    ],
)
def test_events_leave_as_the_scenario_says(delivery: Delivery, leaving: str) -> None:
    assert events_leaving(delivery) == leaving.split()


GOOD = {"To": "+15559876543", "From": "+15551234567", "Url": "https://e.test/twiml"}
BAD_CREATES = [
    ({"To": None}, 21201),
    ({"To": ""}, 21201),
    ({"From": None}, 21213),
    ({"Url": None}, 21205),
    ({"Url": "e.test/twiml"}, 21205),
    ({"Url": "ftp://e.test/twiml"}, 21205),
    ({"Url": "https://e.test/twi ml"}, 21205),
    ({"Url": None, "ApplicationSid": "AP" + "0" * 32}, 21218),
    ({"To": "15559876543"}, 21211),
    ({"To": "+1555"}, 21211),
    ({"To": "+15559876543\n"}, 21211),
    ({"To": "+1٥559876543"}, 21211),
    ({"From": "Bob"}, 21212),
    ({"From": "+15550000000"}, 21210),
    ({"Method": "PUT"}, 21209),
    ({"StatusCallback": "nope"}, 21205),
    ({"StatusCallbackMethod": "DELETE"}, 21209),
    ({"FallbackUrl": "/relative"}, 21205),
    ({"SendDigits": "12E"}, 21206),
    ({"SendDigits": "1" * 33}, 21206),
    ({"Timeout": "0"}, 21208),
    ({"Timeout": "601"}, 21208),
    ({"Timeout": "ten"}, 21208),
    ({"TimeLimit": "0"}, 20001),
    ({"TimeLimit": "-5"}, 20001),
    ({"TimeLimit": "12.5"}, 20001),
    ({"MachineDetection": "enable"}, 20001),
    ({"MachineDetectionTimeout": "60"}, 20001),
    ({"MachineDetectionSpeechThreshold": "999"}, 20001),
    ({"MachineDetectionSpeechEndThreshold": "5001"}, 20001),
    ({"MachineDetectionSilenceTimeout": "1999"}, 20001),
    ({"AsyncAmd": "True"}, 20001),
    ({"AsyncAmdStatusCallback": "x"}, 21205),
    ({"Record": "yes"}, 20001),
    ({"RecordingChannels": "stereo"}, 20001),
    ({"RecordingTrack": "all"}, 20001),
    ({"RecordingStatusCallbackEvent": "done"}, 20001),
    ({"Trim": "yes"}, 20001),
    ({"Url": None, "Twiml": "<Response/>" + " " * 4000}, 20001),
]


@pytest.mark.parametrize(("change", "code"), BAD_CREATES)
def test_a_bad_create_parameter_is_refused_with_its_code(change: dict[str, str | None], code: int) -> None:
    form = [(name, value) for name, value in {**GOOD, **change}.items() if value is not None]
    with pytest.raises(TwilioError) as refusal:
        parse_create(group(form), owned_numbers=frozenset({GOOD["From"]}))
    assert (refusal.value.code, refusal.value.http_status) == (code, 400)


def test_create_parameters_have_twilio_defaults() -> None:
    parameters = parse_create(group(GOOD.items()), owned_numbers=None)
    assert (parameters.timeout, parameters.time_limit) == (60, 14_400)
    assert parameters.instructions.method == parameters.status_callback_method == "POST"
    assert parameters.status_callback_events == {"completed"}
    assert parameters.machine_detection is None


def test_digits_to_send_turn_machine_detection_off() -> None:
    form = group({**GOOD, "MachineDetection": "Enable", "SendDigits": "1"}.items())
    assert parse_create(form, owned_numbers=None).machine_detection is None


def test_an_update_to_another_status_is_refused() -> None:
    with pytest.raises(TwilioError):
        parse_update(group([("Status", "ringing")]))


def test_prices_numbers_and_countries_are_written_as_twilio_writes_them() -> None:
    assert (format_price(14_000), format_price(1_280_000)) == ("-0.01400", "-1.28000")
    assert (format_number("+15559876543"), format_number("+442071838750")) == ("(555) 987-6543", "+442071838750")
    assert (country_of("+15559876543"), country_of("+442071838750"), country_of("client:bob")) == ("US", "GB", "")


def test_the_journal_keeps_order_and_redacts_credentials() -> None:
    journal = Journal()
    for number in range(3):
        journal.add(
            carrier="twilio",
            direction="in",
            method="POST",
            url=f"http://127.0.0.1/{number}?q=1",
            headers={"Authorization": "Basic c2VjcmV0", "Accept": "*/*"},
            form=[("A", "1"), ("A", "2"), ("B", "3")],
        )
    entries = journal.to_json()
    assert [entry["path"] for entry in entries] == ["/0", "/1", "/2"]
    assert entries[0]["headers"] == {"Authorization": "[redacted]", "Accept": "*/*"}
    assert entries[0]["form"] == {"A": ["1", "2"], "B": "3"}
    assert entries[0]["status"] is None
    assert entries[0]["at"].endswith("Z")
