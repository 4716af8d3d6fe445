"""Differential test: our signature against botocore's, byte for byte."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from dialplane.aws.client import HttpAwsClient

SIGNING_NAMES = {"dynamodb": "dynamodb", "sqs": "sqs", "secretsmanager": "secretsmanager", "stepfunctions": "states"}
SECRETS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=60)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda v: st.dictionaries(st.text(), v) | st.lists(v)
)


@pytest.mark.parametrize("service", SIGNING_NAMES)
@given(
    params=st.dictionaries(st.text(), JSON, max_size=4),
    key_id=st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=16, max_size=20),
    secret=SECRETS,
    token=st.none() | SECRETS,
    region=st.sampled_from(["us-east-1", "cn-north-1", "eu-central-1"]),
    endpoint=st.sampled_from(["", "http://127.0.0.1:4566", "http://localhost:80", "https://[::1]:8443/prefix/x"]),
    at_seconds=st.integers(946684800, 4102444800),
    operation=st.sampled_from(["GetItem", "TransactWriteItems", "SendMessage", "StartExecution"]),
)
def test_signature_equals_botocores(
    *,
    service: str,
    params: dict[str, Any],
    key_id: str,
    secret: str,
    token: str | None,
    region: str,
    endpoint: str,
    at_seconds: int,
    operation: str,
) -> None:
    at = datetime.fromtimestamp(at_seconds, UTC)
    body = json.dumps(params).encode()
    environ = {
        "AWS_REGION": region,
        "AWS_ACCESS_KEY_ID": key_id,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_SESSION_TOKEN": token or "",
        "AWS_ENDPOINT_URL": endpoint,
    }
    client = HttpAwsClient(environ=environ, clock=at.timestamp)
    request = client._request(service, operation, body)
    url, ours = request.endpoint, client._transport.signed_headers(request)

    sent = {name: ours[name] for name in ("Content-Type", "X-Amz-Target")}
    theirs = AWSRequest("POST", f"{url.scheme}://{url.netloc}{request.path}", headers=sent, data=body)
    with patch("botocore.auth.get_current_datetime", return_value=at.replace(tzinfo=None)):
        SigV4Auth(Credentials(key_id, secret, token), SIGNING_NAMES[service], region).add_auth(theirs)

    assert ours["Authorization"] == theirs.headers["Authorization"]
    assert ours["X-Amz-Date"] == theirs.headers["X-Amz-Date"]
    assert ours.get("X-Amz-Security-Token") == theirs.headers.get("X-Amz-Security-Token")
