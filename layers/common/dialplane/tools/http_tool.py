"""Ask a customer's server on behalf of a language model, and nobody else's: one signed POST to a public address.

The customer chooses the address, so whatever is behind it is a stranger. Its name is looked up once, every address it
has must be public, and the connection goes to one of those; nothing is followed, little is read, and time is bounded
as a whole. Nothing that a server does raises. What an address may look like belongs to ``domain.tool_urls``, which
tools there are to ``domain.builtin_tools``.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import io
import ipaddress
import json
import logging
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from dialplane.domain.errors import ConfigurationInvalid
from dialplane.domain.json_schema import problem_with
from dialplane.domain.tool_urls import ToolUrl
from dialplane.tls import default_context

logger = logging.getLogger(__name__)

SECONDS_MAX = 10.0
"""How long a tool may take, looking up its name included."""
REPLY_BYTES_MAX = 16 * 1024
REQUEST_BYTES_MAX = 64 * 1024
# Of headers, framing and body together; a body in chunks of one byte is six times its length.
_RECEIVED_BYTES_MAX = 8 * REPLY_BYTES_MAX
TEXT_LENGTH_MAX = 4_000
_ADDRESSES_TRIED = 3
_CONTENT_TYPE = re.compile(r"(application/(?:[a-z0-9.+-]+\+)?json|text/plain)\s*(?:;.*)?", re.IGNORECASE | re.DOTALL)
_CUT = " […]"
# What neither a log, nor an item, nor a voice can carry.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]+")

# Every address that is not one host on the public internet, by IANA's special-purpose registries. Python's is_global
# is asked as well; what it knows differs between releases.
_REFUSED_NETWORKS = tuple(
    map(
        ipaddress.ip_network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",  # shared by a provider's customers (CGNAT)
            "127.0.0.0/8",
            "169.254.0.0/16",  # link-local: instance and container metadata
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",  # relays for 6to4
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
            "2001::/23",  # protocol assignments, Teredo among them: an IPv4 address within
            "2001:db8::/32",
            "2002::/16",  # 6to4: an IPv4 address within
            "3fff::/20",
        ),
    )
)
# IPv6 is refused unless it is here: outside are the mapped and translated IPv4 addresses (::ffff:0:0/96, 64:ff9b::/96),
# local ones (fc00::/7, fe80::/10), multicast, and what nobody has.
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool has said, for a model to read: at most 4,000 characters. An error says what the model can make of it.

    ``reason`` is a word about the error for logs and tests.
    """

    text: str
    is_error: bool = False
    reason: str | None = None


Resolve = Callable[[str, int], Sequence[str]]
"""host, port -> its addresses. Raises OSError."""
Connect = Callable[[tuple[str, int], float], socket.socket]
"""address and port, seconds -> a connection. Raises OSError."""


class _Failed(Exception):
    """The tool gives no usable answer. ``text`` is for the model: nothing of the server's address is in it."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(reason)
        self.result = ToolResult(text, is_error=True, reason=reason)


def resolve_name(host: str, port: int) -> Sequence[str]:
    """The addresses of a host, as the system finds them."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


