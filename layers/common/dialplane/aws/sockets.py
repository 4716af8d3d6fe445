"""Frames to open WebSockets, over the management API of API Gateway. What a frame says is the conversation's.

Two requests, each sent again only while certainly nothing was delivered: a frame sent twice is a sentence spoken twice.
Nothing heavier than http.client may be imported.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from dialplane.aws.retries import AwsError
from dialplane.aws.transport import AwsRequest, AwsTransport, region_of
from dialplane.usecases.sockets import SocketFailed, SocketGone

_SERVICE = "execute-api"  # as which requests are signed, and what errors call it
_THROTTLED_PAUSE_SECONDS = 0.1


class HttpSockets:
    """``Sockets`` of one WebSocket API. Safe to share between threads; each keeps its own connection.

    ``endpoint`` is the stage's management endpoint: ``https://{api}.execute-api.{region}.amazonaws.com/{stage}``.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        connect_timeout_seconds: float = 1.0,
        read_timeout_seconds: float = 3.0,
        environ: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._endpoint = urlsplit(endpoint.rstrip("/"))
        self._environ = environ
        self._sleep = sleep
        self._transport = AwsTransport(
            connect_timeout_seconds=connect_timeout_seconds,
            read_timeout_seconds=read_timeout_seconds,
            environ=environ,
            clock=clock,
        )

    def send(self, connection_id: str, frame: Mapping[str, Any]) -> None:
        """Send a frame as compact JSON. Raises SocketGone when the connection is closed, else SocketFailed.

        After a SocketFailed the frame may have been delivered or not.
        """
        # Half a character of two, as a model's stream may end in, has no UTF-8: it becomes a question mark.
        body = json.dumps(frame, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        try:
            self._request("PostToConnection", "POST", connection_id, body)
        except AwsError as error:
            raise SocketFailed(str(error)) from error

    def close(self, connection_id: str) -> None:
        """Close a connection; one that is closed already is left at that. Raises AwsError."""
        with contextlib.suppress(SocketGone):
            self._request("DeleteConnection", "DELETE", connection_id, b"")

    def _request(self, operation: str, method: str, connection_id: str, body: bytes) -> None:
        request = AwsRequest(
            service=_SERVICE,
            operation=operation,
            signing_name=_SERVICE,
            region=region_of(self._environ, _SERVICE, operation),
            endpoint=self._endpoint,
            path=f"{self._endpoint.path}/@connections/{quote(connection_id, safe='')}",
            headers={"Content-Type": "application/json"},
            body=body,
            method=method,
        )
        try:
            self._exchange(request)
        except AwsError as error:
            if not _is_undelivered(error):
                raise
            if error.http_status:
                self._sleep(_THROTTLED_PAUSE_SECONDS)
            self._exchange(request)

    def _exchange(self, request: AwsRequest) -> None:
        reply = self._transport.exchange(request)
        if reply.status == 410:
            raise SocketGone
        if reply.status >= 300:
            raise reply.to_error(request)


def _is_undelivered(error: AwsError) -> bool:
    """Never sent, sent into a connection that the server had closed before, or turned away at the door."""
    return error.code == "ConnectionFailed" or error.stale_connection or error.http_status == 429
