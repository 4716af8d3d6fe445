"""The addresses that carriers call back, written and read in one place.

``{base}/{twiml|status}/{carrier}/{organization}/{carrier account}/{call}``: no query string, no personal data. The
account is part of the address because its token must be known before anything else about a request can be believed.
Carriers that know one address for all calls of an account call back the address without ``/{call}``.

A conversation's WebSocket is at ``{socket base}?call={organization}.{carrier}.{carrier account}.{call}.{token}``: API
Gateway's WebSockets have no path of their own, and one parameter in one spelling leaves nothing to decode in two ways.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # webhooks read addresses only, and a call is the heaviest type there is
    from dialplane.domain.calls import Call

INSTRUCTIONS = "twiml"
STATUS = "status"
_SEGMENT = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class CallbackAddress:
    """Which call a callback is about, as its path says; not yet proved by a signature.

    ``call_id`` is None when the path is an account's and the call is named in the body.
    """

    kind: str
    carrier: str
    organization_id: str
    carrier_account_id: str
    call_id: str | None = None

    @classmethod
    def from_path(cls, kind: str, parameters: Mapping[str, str]) -> CallbackAddress | None:
        """Read path parameters; None when one of them is missing or not an identifier."""
        names = ("carrier", "organization_id", "carrier_account_id")
        segments = [parameters.get(name, "") for name in names]
        if "call_id" in parameters:
            segments.append(parameters["call_id"])
        if not all(_SEGMENT.fullmatch(segment) for segment in segments):
            return None
        return cls(kind, *segments)

    def url(self, base_url: str) -> str:
        """The address as it was given to the carrier, and hence as the carrier signs it."""
        path = (self.kind, self.carrier, self.organization_id, self.carrier_account_id, self.call_id)
        return "/".join((base_url, *(segment for segment in path if segment is not None)))


SOCKET_PARAMETER = "call"
"""The one query parameter of a WebSocket's address."""


@dataclass(frozen=True, slots=True)
class SocketAddress:
    """Which conversation a WebSocket is opened for, as its query string says; not yet proved by a signature.

    ``token`` opens it once. It is a secret of the call: what is logged of an address is its ``call_id``.
    """

    organization_id: str
    carrier: str
    carrier_account_id: str
    call_id: str
    token: str = field(repr=False)

    @classmethod
    def from_query(cls, parameters: Mapping[str, str]) -> SocketAddress | None:
        """Read query parameters; None unless ``call`` is five identifiers with dots between.

        Whatever else is there counts for nothing: a signature covers the whole address, and is checked over ``url``.
        """
        segments = parameters.get(SOCKET_PARAMETER, "").split(".", 5)
        if len(segments) != 5 or not all(_SEGMENT.fullmatch(segment) for segment in segments):
            return None
        return cls(*segments)

    def url(self, base_url: str) -> str:
        """The address as it is given to the carrier, and hence as the carrier signs it; ``base_url`` is a wss URL."""
        segments = (self.organization_id, self.carrier, self.carrier_account_id, self.call_id, self.token)
        return f"{base_url}?{SOCKET_PARAMETER}={'.'.join(segments)}"


def socket_url(base_url: str, call: Call) -> str:
    """Where the carrier is to open the WebSocket of a call's conversation. Raises ValueError without a token."""
    if call.socket_token is None:
        raise ValueError(f"call {call.id} has no token for its WebSocket")
    ids = (call.organization_id, call.carrier, call.carrier_account_id, call.id)
    return SocketAddress(*ids, call.socket_token).url(base_url)


def callback_urls(base_url: str, call: Call) -> tuple[str, str]:
    """Where the carrier is to fetch the call's instructions, and where to post its status."""
    ids = (call.carrier, call.organization_id, call.carrier_account_id, call.id)
    return CallbackAddress(INSTRUCTIONS, *ids).url(base_url), CallbackAddress(STATUS, *ids).url(base_url)