def is_public(address: str) -> bool:
    """True for the address of one host on the public internet."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:  # an address with a zone, say, which is a local one
        return False
    if parsed.version == 6 and parsed not in _GLOBAL_UNICAST:
        return False
    return parsed.is_global and not any(parsed in network for network in _REFUSED_NETWORKS)


class HttpTools:
    """Uses the tools that customers declare. Safe to share between threads."""

    def __init__(
        self,
        *,
        resolve: Resolve = resolve_name,
        connect: Connect = socket.create_connection,
        tls: Callable[[], ssl.SSLContext] = default_context,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._resolve = resolve
        self._connect = connect
        self._tls = tls
        self._now = now
        self._monotonic = monotonic

    def call(
        self,
        tool: Mapping[str, Any],
        arguments: Mapping[str, Any],
        *,
        call_id: str,
        organization_id: str,
        signing_key: str | None,
        deadline: float | None = None,
    ) -> ToolResult:
        """Use a tool as it is declared in ``llm_config.tools``.

        It takes as long as the declaration allows, ten seconds at most, and not beyond ``deadline`` on the monotonic
        clock.
        """
        name = str(tool["function"]["name"])
        try:
            text = self._call(
                tool,
                arguments,
                call_id=call_id,
                organization_id=organization_id,
                signing_key=signing_key,
                deadline=deadline,
            )
        except _Failed as failure:
            details = {"call_id": call_id, "tool": name, "reason": failure.result.reason}
            logger.warning("tool_failed", extra=details)
            return failure.result
        return ToolResult(text)

    def _call(
        self,
        tool: Mapping[str, Any],
        arguments: Mapping[str, Any],
        *,
        call_id: str,
        organization_id: str,
        signing_key: str | None,
        deadline: float | None,
    ) -> str:
        function, server = tool["function"], tool.get("server") or {}
        if (problem := problem_with(arguments, function.get("parameters") or {}, name="arguments")) is not None:
            raise _Failed("arguments", f"The tool was not used: {problem}. Correct it and use the tool again.")
        if not signing_key:
            raise _Failed("no_signing_key", "This tool is not set up and cannot be used.")
        try:
            url = ToolUrl.parse(server.get("url"), param="url")
        except ConfigurationInvalid as error:
            raise _Failed("url", "This tool is not set up and cannot be used.") from error
        body = _body({"tool": function["name"], "call_id": call_id, "arguments": dict(arguments)})
        timeout = min(float(server.get("timeout_seconds") or SECONDS_MAX), SECONDS_MAX)
        ends = self._monotonic() + timeout
        exchange = _Exchange(url, min(ends, deadline) if deadline is not None else ends, self._monotonic)
        headers = _headers(url, body, signing_key, int(self._now()), organization_id)
        return _text(exchange.post(headers, body, self._addresses, self._connect, self._tls))

    def _addresses(self, url: ToolUrl, left: float) -> Sequence[str]:
        """Where the tool is, all of it public. Looked up once: a second answer could be another one."""
        found = _within(left, lambda: self._resolve(url.host, url.port))
        if not found:
            raise _Failed("not_found", "The tool's server was not found.")
        if not all(map(is_public, found)):
            raise _Failed("address_refused", "This tool is not set up and cannot be used.")
        return found[:_ADDRESSES_TRIED]


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    content_type: str
    body: bytes


class _Exchange:
    """One request and its reply, over at ``ends`` whatever the server does."""

    def __init__(self, url: ToolUrl, ends: float, monotonic: Callable[[], float]) -> None:
        self._url = url
        self._ends = ends
        self._monotonic = monotonic

    def left(self) -> float:
        """Seconds that are left. Raises TimeoutError when there are none."""
        left = self._ends - self._monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def post(
        self,
        headers: Mapping[str, str],
        body: bytes,
        addresses_of: Callable[[ToolUrl, float], Sequence[str]],
        connect: Connect,
        tls: Callable[[], ssl.SSLContext],
    ) -> _Reply:
        """Send the request and read the reply. Raises _Failed."""
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        request = f"POST {self._url.target} HTTP/1.1\r\n{lines}\r\n".encode("ascii") + body
        try:
            addresses = addresses_of(self._url, self.left())
            with self._connected(addresses, connect) as plain:
                plain.settimeout(self.left())
                with tls().wrap_socket(plain, server_hostname=self._url.host) as connection:
                    self._send(connection, request)
                    return self._read(connection)
        except TimeoutError as error:
            raise _Failed("timeout", "The tool took too long to answer.") from error
        except socket.gaierror as error:
            raise _Failed("not_found", "The tool's server was not found.") from error
        except ssl.SSLError as error:
            raise _Failed("tls", "The tool's server could not prove who it is.") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _Failed("broken", "The tool's server broke off.") from error

    def _connected(self, addresses: Iterable[str], connect: Connect) -> socket.socket:
        """A connection with the first address that takes one; nothing was sent to the others."""
        failure: OSError | None = None
        for address in addresses:
            try:
                return connect((address, self._url.port), self.left())
            except TimeoutError:
                raise
            except OSError as error:
                failure = error
        raise _Failed("unreachable", "The tool's server could not be reached.") from failure

    def _send(self, connection: socket.socket, request: bytes) -> None:
        rest = memoryview(request)
        while rest:
            connection.settimeout(self.left())
            rest = rest[connection.send(rest) :]

    def _read(self, connection: socket.socket) -> _Reply:
        response = http.client.HTTPResponse(_Reading(connection, self.left), method="POST")  # type: ignore[arg-type] # it only wants a file of it
        with response:
            response.begin()
            if response.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
                raise _Failed("content_type", "The tool's answer cannot be read.")
            body = response.read(REPLY_BYTES_MAX + 1)
            if len(body) > REPLY_BYTES_MAX:
                raise _Failed("too_long", "The tool's answer was too long to read.")
            if response.length:
                raise _Failed("broken", "The tool's server broke off.")
            return _Reply(response.status, response.headers.get("Content-Type", ""), body)


class _Reading(io.RawIOBase):
    """The socket as http.client reads it: each read has the time that is left, so that drops do not add up.

    Headers count as well: there is no end to them otherwise.
    """

    def __init__(self, connection: socket.socket, left: Callable[[], float]) -> None:
        self._connection = connection
        self._left = left
        self._received = 0

    def makefile(self, mode: str) -> io.BufferedReader:
        """What http.client asks a socket for."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        """It is there to be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """The next bytes. Raises TimeoutError."""
        self._connection.settimeout(self._left())
        received = self._connection.recv_into(buffer)
        self._received += received
        if self._received > _RECEIVED_BYTES_MAX:
            raise _Failed("too_long", "The tool's answer was too long to read.")
        return received


