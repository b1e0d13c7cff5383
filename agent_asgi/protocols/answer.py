"""Answer a request with its run: one JSON body, a stream, or the error that the run failed with."""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

from ..errors import AgentError, AgentFailed
from ..http.endpoint import HttpRequest
from ..http.responses import error_response
from ..http.sse import EventStream
from ..runs.run import Run
from ..runtime import Runtime
from .prepare import release, reserve

logger = logging.getLogger("agent_asgi")

CLIENT_CLOSED_REQUEST = 499
"""The status of a request whose client disconnected, as nginx names it; nobody receives it."""
TRACE_HEADER = "x-mlflow-trace-id"
_JSON = b"content-type", b"application/json"

ErrorBody = Callable[[AgentError, bytes], bytes | None]
"""Returns the body of an error response; None for the default form."""


class Answer(Protocol):
    """The part of an encoder that an answer needs."""

    def end(self) -> bytes:
        """Return what follows the last event."""

    def body(self, encoded: bytes | None) -> bytes:
        """Return the body of an answer that is not streamed."""


async def answer_run(
    runtime: Runtime,
    run: Run,
    answer: Answer,
    request: HttpRequest,
    error_body: ErrorBody,
    headers: Sequence[tuple[bytes, bytes]] = (),
) -> None:
    """Pull a run, as soon as there is room for it, and answer its request.

    Args:
        runtime: The app's runtime.
        run: The run.
        answer: Encodes the answer.
        request: The request.
        error_body: Returns the body of an error response.
        headers: Further headers of a stream. Default none.

    Raises:
        TooMany: There is no room for the run or its stream, or the user's quota is used up.
        Conflict: Another run is active in its conversation.
        InvalidRequest: An approval request that it answers has been answered.
    """
    is_logged = logger.isEnabledFor(logging.DEBUG)
    if is_logged:
        log_request(run, request)
    engine = runtime.engine
    if engine.quotas is not None or not engine.limiters[run.agent].try_enter():
        await engine.enter(run)
    reserves = run.keeps and (run.request.conversation is not None or run.answers is not None)
    try:
        if reserves:
            run.receive = request.receive
            await reserve(runtime, run)
        if run.mode == "json":
            size, chunks = await _answer_json(run, answer, request, error_body), None
        else:
            size, chunks = await _answer_stream(run, answer, request, error_body, headers)
    finally:
        engine.leave(run)
        if reserves:
            await release(runtime, run)
    if is_logged:
        _log_sent(run, request, size, chunks)


async def _answer_stream(
    run: Run,
    answer: Answer,
    request: HttpRequest,
    error_body: ErrorBody,
    headers: Sequence[tuple[bytes, bytes]],
) -> tuple[int, int | None]:
    """Stream a run; return how many bytes and chunks were sent."""
    with run.engine.streams:
        more = partial(_stream_headers, run, headers)
        stream = EventStream(run, run.engine.timeouts, more, answer.end)
        await stream(request.scope, request.receive, request.send)
        if stream.refused and run.error is not None:  # before the first output
            await _answer_error(run, run.error, request, error_body)
    return stream.sent, stream.chunks


async def _answer_json(
    run: Run, answer: Answer, request: HttpRequest, error_body: ErrorBody
) -> int:
    """Answer with the whole output; return the size of the body."""
    run.receive = request.receive
    await run.pull()
    body = _body_or_error(run, answer)
    if isinstance(body, AgentError):
        return await _answer_error(run, body, request, error_body)
    headers = [(b"content-length", b"%d" % len(body)), _JSON]
    if run.trace_id is not None or run.permit is not None:
        headers += _encoded(_run_headers(run))
    await request.send({"type": "http.response.start", "status": 200, "headers": headers})
    await request.send({"type": "http.response.body", "body": body})
    return len(body)


def _body_or_error(run: Run, answer: Answer) -> bytes | AgentError:
    if run.error is not None:
        return run.error
    if run.status == "cancelled":
        gone = run.cause == "client_disconnected"
        status, headers = (CLIENT_CLOSED_REQUEST, None) if gone else (503, {"retry-after": "1"})
        return AgentError("The run was cancelled.", status, "cancelled", headers=headers)
    try:
        return answer.body(run.output.encoded)
    except AgentError as error:  # the response says that the agent failed
        return error
    except Exception:
        logger.exception("The output of handler %r cannot be written as JSON.", run.handler.name)
        return AgentFailed()


async def _answer_error(
    run: Run, error: AgentError, request: HttpRequest, error_body: ErrorBody
) -> int:
    """Send an error response; return the size of its body."""
    response = error_response(error, started=True, body=error_body(error, request.body))
    response.headers.update(_run_headers(run))
    await response(request.scope, request.receive, request.send)
    return len(response.body)


def _stream_headers(run: Run, headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    if run.trace_id is None and run.permit is None:
        return [*headers]
    return [*headers, *_encoded(_run_headers(run))]


def _run_headers(run: Run) -> dict[str, str]:
    """Return the headers that name the run's trace, and what is left of the user's quota."""
    headers = {} if run.permit is None else run.permit.headers()
    if run.trace_id is not None:
        headers[TRACE_HEADER] = run.trace_id
    return headers


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]


def log_request(run: Run, request: HttpRequest) -> None:
    """Log that a request arrived, without its content."""
    fields = {
        "endpoint": request.scope["path"],
        "agent": run.agent,
        "request_size": len(request.body),
        "stream_requested": run.mode == "stream",
        "function_name": run.handler.name,
    }
    logger.debug("Request received", extra=fields)


def _log_sent(run: Run, request: HttpRequest, size: int, chunks: int | None) -> None:
    fields = {
        "endpoint": request.scope["path"],
        "response_size": size,
        "function_name": run.handler.name,
    }
    if chunks is None:
        logger.debug("Response sent", extra=fields)
    else:
        logger.debug("Streaming response completed", extra=fields | {"total_chunks": chunks})
