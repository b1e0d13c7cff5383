"""The log of a server: every logger, as text or as JSON lines, with the id of the request."""

import logging
import re
from copy import copy
from typing import Any

from uvicorn.logging import DefaultFormatter

from ..context import has_run
from ..observability.logging import LOGGERS

QUIET = re.compile(
    r"/(health|ready|ping|metrics|playground\.json|favicon\.ico|(playground|docs)/[\w-]+\.(css|js))$"
)
"""The ends of paths whose requests are not logged if all is well: health checks, pages' files."""
CHATTY = ("httpx", "httpx2", "mcp", "alembic", "watchfiles")
"""Libraries that log each of their calls at INFO."""


class TextFormatter(DefaultFormatter):
    """Formats a record as `INFO:     [req_5f1c] message`; outside a request it has no id."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  logging's name
        id_ = getattr(record, "request_id", "-")
        record = copy(record)
        record.request = "" if id_ == "-" else f"[{id_}] "
        return super().formatMessage(record)


class AccessFilter(logging.Filter):
    """Drops uvicorn's lines of health checks, of pages' files and of requests with a run.

    A run has a separate line, once it has ended.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if has_run.get():
            return False
        if not isinstance(record.args, tuple) or len(record.args) != 5:
            return True
        _, _, path, _, status = record.args
        is_quiet = QUIET.search(str(path).partition("?")[0]) is not None
        return not is_quiet or status not in (200, 304, 404)


def log_config(log_format: str, level: str = "info", *, brief: bool = False) -> dict[str, Any]:
    """Return the logging configuration of a server, for `logging.config.dictConfig`.

    Args:
        log_format: "text" or "json".
        level: The level of all loggers: "debug", "info", "warning" or "error". With "info",
            libraries that log each of their calls are at WARNING. Default "info".
        brief: Whether uvicorn's own messages are left out below WARNING. Default False.
    """
    formatters = {
        "text": {
            "()": "agent_asgi.server.logging.TextFormatter",
            "fmt": "%(levelprefix)s %(request)s%(message)s",
        },
        "json": {"()": "agent_asgi.observability.logging.JsonFormatter"},
    }
    handler = {
        "class": "logging.StreamHandler",
        "formatter": log_format,
        "filters": ["request_id"],
        "stream": "ext://sys.stderr",
    }
    loggers: dict[str, Any] = {
        name: {"filters": ["request_id"]} for name in ("agent_asgi", *LOGGERS)
    }  # for handlers of the app's own
    loggers["uvicorn.access"] = {"filters": ["access"]}
    loggers["uvicorn.error"] = {"filters": ["handshake"]}
    if brief:
        loggers["uvicorn.error"]["level"] = "WARNING"
    if level == "info":
        loggers |= {name: {"level": "WARNING"} for name in CHATTY}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {
            "access": {"()": "agent_asgi.server.logging.AccessFilter"},
            "handshake": {"()": "agent_asgi.observability.logging.HandshakeFilter"},
            "request_id": {"()": "agent_asgi.observability.logging.RequestIdFilter"},
        },
        "formatters": formatters,
        "handlers": {"default": handler},
        "loggers": loggers,
        "root": {"handlers": ["default"], "level": level.upper()},
    }
