"""Twilio's requests: its SDK's validator is the oracle of signatures, and no pitfall around it ends in an error."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from dialplane.carriers.contract import CarrierCredentials, ForeignAccount, SignedRequest
from dialplane.carriers.twilio import webhooks
from dialplane.carriers.twilio.webhooks import BODY_BYTES_MAX, parse_answer, parse_report

FORM = "application/x-www-form-urlencoded"
TOKEN = "12345"
ACCOUNT_SID = "AC" + "a" * 32
CALL_SID = "CA" + "b" * 32
SDK_URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
JSON_BODY = b'{"property": "value", "boolean": true}'
JSON_URL = f"{SDK_URL}&bodySHA256=0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620"
JSON_SIGNATURE = "a9nBmqA0ju/hNViExpshrM61xv4="
VECTORS = [
    (
        SDK_URL,
        [
            ("CallSid", "CA1234567890ABCDE"),
            ("Caller", "+12349013030"),
            ("Digits", "1234"),
            ("From", "+12349013030"),
            ("To", "+18005551212"),
        ],
        "0/KCTR6DLpKmkAf8muzZqo1nDgQ=",
    ),
    (
        "https://api.example.test/v1/hooks/twilio/status?org=o_1&call=c_1",
        [
            ("CallSid", "CA00000000000000000000000000000001"),
            ("CallStatus", "completed"),
            ("SequenceNumber", "3"),
            ("CallDuration", "61"),
            ("Timestamp", "Tue, 01 Nov 2022 01:59:13 +0000"),
            ("CallbackSource", "call-progress-events"),
        ],
        "iKpcS5MUQfKHlcV2lc3EyHBXwF0=",
    ),
    ("https://e.test/x", [("A", "2"), ("A", "1"), ("A", "2"), ("B", "x")], "0eOGt3PyZO9WIRzFKuST17Qdk9E="),
]


def is_authentic(token: str, url: str, body: bytes, content_type: str | None, signature: str | None) -> bool:
    headers = {"content-type": content_type, "x-twilio-signature": signature}
    present = {name: value for name, value in headers.items() if value is not None}
    request = SignedRequest(url, body, present, datetime(2026, 11, 20, 15, 0, tzinfo=UTC))
    return webhooks.is_authentic(CarrierCredentials({"account_sid": ACCOUNT_SID, "auth_token": token}), request)


class MultiValues(dict[str, list[str]]):
    """The interface of Django's QueryDict, which the SDK knows."""

    def getlist(self, name: str) -> list[str]:
        return self[name]


def oracle(pairs: list[tuple[str, str]]) -> MultiValues:
    values = MultiValues()
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return values


@pytest.mark.parametrize(("url", "pairs", "signature"), VECTORS)
def test_published_vectors_are_authentic(url: str, pairs: list[tuple[str, str]], signature: str) -> None:
    assert is_authentic(TOKEN, url, urlencode(pairs).encode(), FORM, signature)
    assert is_authentic(TOKEN, url, urlencode(pairs).encode(), f"{FORM}; charset=UTF-8", signature)


@pytest.mark.parametrize(("url", "pairs", "signature"), VECTORS)
def test_any_changed_byte_is_refused(url: str, pairs: list[tuple[str, str]], signature: str) -> None:
    body = urlencode(pairs).encode()
    meaning = set(parse_qsl(body.decode()))
    for position in range(len(body)):
        for byte in (0x00, 0x26, 0x30, 0x3D, 0x7A, 0xFF, body[position] ^ 0x01, body[position] ^ 0x20):
            changed = body[:position] + bytes([byte]) + body[position + 1 :]
            # %2b for %2B and the like are other bytes for the same form: the signature covers the form.
            if set(parse_qsl(changed.decode("latin-1"), keep_blank_values=True)) != meaning:
                assert not is_authentic(TOKEN, url, changed, FORM, signature), changed
    for position in range(len(signature)):
        changed_signature = signature[:position] + chr(ord(signature[position]) ^ 0x01) + signature[position + 1 :]
        assert not is_authentic(TOKEN, url, body, FORM, changed_signature)
    for position in range(len("https://"), len(url)):
        changed_url = url[:position] + ("x" if url[position] != "x" else "y") + url[position + 1 :]
        assert not is_authentic(TOKEN, changed_url, body, FORM, signature)


@given(
    pairs=st.lists(st.tuples(st.text(max_size=8), st.text(max_size=12)), max_size=8),
    token=st.text("0123456789abcdef", min_size=1, max_size=32),
    port=st.sampled_from(["", ":443", ":8443"]),
    signed_port=st.sampled_from(["", ":443", ":8443"]),
    is_signed=st.booleans(),
)
def test_verdict_is_the_sdks_on_any_form(
    *, pairs: list[tuple[str, str]], token: str, port: str, signed_port: str, is_signed: bool
) -> None:
    validator = RequestValidator(token)
    url = f"https://dialplane.test{port}/status/a/b"
    values = oracle(pairs)
    signature = validator.compute_signature(f"https://dialplane.test{signed_port}/status/a/b", values)
    if not is_signed:
        signature = RequestValidator(f"{token}x").compute_signature(url, values)
    verdict = is_authentic(token, url, urlencode(pairs).encode(), FORM, signature)
    assert verdict == validator.validate(url, values, signature)
    if is_signed and port == signed_port:
        assert verdict


