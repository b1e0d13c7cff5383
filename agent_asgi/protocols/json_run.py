"""The run of a "json" router: any JSON object in, any JSON out."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from starlette.types import Scope

from ..agents.handler import Handler
from ..agents.router import AgentRouter
from ..errors import AgentError
from ..http.auth import check_scopes
from ..http.endpoint import owner_of
from ..http.sse import DONE
from ..runs.run import Run
from ..runtime import Runtime
from ..schema import codec
from ..schema.ids import new_id
from ..schema.requests import ResponsesRequest

logger = logging.getLogger("agent_asgi")

_NO_REQUEST = ResponsesRequest()


class JsonOutput:
    """Encodes each output of a "json" handler as a chunk.

    Args:
        stream: Whether the chunks are streamed.
        reducer: Makes the trace's output of a stream's chunks. Default None: the trace has the
            list of chunks.
    """

    usage = None
    encoded: bytes | None = None

    def __init__(self, stream: bool, reducer: Callable[[Sequence[Any]], Any] | None = None) -> None:
        self.streams = stream
        self.buffer = bytearray()
        self.size = 0
        self._chunks: list[msgspec.Raw] = []
        self._reducer = reducer
        self._trace_id: str | None = None

    @property
    def events(self) -> int:
        """How many chunks the stream has had."""
        return len(self._chunks) if self.streams else 0

    def start(self) -> None:
        """Write nothing."""

    def feed(self, output: Any) -> None:
        """Process a chunk."""
        encoded = codec.encode(output)
        self._chunks.append(msgspec.Raw(encoded))
        self.size += len(encoded)
        if self.streams:
            self.write(output, encoded)

    text = feed

    def write(self, chunk: Any, encoded: bytes) -> None:
        """Write a chunk to a stream.

        Args:
            chunk: The chunk.
            encoded: The chunk as JSON.
        """
        self.buffer += b"data: %b\n\n" % encoded

    def write_error(self, error: AgentError) -> None:
        """Write an error to a stream."""
        self.buffer += b"data: %b\n\n" % codec.encode({"error": error.payload()})

    def complete(self) -> str:
        """Return the status."""
        return "completed"

    def fail(self, error: AgentError) -> str:
        """Write the error to a stream; return the status."""
        if self.streams:
            self.write_error(error)
        return "failed"

    def cancel(self) -> str:
        """Return the status."""
        return "cancelled"

    def show_trace(self, trace_id: str) -> None:
        """Add the trace's id to the end of a stream."""
        self._trace_id = trace_id

    def close(self) -> None:
        """Write nothing."""

    def end(self) -> bytes:
        """Return the last frames of a stream."""
        return DONE if self._trace_id is None else trace_frame(self._trace_id) + DONE

    def body(self, encoded: bytes | None) -> bytes:
        """Return a single chunk, or the list of several."""
        return bytes(self._chunks[0]) if len(self._chunks) == 1 else codec.encode(self._chunks)

    def result(self) -> Any:
        """Return the chunks for the trace, reduced if there is a reducer."""
        chunks = [msgspec.json.decode(chunk) for chunk in self._chunks]
        if not self.streams:
            return chunks[0] if len(chunks) == 1 else chunks
        try:
            return chunks if self._reducer is None else self._reducer(chunks)
        except Exception:
            logger.exception("The reducer failed. The trace has the list of chunks.")
            return chunks


def json_run(
    runtime: Runtime,
    router: AgentRouter,
    handler: Handler,
    body: dict[str, Any],
    inputs: dict[str, Any],
    output: JsonOutput,
    scope: Scope,
    headers: Mapping[str, str],
) -> Run:
    """Return the run of a "json" router.

    Args:
        runtime: The app's runtime.
        router: The router.
        handler: The handler.
        body: What the handler gets.
        inputs: What the trace has.
        output: Encodes the answer.
        scope: The connection.
        headers: The request's headers.

    Raises:
        InvalidRequest: A field of the body is wrong; `param` names it.
        AgentError: The caller may not run the agent, or not now.
    """
    owner, engine = owner_of(scope), runtime.engine
    check_scopes(scope, router.scopes)
    if engine.quotas is not None:
        engine.quotas.check(owner, holds=True)
    return Run(
        engine,
        router,
        handler,
        handler.value(body),
        lambda: inputs,
        output,
        "stream" if output.streams else "json",
        owner,
        headers,
        _NO_REQUEST,
        new_id("resp"),
        runtime.state_for(scope),
    )


def trace_frame(trace_id: str) -> bytes:
    """Return the frame from which MLflow's clients read the trace's id."""
    return b"data: %b\n\n" % codec.encode({"trace_id": trace_id})
