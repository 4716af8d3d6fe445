"""Where a customer's tool may be asked: the shape of its address. Nothing is looked up here.

Which addresses a name leads to is judged when it is asked, by ``tools.http_tool``: that changes from day to day.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dialplane.domain.errors import ConfigurationInvalid

URL_LENGTH_MAX = 2_048
PORTS = (443, 8443)
# Names that every network has its own idea of: never somebody's public server.
_PRIVATE_DOMAINS = frozenset(
    {"arpa", "corp", "home", "internal", "intranet", "lan", "local", "localdomain", "localhost", "onion", "private"}
)
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
# The last label begins with a letter: one that begins with a digit makes the host an IP address in some spelling
# ("127.1", "0x7f000001", "2130706433"), whichever of them the next program understands.
_HOST = re.compile(rf"(?:{_LABEL}\.)+[a-z](?:[a-z0-9-]{{0,61}}[a-z0-9])", re.IGNORECASE)
# What RFC 3986 lets a path and a query have, and nothing that any reader of URLs takes for the end of the host.
_CHARACTERS = r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})"
_URL = re.compile(
    rf"[Hh][Tt][Tt][Pp][Ss]://(?P<host>[A-Za-z0-9.-]{{1,253}})(?::(?P<port>[0-9]{{1,5}}))?"
    rf"(?P<path>/{_CHARACTERS}*)?(?P<query>\?(?:{_CHARACTERS}|\?)*)?"
)


@dataclass(frozen=True, slots=True)
class ToolUrl:
    """An address that was taken apart; ``target`` is what a request line has of it."""

    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """The Host header."""
        return self.host if self.port == PORTS[0] else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, url: object, *, param: str) -> ToolUrl:
        """Take an address apart. Raises ConfigurationInvalid, naming ``param``, for one that is never asked."""

        def refusal(reason: str) -> ConfigurationInvalid:
            # The address is not repeated: there may be a token of the customer's in it.
            return ConfigurationInvalid(f"{param} {reason}.", param=param)

        if not isinstance(url, str) or not 1 <= len(url) <= URL_LENGTH_MAX:
            raise refusal(f"must be a text of at most {URL_LENGTH_MAX} characters")
        match = _URL.fullmatch(url)
        if match is None:
            raise refusal(
                "must be an address such as https://tools.example.com/orders: https, the name of a host, no user and "
                "no fragment, everything else percent-encoded"
            )
        port = int(match["port"] or PORTS[0])
        if port not in PORTS:
            raise refusal(f"has the port {port}; it must be {' or '.join(map(str, PORTS))}")
        host = match["host"].lower()
        if _HOST.fullmatch(host) is None:
            raise refusal("must have the full name of a host, such as tools.example.com, and no IP address")
        if host.rpartition(".")[2] in _PRIVATE_DOMAINS:
            raise refusal("names a host that only a private network knows")
        return cls(host, port, f"{match['path'] or '/'}{match['query'] or ''}")


def check_tool_url(url: object, *, param: str) -> None:
    """Raise ConfigurationInvalid for an address that no tool can have."""
    ToolUrl.parse(url, param=param)