@given(
    body=st.binary(max_size=200),
    url=st.text(max_size=60),
    content_type=st.none() | st.sampled_from([FORM, "application/json", "text/plain", ""]),
    signature=st.none() | st.text(max_size=40),
)
def test_no_input_raises_or_passes_by_chance(
    body: bytes, url: str, content_type: str | None, signature: str | None
) -> None:
    assert is_authentic(TOKEN, url, body, content_type, signature) is False


def test_json_is_authentic_only_with_its_hash_in_the_url() -> None:
    assert is_authentic(TOKEN, JSON_URL, JSON_BODY, "application/json", JSON_SIGNATURE)
    assert not is_authentic(TOKEN, JSON_URL, JSON_BODY.replace(b"true", b"fals"), "application/json", JSON_SIGNATURE)
    bare = RequestValidator(TOKEN).compute_signature(SDK_URL, {})
    assert not is_authentic(TOKEN, SDK_URL, JSON_BODY, "application/json", bare)


def test_form_is_covered_even_if_the_url_carries_a_body_hash() -> None:
    assert not is_authentic(TOKEN, JSON_URL, b"CallStatus=completed", FORM, JSON_SIGNATURE)


def test_fragment_of_the_configured_url_is_not_signed() -> None:
    url, pairs, signature = VECTORS[0]
    assert is_authentic(TOKEN, f"{url}#rc=2&rp=all", urlencode(pairs).encode(), FORM, signature)


def test_empty_values_are_part_of_what_is_signed() -> None:
    signature = RequestValidator(TOKEN).compute_signature("https://e.test/x", {"CallerName": "", "To": "+1"})
    assert is_authentic(TOKEN, "https://e.test/x", b"CallerName=&To=%2B1", FORM, signature)


def test_oversized_body_is_refused_before_it_is_hashed() -> None:
    body = b"A=" + b"1" * BODY_BYTES_MAX
    signature = RequestValidator(TOKEN).compute_signature("https://e.test/x", {"A": "1" * BODY_BYTES_MAX})
    assert not is_authentic(TOKEN, "https://e.test/x", body, FORM, signature)


def test_different_invalid_bytes_never_verify_alike() -> None:
    signature = RequestValidator(TOKEN).compute_signature("https://e.test/x", {"A": "\ufffd"})
    assert not is_authentic(TOKEN, "https://e.test/x", b"A=%FF", FORM, signature)
    assert not is_authentic(TOKEN, "https://e.test/x", b"A=\xff", FORM, signature)


def test_a_secret_without_a_token_authenticates_nothing() -> None:
    signature = RequestValidator("").compute_signature("https://e.test/x", {"A": "1"})
    assert not is_authentic("", "https://e.test/x", b"A=1", FORM, signature)


def body(**changes: str) -> bytes:
    fields = {"CallSid": CALL_SID, "AccountSid": ACCOUNT_SID, "CallStatus": "in-progress", "To": "+15559876543"}
    return urlencode(fields | changes).encode()


CREDENTIALS = CarrierCredentials({"account_sid": ACCOUNT_SID, "auth_token": TOKEN})


def test_a_report_has_the_fields_that_may_travel_on_and_leaves_the_call_to_the_address() -> None:
    report = parse_report(CREDENTIALS, body())
    assert report.fields == {"CallSid": CALL_SID, "AccountSid": ACCOUNT_SID, "CallStatus": "in-progress"}
    assert report.call_id is None


def test_a_request_for_instructions_says_which_call_was_answered_and_by_whom() -> None:
    answer = parse_answer(CREDENTIALS, body(AnsweredBy="machine_start"))
    assert (answer.carrier_call_id, answer.answered_by, answer.answered_by_raw) == (
        CALL_SID,
        "machine",
        "machine_start",
    )
    assert parse_answer(CREDENTIALS, body()).answered_by is None


@pytest.mark.parametrize("parse", [parse_report, parse_answer])
def test_a_request_that_names_another_account_is_foreign(parse: Callable[..., object]) -> None:
    with pytest.raises(ForeignAccount):
        parse(CREDENTIALS, body(AccountSid="AC" + "b" * 32))


@pytest.mark.parametrize("module", ["account", "webhooks", "events", "instructions"])
def test_webhook_modules_load_no_http_client(module: str) -> None:
    code = (
        f"import sys, dialplane.carriers.twilio.{module};"
        "print([n for n in ('urllib3','requests','boto3','botocore','twilio.rest','http.client') if n in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
