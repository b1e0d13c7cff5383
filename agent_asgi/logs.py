"""Logs that say which request they are of; as text or, each record a line, as JSON."""

import functools
import json
import logging
from datetime import UTC, datetime
from typing import Any

from .context import current_request_id

LOGGERS = ("agent_asgi", "agent_asgi.runs", "agent_asgi.tracing", "agent_asgi.tracing.server")
_STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName", "color_message"}
"""What is no field of a record's own; the last one is uvicorn's message again."""


class RequestIdFilter(logging.Filter):
    """Puts `request_id` on every record, "-" outside of a request; lets all of them pass.

    The package's own loggers have it. A handler that has it puts the id on what others log too.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Put the id on a record that has none."""
        if not hasattr(record, "request_id"):
            record.request_id = current_request_id() or "-"
        return True


@functools.cache
def tag_records() -> None:
    """Have the package's records say which request they are of."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(RequestIdFilter())


class JsonFormatter(logging.Formatter):
    """Writes a record as one line of JSON.

    `time` (ISO 8601, UTC), `level`, `logger`, `message`, `request_id`, then the record's `extra`
    fields, and `exception` where there is one.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
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
        return json.dumps(line, default=str, skipkeys=True)  # also what UTF-8 has no bytes for


def config(log_format: str) -> dict[str, Any]:
    """Make the configuration of a server's logging, as `logging.config.dictConfig` takes it.

    Args:
        log_format: "text", for uvicorn's loggers and ours; or "json", for all there are.
    """
    is_json = log_format == "json"
    id_and = "%(levelprefix)s [%(request_id)s]"
    access = f'{id_and} %(client_addr)s - "%(request_line)s" %(status_code)s'
    texts: dict[str, Any] = {
        "default": {"()": "uvicorn.logging.DefaultFormatter", "fmt": f"{id_and} %(message)s"},
        "access": {"()": "uvicorn.logging.AccessFormatter", "fmt": access},
    }
    json_ = {"()": "agent_asgi.logs.JsonFormatter"}
    handlers = {
        name: {
            "class": "logging.StreamHandler",
            "formatter": name,
            "filters": ["request_id"],
            "stream": f"ext://sys.{stream}",
        }
        for name, stream in (("default", "stderr"), ("access", "stderr" if is_json else "stdout"))
    }
    loggers: dict[str, Any] = {
        name: {"handlers": [handler], "level": "INFO", "propagate": False}
        for name, handler in (
            ("uvicorn", "default"),
            ("uvicorn.access", "access"),
            ("agent_asgi", "default"),
        )
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"request_id": {"()": "agent_asgi.logs.RequestIdFilter"}},
        "formatters": {"default": json_, "access": json_} if is_json else texts,
        "handlers": handlers,
        "loggers": loggers,
        **({"root": {"handlers": ["default"]}} if is_json else {}),
    }