def _within(seconds: float, look_up: Callable[[], Sequence[str]]) -> Sequence[str]:
    """The addresses, or TimeoutError: the system's own look-up knows no limit."""
    answer: list[Sequence[str] | Exception] = []

    def run() -> None:
        try:
            answer.append(look_up())
        except (OSError, ValueError) as error:  # ValueError: a label that IDNA has no encoding for
            answer.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if not answer:
        raise TimeoutError
    (found,) = answer
    if isinstance(found, Exception):
        raise found
    return found


def _body(content: Mapping[str, Any]) -> bytes:
    try:
        body = json.dumps(content, separators=(",", ":"), allow_nan=False).encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise _Failed("arguments", "The tool was not used: its arguments are no JSON.") from error
    if len(body) > REQUEST_BYTES_MAX:
        raise _Failed("arguments", "The tool was not used: its arguments are too long.")
    return body


def _headers(url: ToolUrl, body: bytes, signing_key: str, timestamp: int, organization_id: str) -> dict[str, str]:
    signature = hmac.new(signing_key.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    return {
        "Host": url.authority,
        "User-Agent": "dialplane",
        "Accept": "application/json, text/plain",
        "Accept-Encoding": "identity",
        "Connection": "close",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "X-Webhook-Event": "tool-call",
        "X-Webhook-Timestamp": str(timestamp),
        "X-Webhook-Signature": f"sha256={signature}",
        "X-Organization-Id": organization_id,  # so that a server of several knows whose key to look with
    }


def _text(reply: _Reply) -> str:
    """What the model reads of a reply. Raises _Failed."""
    if 300 <= reply.status < 400:
        raise _Failed("redirect", "The tool's server points elsewhere, which is not followed.")
    if reply.status >= 500 or reply.status < 200:
        raise _Failed(f"status_{reply.status}", f"The tool has failed (status {reply.status}).")
    said = _said(reply)
    if reply.status >= 400:
        raise _Failed(f"status_{reply.status}", _shortened(f"The tool has refused (status {reply.status}): {said}"))
    return _shortened(said) if said else "The tool has answered without a word: it is done."


def _said(reply: _Reply) -> str:
    if not reply.body:
        return ""
    match = _CONTENT_TYPE.fullmatch(reply.content_type.strip())
    if match is None:
        _refuse_content(reply)
    text = reply.body.decode("utf-8", "replace")
    if match[1].lower() != "text/plain":
        try:
            # Worded anew: the same in fewer characters.
            text = json.dumps(json.loads(text), ensure_ascii=False, separators=(",", ":"))
        except (ValueError, RecursionError):
            _refuse_content(reply)
    return _UNPRINTABLE.sub(" ", text).strip()


def _refuse_content(reply: _Reply) -> NoReturn:
    what = f"The tool has refused (status {reply.status})." if reply.status >= 400 else "The tool's answer is no JSON."
    raise _Failed("content_type", what)


def _shortened(text: str) -> str:
    return text if len(text) <= TEXT_LENGTH_MAX else text[: TEXT_LENGTH_MAX - len(_CUT)] + _CUT
