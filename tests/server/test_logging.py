"""The configuration of a server's log."""

import logging
import logging.config
from collections.abc import Iterator

import pytest
from uvicorn.logging import DefaultFormatter

from agent_asgi.context import has_run
from agent_asgi.server.logging import CHATTY, AccessFilter, TextFormatter, log_config


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Restore what the configuration changes."""
    names = ["uvicorn", "uvicorn.error", "uvicorn.access", "agent_asgi", *CHATTY]
    loggers = [logging.getLogger(), *map(logging.getLogger, names)]
    before = [(each, each.level, [*each.handlers], [*each.filters]) for each in loggers]
    for logger in loggers:
        logger.setLevel(logging.NOTSET)
    yield
    for logger, level, handlers, filters in before:
        logger.setLevel(level)
        logger.handlers, logger.filters = handlers, filters


@pytest.mark.parametrize(
    ("level", "mine", "httpx", "uvicorn"),
    [("debug", 10, 10, 10), ("info", 20, 30, 20), ("error", 40, 40, 40)],
)
def test_the_level_is_that_of_all_loggers(level: str, mine: int, httpx: int, uvicorn: int) -> None:
    logging.config.dictConfig(log_config("text", level))
    for name, wanted in (("mine", mine), ("httpx", httpx), ("uvicorn.error", uvicorn)):
        assert logging.getLogger(name).getEffectiveLevel() == wanted, name


def test_a_brief_log_lacks_uvicorn_s_own_messages() -> None:
    logging.config.dictConfig(log_config("text", brief=True))
    assert not logging.getLogger("uvicorn.error").isEnabledFor(logging.INFO)
    assert logging.getLogger("uvicorn.access").isEnabledFor(logging.INFO)


def access(path: str, status: int) -> logging.LogRecord:
    args = ("127.0.0.1:1", "GET", path, "1.1", status)
    return logging.LogRecord("uvicorn.access", 20, "", 1, '%s - "%s %s HTTP/%s" %d', args, None)


@pytest.mark.parametrize(
    ("path", "status", "is_logged"),
    [
        ("/health", 200, False),
        ("/agents/ready?full=1", 200, False),
        ("/ready", 503, True),
        ("/metrics", 401, True),
        ("/playground/app.js", 200, False),
        ("/favicon.ico", 404, False),
        ("/v1/models", 200, True),
        ("/healthy", 200, True),
        ("/docs", 200, True),
    ],
)
def test_health_checks_and_files_of_pages_are_not_logged(
    path: str, status: int, is_logged: bool
) -> None:
    assert AccessFilter().filter(access(path, status)) is is_logged


def test_a_request_with_a_run_is_not_logged_twice() -> None:
    token = has_run.set(True)
    assert not AccessFilter().filter(access("/v1/responses", 200))
    has_run.reset(token)
    assert AccessFilter().filter(access("/v1/responses", 200))


def test_another_record_of_the_access_log_passes() -> None:
    assert AccessFilter().filter(logging.makeLogRecord({"msg": "by another server"}))


def test_a_record_has_its_request_s_id_and_keeps_its_columns() -> None:
    formatter = TextFormatter("%(levelprefix)s %(request)s%(message)s", use_colors=False)
    record = logging.makeLogRecord({"msg": "hi", "levelname": "INFO", "request_id": "req_1"})
    assert formatter.format(record) == "INFO:     [req_1] hi"
    assert not hasattr(record, "request")
    other = logging.makeLogRecord({"msg": "hi", "levelname": "INFO", "request_id": "-"})
    plain = DefaultFormatter("%(levelprefix)s %(message)s", use_colors=False)
    assert formatter.format(other) == plain.format(other) == "INFO:     hi"
