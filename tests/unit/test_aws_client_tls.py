"""Whom the AWS client believes: Amazon's roots for Amazon's hosts, and the whole store when those do not suffice."""

from __future__ import annotations

import hashlib
import http.server
import re
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.tls import make_server_tls
from dialplane.aws import transport
from dialplane.aws.client import AwsError, HttpAwsClient
from dialplane.tls import _AMAZON_ROOTS, amazon_context, default_context

# As Amazon Trust Services publishes them: https://www.amazontrust.com/repository/
PUBLISHED_SHA256 = {
    "8ecde6884f3d87b1125ba31ac3fcb13d7016de7f57cc904fe1cb97c6ae98196e",
    "1ba5b2aa8c65401a82960118f80bec4f62304d83cec4713a19c39c011ea46db4",
    "18ce6cfe7bf14e60b2e347b8dfe868cb31d02ebb3ada271569f50343b46db3a4",
    "e35d28419ed02025cfa69038cd623962458da5c695fbdea3c22b0bfb25897092",
    "568d6905a2c88708a4b3025190edcfedb1974a606a13c6e5290fcb2ae63edab5",
}


class _Answer(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A TLS server that the system's store believes, with a throw-away authority in it, and Amazon's roots do not."""
    context, trust = make_server_tls(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(trust.everybody))
    default_context.cache_clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answer)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"https://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    default_context.cache_clear()


def _client(endpoint: str, **environ: str) -> HttpAwsClient:
    credentials = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
    return HttpAwsClient(environ=credentials | {"AWS_ENDPOINT_URL": endpoint} | environ)


def test_the_roots_are_those_that_amazon_publishes() -> None:
    certificates = re.findall(
        "-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", Path(_AMAZON_ROOTS).read_text(), re.S
    )
    found = {hashlib.sha256(ssl.PEM_cert_to_DER_cert(each)).hexdigest() for each in certificates}
    assert found == PUBLISHED_SHA256


@pytest.mark.parametrize("context", [amazon_context(), default_context()], ids=["amazon", "default"])
def test_certificates_and_host_names_are_verified(context: ssl.SSLContext) -> None:
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_a_host_of_amazon_with_another_root_is_tried_again_with_the_whole_store(
    endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "_AMAZON_DOMAINS", ("127.0.0.1",))
    client = _client(endpoint)
    assert client.call("dynamodb", "GetItem", {}) == {}
    assert client.requests_sent == 1  # the first try ended in the handshake


def test_a_host_that_nobody_believes_is_never_sent_anything(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_AMAZON_DOMAINS", ("127.0.0.1",))
    monkeypatch.delenv("SSL_CERT_FILE")
    default_context.cache_clear()
    client = _client(endpoint)
    with pytest.raises(AwsError) as caught:
        client.call("dynamodb", "GetItem", {})
    assert caught.value.code == "ConnectionFailed"
    assert client.requests_sent == 0


def test_other_hosts_are_judged_by_the_whole_store(endpoint: str) -> None:
    assert _client(endpoint).call("sqs", "SendMessage", {}) == {}


def test_a_bundle_of_ones_own_decides_alone(endpoint: str, tmp_path: Path) -> None:
    with pytest.raises(AwsError) as caught:
        _client(endpoint, AWS_CA_BUNDLE=str(_AMAZON_ROOTS)).call("dynamodb", "GetItem", {})
    assert caught.value.code == "ConnectionFailed"
