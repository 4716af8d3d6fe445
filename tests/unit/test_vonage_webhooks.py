"""Vonage's webhooks: PyJWT and Vonage's SDK are the oracles of signatures, and only listed fields travel on."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jwt.warnings import InsecureKeyLengthWarning
from vonage_jwt import VonageVerifyJwtError, verify_signature

from dialplane.carriers.contract import CarrierCredentials, InvalidCallback, Report, SignedRequest
from dialplane.carriers.vonage import webhooks
from dialplane.carriers.vonage.webhooks import parse_answer, parse_report

NOW = 1_700_000_000
SECRET = "0123456789abcdef0123456789abcdef"
CREDENTIALS = CarrierCredentials({"api_key": "abcd1234", "application_id": "app1", "signature_secret": SECRET})
VECTOR_BODY = b'{"status":"ringing","uuid":"u1"}'
VECTOR = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpYXQiOjE3MDAwMDAwMDAsImp0aSI6ImoxIiwiaXNzIjoiVm9uYWdlIiwicGF5bG9hZF9oYXNo"
    "IjoiY2RiZDdkOGIyMTM4MWEzMDBmZjM4M2EyZThhMjA1ZGYzM2I3MjBhNjNkZWVjYWI2MDQ1MzAyYThhZjM5NGE5MiIsImFwaV9rZXkiOiJhYmNk"
    "MTIzNCIsImFwcGxpY2F0aW9uX2lkIjoiYXBwMSJ9.V6ZDNfpigKWO3jxGhd6vWYyTC697xCz87pPQnvfgFUs"
)
UUID = "aaaaaaaa-bbbb-cccc-dddd-0123456789ab"
EVENT: dict[str, Any] = {
    "from": "442079460000",
    "to": "447700900000",
    "uuid": UUID,
    "conversation_uuid": f"CON-{UUID}",
    "status": "completed",
    "direction": "outbound",
    "timestamp": "2020-01-01T12:00:02.000Z",
    "start_time": "2020-01-01T12:00:00.000Z",
    "end_time": "2020-01-01T12:00:02.000Z",
    "duration": "2",
    "rate": "0.00450000",
    "price": "0.00015000",
    "network": "GB-FIXED",
    "from_user": "JaneDoe",
    "headers": {"X-Name": "Jane"},
    "something_new": "of next year",
}


def claims(body: bytes = VECTOR_BODY, **changes: Any) -> dict[str, Any]:
    stated = {
        "iat": NOW,
        "jti": "j1",
        "iss": "Vonage",
        "payload_hash": hashlib.sha256(body).hexdigest(),
        "api_key": "abcd1234",
        "application_id": "app1",
        **changes,
    }
    return {name: value for name, value in stated.items() if value is not None}


def token(stated: dict[str, Any], *, secret: str = SECRET, algorithm: str = "HS256", **headers: Any) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InsecureKeyLengthWarning)  # for HS512 this one is short, and that is the test
        return jwt.encode(stated, secret, algorithm=algorithm, headers=headers or None)


def is_authentic(presented: str | None, body: bytes = VECTOR_BODY, *, now: float = NOW) -> bool:
    headers = {} if presented is None else {"authorization": presented}
    request = SignedRequest("https://dialplane.test/status", body, headers, datetime.fromtimestamp(now, UTC))
    return webhooks.is_authentic(CREDENTIALS, request)


def body(**changes: Any) -> bytes:
    return json.dumps({name: value for name, value in {**EVENT, **changes}.items() if value is not ...}).encode()


# ---- signatures -----------------------------------------------------------------------------------------------------


def test_published_vector_is_authentic() -> None:
    assert is_authentic(f"Bearer {VECTOR}")
    assert jwt.decode(VECTOR, SECRET, algorithms=["HS256"], options={"verify_exp": False}) == claims()


def test_token_as_pyjwt_makes_it_is_authentic() -> None:
    assert is_authentic(f"Bearer {token(claims())}")
    assert is_authentic(f"bearer {token(claims())}")  # RFC 9110: the name of the scheme has no case


def test_every_changed_byte_of_the_body_is_refused() -> None:
    for position in range(len(VECTOR_BODY)):
        changed = bytearray(VECTOR_BODY)
        changed[position] ^= 1
        assert not is_authentic(f"Bearer {VECTOR}", bytes(changed))
    assert not is_authentic(f"Bearer {VECTOR}", VECTOR_BODY + b" ")
    assert not is_authentic(f"Bearer {VECTOR}", b"")


def test_a_body_over_64_kb_is_refused_whoever_signed_it() -> None:
    for size, expected in ((64 * 1024, True), (64 * 1024 + 1, False)):
        long = b"x" * size
        assert is_authentic(f"Bearer {token(claims(long))}", long) is expected


def test_every_changed_byte_of_the_token_is_refused() -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ "
    for position, byte in enumerate(VECTOR):
        for other in alphabet:
            if other != byte:
                assert not is_authentic(f"Bearer {VECTOR[:position]}{other}{VECTOR[position + 1 :]}")


def unsigned() -> str:
    return jwt.encode(claims(), None, algorithm="none")


def rs256_with_our_secret_as_key() -> str:
    header = base64.urlsafe_b64encode(b'{"alg":"RS256","typ":"JWT"}').rstrip(b"=").decode()
    _, payload, signature = VECTOR.split(".")
    return f"{header}.{payload}.{signature}"


@pytest.mark.parametrize(
    "presented",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        VECTOR,
        f"Basic {VECTOR}",
        f"Bearer  {VECTOR}",
        f"Bearer Bearer {VECTOR}",
        f"Bearer {VECTOR}, Bearer {VECTOR}",
        f"Bearer {VECTOR} ",
        f"Bearer {VECTOR}\n",
        f"Bearer {VECTOR}=",
        f"Bearer {VECTOR}.",
        f"Bearer {VECTOR}.{VECTOR}",
        f"Bearer {'.'.join(VECTOR.split('.')[:2])}.",
        f"Bearer {'.'.join(VECTOR.split('.')[:2])}",
        "Bearer ..",
        "Bearer é.é.é",
        f"Bearer {unsigned()}",
        f"Bearer {unsigned()}{VECTOR.split('.')[2]}",
        f"Bearer {rs256_with_our_secret_as_key()}",
        f"Bearer {token(claims(), algorithm='HS384')}",
        f"Bearer {token(claims(), algorithm='HS512')}",
        f"Bearer {token(claims(), secret='f' * 32)}",
    ],
)
def test_what_is_no_token_of_this_account_is_refused(presented: str | None) -> None:
    assert not is_authentic(presented)


@pytest.mark.parametrize(
    "headers",
    [
        {"alg": "none"},
        {"alg": "RS256"},
        {"alg": "HS384"},
        {"alg": "hs256"},
        {"alg": None},
        {"typ": "at+jwt"},
        {"typ": None},
        {"crit": ["b64"], "b64": False},
    ],
)
def test_other_algorithm_type_or_extension_is_refused_though_the_signature_is_right(headers: dict[str, Any]) -> None:
    stated = {"alg": "HS256", "typ": "JWT", **headers}
    assert not is_authentic(f"Bearer {raw_token(json.dumps(stated).encode(), json.dumps(claims()).encode())}")


def raw_token(header: bytes, payload: bytes) -> str:
    signed = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in (header, payload))
    signature = base64.urlsafe_b64encode(hmac.digest(SECRET.encode(), signed, "sha256")).rstrip(b"=")
    return f"{signed.decode()}.{signature.decode()}"


HEADER = b'{"alg":"HS256","typ":"JWT"}'


def test_raw_token_of_this_test_is_authentic_as_it_stands() -> None:
    assert is_authentic(f"Bearer {raw_token(HEADER, json.dumps(claims()).encode())}")


@pytest.mark.parametrize(
    "payload",
    [b"x", b"[]", b"null", b'"x"', b"\xff", b"{", b"[" * 2000, b'{"iat":' + b"9" * 2500 + b"}"],
)
def test_signed_rubbish_is_refused_and_raises_nothing(payload: bytes) -> None:
    assert not is_authentic(f"Bearer {raw_token(HEADER, payload)}")
    assert not is_authentic(f"Bearer {raw_token(payload[:700], json.dumps(claims()).encode())}")


@pytest.mark.parametrize(
    "changes",
    [
        {"payload_hash": None},
        {"payload_hash": ""},
        {"payload_hash": hashlib.sha256(b"another").hexdigest()},
        {"payload_hash": hashlib.sha256(VECTOR_BODY).hexdigest().upper()},
        {"payload_hash": hashlib.sha256(VECTOR_BODY).hexdigest()[:63]},
        {"payload_hash": "é"},
        {"payload_hash": "\ud800"},
        {"payload_hash": 1},
        {"payload_hash": [hashlib.sha256(VECTOR_BODY).hexdigest()]},
        {"api_key": None},
        {"api_key": "abcd1235"},
        {"api_key": ["abcd1234"]},
        {"application_id": None},
        {"application_id": "app2"},
        {"iat": None},
        {"iat": True},
        {"iat": str(NOW)},
        {"iat": float("nan")},
        {"iat": float("inf")},
        {"iat": 10**400},
        {"exp": NOW - 1},
        {"exp": NOW},
        {"exp": str(NOW + 60)},
        {"exp": float("nan")},
        {"nbf": NOW + 301},
        {"nbf": [NOW]},
        {"nbf": True},
    ],
)
def test_token_whose_claims_are_not_of_this_request_is_refused(changes: dict[str, Any]) -> None:
    assert not is_authentic(f"Bearer {raw_token(HEADER, json.dumps(claims(**changes)).encode())}")


@pytest.mark.parametrize(
    ("offset", "expected"), [(-301, False), (-300, True), (-299, True), (0, True), (300, True), (301, False)]
)
def test_token_is_good_for_five_minutes_either_way(offset: int, *, expected: bool) -> None:
    assert is_authentic(f"Bearer {token(claims(iat=NOW + offset))}") is expected
    assert is_authentic(f"Bearer {VECTOR}", now=NOW - offset) is expected


def test_times_that_a_token_may_have_beside_are_respected() -> None:
    assert is_authentic(f"Bearer {token(claims(exp=NOW + 1, nbf=NOW))}")


def sdk_accepts(presented: str) -> bool:
    try:
        return bool(verify_signature(presented, SECRET))
    except VonageVerifyJwtError:
        return False


@pytest.mark.parametrize(
    "change",
    [
        lambda: token(claims(iat=int(datetime.now(UTC).timestamp()))),
        lambda: token(claims(iat=int(datetime.now(UTC).timestamp()), exp=int(datetime.now(UTC).timestamp()) + 60)),
        lambda: token(claims(iat=int(datetime.now(UTC).timestamp()), exp=int(datetime.now(UTC).timestamp()) - 1)),
        lambda: token(claims(iat=int(datetime.now(UTC).timestamp())), secret="f" * 32),
        lambda: token(claims(iat=int(datetime.now(UTC).timestamp()), nbf=int(datetime.now(UTC).timestamp()) + 900)),
        lambda: token(claims(iat=int(datetime.now(UTC).timestamp())), algorithm="HS512"),
        unsigned,
        rs256_with_our_secret_as_key,
        lambda: "not.a.token",
        lambda: VECTOR[:-1],
        lambda: VECTOR[1:],
    ],
)
def test_vonages_sdk_agrees_about_every_token(change: Callable[[], str]) -> None:
    presented = change()
    assert is_authentic(f"Bearer {presented}", now=datetime.now(UTC).timestamp()) is sdk_accepts(presented)


def test_sdk_that_checks_the_signature_alone_misses_what_we_refuse() -> None:
    presented = token(claims(iat=int(datetime.now(UTC).timestamp())))
    assert sdk_accepts(presented)
    assert not is_authentic(f"Bearer {presented}", b"another body", now=datetime.now(UTC).timestamp())


@given(st.text(max_size=200), st.binary(max_size=200))
def test_no_header_and_no_body_raises(header: str, content: bytes) -> None:
    assert not is_authentic(header, content)
    assert not is_authentic(f"Bearer {header}.{header}.{header}", content)


def test_request_without_a_token_is_asked_to_come_again_and_raises_no_alarm() -> None:
    assert webhooks.SIGNATURE_HEADER == "authorization"
    assert webhooks.UNSIGNED_STATUS == 429


def test_webhooks_load_next_to_nothing() -> None:
    heavy = ("pydantic", "urllib3", "jwt", "cryptography", "decimal", "email", "requests", "vonage", "http.client")
    script = (
        "import sys; before = set(sys.modules); import dialplane.carriers.vonage.webhooks; "
        f"print([name for name in {heavy!r} if name in set(sys.modules) - before])"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


# ---- reports --------------------------------------------------------------------------------------------------------


def test_only_fields_without_personal_data_travel_on() -> None:
    fields = parse_report(CREDENTIALS, body()).fields
    assert set(fields) == {
        "uuid", "conversation_uuid", "status", "direction", "timestamp", "start_time", "end_time", "duration", "rate",
        "price", "network",
    }  # fmt: skip
    assert not any("44" in value or "Jane" in value for value in fields.values())


def test_report_names_no_call_of_ours_because_its_address_does() -> None:
    assert parse_report(CREDENTIALS, body()).call_id is None


def test_answered_report_with_its_empty_fields_is_read() -> None:
    fields = parse_report(CREDENTIALS, body(status="answered", start_time=None, rate="", network=None)).fields
    assert not {"start_time", "rate", "network"} & set(fields)


def test_numbers_are_read_as_the_texts_that_vonage_wrote() -> None:
    fields = parse_report(CREDENTIALS, body(duration=61, price=...)[:-1] + b', "price": 0.00015000}').fields
    assert (fields["duration"], fields["price"]) == ("61", "0.00015000")


def test_verdict_names_its_call_in_a_field_of_its_own() -> None:
    fields = parse_report(CREDENTIALS, body(uuid=..., call_uuid=UUID, status="machine", sub_state="beep_start")).fields
    assert (fields["call_uuid"], fields["status"], fields["sub_state"]) == (UUID, "machine", "beep_start")


@pytest.mark.parametrize(
    "changes",
    [
        {"direction": "inbound"},
        {"status": "disconnected"},
        {"status": "error", "reason": "Syntax error in NCCO"},
        {"status": ..., "uuid": ..., "reason": "Syntax error in NCCO"},
        {"status": ..., "recording_url": "https://api.nexmo.com/v1/files/x", "recording_uuid": UUID, "size": 12222},
        {"status": ..., "dtmf": {"digits": "42", "timed_out": True}},
        {"status": ..., "type": "transfer", "conversation_uuid_from": "CON-1", "conversation_uuid_to": "CON-2"},
        {"status": "answered", "to": "wss://media.customer.test/socket"},
        {"status": "completed", "to": "sip:rebekka@sip.example.com", "duration": "60"},
        {"status": "ringing", "to": "jamie"},
    ],
)
def test_report_about_something_else_than_the_call_has_nothing_to_apply(changes: dict[str, Any]) -> None:
    assert parse_report(CREDENTIALS, body(**changes)) == Report({})


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'"x"',
        b"null",
        b"\xff",
        b"[" * 100_000,
        "{}".encode("utf-16"),
        body(uuid=...),
        body(uuid="../../x"),
        body(uuid=[UUID]),
        body(uuid=True),
        body(status=["completed"]),
        body(status={"a": 1}),
        body(status="a b"),
        body(status="+15559876543"),
        body(detail="Jane Doe"),
        body(duration="-1"),
        body(duration="1.5"),
        body(duration="9" * 400),
        body(price="free"),
        body(price="1" + "0" * 400),
        body(timestamp="yesterday"),
        body(conversation_uuid="CON-Jane"),
        body(direction="sideways"),
    ],
)
def test_body_that_vonage_does_not_document_is_refused_without_repeating_it(content: bytes) -> None:
    with pytest.raises(InvalidCallback) as raised:
        parse_report(CREDENTIALS, content)
    assert not any(secret in str(raised.value) for secret in ("Jane", "1555", "..", "free"))


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_else(content: bytes) -> None:
    for parse in (parse_report, parse_answer):
        try:
            parse(CREDENTIALS, content)
        except InvalidCallback:
            continue


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*EVENT, "call_uuid", "sub_state", "detail"]), json_values))
def test_no_json_raises_anything_else_and_nothing_unlisted_travels(content: dict[str, Any]) -> None:
    try:
        fields = parse_report(CREDENTIALS, json.dumps(content).encode()).fields
    except InvalidCallback:
        return
    assert all(webhooks.FIELDS[name].fullmatch(value) for name, value in fields.items())


# ---- requests for instructions --------------------------------------------------------------------------------------


def test_answer_names_the_call_and_keeps_no_number() -> None:
    asked = {"from": "442079460000", "to": "447700900000", "uuid": UUID, "conversation_uuid": f"CON-{UUID}"}
    answer = parse_answer(CREDENTIALS, json.dumps(asked).encode())
    assert (answer.carrier_call_id, answer.answered_by, answer.answered_by_raw) == (UUID, None, None)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"uuid": ""}', b'{"uuid": "u1"}', b'{"uuid": 7}'])
def test_answer_without_a_call_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidCallback):
        parse_answer(CREDENTIALS, content)
