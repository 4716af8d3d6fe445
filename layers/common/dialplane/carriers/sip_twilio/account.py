"""What the secret of a Twilio account holds that reaches numbers over a trunk or a SIP host of the customer's."""

from __future__ import annotations

from dialplane.carriers.contract import Credential
from dialplane.carriers.twilio.account import CREDENTIALS as TWILIO_CREDENTIALS

CREDENTIALS = (
    *TWILIO_CREDENTIALS,
    Credential(
        "byoc_trunk_sid",
        "Twilio Console, Voice, BYOC Trunks: BY and 32 hexadecimal digits. Either this or sip_host.",
        is_required=False,
        pattern=r"BY[0-9a-fA-F]{32}",
    ),
    Credential(
        "sip_host",
        "The host that takes the calls, such as pbx.example.com, with :port and ;transport=tls (or tcp, udp) if need "
        "be. Either this or byoc_trunk_sid.",
        is_required=False,
        pattern=r"[A-Za-z0-9.-]{1,150}(:[0-9]{1,5})?(;transport=(tls|tcp|udp))?",
    ),
    Credential("sip_username", "The user name that the SIP host asks for; with sip_password.", is_required=False),
    Credential("sip_password", "The password that the SIP host asks for.", is_required=False),
)
