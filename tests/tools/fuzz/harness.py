"""Checks properties of an in-process app: no case may hang, raise, or log an error."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import unquote

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy
from starlette.types import ASGIApp, Message, Scope

from agent_asgi import AgentApp
from agent_asgi.observability.logging import RequestIdFilter

T = TypeVar("T")
Headers = Sequence[tuple[bytes, bytes]]

SECONDS = 20.0
"""The time limit for one case, in seconds."""
PACKAGE = "agent_asgi"


class Log(logging.Handler):
    """Collects records that the package should not have logged.

    Args:
        legal: Messages at level ERROR that are allowed.
    """

    def __init__(self, legal: Sequence[str]) -> None:
        super().__init__()
        self.faults: list[str] = []
        self._legal = legal
        self.addFilter(RequestIdFilter())

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record if it is a fault."""
        if record.levelno >= logging.ERROR and record.msg not in self._legal:
            self.faults.append(logging.Formatter().format(record))
        text = record.getMessage()
        # hypothesis blocks the loop itself, while it makes a case
        by_harness = "blocked the event loop" in text and not text.startswith("Handler")
        if not by_harness and record.name.startswith(PACKAGE) and self._is_anonymous(record):
            self.faults.append(f"no request id: {record.getMessage()}")

    def _is_anonymous(self, record: logging.LogRecord) -> bool:
        return getattr(record, "request_id", "-") == "-"


@contextlib.contextmanager
def watched(legal: Sequence[str] = ()) -> Iterator[Log]:
    """Watch the package's loggers inside a block."""
    log = Log(legal)
    loggers = [logging.getLogger(name) for name in (PACKAGE, "uvicorn.error", "asyncio")]
    for logger in loggers:
        logger.addHandler(log)
    try:
        yield log
    finally:
        for logger in loggers:
            logger.removeHandler(log)


@dataclass
class Got:
    """An HTTP response."""

    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    def header(self, name: str) -> str:
        """Return a header that must occur exactly once."""
        found = [value for key, value in self.headers if key == name]
        assert len(found) == 1, f"{name}: {found}"
        return found[0]


async def call_app(
    app: ASGIApp,
    method: str,
    target: str,
    query: bytes = b"",
    headers: Headers = (),
    chunks: Sequence[bytes] = (b"",),
) -> Got:
    """Call an app as uvicorn would; check that it follows the ASGI rules."""
    got = Got()
    inbox: list[Message] = [
        {"type": "http.request", "body": chunk, "more_body": n + 1 < len(chunks)}
        for n, chunk in enumerate(chunks)
    ]
    ended = asyncio.Event()

    async def receive() -> Message:
        if inbox:
            return inbox.pop(0)
        await ended.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        assert not ended.is_set(), "a message after the end"
        if message["type"] == "http.response.start":
            assert not got.status, "the answer begins twice"
            got.status = message["status"]
            got.headers = [
                (k.decode("latin-1"), v.decode("latin-1")) for k, v in message["headers"]
            ]
            for name, value in message["headers"]:
                assert not set(b"\r\n\0") & set(name + value), (name, value)
        else:
            assert got.status, "a body before its headers"
            got.body += message.get("body", b"")
            if not message.get("more_body", False):
                ended.set()

    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(target),
        "raw_path": target.encode("latin-1"),
        "query_string": query,
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in headers],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
    }
    await app(scope, receive, send)
    assert ended.is_set(), "no end"
    return got


def check_answer(got: Got, statuses: Sequence[int]) -> Any:
    """Check what holds for every answer; return its JSON, or None for a stream or a page."""
    assert got.status in statuses, (got.status, got.body[:500])
    assert got.header("x-request-id")
    kind = got.header("content-type").partition(";")[0]
    if kind != "application/json":
        assert kind in ("text/event-stream", "text/html"), kind
        return None
    body = json.loads(got.body)
    if got.status >= 400 and "status" not in body:
        error = body["error"]
        assert set(error) == {"message", "type", "param", "code"}, error
        assert error["message"], error
        assert error["code"], error
    return body


@dataclass
class Property(Generic[T]):
    """A property that must hold for every case.

    Args:
        name: The name to print.
        share: Its share of all cases, in percent.
        cases: Generates the cases.
        serving: Provides the app, or its port, to check the cases against.
        check: Checks one case.
        legal: Messages at level ERROR that are allowed.
    """

    name: str
    share: int
    cases: SearchStrategy[T]
    serving: Callable[[], AbstractAsyncContextManager[Any]]
    check: Callable[[Any, T], Awaitable[None]]
    legal: Sequence[str] = ()

    def run(self, count: int, *, quick: bool = False) -> int:
        """Check cases; return how many were tried.

        Args:
            count: How many to try.
            quick: Whether to generate the same ones each time. Default False.

        Raises:
            AssertionError: The property does not hold; hypothesis shows the smallest case.
        """
        tried = 0
        with asyncio.Runner() as runner, watched(self.legal) as log:
            serving = self.serving()
            app = runner.run(serving.__aenter__())

            @settings(
                max_examples=count,
                deadline=None,
                database=None,
                derandomize=quick,
                suppress_health_check=list(HealthCheck),
                phases=[Phase.generate, Phase.shrink],
            )
            @given(self.cases)
            def attempt(case: T) -> None:
                nonlocal tried
                tried += 1
                log.faults.clear()
                runner.run(_bounded(self.check(app, case)))
                faults = log.faults[:]  # the next attempt clears the list
                assert not faults, faults

            try:
                attempt()
            finally:
                runner.run(serving.__aexit__(None, None, None))
        return tried


@contextlib.asynccontextmanager
async def live(app: AgentApp) -> AsyncIterator[AgentApp]:
    """Run an app inside a block."""
    async with app.lifespan():
        yield app


async def _bounded(case: Awaitable[None]) -> None:
    async with asyncio.timeout(SECONDS):
        await case
