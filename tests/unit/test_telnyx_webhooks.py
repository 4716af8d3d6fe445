"""Telnyx's webhooks: signed by Telnyx and fresh or nothing, and only what is listed travels on."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from telnyx import Telnyx
from telnyx.lib.webhook_verification import WebhookVerificationError
from telnyx.types import CallCostWebhookEvent, CallHangupWebhookEvent, CallInitiatedWebhookEvent

from dialplane.carriers.contract import CarrierCredentials, ForeignAccount, InvalidCallback, SignedRequest
from dialplane.carriers.telnyx.events import to_call_event
from dialplane.carriers.telnyx.signature import BODY_BYTES_MAX
from dialplane.carriers.telnyx.webhooks import is_authentic, parse_answer, parse_report
from tests.fakes.telnyx import CALL_CONTROL_ID, CALL_ID, CONNECTION_ID, NOW, PUBLIC_KEY, event, sign, signed

CREDENTIALS = CarrierCredentials({"api_key": "KEY", "public_key": PUBLIC_KEY, "connection_id": CONNECTION_ID})
VECTOR_BODY = b'{"data":{"event_type":"call.hangup","id":"e1"}}'
VECTOR_SIGNATURE = "tqrYVGugmx09kDQLa+OMcn0dfvjDkUzYm0Z5rjbsW5e2+tw4GFlXl7b8TeR3ykQd9k5QkGsmTPYkNugYprpXDg=="
VECTOR = SignedRequest(
    "https://dialplane.test/",
    VECTOR_BODY,
    {"telnyx-timestamp": "1700000000", "telnyx-signature-ed25519": VECTOR_SIGNATURE},
    datetime.fromtimestamp(1_700_000_000, UTC),
)


def with_header(request: SignedRequest, name: str, value: str) -> SignedRequest:
    return replace(request, headers={**request.headers, name: value})


def flipped(content: bytes) -> list[bytes]:
    return [content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :] for at in range(len(content))]


def test_the_contracts_vector_is_authentic() -> None:
    assert PUBLIC_KEY == "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="
    assert is_authentic(CREDENTIALS, VECTOR)


def test_every_changed_byte_of_the_body_is_noticed() -> None:
    assert not any(is_authentic(CREDENTIALS, replace(VECTOR, body=body)) for body in flipped(VECTOR_BODY))
    assert not is_authentic(CREDENTIALS, replace(VECTOR, body=VECTOR_BODY + b" "))
    assert not is_authentic(CREDENTIALS, replace(VECTOR, body=b""))


def test_every_changed_character_of_the_time_is_noticed() -> None:
    changed = [text.decode("latin-1") for text in flipped(b"1700000000")] + [
        "01700000000",
        " 1700000000",
        "1700000000.0",
    ]
    assert not any(is_authentic(CREDENTIALS, with_header(VECTOR, "telnyx-timestamp", text)) for text in changed)


def test_every_changed_character_of_the_signature_is_noticed() -> None:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=-_ \n"
    changed = {
        VECTOR_SIGNATURE[:at] + letter + VECTOR_SIGNATURE[at + 1 :]
        for at in range(len(VECTOR_SIGNATURE))
        for letter in letters
    } - {VECTOR_SIGNATURE}
    assert len(changed) > 5_000
    accepted = [t for t in changed if is_authentic(CREDENTIALS, with_header(VECTOR, "telnyx-signature-ed25519", t))]
    assert accepted == []


@pytest.mark.parametrize(
    "signature",
    ["", "x", VECTOR_SIGNATURE[:-1], VECTOR_SIGNATURE + "=", VECTOR_SIGNATURE + "\n", VECTOR_SIGNATURE[4:], "A" * 88],
)
def test_a_signature_of_another_form_is_none(signature: str) -> None:
    assert not is_authentic(CREDENTIALS, with_header(VECTOR, "telnyx-signature-ed25519", signature))


@pytest.mark.parametrize(("seconds", "accepted"), [(-301, False), (-300, True), (0, True), (300, True), (301, False)])
def test_a_time_is_fresh_for_five_minutes_in_both_directions(seconds: int, *, accepted: bool) -> None:
    timestamp = str(int((NOW + timedelta(seconds=seconds)).timestamp()))
    assert is_authentic(CREDENTIALS, signed(b"{}", timestamp)) is accepted


@pytest.mark.parametrize("missing", ["telnyx-timestamp", "telnyx-signature-ed25519"])
def test_a_request_without_a_header_is_not_authentic(missing: str) -> None:
    headers = {name: value for name, value in VECTOR.headers.items() if name != missing}
    assert not is_authentic(CREDENTIALS, replace(VECTOR, headers=headers))


@pytest.mark.parametrize(
    "key", ["", "x", PUBLIC_KEY[:-1], base64.b64encode(bytes(31)).decode(), base64.b64encode(bytes(33)).decode()]
)
def test_without_a_usable_key_nothing_is_authentic(key: str) -> None:
    assert not is_authentic(CarrierCredentials({"public_key": key, "connection_id": "1"}), VECTOR)


def test_another_accounts_key_does_not_fit() -> None:
    other = CarrierCredentials({"public_key": base64.b64encode(bytes(31) + b"\x01").decode()})
    assert not is_authentic(other, VECTOR)


def test_an_oversized_body_is_refused_before_it_is_verified() -> None:
    assert is_authentic(CREDENTIALS, signed(b"1" * BODY_BYTES_MAX))
    assert not is_authentic(CREDENTIALS, signed(b"1" * (BODY_BYTES_MAX + 1)))


@given(body=st.binary(max_size=200), timestamp=st.text(max_size=20), signature=st.text(max_size=100))
def test_no_input_raises_or_passes_by_chance(body: bytes, timestamp: str, signature: str) -> None:
    assert is_authentic(CREDENTIALS, signed(body, timestamp, signature)) is False
    assert is_authentic(CREDENTIALS, signed(body, STAMP, signature)) is False


@pytest.fixture
def sdk(monkeypatch: pytest.MonkeyPatch) -> Telnyx:
    monkeypatch.setattr("time.time", NOW.timestamp)
    return Telnyx(api_key="KEY", public_key=PUBLIC_KEY)


STAMP = str(int(NOW.timestamp()))
ANSWERED = event("call.answered", state="answered")


@pytest.mark.parametrize(
    ("timestamp", "signature"),
    [
        (STAMP, None),
        (str(int(STAMP) - 300), None),
        (str(int(STAMP) + 300), None),
        (str(int(STAMP) - 301), None),
        (str(int(STAMP) + 301), None),
        (STAMP, sign(ANSWERED, str(int(STAMP) - 1))),
        (STAMP, sign(b"{}", STAMP)),
        (STAMP, "AAAA"),
        (STAMP, "*"),
        ("soon", None),
    ],
)
def test_telnyxs_sdk_says_the_same(sdk: Telnyx, timestamp: str, signature: str | None) -> None:
    request = signed(ANSWERED, timestamp, signature)
    try:
        sdk.webhooks.unwrap(ANSWERED.decode(), headers=request.headers)
        verdict = True
    except (ValueError, WebhookVerificationError):  # the SDK has two ways to look, and says no in two ways
        verdict = False
    assert is_authentic(CREDENTIALS, request) is verdict


HANGUP: dict[str, Any] = {
    "hangup_cause": "user_busy",
    "hangup_source": "callee",
    "sip_hangup_cause": "486",
    "state": "hangup",
    "custom_headers": [{"name": "X-Secret", "value": "of the customer"}],
    "call_quality_stats": {"inbound": {"mos": "4.5"}},
}
COST: dict[str, Any] = {
    "status": "success",
    "billed_duration_secs": 60,
    "total_cost": "0.0075",
    "cost_parts": [{"call_part": "call-control", "cost": "0.002", "currency": "USD"}, {"currency": "USD"}],
}


def test_only_fields_without_personal_data_travel_on() -> None:
    report = parse_report(CREDENTIALS, event("call.hangup", **HANGUP))
    assert set(report.fields) == {
        "id", "event_type", "occurred_at", "call_control_id", "call_leg_id", "connection_id",
        "hangup_cause", "hangup_source", "sip_hangup_cause",
    }  # fmt: skip
    assert not any("555" in value or "customer" in value for value in report.fields.values())


def test_the_call_that_the_dial_named_is_the_reports_call() -> None:
    assert parse_report(CREDENTIALS, ANSWERED).call_id == CALL_ID


@pytest.mark.parametrize("state", [None, "", "aGF2ZSBhIG5pY2UgZGF5ID1d", "*", "w6Q=", 7])
def test_a_state_that_is_not_ours_names_no_call(state: object) -> None:
    assert parse_report(CREDENTIALS, event("call.answered", client_state=state)).call_id is None


def test_a_total_travels_in_one_currency_or_not_at_all() -> None:
    fields = parse_report(CREDENTIALS, event("call.cost", **COST)).fields
    assert (fields["billed_duration_secs"], fields["total_cost"], fields["currency"]) == ("60", "0.0075", "USD")
    for parts in (None, [], [{"currency": "USD"}, {"currency": "EUR"}], ["x"], [{}]):
        fields = parse_report(CREDENTIALS, event("call.cost", **{**COST, "cost_parts": parts})).fields
        assert fields["billed_duration_secs"] == "60"
        assert not {"total_cost", "currency"} & set(fields)


@pytest.mark.parametrize(
    ("total", "travels"),
    [
        (0.0075, "0.0075"),
        (2, "2"),
        (0.0000333, None),  # as a number in JSON: 3.33e-05
        (1 / 60, None),
        ("NaN", None),
        (-1, None),
        (None, None),
    ],
)
def test_an_amount_that_cannot_be_read_does_not_take_the_duration_with_it(total: object, travels: str | None) -> None:
    fields = parse_report(CREDENTIALS, event("call.cost", **{**COST, "total_cost": total})).fields
    assert (fields["billed_duration_secs"], fields.get("total_cost")) == ("60", travels)
    assert ("currency" in fields) is (travels is not None)


@pytest.mark.parametrize(
    "body",
    [
        event("call.speak.started"),
        event("call.speak.ended", client_state="dHJhbnNmZXI="),
        event("call.machine.premium.detection.started"),
        event("call.bridged"),
        event("call.conversation.ended", client_state="dHJhbnNmZXI="),
        event("call.conversation.created"),
        event("streaming.stopped", client_state="dHJhbnNmZXI="),
        event("streaming.stopped", client_state=None),
        event("streaming.started"),
        event("message.received"),
        event("call.initiated", direction="incoming"),
        event("call.initiated", direction=None),
        event("call.cost", **{**COST, "status": "error"}),
    ],
)
def test_what_says_nothing_about_an_outbound_call_is_not_applied(body: bytes) -> None:
    assert parse_report(CREDENTIALS, body).fields == {}


@pytest.mark.parametrize("event_type", ["call.conversation.ended", "streaming.stopped", "streaming.failed"])
def test_the_end_of_an_engines_connection_travels_without_anything_that_was_said(event_type: str) -> None:
    body = event(event_type, reason="ended", messages=[{"content": "My name is"}], stream_url="wss://engine.test")
    report = parse_report(CREDENTIALS, body)
    assert report.call_id == CALL_ID
    common = {"id", "event_type", "occurred_at", "call_control_id", "call_leg_id", "connection_id"}
    assert set(report.fields) == common | ({"reason"} if event_type == "call.conversation.ended" else set())


LEG_STATE = base64.b64encode(f"transferred-from/{CALL_CONTROL_ID}".encode()).decode()


def test_the_end_of_the_leg_that_a_call_was_transferred_to_is_an_event_of_the_call() -> None:
    body = event("call.hangup", **{**HANGUP, "call_control_id": "v3:other", "client_state": LEG_STATE})
    report = parse_report(CREDENTIALS, body)
    assert report.call_id is None
    assert set(report.fields) == {"id", "occurred_at", "event_type", "call_control_id"}
    told = to_call_event(report.fields, NOW)
    assert (told.carrier_call_id, told.are_instructions_done, told.status) == (CALL_CONTROL_ID, True, None)


@pytest.mark.parametrize(
    ("event_type", "payload"),
    [
        ("call.answered", {}),
        ("call.cost", COST),
        ("call.speak.ended", {"status": "completed"}),
        ("call.hangup", {**HANGUP, "client_state": base64.b64encode(b"transferred-from/").decode()}),
        ("call.hangup", {**HANGUP, "client_state": base64.b64encode(b"transferred-from/a b").decode()}),
    ],
)
def test_nothing_else_of_that_leg_is(event_type: str, payload: dict[str, Any]) -> None:
    body = event(event_type, **{"call_control_id": "v3:other", "client_state": LEG_STATE, **payload})
    assert not parse_report(CREDENTIALS, body).fields


def test_an_outgoing_call_is_applied() -> None:
    assert (
        parse_report(CREDENTIALS, event("call.initiated", direction="outgoing")).fields["event_type"]
        == "call.initiated"
    )


@pytest.mark.parametrize("connection_id", ["1", "", None, int(CONNECTION_ID)])
def test_another_applications_event_is_foreign(connection_id: object) -> None:
    with pytest.raises(ForeignAccount):
        parse_report(CREDENTIALS, event("call.answered", connection_id=connection_id))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        b'{"data": []}',
        b'{"data": {}}',
        b'{"data": {"event_type": "call.answered"}}',
        event("call.answered", call_control_id=None),
        event("call.answered", call_control_id="x y"),
        event("call.answered", call_control_id=["v3:1"]),
        event("call.answered", at="soon"),
        event("call.hangup", **{**HANGUP, "hangup_cause": None}),
        event("call.hangup", **{**HANGUP, "hangup_cause": "user busy"}),
        event("call.hangup", **{**HANGUP, "sip_hangup_cause": "+15559876543"}),
        event("call.cost", **{**COST, "billed_duration_secs": None}),
        event("call.cost", **{**COST, "billed_duration_secs": -1}),
        event("call.cost", **{**COST, "billed_duration_secs": True}),
        event("call.machine.detection.ended"),
    ],
)
def test_what_is_no_event_of_telnyxs_is_invalid_and_not_repeated_in_the_error(body: bytes) -> None:
    with pytest.raises(InvalidCallback) as raised:
        parse_report(CREDENTIALS, body)
    assert "5559876543" not in str(raised.value)


@given(st.binary(max_size=300))
def test_any_body_is_read_or_invalid(body: bytes) -> None:
    with pytest.raises(InvalidCallback):
        parse_report(CREDENTIALS, body)


def test_call_control_asks_for_no_instructions() -> None:
    with pytest.raises(InvalidCallback):
        parse_answer(CREDENTIALS, b"{}")


@pytest.mark.parametrize(
    ("model", "body"),
    [
        (CallHangupWebhookEvent, event("call.hangup", **HANGUP)),
        (CallCostWebhookEvent, event("call.cost", **COST)),
        (CallInitiatedWebhookEvent, event("call.initiated", direction="outgoing", state="bridging")),
    ],
)
def test_telnyxs_sdk_reads_the_same_fields(model: Any, body: bytes) -> None:
    theirs = model.model_validate(json.loads(body))
    for name, value in parse_report(CREDENTIALS, body).fields.items():
        if name in ("currency", "occurred_at"):
            continue
        stated = getattr(theirs.data, name, None) or getattr(theirs.data.payload, name)
        assert str(stated) == value


def test_the_webhooks_load_no_http_client_and_no_cryptography() -> None:
    names = ("urllib3", "cryptography", "pydantic", "decimal", "http.client", "email", "dialplane.domain.calls")
    code = f"import sys, dialplane.carriers.telnyx.webhooks; print([n for n in {names!r} if n in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_the_names_of_a_call_have_the_form_that_telnyx_gives_them() -> None:
    for name in (
        CALL_CONTROL_ID,
        "v2:7V3r4VFCGLTzKLOveE0-7vM9dX17-NRQgU1byo-uuOIX9JcDadLLKw",
        "428c31b6-7af4-4bcb-b7f5-5013ef9657c1",
    ):
        assert parse_report(CREDENTIALS, event("call.answered", call_control_id=name)).fields["call_control_id"] == name
