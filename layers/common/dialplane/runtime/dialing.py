"""The dial, composed on DynamoDB, Secrets Manager and the carriers' APIs: for the request and for the dial function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from dialplane.aws.client import AwsClient
from dialplane.carriers.contract import CarrierApi
from dialplane.carriers.registry import TRAITS, open_carrier
from dialplane.domain.calls import Call
from dialplane.domain.errors import CarrierUnavailable
from dialplane.domain.instructions import Instructions
from dialplane.dynamodb.calls import CallStore
from dialplane.dynamodb.pacing import PaceStore
from dialplane.dynamodb.settlements import SettlementStore
from dialplane.runtime.callback_urls import callback_urls, socket_url
from dialplane.runtime.carrier_accounts import CarrierAccounts
from dialplane.runtime.settings import Settings
from dialplane.usecases.dial_call import CARRIER_TIMEOUT, DialCallUseCase


def build_dialing(
    settings: Settings, client: AwsClient, *, now: Callable[[], datetime], sleep: Callable[[float], None]
) -> DialCallUseCase:
    """The use case that dials admitted calls."""
    tables = settings.tables("calls", "wallets", "destinations", "usage")
    accounts = CarrierAccounts(client, settings.text("CARRIER_SECRETS_PREFIX"))
    base_url = settings.public_base_url

    def carrier_of(organization_id: str, carrier: str, carrier_account_id: str) -> CarrierApi:
        credentials = accounts.credentials(organization_id, carrier_account_id)
        if credentials is None:
            raise CarrierUnavailable(
                f"The carrier account {carrier_account_id} has no credentials. Ask the operator to store them."
            )
        return open_carrier(carrier, credentials, timeout_seconds=CARRIER_TIMEOUT.total_seconds())

    def told_with_dial(call: Call) -> Instructions:
        instructions = call.instructions
        if instructions.engine != "conversation" or TRAITS[call.carrier].fetches_instructions:
            return instructions
        return replace(instructions, url=socket_url(settings.text("SOCKET_BASE_URL"), call))

    return DialCallUseCase(
        calls=CallStore(client, tables),
        paces=PaceStore(client, tables),
        settlements=SettlementStore(client, tables),
        open_carrier=carrier_of,
        callback_urls=lambda call: callback_urls(base_url, call),
        now=now,
        sleep=sleep,
        check_interval=settings.duration("CHECK_INTERVAL_SECONDS"),
        told_with_dial=told_with_dial,
    )
