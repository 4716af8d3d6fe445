"""ElevenLabs' webhooks: whose they are, what of them travels on, and which call they are about."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from elevenlabs.client import ElevenLabs
from elevenlabs.errors import BadRequestError
from hypothesis import given
from hypothesis import strategies as st

from dialplane.carriers.contract import CarrierCredentials, InvalidCallback, SignedRequest
from dialplane.carriers.elevenlabs.webhooks import (
    BODY_BYTES_MAX,
    SIGNATURE_HEADER,
    is_authentic,
    parse_answer,
    parse_report,
)
from tests.fakes.elevenlabs import (
    CALL_ID,
    CALL_SID,
    CONVERSATION_ID,
    CREDENTIALS,
    ENDED,
    RECEIVED,
    SECRET,
    STARTED,
    a_conversation,
    a_failure,
    a_webhook,
    signed,
)

# A known answer, worked out apart from this code.
VECTOR_BODY = b'{"type":"post_call_transcription","event_timestamp":1700000000,"data":{"conversation_id":"conv_1"}}'
VECTOR_HEADER = "t=1700000000,v0=443aa6aad184163cc7842a5ae1b6a437addc1cba93c870d2a900ca86c60ef3c3"
VECTOR = SignedRequest(
    "https://any.test/", VECTOR_BODY, {SIGNATURE_HEADER: VECTOR_HEADER}, datetime.fromtimestamp(1700000000, UTC)
)
BODY = a_webhook("post_call_transcription", a_conversation())


def with_header(header: str, request: SignedRequest = VECTOR) -> SignedRequest:
    return replace(request, headers={SIGNATURE_HEADER: header})


# ---- the signature --------------------------------------------------------------------------------------------------


def test_the_known_answer_is_authentic() -> None:
    assert is_authentic(CREDENTIALS, VECTOR)


@pytest.mark.parametrize("position", range(len(VECTOR_BODY)))
def test_a_single_changed_byte_of_the_body_is_not_authentic(position: int) -> None:
    changed = bytearray(VECTOR_BODY)
    changed[position] ^= 1
    assert not is_authentic(CREDENTIALS, replace(VECTOR, body=bytes(changed)))


@pytest.mark.parametrize("position", range(len(VECTOR_HEADER)))
def test_a_single_changed_character_of_the_header_is_not_authentic(position: int) -> None:
    changed = VECTOR_HEADER[:position] + chr(ord(VECTOR_HEADER[position]) ^ 1) + VECTOR_HEADER[position + 1 :]
    assert not is_authentic(CREDENTIALS, with_header(changed))


@pytest.mark.parametrize(
    "header",
    [
        VECTOR_HEADER.replace(",", " , "),
        VECTOR_HEADER.replace(",", f",v0={'0' * 64},"),
        f"{VECTOR_HEADER},v0={'0' * 64}",
        f"{VECTOR_HEADER},v1=of-the-future",
        ",".join(reversed(VECTOR_HEADER.split(","))),
    ],
)
def test_spaces_order_and_further_signatures_do_not_matter(header: str) -> None:
    assert is_authentic(CREDENTIALS, with_header(header))


@pytest.mark.parametrize(
    "header",
    [
        "",
        "t=1700000000",
        VECTOR_HEADER.partition(",")[2],
        VECTOR_HEADER.replace("v0=", "v1="),
        VECTOR_HEADER.replace("1700000000", "1_700_000_000"),
        VECTOR_HEADER.replace("1700000000", "١٧٠٠٠٠٠٠٠٠"),
        VECTOR_HEADER.replace("1700000000", "1700000000.0"),
        VECTOR_HEADER.replace("1700000000", "9" * 5000),
        VECTOR_HEADER.replace("1700000000", "soon"),
        f"t=1700000001,{VECTOR_HEADER}",
        "t=1700000000,v0=ünïcödé",
        "t=1700000000,v0=\udcff",
        "t=,v0=",
        "=,=,=",
    ],
)
def test_a_header_that_is_none_is_refused_and_never_raises(header: str) -> None:
    assert not is_authentic(CREDENTIALS, with_header(header))


@given(st.text())
def test_no_header_raises(header: str) -> None:
    assert not is_authentic(CREDENTIALS, with_header(header))


def test_no_header_at_all_is_refused() -> None:
    assert not is_authentic(CREDENTIALS, replace(VECTOR, headers={}))


@pytest.mark.parametrize(("minutes", "authentic"), [(-31, False), (-30, True), (0, True), (30, True), (31, False)])
def test_half_an_hour_is_tolerated_either_way(minutes: int, *, authentic: bool) -> None:
    request = signed(BODY, now=RECEIVED, at=RECEIVED + timedelta(minutes=minutes))
    assert is_authentic(CREDENTIALS, request) is authentic


def test_another_secret_or_none_signs_nothing() -> None:
    assert is_authentic(CREDENTIALS, signed(BODY))
    assert not is_authentic(CREDENTIALS, signed(BODY, secret="another"))
    assert not is_authentic(CarrierCredentials({"api_key": "xi"}), signed(BODY, secret=""))


def test_a_long_transcript_is_read_and_what_no_function_can_be_given_is_not() -> None:
    long = a_webhook("post_call_transcription", {**a_conversation(), "transcript": ["word " * 100_000]})
    assert is_authentic(CREDENTIALS, signed(long))
    assert parse_report(CREDENTIALS, long).call_id == CALL_ID
    assert not is_authentic(CREDENTIALS, signed(b" " * (BODY_BYTES_MAX + 1)))


@pytest.mark.parametrize("change", ["nothing", "body", "secret", "time"])
def test_what_elevenlabs_own_sdk_accepts_is_accepted(change: str) -> None:
    now = datetime.fromtimestamp(int(time.time()), UTC)
    at = now - timedelta(minutes=31) if change == "time" else now
    request = signed(BODY, now=now, at=at, secret="another" if change == "secret" else SECRET)
    request = replace(request, body=BODY + b" ") if change == "body" else request
    try:
        ElevenLabs(api_key="xi").webhooks.construct_event(
            rawBody=request.body.decode(), sig_header=request.headers[SIGNATURE_HEADER], secret=SECRET
        )
        theirs = True
    except BadRequestError:
        theirs = False
    assert is_authentic(CREDENTIALS, request) is theirs is (change == "nothing")


# ---- what travels on ------------------------------------------------------------------------------------------------


def test_of_a_transcription_only_the_allowed_fields_travel_on() -> None:
    assert parse_report(CREDENTIALS, BODY).fields == {
        "type": "post_call_transcription",
        "event_timestamp": str(int(RECEIVED.timestamp())),
        "conversation_id": CONVERSATION_ID,
        "call_sid": CALL_SID,
        "status": "done",
        "call_successful": "success",
        "start_time_unix_secs": str(int(STARTED.timestamp())),
        "call_duration_secs": "22",
        "cost": "296",
    }
    assert datetime.fromtimestamp(int(STARTED.timestamp()) + 22, UTC) == ENDED


def test_of_a_failure_only_the_allowed_fields_travel_on() -> None:
    body = a_webhook("call_initiation_failure", a_failure())
    assert parse_report(CREDENTIALS, body).fields == {
        "type": "call_initiation_failure",
        "event_timestamp": str(int(RECEIVED.timestamp())),
        "conversation_id": CONVERSATION_ID,
        "call_sid": CALL_SID,
        "failure_reason": "busy",
        "carrier_status": "busy",
        "sip_response_code": "486",
    }


def test_a_failure_on_a_sip_trunk_is_read_alike() -> None:
    said = {
        "from_number": "+15551234567",
        "sip_status_code": 486,
        "call_sid": "d8e7f6a5-b4c3",
        "sip_status": "Busy here",
    }
    data = {**a_failure(), "metadata": {"type": "sip", "body": said}}
    fields = parse_report(CREDENTIALS, a_webhook("call_initiation_failure", data)).fields
    assert (fields["call_sid"], fields["sip_response_code"]) == ("d8e7f6a5-b4c3", "486")


@pytest.mark.parametrize("number", ["+15559876543", "+15551234567"])
def test_no_number_and_no_word_of_a_conversation_travels_on(number: str) -> None:
    data = a_conversation(termination_reason=f"transferred to {number}")
    for body in (
        a_webhook("post_call_transcription", data),
        a_webhook("call_initiation_failure", a_failure(f"{number} is busy")),
    ):
        report = json.dumps(dict(parse_report(CREDENTIALS, body).fields))
        assert number not in report
        assert "John" not in report


def test_an_amount_stays_the_text_it_is() -> None:
    body = BODY.replace(b'"cost_fiat": null', b'"cost_fiat": 0.10000000000000001')
    assert parse_report(CREDENTIALS, body).fields["cost_fiat"] == "0.10000000000000001"


@pytest.mark.parametrize("kind", ["post_call_audio", "post_call_of_the_future"])
def test_what_is_about_no_end_has_nothing_to_apply(kind: str) -> None:
    body = a_webhook(kind, {"agent_id": "a", "conversation_id": CONVERSATION_ID, "full_audio": "SUQzBAAAAAAA"})
    report = parse_report(CREDENTIALS, body)
    assert (report.fields, report.call_id) == ({}, None)


@pytest.mark.parametrize(
    "data",
    [
        {"conversation_id": CONVERSATION_ID},
        {
            "conversation_id": CONVERSATION_ID,
            "metadata": None,
            "analysis": [],
            "conversation_initiation_client_data": "x",
        },
        {"conversation_id": CONVERSATION_ID, "metadata": {"phone_call": [], "call_duration_secs": "long", "cost": {}}},
        {"conversation_id": CONVERSATION_ID, "status": {"a": 1}, "user_id": 7},
    ],
)
def test_what_is_missing_or_misshapen_leaves_the_rest(data: dict[str, Any]) -> None:
    for kind in ("post_call_transcription", "call_initiation_failure"):
        fields = parse_report(CREDENTIALS, a_webhook(kind, data)).fields
        assert fields["conversation_id"] == CONVERSATION_ID
        assert fields.keys() <= {"type", "event_timestamp", "conversation_id"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b"null",
        b"[" * 100_000,
        b'{"type": 1, "data": {"conversation_id": "c"}}',
        b'{"data": {"conversation_id": "c"}}',
        b'{"type": "post_call_transcription"}',
        b'{"type": "post_call_transcription", "data": {"conversation_id": "../admin"}}',
        b'{"type": "call_initiation_failure", "data": {"metadata": {"body": {"CallSid": ""}}}}',
    ],
)
def test_what_is_no_webhook_is_refused_without_repeating_it(body: bytes) -> None:
    with pytest.raises(InvalidCallback) as raised:
        parse_report(CREDENTIALS, body)
    assert "admin" not in str(raised.value)


# ---- whose call -----------------------------------------------------------------------------------------------------


def test_our_call_is_named_by_user_id_or_by_a_dynamic_variable() -> None:
    data = a_conversation()
    client_data = data["conversation_initiation_client_data"]
    by_user_id = {**data, "conversation_initiation_client_data": {}}
    by_client_data = {**data, "user_id": None, "conversation_initiation_client_data": {"user_id": CALL_ID}}
    by_variable = {**data, "user_id": "john", "conversation_initiation_client_data": {**client_data, "user_id": None}}
    for each in (by_user_id, by_client_data, by_variable):
        assert parse_report(CREDENTIALS, a_webhook("post_call_transcription", each)).call_id == CALL_ID


@pytest.mark.parametrize(
    "name", [None, "", "john", "call_1", "+15559876543", CALL_ID.lower(), f"{CALL_ID}x", 7, ["call"]]
)
def test_a_call_that_was_made_elsewhere_is_none_of_ours(name: object) -> None:
    client_data = {"user_id": name, "dynamic_variables": {"call_id": name}}
    data = {**a_conversation(), "user_id": name, "conversation_initiation_client_data": client_data}
    assert parse_report(CREDENTIALS, a_webhook("post_call_transcription", data)).call_id is None


def test_a_failure_names_no_call_of_ours() -> None:
    assert parse_report(CREDENTIALS, a_webhook("call_initiation_failure", a_failure())).call_id is None


def test_nobody_asks_for_instructions() -> None:
    with pytest.raises(InvalidCallback):
        parse_answer(CREDENTIALS, BODY)
