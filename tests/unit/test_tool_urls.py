"""Addresses of customers' tools: which may be kept, and which of the many spellings of our own network may not."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialplane.domain.errors import ConfigurationInvalid
from dialplane.domain.tool_urls import URL_LENGTH_MAX, ToolUrl, check_tool_url

# Where a request must never go: this host, its neighbours, and who hands out credentials in a cloud.
TARGETS = (
    *("127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1"),
    *("169.254.169.254", "169.254.170.2", "93.184.215.14"),
)


def spellings(address: str) -> Iterator[str]:
    """Hosts that some program or other takes for an IPv4 address."""
    a, b, c, d = (int(part) for part in address.split("."))
    number = int(ipaddress.IPv4Address(address))
    yield address
    yield f"{address}."
    yield str(number)
    yield hex(number)
    yield f"0{number:o}"
    yield f"{a:#x}.{b:#x}.{c:#x}.{d:#x}"
    yield f"0{a:o}.0{b:o}.0{c:o}.0{d:o}"
    yield f"{a:03}.{b:03}.{c:03}.{d:03}"
    yield f"{a}.{b}.{c * 256 + d}"
    yield f"{a}.{b * 65_536 + c * 256 + d}"
    yield f"{a:#x}.{b}.0{c:o}.{d}"
    yield f"[::ffff:{address}]"
    yield f"[::{address}]"
    yield f"[64:ff9b::{address}]"
    yield f"[2002:{a:02x}{b:02x}:{c:02x}{d:02x}::]"
    yield f"[::ffff:{a:02x}{b:02x}:{c:02x}{d:02x}]"
    yield address.translate({ord(str(digit)): 0xFF10 + digit for digit in range(10)})  # full-width digits
    yield address.replace(".", "\u3002")  # an ideographic full stop
    yield "".join(f"%{ord(character):02x}" for character in address)


LITERALS = [f"https://{host}/latest/meta-data/" for target in TARGETS for host in spellings(target)]
OTHER = [
    # other addresses, without a name
    "https://[::1]/",
    "https://[::]/",
    "https://[fe80::1]/",
    "https://[fe80::1%25eth0]/",
    "https://[fd00:ec2::254]/",
    "https://[2606:4700:4700::1111]/",
    "https://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/",
    "https://127.1/",
    "https://0/",
    "https://1.1.1.1/",
    "https://1.1/",
    "https://0x7f.1/",
    "https://example.com.1/",
    "https://example.0x1/",
    "https://99999999999/",
    # names that are nobody's on the public internet
    "https://localhost/",
    "https://LOCALHOST/",
    "https://localhost./",
    "https://a.localhost/",
    "https://localhost.localdomain/",
    "https://metadata/",
    "https://metadata.google.internal/computeMetadata/v1/",
    "https://ip-10-0-0-1.ec2.internal/",
    "https://kubernetes.default.svc.cluster.local/",
    "https://printer.local/",
    "https://router.lan/",
    "https://nas.home/",
    "https://host.home.arpa/",
    "https://1.0.0.127.in-addr.arpa/",
    "https://intranet.corp/",
    "https://wiki.intranet/",
    "https://abcdefghijklmnop.onion/",
    "https://db.private/",
    "https://tools/",
    "https://com/",
    # other schemes
    "http://tools.example.com/",
    "http://127.0.0.1/",
    "ftp://tools.example.com/",
    "file:///etc/passwd",
    "gopher://tools.example.com/",
    "dict://tools.example.com/",
    "ldap://tools.example.com/",
    "wss://tools.example.com/",
    "javascript:alert(1)",
    "data:text/plain,hello",
    "//tools.example.com/",
    "tools.example.com/",
    "/orders",
    "https:/tools.example.com/",
    "https:tools.example.com/",
    "https:///tools.example.com/",
    "https://",
    "https:///",
    "https://:443/",
    "https://?",
    "https://#",
    "",
    " ",
    # other ports
    "https://tools.example.com:80/",
    "https://tools.example.com:22/",
    "https://tools.example.com:6379/",
    "https://tools.example.com:0/",
    "https://tools.example.com:65536/",
    "https://tools.example.com:4430/",
    "https://tools.example.com:-443/",
    "https://tools.example.com:+443/",
    "https://tools.example.com: 443/",
    "https://tools.example.com:443:443/",
    "https://tools.example.com:/",
    "https://tools.example.com:\uff14\uff14\uff13/",
    "https://tools.example.com:0x1bb/",
    # a user, which makes what comes before it the host for some and no host for others
    "https://user@tools.example.com/",
    "https://user:password@tools.example.com/",
    "https://tools.example.com@127.0.0.1/",
    "https://127.0.0.1@tools.example.com/",
    "https://tools.example.com:443@127.0.0.1/",
    "https://@tools.example.com/",
    "https://:@tools.example.com/",
    "https://tools.example.com%40127.0.0.1/",
    # where one program sees the end of the host and the next does not
    "https://tools.example.com\\@127.0.0.1/",
    "https://127.0.0.1\\@tools.example.com/",
    "https://tools.example.com#@127.0.0.1/",
    "https://tools.example.com?@127.0.0.1:80#",
    "https://127.0.0.1#.example.com/",
    "https://127.0.0.1?.example.com/",
    "https://127.0.0.1\x00.example.com/",
    "https://127.0.0.1%00.example.com/",
    "https://127.0.0.1%0d%0a.example.com/",
    "https://127.0.0.1\t.example.com/",
    "https://127.0.0.1 .example.com/",
    "https://127.0.0.1;.example.com/",
    "https://127.0.0.1,tools.example.com/",
    "https://{127.0.0.1}/",
    "https://tools.example.com\r\nHost: 127.0.0.1/",
    "https://tools.example.com/\r\nX-Injected: 1",
    "https://tools.example.com/ HTTP/1.1",
    "https://tools.example.com/\n",
    "\nhttps://tools.example.com/",
    " https://tools.example.com/",
    "https://tools.example.com/ ",
    "https://tools.example.com/\x7f",
    "https://tools.example.com/<script>",
    'https://tools.example.com/"',
    "https://tools.example.com/{order}",
    "https://tools.example.com/{{ order }}",
    "https://tools.example.com/%",
    "https://tools.example.com/%zz",
    "https://tools.example.com/\u00e9",
    "https://tools.example.com/#orders",
    "https://tools.example.com\\orders",
    # what is no host name
    "https://t\u00f6\u00f6ls.example.com/",
    "https://\u24d4xample.com/",
    "https://example.\u0441om/",
    "https://tools.example.com./",
    "https://.example.com/",
    "https://tools..example.com/",
    "https://-tools.example.com/",
    "https://tools-.example.com/",
    "https://to_ols.example.com/",
    "https://tools.example.c/",
    "https://tools.example.com-/",
    f"https://{'a' * 64}.example.com/",
    f"https://{'a.' * 127}example.com/",
    "https://*.example.com/",
    "https://tools.example.com,/",
    # too long
    "https://tools.example.com/" + "a" * URL_LENGTH_MAX,
]
REFUSED = list(dict.fromkeys([*LITERALS, *OTHER]))

ACCEPTED = [
    ("https://tools.example.com", ("tools.example.com", 443, "/")),
    ("https://tools.example.com/", ("tools.example.com", 443, "/")),
    ("HTTPS://Tools.Example.COM/Orders", ("tools.example.com", 443, "/Orders")),
    ("https://tools.example.com:443/", ("tools.example.com", 443, "/")),
    ("https://tools.example.com:8443/orders", ("tools.example.com", 8443, "/orders")),
    ("https://tools.example.com?a=1", ("tools.example.com", 443, "/?a=1")),
    ("https://tools.example.com/a/b.php?x=1&y=%20&z=[]".replace("[]", "%5B%5D"), None),
    ("https://tools.example.com/~user/$metadata;v=1?next=https://127.0.0.1/?", None),
    ("https://tools.example.com/a@b:c", None),
    ("https://xn--tls-sna.example.com/", ("xn--tls-sna.example.com", 443, "/")),
    ("https://tools.example.xn--p1ai/", ("tools.example.xn--p1ai", 443, "/")),
    ("https://1.tools.example.com/", ("1.tools.example.com", 443, "/")),
    ("https://127.0.0.1.example.com/", ("127.0.0.1.example.com", 443, "/")),  # its addresses are looked at later
    ("https://localhost.example.com/", ("localhost.example.com", 443, "/")),
    ("https://" + "a" * 63 + ".example.com/", None),
    ("https://tools.example.com/" + "a" * (URL_LENGTH_MAX - 26), None),
]


def test_there_are_enough_of_them() -> None:
    assert len(REFUSED) >= 200


@pytest.mark.parametrize("url", REFUSED, ids=lambda url: ascii(url)[:80])
def test_what_is_no_public_servers_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationInvalid) as refused:
        check_tool_url(url, param="llm_config.tools.0.server.url")
    assert refused.value.param == "llm_config.tools.0.server.url"
    assert refused.value.message.startswith("llm_config.tools.0.server.url ")


def test_a_refusal_does_not_repeat_the_address() -> None:
    for url in ("http://tools.example.com/?token=s3cret", "https://u:s3cret@t.example.com/", "https://s3cret.local/"):
        with pytest.raises(ConfigurationInvalid) as refused:
            check_tool_url(url, param="url")
        assert "s3cret" not in refused.value.message


@pytest.mark.parametrize("url", [None, 7, True, ["https://tools.example.com/"], b"https://tools.example.com/", {}])
def test_an_address_is_a_text(url: object) -> None:
    with pytest.raises(ConfigurationInvalid):
        check_tool_url(url, param="url")


@pytest.mark.parametrize(("url", "parts"), ACCEPTED, ids=lambda value: value[:60] if isinstance(value, str) else None)
def test_an_address_is_taken_apart_as_it_is_written(url: str, parts: tuple[str, int, str] | None) -> None:
    parsed = ToolUrl.parse(url, param="url")
    if parts is not None:
        assert (parsed.host, parsed.port, parsed.target) == parts
    else:
        assert url.lower().partition("://")[2].startswith(parsed.host)
        assert url.endswith(parsed.target)


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("https://tools.example.com:443/", "tools.example.com"),
        ("https://tools.example.com:8443/", "tools.example.com:8443"),
    ],
)
def test_the_host_header_has_a_port_where_it_is_not_the_usual_one(url: str, authority: str) -> None:
    assert ToolUrl.parse(url, param="url").authority == authority


@given(st.text(max_size=40), st.text(alphabet="abc.:/@?#[]%0123456789\\\r\n \t", max_size=40))
def test_any_text_is_an_address_or_is_refused(start: str, rest: str) -> None:
    for url in (start, f"https://{start}{rest}", f"https://tools.example.com{rest}", f"https://{rest}.example.com/"):
        try:
            parsed = ToolUrl.parse(url, param="url")
        except ConfigurationInvalid:
            continue
        assert parsed.target.isascii()
        assert not set(parsed.host + parsed.target) & set(" \r\n\t\\@#") - {"@"}
        assert parsed.port in (443, 8443)
        assert not parsed.host.rpartition(".")[2][0].isdigit()
