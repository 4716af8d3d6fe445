"""What every function of the naive peer imports, as is usual in a SAM project: all clients, tables, models, once.

Frozen. It is a measuring stick, not an example: see bench/README.md before changing anything here.
"""

import json
import os
from typing import Any
from urllib.parse import urlsplit

import boto3
import phonenumbers
from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel, Field, field_validator
from twilio.http.http_client import TwilioHttpClient
from twilio.request_validator import RequestValidator
from twilio.rest import Client
from twilio.twiml.voice_response import Connect, VoiceResponse

__all__ = ["Connect", "LambdaContext", "VoiceResponse"]

logger = Logger(service="calls")
metrics = Metrics(namespace="Calls", service="calls")
tracer = Tracer(service="calls")

dynamodb = boto3.resource("dynamodb")
api_keys_table = dynamodb.Table(os.environ["API_KEYS_TABLE"])
phone_numbers_table = dynamodb.Table(os.environ["PHONE_NUMBERS_TABLE"])
assistants_table = dynamodb.Table(os.environ["ASSISTANTS_TABLE"])
do_not_call_table = dynamodb.Table(os.environ["DO_NOT_CALL_TABLE"])
wallets_table = dynamodb.Table(os.environ["WALLETS_TABLE"])
calls_table = dynamodb.Table(os.environ["CALLS_TABLE"])
sqs = boto3.client("sqs")
secrets = boto3.client("secretsmanager")

PUBLIC_BASE_URL = os.environ["PUBLIC_BASE_URL"]
STATUS_QUEUE_URL = os.environ.get("STATUS_QUEUE_URL", "")
TWILIO_API_URL = os.environ.get("TWILIO_API_URL", "https://api.twilio.com")

twilio_credentials: dict[str, str] = json.loads(
    secrets.get_secret_value(SecretId=os.environ["TWILIO_SECRET_ID"])["SecretString"]
)


class RedirectedHttpClient(TwilioHttpClient):
    """Sends Twilio's requests to TWILIO_API_URL: the one thing here that a real project would not have."""

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        """Replace the scheme and host, leave the rest to the SDK."""
        return super().request(method, TWILIO_API_URL + urlsplit(url).path, *args, **kwargs)


twilio_client = Client(
    twilio_credentials["account_sid"], twilio_credentials["auth_token"], http_client=RedirectedHttpClient()
)
request_validator = RequestValidator(twilio_credentials["auth_token"])


class InitiateCallRequest(BaseModel):
    """Body of POST /calls/initiate."""

    from_phone_number: str
    to_phone_number: str
    assistant_id: int | None = None
    welcome_message: str | None = Field(default=None, max_length=1000)
    agenda: str | None = Field(default=None, max_length=4000)
    variables: dict[str, str] | None = None

    @field_validator("from_phone_number", "to_phone_number")
    @classmethod
    def must_be_possible(cls, value: str) -> str:
        """Refuse what no telephone network could route."""
        if not phonenumbers.is_possible_number(phonenumbers.parse(value)):
            raise ValueError("Invalid phone number format. Use E.164 format (e.g., +1234567890)")
        return value


class InitiateCallResponse(BaseModel):
    """Answer of POST /calls/initiate."""

    message: str
    call_sid: str


class CallStatusMessage(BaseModel):
    """What the status queue carries."""

    call_id: str
    call_sid: str
    status: str
    duration: int | None = None
    fields: dict[str, str]
