"""A run's answer over HTTP: one JSON body, or a stream; and every error's."""

import logging
import re
from collections.abc import Callable, Mapping
from typing import Any

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from .. import codec
from ..disconnect import Watch
from ..errors import AgentError, AgentFailed
from ..limits import Timeouts
from ..run import Run
from ..sse import DONE, EventStreamResponse

logger = logging.getLogger("agent_asgi")

CLIENT_GONE = 499
"""nginx's status of a request whose client left; nobody reads it."""


REFUSED = "agent_asgi.refused"
"""Where the start of an answer of 4xx or 5xx, or the close in its place, says by its error's code
why no handler was asked; None where nothing was refused. The app counts it and takes it out."""


class ErrorResponse(Response):
    """A JSON answer of 4xx or 5xx, over HTTP or to a WebSocket's handshake.

    Args:
        body: The JSON.
        status: The status.
        headers: Its headers.
        refused: The code that it counts by as a refusal; None where nothing was refused.
    """

    def __init__(
        self, body: bytes, status: int, headers: Mapping[str, str], *, refused: str | None
    ) -> None:
        super().__init__(body, status, headers, media_type="application/json")
        self._refused = refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""

        async def told(message: Message) -> None:
            if message["type"].endswith("http.response.start"):  # a WebSocket's has a prefix
                message[REFUSED] = self._refused
            await send(message)

        await super().__call__(scope, receive, told)


def json_response(
    body: bytes, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Make a JSON answer of a body that is encoded already."""
    return Response(body, status, headers, media_type="application/json")


def page_headers(policy: str) -> dict[str, str]:
    """Give the headers of a page, and of its files, that keep it to itself in a browser.

    Args:
        policy: Its content-security-policy.
    """
    return {
        "content-security-policy": policy,
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }


def error_response(error: AgentError, *, started: bool = False) -> Response:
    """Make the answer to an error.

    Args:
        error: The error.
        started: Whether a handler ran: the OpenAI client must then not run it again, which it
            does for most statuses, unless `x-should-retry` says otherwise.
    """
    headers = {name: value for name, value in error.headers.items() if _is_header(name, value)}
    if started:
        headers.setdefault("x-should-retry", "false")
    body = codec.encode({"error": error.payload()})
    return ErrorResponse(body, error.status, headers, refused=None if started else error.code)


def _is_header(name: str, value: str) -> bool:
    """Tell whether an error may have a header: one that HTTP can carry, and that frames nothing."""
    carried = _NAME.fullmatch(name) and _VALUE.fullmatch(value)
    if carried and name.lower() not in ("content-length", "transfer-encoding"):
        return True
    logger.error("An error's header %r is left out: HTTP cannot carry it, or it is ours.", name)
    return False


_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
"""RFC 9110, 5.5; a line's end would begin a header of its own."""


async def deny(error: AgentError, code: int, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a WebSocket's handshake with an error, or, where the server cannot, close it.

    Args:
        error: The error.
        code: What it is closed with.
    """
    if "websocket.http.response" in (scope.get("extensions") or {}):
        await error_response(error)(scope, receive, send)
    else:
        close = {"type": "websocket.close", "code": code, "reason": error.message}
        await send({**close, REFUSED: error.code})


async def answer_json(
    run: Run, body: Callable[[], bytes], endpoint: str, scope: Scope, receive: Receive, send: Send
) -> None:
    """Pull a run to its end and answer with one JSON body.

    Args:
        run: The run.
        body: Encodes the answer, once the run has ended; it may raise `AgentFailed`.
        endpoint: The endpoint's path, for the log.
    """
    watch = Watch(run, receive)
    try:
        await run.pull()
    finally:
        watch.stop()
    response = _ended(run, body)
    await response(scope, receive, send)
    if logger.isEnabledFor(logging.DEBUG):
        size = len(response.body)
        told = {"endpoint": endpoint, "response_size": size, "function_name": run.name}
        logger.debug("Response sent", extra=told)


async def answer_stream(
    run: Run,
    tail: Callable[[], bytes],
    times: Timeouts,
    endpoint: str,
    scope: Scope,
    receive: Receive,
    send: Send,
) -> None:
    """Stream a run; an error before its first output is answered with its status.

    Args:
        run: The run.
        tail: Makes the frames after the last, before `[DONE]`.
        times: When a comment is sent, and when a client is given up that does not read.
        endpoint: The endpoint's path, for the log.
    """

    async def failed(scope: Scope, receive: Receive, send: Send) -> None:
        await _ended(run, lambda: b"")(scope, receive, send)

    stream = EventStreamResponse(
        run,
        headers=lambda: trace_headers(run),
        times=times,
        failed=failed,
        tail=lambda: tail() + DONE,
    )
    await stream(scope, receive, send)
    logger.debug(
        "Streaming response completed",
        extra={
            "endpoint": endpoint,
            "total_chunks": stream.frames,
            "response_size": stream.sent,
            "function_name": run.name,
        },
    )


def trace_headers(run: Run) -> dict[str, str]:
    """Give the header that names the run's trace, where it has one."""
    trace_id = run.context.trace_id
    return {} if trace_id is None else {"x-mlflow-trace-id": trace_id}


def _ended(run: Run, body: Callable[[], bytes]) -> Response:
    if run.error is not None:
        return _failed(run, run.error)
    if run.status == "cancelled":
        gone = run.context.cancelled.cause == "client_disconnected"
        status, headers = (CLIENT_GONE, None) if gone else (503, {"retry-after": "1"})
        error = AgentError("The run was cancelled.", status, "cancelled", headers=headers)
        return error_response(error, started=True)
    try:
        return json_response(body(), 200, trace_headers(run))
    except AgentFailed as error:  # which the response tells of
        return _failed(run, error)
    except Exception:
        logger.exception("What handler %r gave cannot be written as JSON.", run.name)
        return error_response(AgentFailed(), started=True)


def _failed(run: Run, error: AgentError) -> Response:
    response = error_response(error, started=True)
    response.headers.update(trace_headers(run))
    return response


def asks_for_trace(headers: Mapping[str, str], options: Any) -> bool:
    """Tell whether a client wants the trace's id: by its header or in `databricks_options`."""
    asked = headers.get("x-mlflow-return-trace-id", "").lower() == "true"
    return asked or bool(options is not None and options.return_trace)
