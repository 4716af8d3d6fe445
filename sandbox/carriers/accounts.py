"""The accounts that a sandbox has with every simulated carrier: what the carriers serve, and the matching secrets."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sandbox.carriers.carrier import Account
from sandbox.carriers.elevenlabs.secrets import make_secret as make_elevenlabs_secret
from sandbox.carriers.telnyx.keys import SigningKeys, new_signing_keys
from sandbox.carriers.vonage.secrets import make_secret as make_vonage_secret

SIP_HOST = "pbx.example.test"


@dataclass(frozen=True, slots=True)
class CarrierAccounts:
    """``served`` are the accounts as the simulated carriers take them, ``secrets`` the application's, by carrier."""

    served: Mapping[str, Sequence[Account]]
    secrets: Mapping[str, Account]


def make_accounts(
    *, random_hex: Callable[[int], str] = secrets.token_hex, keys: Callable[[], SigningKeys] = new_signing_keys
) -> CarrierAccounts:
    """One account with each carrier; random, unless told otherwise."""
    twilio = {"account_sid": f"AC{random_hex(16)}", "auth_token": random_hex(16)}
    signing = keys()
    telnyx_keys = {"api_key": f"KEY{random_hex(16)}", "public_key": signing.public_key}
    telnyx = {**telnyx_keys, "connection_id": "1234567890"}
    texml = {**telnyx_keys, "account_sid": random_hex(16), "application_sid": "9876543210"}
    vonage = make_vonage_secret()
    twilio_leg = {"twilio_account_sid": twilio["account_sid"], "twilio_auth_token": twilio["auth_token"]}
    elevenlabs = {**make_elevenlabs_secret(random_hex(8)), **twilio_leg}
    return CarrierAccounts(
        served={
            "twilio": [twilio],
            "telnyx": [{**telnyx, "signing_key": signing.signing_key}],
            "telnyx-texml": [{**texml, "signing_key": signing.signing_key}],
            "vonage": [vonage],
            "elevenlabs": [elevenlabs],
        },
        secrets={
            "twilio": twilio,
            "telnyx": telnyx,
            "telnyx-texml": texml,
            "vonage": vonage,
            "elevenlabs": elevenlabs,
            "sip-twilio": {**twilio, "sip_host": SIP_HOST},
            "sip-telnyx": {**telnyx, "sip_host": SIP_HOST},
        },
    )
