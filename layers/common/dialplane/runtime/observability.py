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
_make_record = logging.getLogRecordFactory()


def begin(**ids: str) -> None:
    """Set the ids that every line of this invocation carries, and forget those of the one before."""
    _ids.clear()
    _ids.update(ids)


def _record_with_ids(*args: object, **kwargs: object) -> logging.LogRecord:
    record = _make_record(*args, **kwargs)
    record.__dict__.update(_ids)
    return record


logging.setLogRecordFactory(_record_with_ids)
