"""The template's own tables, created on an emulated AWS: tests run on the schema that is deployed."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import boto3
from samtranslator.yaml_helper import yaml_parse

from dialplane.dynamodb.tables import Tables

ROOT = Path(__file__).parents[2]
_TABLES = {
    "accounts": "AccountsTable",
    "destinations": "DestinationsTable",
    "wallets": "WalletsTable",
    "calls": "CallsTable",
    "idempotency": "IdempotencyTable",
    "usage": "UsageTable",
}


@cache
def resources() -> dict[str, Any]:
    """The resources of template.yaml, intrinsic functions as plain dictionaries."""
    parsed: dict[str, Any] = yaml_parse((ROOT / "template.yaml").read_text())
    return dict(parsed["Resources"])


def create_tables(session: boto3.Session, prefix: str = "test") -> Tables:
    """Create every table as the template defines it."""
    client = session.client("dynamodb")
    names: dict[str, str] = {}
    for name, logical_id in _TABLES.items():
        properties = resources()[logical_id]["Properties"]
        names[name] = f"{prefix}-{name}"
        used = ("AttributeDefinitions", "KeySchema", "BillingMode", "GlobalSecondaryIndexes")
        client.create_table(TableName=names[name], **{key: properties[key] for key in used if key in properties})
    return Tables(**names)
