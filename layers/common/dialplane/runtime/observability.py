"""Logs: JSON lines by Powertools, for every module of the package, with the ids of what is being worked on.

What may be logged: ids, states, counts, masked numbers. Never bodies, texts, credentials or whole numbers.
"""

from __future__ import annotations

from aws_lambda_powertools import Logger

# The service's name is the logger's name, so every ``logging.getLogger("dialplane.…")`` of the package ends up here.
logger = Logger(service="dialplane")


def begin(**ids: str) -> None:
    """Forget the ids of the invocation before and set those of this one."""
    logger.clear_state()
    logger.append_keys(**ids)
