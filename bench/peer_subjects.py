"""The frozen peers as subjects: their environment variables, their items, their events."""

import hashlib
import json
from functools import partial

from bench import events
from bench.artefacts import PEERS, NaivePeer
from bench.server import Addresses
from bench.stub import Backend, Table
from bench.subjects import Subject, is_accepted, is_call_initiated, is_connecting_twiml, is_ok

API_KEY = "live_0123456789abcdef0123456789abcdef"
CALL_ID = "5f0c9a52-3c39-4c56-9d0f-5f6f8a8c7c11"
ORGANIZATION_ID = "org_naive"
SECRET_IDS = {
    "TWILIO_SECRET_ID": "naive/twilio",
    "TELNYX_SECRET_ID": "naive/telnyx",
    "VONAGE_SECRET_ID": "naive/vonage",
}

TABLES = {
    "API_KEYS_TABLE": ("naive-api-keys", "key_hash"),
    "PHONE_NUMBERS_TABLE": ("naive-phone-numbers", "phone_number"),
    "ASSISTANTS_TABLE": ("naive-assistants", "assistant_id"),
    "DO_NOT_CALL_TABLE": ("naive-do-not-call", "phone_number"),
    "WALLETS_TABLE": ("naive-wallets", "organization_id"),
    "CALLS_TABLE": ("naive-calls", "call_id"),
}
ITEMS = {
    "API_KEYS_TABLE": {
        "key_hash": {"S": hashlib.sha256(API_KEY.encode()).hexdigest()},
        "organization_id": {"S": ORGANIZATION_ID},
        "status": {"S": "active"},
    },
    "PHONE_NUMBERS_TABLE": {
        "phone_number": {"S": events.CALLER_NUMBER},
        "organization_id": {"S": ORGANIZATION_ID},
        "assistant_id": {"N": "123"},
    },
    "ASSISTANTS_TABLE": {
        "assistant_id": {"N": "123"},
        "organization_id": {"S": ORGANIZATION_ID},
        "name": {"S": "Front desk"},
        "welcome_message": {"S": "Hello, this is the front desk."},
        "rate_per_minute": {"N": "90000"},
        "max_minutes": {"N": "10"},
    },
    "WALLETS_TABLE": {
        "organization_id": {"S": ORGANIZATION_ID},
        "balance": {"N": "100000000"},
        "held": {"N": "0"},
    },
    "CALLS_TABLE": {
        "call_id": {"S": CALL_ID},
        "organization_id": {"S": ORGANIZATION_ID},
        "assistant_id": {"N": "123"},
        "from_phone_number": {"S": events.CALLER_NUMBER},
        "to_phone_number": {"S": events.DESTINATION},
        "welcome_message": {"S": "Hello John Doe, this is a reminder about your appointment tomorrow at 10 AM."},
        "agenda": {"S": "Remind John Doe about their upcoming dental appointment."},
        "relay_url": {"S": "wss://relay.example.com/conversation"},
        "status": {"S": "queued"},
    },
}


def trivial() -> Subject:
    """The floor that every ratio starts from."""
    return Subject(
        job="trivial",
        variant="trivial",
        handler="app.lambda_handler",
        task_root=PEERS / "trivial",
        layer=None,
        event=partial(events.initiate_event, "Bearer none"),
        check=is_ok,
    )


def naive(peer: NaivePeer, variant: str, backend: Backend, addresses: Addresses) -> list[Subject]:
    """Return the naive peer's functions and put the items they read into the back end."""
    for variable, (name, key) in TABLES.items():
        backend.tables[name] = Table(key_names=(key,))
        if variable in ITEMS:
            backend.tables[name].put(ITEMS[variable])
    secrets = {
        "TWILIO_SECRET_ID": {"account_sid": events.ACCOUNT_SID, "auth_token": events.AUTH_TOKEN},
        "TELNYX_SECRET_ID": {"api_key": "KEY0123", "public_key": events.TELNYX_PUBLIC_KEY},
        "VONAGE_SECRET_ID": {"signature_secret": events.VONAGE_SIGNATURE_SECRET},
    }
    for variable, secret in secrets.items():
        backend.secrets[SECRET_IDS[variable]] = json.dumps(secret)
    environment = (
        {variable: name for variable, (name, _) in TABLES.items()}
        | SECRET_IDS
        | {
            "PUBLIC_BASE_URL": events.PUBLIC_BASE_URL,
            "STATUS_QUEUE_URL": f"{addresses.aws['AWS_ENDPOINT_URL_SQS']}/123456789012/naive-status",
            "TWILIO_API_URL": addresses.carrier,
            "POWERTOOLS_SERVICE_NAME": "calls",
            "POWERTOOLS_METRICS_NAMESPACE": "Calls",
        }
    )
    parameters = {"call_id": CALL_ID}
    twiml, status = "/twiml/{call_id}", "/status/{call_id}"
    jobs = (
        ("initiate", partial(events.initiate_event, f"Bearer {API_KEY}"), is_call_initiated),
        ("twiml", partial(events.twilio_event, twiml, parameters, events.TWIML_FORM), is_connecting_twiml),
        ("status", partial(events.twilio_event, status, parameters, events.STATUS_FORM), is_accepted),
        ("status-telnyx", partial(events.telnyx_event, status, parameters), is_accepted),
        ("status-vonage", partial(events.vonage_event, status, parameters), is_accepted),
    )
    return [
        Subject(
            job=job,
            variant=variant,
            handler="app.lambda_handler",
            task_root=peer.functions / job,
            layer=peer.layer,
            event=event,
            check=check,
            environment=environment,
        )
        for job, event, check in jobs
    ]
