"""Runs properties over an app in this process: no case may hang, raise, or log an error."""

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

T = TypeVar("T")
Headers = Sequence[tuple[bytes, bytes]]

SECONDS = 20.0
"""How long one case may take."""
REQUEST_IDS = True
"""Whether each record of the package's loggers must have a `request_id`."""
PACKAGE = "agent_asgi"


class Log(logging.Handler):
    """Keeps what the package logs that it should not.

    Args:
        legal: Messages at level ERROR that are no fault.
    """

    def __init__(self, legal: Sequence[str]) -> None:
        super().__init__()
        self.faults: list[str] = []
        self._legal = legal

    def emit(self, record: logging.LogRecord) -> None:
        """Look at a record."""
        if record.levelno >= logging.ERROR and record.msg not in self._legal:
            self.faults.append(logging.Formatter().format(record))
        ours = record.name.startswith(PACKAGE)
        known = hasattr(record, "request_id")
        if ours and (REQUEST_IDS or known) and not getattr(record, "request_id", None):
            self.faults.append(f"no request id: {record.getMessage()}")


@contextlib.contextmanager
def watched(legal: Sequence[str] = ()) -> Iterator[Log]:
    """Watch the package's loggers for the length of a block."""
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
    """An answer over HTTP."""

    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    def header(self, name: str) -> str:
        """Give a header that is there once."""
        found = [value for key, value in self.headers if key == name]
        assert len(found) == 1, f"{name}: {found}"
        return found[0]


async def ask(
    app: ASGIApp,
    method: str,
    target: str,
    query: bytes = b"",
    headers: Headers = (),
    chunks: Sequence[bytes] = (b"",),
) -> Got:
    """Call an app as uvicorn would; what the server forbids an app is checked."""
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
    """Hold an answer to what every one keeps; give its JSON, None for a stream or a page."""
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
    """What must hold for every case.

    Args:
        name: What is shown.
        share: Its part of all cases, in per cent.
        cases: Makes cases.
        serving: Has an app, or a port of one, to try the cases on.
        check: Tries one case.
        legal: Messages at level ERROR that are no fault.
    """

    name: str
    share: int
    cases: SearchStrategy[T]
    serving: Callable[[], AbstractAsyncContextManager[Any]]
    check: Callable[[Any, T], Awaitable[None]]
    legal: Sequence[str] = ()

    def run(self, count: int, *, quick: bool = False) -> int:
        """Try cases; give how many there were.

        Args:
            count: How many.
            quick: Whether they are the same each time. Default False.

        Raises:
            AssertionError: Something does not hold; hypothesis shows the smallest case.
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
                assert not log.faults, log.faults

            try:
                attempt()
            finally:
                runner.run(serving.__aexit__(None, None, None))
        return tried


@contextlib.asynccontextmanager
async def live(app: AgentApp) -> AsyncIterator[AgentApp]:
    """Run an app for the length of a block."""
    async with app.lifespan():
        yield app


async def _bounded(case: Awaitable[None]) -> None:
    async with asyncio.timeout(SECONDS):
        await case
