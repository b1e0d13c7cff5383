"""`POST /invocations` of a "json" router: any JSON object in, any JSON out."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from ...agents.router import AgentRouter
from ...errors import AgentError, InvalidRequest
from ...http.endpoint import Endpoint, HttpRequest, owner_of
from ...http.sse import DONE
from ...runs.run import Run
from ...runtime import AppConfig
from ...schema import codec
from ...schema.ids import new_id
from ...schema.requests import ResponsesRequest
from ..answer import answer_run
from .protocol import trace_frame

logger = logging.getLogger("agent_asgi")

_NO_REQUEST = ResponsesRequest()


class JsonInvocations(Endpoint):
    """Serves a "json" router.

    Args:
        config: The app's settings.
        router: The router.
    """

    def __init__(self, config: AppConfig, router: AgentRouter) -> None:
        super().__init__(config.limits, config.timeouts)
        self.router = router
        self._config = config

    async def answer(self, request: HttpRequest) -> None:
        runtime = await self._config.running()
        body = codec.decode_object(request.body)
        inputs = dict(body)
        stream = body.pop("stream", None)
        if stream is not None and not isinstance(stream, bool):
            raise InvalidRequest("stream: Expected `bool`.", "stream")
        handler = self.router.handler_for(bool(stream))
        output = JsonOutput(bool(stream), self.router.reducer)
        run = Run(
            runtime.engine,
            self.router,
            handler,
            handler.value(body),
            lambda: inputs,
            output,
            "stream" if stream else "json",
            owner_of(request.scope),
            request.headers,
            _NO_REQUEST,
            new_id("resp"),
            runtime.state_for(request.scope),
        )
        await answer_run(runtime, run, output, request, self.error_body)


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
        """Take in a chunk."""
        encoded = codec.encode(output)
        self._chunks.append(msgspec.Raw(encoded))
        self.size += len(encoded)
        if self.streams:
            self.buffer += b"data: %b\n\n" % encoded

    text = feed

    def complete(self) -> str:
        """Return the status."""
        return "completed"

    def fail(self, error: AgentError) -> str:
        """Write the error to a stream; return the status."""
        if self.streams:
            self.buffer += b"data: %b\n\n" % codec.encode({"error": error.payload()})
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
