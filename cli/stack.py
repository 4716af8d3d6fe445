"""A deployed stack, seen from outside: its outputs, and what can be administered through its tables and secrets."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, NoRegionError

from dialplane.aws.boto import BotoAwsClient
from dialplane.aws.client import AwsClient
from dialplane.carriers.registry import check_credentials
from dialplane.dialects.registry import LISTING_DIALECTS
from dialplane.dynamodb.accounts import AccountStore
from dialplane.dynamodb.calls import CallStore
from dialplane.dynamodb.destinations import DestinationStore
from dialplane.dynamodb.tables import Tables
from dialplane.dynamodb.wallets import WalletStore
from dialplane.runtime import clock
from dialplane.runtime.carrier_accounts import CarrierSecrets
from dialplane.runtime.organization_secrets import OrganizationSecrets
from dialplane.usecases.manage_dnc import ManageDncUseCase
from dialplane.usecases.manage_wallet import ManageWalletUseCase
from dialplane.usecases.provision import ProvisionUseCase, StoreKeysUseCase

# Somebody waits in front of a terminal: one more try, then say what is wrong.
_CONFIG = Config(connect_timeout=5, read_timeout=15, retries={"total_max_attempts": 2, "mode": "standard"})


class StackNotFound(Exception):
    """There is no such stack for these credentials, or it is not one of ours."""


def open_session() -> boto3.Session:
    """The caller's own AWS session. Of all AWS tools boto3 alone does not know AWS_REGION."""
    return boto3.Session(region_name=os.environ.get("AWS_REGION") or None)


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
        session = open_session()
        try:
            client = session.client("cloudformation", config=_CONFIG)
            (stack,) = client.describe_stacks(StackName=name)["Stacks"]
        except NoRegionError as error:
            raise StackNotFound(
                "No AWS region is set. Set AWS_REGION, or one in the profile of AWS_PROFILE."
            ) from error
        except ClientError as error:
            reason = error.response["Error"].get("Message", str(error))
            raise StackNotFound(
                f"The stack {name!r} was not found ({reason}). Name it with --stack or DIALPLANE_STACK, and check the "
                "AWS credentials and AWS_REGION."
            ) from error
        outputs = {each["OutputKey"]: each["OutputValue"] for each in stack.get("Outputs", [])}
        return cls(BotoAwsClient(session), outputs)

    def output(self, name: str) -> str:
        """An output of the stack. Raises StackNotFound when it has none of that name: it is some other stack."""
        if name not in self.outputs:
            raise StackNotFound(f"The stack has no output {name}: it is not a Dialplane stack, or an older one.")
        return self.outputs[name]

    @property
    def tables(self) -> Tables:
        """The stack's tables."""
        names = ("accounts", "destinations", "wallets", "calls", "idempotency", "usage")
        return Tables(**{name: self.output(f"{name.capitalize()}TableName") for name in names})

    @property
    def accounts(self) -> AccountStore:
        """The stack's account entities."""
        return AccountStore(self.aws, self.tables)

    @property
    def provision(self) -> ProvisionUseCase:
        """Sets up customers on this stack."""
        secrets = CarrierSecrets(self.aws, self.output("CarrierSecretsPrefix"))
        return ProvisionUseCase(self.accounts, secrets, check_credentials, LISTING_DIALECTS, clock.now)

    @property
    def keys(self) -> StoreKeysUseCase:
        """Stores the keys of customers' models and tools."""
        secrets = OrganizationSecrets(self.aws, self.output("OrganizationSecretsPrefix"))
        return StoreKeysUseCase(self.provision, secrets)

    @property
    def wallets(self) -> ManageWalletUseCase:
        """The stack's wallets."""
        return ManageWalletUseCase(WalletStore(self.aws, self.tables), self.accounts, clock.now)

    @property
    def dnc(self) -> ManageDncUseCase:
        """The stack's do-not-call lists."""
        calls, destinations = CallStore(self.aws, self.tables), DestinationStore(self.aws, self.tables)
        return ManageDncUseCase(destinations, calls, clock.now, time.sleep)
