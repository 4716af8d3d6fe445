"""A deployed stack, seen from outside: its outputs, and what can be administered through its tables and secrets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import boto3

from dialplane.aws.boto import BotoAwsClient
from dialplane.aws.client import AwsClient
from dialplane.dynamodb.accounts import AccountStore
from dialplane.dynamodb.tables import Tables
from dialplane.dynamodb.wallets import WalletStore
from dialplane.runtime import clock
from dialplane.runtime.carrier_accounts import CarrierSecrets
from dialplane.usecases.manage_wallet import ManageWalletUseCase
from dialplane.usecases.provision import ProvisionUseCase


class StackNotFound(Exception):
    """There is no such stack for these credentials."""


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack by its outputs, on whatever AWS ``aws`` talks to."""

    aws: AwsClient
    outputs: Mapping[str, str]

    @classmethod
    def find(cls, name: str) -> Stack:
        """Look a stack up with the caller's own AWS credentials (AWS_PROFILE, AWS_ENDPOINT_URL and so on).

        Raises StackNotFound.
        """
        session = boto3.Session()
        client = session.client("cloudformation")
        try:
            (stack,) = client.describe_stacks(StackName=name)["Stacks"]
        except client.exceptions.ClientError as error:
            raise StackNotFound(f"There is no stack {name!r} here: {error}") from error
        outputs = {each["OutputKey"]: each["OutputValue"] for each in stack.get("Outputs", [])}
        return cls(BotoAwsClient(session), outputs)

    @property
    def tables(self) -> Tables:
        """The stack's tables."""
        names = ("accounts", "destinations", "wallets", "calls", "idempotency")
        return Tables(**{name: self.outputs[f"{name.capitalize()}TableName"] for name in names})

    @property
    def accounts(self) -> AccountStore:
        """The stack's account entities."""
        return AccountStore(self.aws, self.tables)

    @property
    def provision(self) -> ProvisionUseCase:
        """Sets up customers on this stack."""
        return ProvisionUseCase(
            self.accounts, CarrierSecrets(self.aws, self.outputs["CarrierSecretsPrefix"]), clock.now
        )

    @property
    def wallets(self) -> ManageWalletUseCase:
        """The stack's wallets."""
        return ManageWalletUseCase(WalletStore(self.aws, self.tables), clock.now)
