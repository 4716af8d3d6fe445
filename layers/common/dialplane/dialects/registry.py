"""Which dialects there are and which of them a request speaks: one line each, and its package found by its name.

A package is imported when its dialect is spoken and only the module that is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import Any, cast

from dialplane.dialects.contract import AnswersModule, CallsModule, RequestsModule

ROUTES: Mapping[str, str] = {
    "burki": "POST /calls/initiate",
    "klen": "POST /calls",
    "hms": "POST /calls/outbound",
    "elevenlabs_tester": "POST /api/call",
}
"""Every dialect with the route that is its own."""
DEFAULT_DIALECT = "burki"
LISTING_DIALECTS = frozenset({"klen", "hms"})
"""Those whose lists share a route with Dialplane's own; the API key says in which of them it is answered."""

_SHARED_ROUTE = ROUTES[DEFAULT_DIALECT]
_BURKI_FIELDS = frozenset({"from_phone_number", "to_phone_number", "assistant_id"})
_KLEN_FIELDS = frozenset({"phone_number", "agent_id"})


def dialect_of(route: str, body: Mapping[str, Any]) -> str:
    """The dialect of a request. Two share a route: its fields tell them apart, and what fits neither is the route's."""
    if route == _SHARED_ROUTE and body.keys() & _KLEN_FIELDS and not body.keys() & _BURKI_FIELDS:
        return "klen"
    return next((dialect for dialect, own in ROUTES.items() if own == route), DEFAULT_DIALECT)


def requests_of(dialect: str) -> RequestsModule:
    """The dialect's ``requests`` module; it loads the models."""
    return cast(RequestsModule, _module(dialect, "requests"))


def answers_of(dialect: str) -> AnswersModule:
    """The dialect's ``answers`` module."""
    return cast(AnswersModule, _module(dialect, "answers"))


def calls_of(dialect: str) -> CallsModule:
    """The dialect's ``calls`` module."""
    return cast(CallsModule, _module(dialect, "calls"))


def _module(dialect: str, name: str) -> ModuleType:
    return import_module(f"dialplane.dialects.{dialect}.{name}")
