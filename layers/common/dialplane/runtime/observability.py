"""Logs: the standard library's, which Lambda writes as JSON with every extra field (LoggingConfig in template.yaml).

What may be logged: ids, states, counts, masked numbers. Never bodies, texts, credentials or whole numbers.
"""

from __future__ import annotations

import logging

logger = logging.getLogger("dialplane")
logger.setLevel(logging.INFO)
# Lambda has put its own handler there before this runs; elsewhere (sandbox, sam local) lines go to stderr.
logging.basicConfig(format="%(levelname)s %(name)s %(message)s")

_ids: dict[str, str] = {}


def begin(**ids: str) -> None:
    """Set the ids that every line of this invocation carries, and forget those of the one before."""
    _ids.clear()
    _ids.update(ids)


def _add_ids(record: logging.LogRecord) -> bool:
    for name, value in _ids.items():
        # What a line says of itself comes first. A record factory would be called before that is known, and then
        # logging refuses the line that names an id of its own.
        record.__dict__.setdefault(name, value)
    return True


for _handler in logging.getLogger().handlers:
    _handler.addFilter(_add_ids)
