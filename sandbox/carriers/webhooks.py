"""One request to the application under test: timed out, written down, never raising.

Signing, retrying and what a request says are the carrier's.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

import aiohttp
from yarl import URL

from sandbox.carriers.carrier import Surroundings

Form = tuple[tuple[str, str], ...]

SOCKET_OPENING_SECONDS = 15


@dataclass(frozen=True)
class WebhookTimeouts:
    """Real seconds: to connect, between packets, for the whole request."""

    connect_seconds: float = 5.0
    read_seconds: float = 15.0
    total_seconds: float = 15.0


@dataclass(frozen=True)
class WebhookRequest:
    """A request as it goes over the wire. `form` or `json` is what `body` says, for the journal."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = b""
    form: Form = ()
    json: Any = None


@dataclass(frozen=True)
class WebhookReply:
    """What came of a webhook: a reply, or `status` None and the `failure` that prevented one.

    A failure is `ct` (no connection) or `rt` (no reply in time, or none that is HTTP).
    """

    status: int | None
    content_type: str = ""
    body: str = ""
    failure: str | None = None

    @property
    def succeeded(self) -> bool:
        """Whether the application answered 2xx."""
        return self.status is not None and 200 <= self.status < 300


class WebhookClient:
    """Sends a carrier's requests over the simulated carriers' HTTP session."""

    def __init__(self, carrier: str, surroundings: Surroundings) -> None:
        self._carrier = carrier
        self._session = surroundings.session
        self._journal = surroundings.journal

    async def send(self, request: WebhookRequest, call_id: str, timeouts: WebhookTimeouts) -> WebhookReply:
        """Make the request, once. Never raises."""
        entry = self._journal.add(
            carrier=self._carrier,
            direction="out",
            method=request.method,
            url=request.url,
            headers=request.headers,
            form=request.form,
            json=request.json,
            call_id=call_id,
        )
        reply = await self._exchange(request, timeouts)
        entry.status, entry.error = reply.status, reply.failure
        return reply

    async def _exchange(self, request: WebhookRequest, timeouts: WebhookTimeouts) -> WebhookReply:
        timeout = aiohttp.ClientTimeout(
            total=timeouts.total_seconds, sock_connect=timeouts.connect_seconds, sock_read=timeouts.read_seconds
        )
        try:
            async with self._session.request(
                request.method,
                URL(request.url, encoded=True),
                data=request.body or None,
                headers=request.headers,
                timeout=timeout,
            ) as response:
                raw = await response.read()
                return WebhookReply(response.status, response.content_type, raw.decode("utf-8", "replace"))
        except aiohttp.ConnectionTimeoutError:
            return WebhookReply(None, failure="ct")
        except TimeoutError:
            return WebhookReply(None, failure="rt")
        except aiohttp.ClientConnectorError:
            return WebhookReply(None, failure="ct")
        except (aiohttp.ClientError, ValueError, OSError):
            # The connection stood but no HTTP reply came over it.
            return WebhookReply(None, failure="rt")

    async def open_socket(
        self, url: str, headers: Mapping[str, str], call_id: str
    ) -> aiohttp.ClientWebSocketResponse | None:
        """Open a WebSocket; None when it cannot be opened."""
        entry = self._journal.add(
            carrier=self._carrier, direction="out", method="GET", url=url, headers=headers, call_id=call_id
        )
        try:
            async with asyncio.timeout(SOCKET_OPENING_SECONDS):
                socket = await self._session.ws_connect(URL(url, encoded=True), headers=headers)
        except aiohttp.WSServerHandshakeError as error:
            entry.status = error.status
            return None
        except (aiohttp.ClientError, ValueError, OSError, TimeoutError) as error:
            entry.error = type(error).__name__
            return None
        entry.status = 101
        return socket


def without_fragment(url: str, query: Form = ()) -> str:
    """The URL as called: without fragment, with the parameters of a GET."""
    scheme, netloc, path, old_query, _ = urlsplit(url)
    new_query = "&".join(part for part in (old_query, urlencode(query)) if part)
    return urlunsplit((scheme, netloc, path, new_query, ""))
