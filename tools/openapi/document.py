"""The description as a whole: paths from `operations`, bodies from the dialects' models, shapes from `schemas`."""

from __future__ import annotations

import json
import re
import tomllib
from http import HTTPStatus
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from dialplane.carriers.registry import CARRIERS
from dialplane.dialects.burki.requests import InitiateCallRequest as BurkiRequest
from dialplane.dialects.elevenlabs_tester.requests import ContextRequest
from dialplane.dialects.elevenlabs_tester.requests import InitiateCallRequest as TesterRequest
from dialplane.dialects.hms.requests import InitiateCallRequest as HmsRequest
from dialplane.dialects.klen.requests import InitiateCallRequest as KlenRequest
from tools.openapi import refusals
from tools.openapi.operations import OPERATIONS, TAGS, Operation, Parameter
from tools.openapi.schemas import COMPONENTS, PHONE_NUMBER, TEXT, Schema, ref, words

_ROOT = Path(__file__).parents[2]
_REF = "#/components/schemas/{model}"
# Bodies of requests for calls may also say that nothing is to be done.
_INITIATE_MODELS: dict[str, type[BaseModel]] = {
    "BurkiInitiateCallRequest": BurkiRequest,
    "KlenInitiateCallRequest": KlenRequest,
    "HmsInitiateCallRequest": HmsRequest,
    "TesterInitiateCallRequest": TesterRequest,
}
_DRY_RUN: Schema = {"type": "boolean", "default": False, "description": "Say what would be done, and do nothing."}
_PATH_PARAMETERS: dict[str, Schema] = {
    "call_id": {"type": "string", "description": "Our id of the call, or the carrier's"},
    "number": PHONE_NUMBER,
    "file": TEXT,
    "carrier": words(*CARRIERS),
    "organization_id": TEXT,
    "carrier_account_id": TEXT,
}
_KEY_SCHEMES: list[dict[str, list[str]]] = [{"bearer": []}, {"header": []}]
_SIGNATURES = {
    "twilio_signature": ("X-Twilio-Signature", "HMAC-SHA1 of the address and the fields, with the auth token"),
    "telnyx_signature": ("Telnyx-Signature-Ed25519", "Ed25519 of the time and the body, with the account's key"),
    "vonage_signature": ("Authorization", "A JWT (HS256) with the hash of the body, with the signature secret"),
    "elevenlabs_signature": ("ElevenLabs-Signature", "HMAC-SHA256 of the time and the body, with the webhook secret"),
}


def text() -> str:
    """The description as it is written."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


def document() -> dict[str, Any]:
    """The description. The server's address is put in when it is served."""
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        method, path = operation.route.split(" ")
        paths.setdefault(path, {})[method.lower()] = _operation(operation, path)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Dialplane",
            "version": project["version"],
            "summary": project["description"],
            "license": {"name": project["license"], "identifier": project["license"]},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": description} for name, description in TAGS.items()],
        "paths": paths,
        "components": {"schemas": _schemas(), "securitySchemes": _security_schemes()},
    }


def _operation(operation: Operation, path: str) -> dict[str, Any]:
    described: dict[str, Any] = {
        "tags": [operation.tag],
        "operationId": _operation_id(operation.route),
        "summary": operation.summary,
        "description": _description(operation),
        "parameters": [*_path_parameters(path), *(_parameter(each) for each in operation.parameters)],
        "security": _security(operation),
        "responses": {str(status): _answer(operation, status) for status in operation.answers},
    }
    if operation.bodies:
        described["requestBody"] = _body(operation)
    if operation.is_webhook:
        described["requestBody"] = {
            "description": "In the carrier's words.",
            "content": {kind: {"schema": {}} for kind in ("application/x-www-form-urlencoded", "application/json")},
        }
    elif operation.dialects:
        for status, response in refusals.responses(operation.errors, operation.dialects, path).items():
            described["responses"].setdefault(status, response)
    return {name: value for name, value in described.items() if value not in ("", [])} | {
        "security": described["security"]
    }


def _operation_id(route: str) -> str:
    method, path = route.split(" ")
    return "_".join([method.lower(), *re.findall(r"[A-Za-z0-9_]+", path)])


def _description(operation: Operation) -> str:
    needs = f"Needs the scope `{operation.scope.value}`." if operation.scope is not None else ""
    return " ".join(filter(None, (operation.description.strip(), needs)))


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": _PATH_PARAMETERS[name]}
        for name in re.findall(r"{(\w+)}", path)
    ]


def _parameter(parameter: Parameter) -> dict[str, Any]:
    described = {"name": parameter.name, "in": parameter.place, "schema": parameter.schema}
    return described | ({"description": parameter.description} if parameter.description else {})


def _security(operation: Operation) -> list[dict[str, list[str]]]:
    if operation.is_webhook:
        return [{name: []} for name in _SIGNATURES]
    if operation.scope is None:
        return []
    return _KEY_SCHEMES + ([{"query": []}] if operation.takes_key_in_query else [])


def _body(operation: Operation) -> dict[str, Any]:
    schemas = [ref(name) for name in operation.bodies]
    schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
    examples = {name: {"value": value} for name, value in operation.examples.items()}
    return {
        "required": operation.is_body_required,
        "content": {"application/json": {"schema": schema, "examples": examples}},
    }


def _answer(operation: Operation, status: int) -> dict[str, Any]:
    shapes = operation.answers[status]
    answer: dict[str, Any] = {"description": HTTPStatus(status).phrase}
    if isinstance(shapes, str):
        answer["content"] = {shapes: {"schema": {}}}
    elif shapes:
        schemas = [ref(name) for name in shapes]
        answer["content"] = {"application/json": {"schema": schemas[0] if len(schemas) == 1 else {"anyOf": schemas}}}
    if operation.headers and status < 300:
        answer["headers"] = {
            name: {"description": description, "schema": TEXT} for name, description in operation.headers.items()
        }
    return answer


def _schemas() -> dict[str, Schema]:
    models: dict[str, type[BaseModel]] = {**_INITIATE_MODELS, "TesterContextRequest": ContextRequest}
    found = dict(COMPONENTS)
    for name, model in models.items():
        schema = model.model_json_schema(ref_template=_REF)
        for part, definition in schema.pop("$defs", {}).items():
            assert found.setdefault(part, definition) == definition, part
        if name in _INITIATE_MODELS:
            schema["properties"]["dry_run"] = _DRY_RUN
        found[name] = schema
    return dict(sorted(found.items()))


def _security_schemes() -> dict[str, Any]:
    schemes: dict[str, Any] = {
        "bearer": {"type": "http", "scheme": "bearer", "description": "An API key of Dialplane's."},
        "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same key."},
        "query": {
            "type": "apiKey",
            "in": "query",
            "name": "api_key",
            "description": "The same key, in Klen AI's format and only where the organization allows it.",
        },
    }
    return schemes | {
        name: {"type": "apiKey", "in": "header", "name": header, "description": description}
        for name, (header, description) in _SIGNATURES.items()
    }
