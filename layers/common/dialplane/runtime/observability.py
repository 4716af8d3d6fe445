"""Logs: the standard library's, which Lambda writes as JSON with every extra field (LoggingConfig in template.yaml).

What may be logged: ids, states, counts, masked numbers. Never bodies, texts, credentials or whole numbers.
"""

from __future__ import annotations

import json
import logging

logger = logging.getLogger("dialplane")
logger.setLevel(logging.INFO)


class _JsonLines(logging.Formatter):
    """What Lambda writes, near enough, for where there is no Lambda: the extra fields are what a line is read for."""

    _STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message"}

    def format(self, record: logging.LogRecord) -> str:
        line = {"level": record.levelname, "message": record.getMessage(), "logger": record.name}
        line |= {name: value for name, value in vars(record).items() if name not in self._STANDARD}
        if record.exc_info:
            line["stackTrace"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


if not logging.getLogger().handlers:
    # Lambda has put its own handler there before this runs; elsewhere (sandbox, sam local) lines go to stderr.
    _stderr = logging.StreamHandler()
    _stderr.setFormatter(_JsonLines())
    logging.getLogger().addHandler(_stderr)

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
