"""What the secret of a Telnyx account holds that reaches numbers over a SIP host of the customer's."""

from __future__ import annotations

from dialplane.carriers.contract import Credential
from dialplane.carriers.telnyx.account import CREDENTIALS as TELNYX_CREDENTIALS

CREDENTIALS = (
    *TELNYX_CREDENTIALS,
    Credential(
        "sip_host",
        "The host that takes the calls, such as pbx.example.com, with :port if need be.",
        pattern=r"[A-Za-z0-9.-]{1,150}(:[0-9]{1,5})?",
    ),
    Credential("sip_username", "The user name that the SIP host asks for; with sip_password.", is_required=False),
    Credential("sip_password", "The password that the SIP host asks for.", is_required=False),
)
