"""Errors in one sentence, for dialects whose errors are texts. Loaded by answers, so it imports next to nothing."""

from __future__ import annotations

from collections.abc import Sequence

from dialplane.domain.errors import DialplaneError, FieldsInvalid


def message_of(error: DialplaneError) -> str:
    """What is wrong; of several wrong fields each with its own reason."""
    if isinstance(error, FieldsInvalid):
        return "; ".join(f"{path_of(entry['loc'])}: {entry['msg']}" for entry in error.errors)
    return error.message


def path_of(loc: Sequence[int | str]) -> str:
    """Where in the body: ``assistant.llm_config.messages.0.role``; ``body`` when it is the body itself."""
    return ".".join(str(part) or '""' for part in loc[1:] or loc)
