"""Log records with the id of their request, as text or as JSON lines."""

import json
import logging
from datetime import UTC, datetime
from typing import Any

from ..context import current_request_id

LOGGERS = ("agent_asgi.runs", "agent_asgi.tracing")
"""The loggers below `agent_asgi`, whose records that logger's filters do not see."""
_STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName", "color_message"}
"""The attributes of a record that are not extra fields. `color_message` is uvicorn's copy of the
message."""


class RequestIdFilter(logging.Filter):
    """Sets `request_id` on records that have none; "-" outside a request. All records pass.

    Add it to a logging handler, where it sees the records of all loggers.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if not hasattr(record, "request_id"):
            record.request_id = current_request_id() or "-"
        return True


class HandshakeFilter(logging.Filter):
    """Drops the headers of WebSocket handshakes, which uvicorn logs at DEBUG, tokens included.

    Add it to the logger `uvicorn.error`.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        return record.msg != "< %s: %s"


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON.

    The fields are `time` (ISO 8601, UTC), `level`, `logger`, `message`, `request_id`, the record's
    `extra` fields, and `exception` and `stack` if the record has them.
    """

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": getattr(record, "request_id", "-"),
        }
        extra = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        line = line | {name: value for name, value in extra.items() if name not in line}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = record.stack_info
        return json.dumps(line, default=str, skipkeys=True)  # escapes unpaired surrogates too
