"""What a protocol makes of a run's outputs: Responses events, or plain JSON chunks."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import msgspec

from . import codec
from .errors import AgentError
from .lifecycle import Lifecycle
from .schema.events import Event, ResponseEvent, VendorEvent
from .schema.responses import Usage

logger = logging.getLogger("agent_asgi")

Write = Callable[[Event | VendorEvent, bytearray], None]
Conclude = Callable[[bytes], Awaitable[bool]]


class Channel(Protocol):
    """What a protocol makes of a run's outputs."""

    size: int
    """How much is kept for an answer that is not streamed: characters of texts, bytes of JSON."""

    def start(self, buffer: bytearray) -> None:
        """Begin."""

    def feed(self, output: Any, buffer: bytearray) -> None:
        """Take in an output."""

    async def complete(self, buffer: bytearray) -> str:
        """End well; give the status."""

    async def fail(self, error: AgentError, buffer: bytearray) -> str:
        """End with an error; give the status."""

    async def cancel(self, cause: str, buffer: bytearray) -> str:
        """End a cancelled run; give the status."""

    def result(self) -> Any:
        """Give what the outputs amount to, for the trace."""

    def totals(self) -> tuple[int, Usage | None]:
        """Give how many events the stream had, and what the handler said it used."""


class ResponsesChannel:
    """The OpenAI Responses protocol.

    Args:
        lifecycle: Orders the events.
        write: Appends an event to the stream. Default None: no stream is wanted.
        trace_id: Gives the trace's id where the client asked for it.
        conclude: Called with the response, encoded, before its terminal event goes out; tells
            whether it is stored. Default None: others see to that.
    """

    def __init__(
        self,
        lifecycle: Lifecycle,
        write: Write | None,
        trace_id: Callable[[], str | None] = lambda: None,
        conclude: Conclude | None = None,
    ) -> None:
        self.size = 0
        self.lifecycle = lifecycle
        self._encoded: bytes | None = None
        self._conclude = conclude
        self._write = write
        self._trace_id = trace_id

    def start(self, buffer: bytearray) -> None:
        """Begin."""
        self._emit(self.lifecycle.start(), buffer)

    def feed(self, output: Any, buffer: bytearray) -> None:
        """Take in an output."""
        events = self.lifecycle.feed(output)
        if self._write is None:
            self.size += len(output if isinstance(output, str) else codec.encode(output))
        else:
            self._emit(events, buffer)

    async def complete(self, buffer: bytearray) -> str:
        """End well; give the status."""
        return await self._end(self.lifecycle.complete, buffer)

    async def fail(self, error: AgentError, buffer: bytearray) -> str:
        """End with an error; give the status."""
        return await self._end(lambda: self.lifecycle.fail(error), buffer)

    async def cancel(self, cause: str, buffer: bytearray) -> str:
        """End a cancelled run; give the status."""
        return await self._end(lambda: self.lifecycle.cancel(cause), buffer)

    def result(self) -> Any:
        """Give the reduced response."""
        return msgspec.json.decode(codec.encode(codec.short_form(self.lifecycle.response)))

    def totals(self) -> tuple[int, Usage | None]:
        """Give how many events the stream had, and what the handler said it used."""
        events = 0 if self._write is None else self.lifecycle.count
        return events, self.lifecycle.response.usage

    async def _end(self, ending: Callable[[], list[Event | VendorEvent]], buffer: bytearray) -> str:
        trace_id = self._trace_id()
        if trace_id is not None:
            response = self.lifecycle.response
            response.metadata = response.metadata | {"trace_id": trace_id}
        events = ending()
        response = self.lifecycle.response
        if self._conclude is not None:
            await self._store(self._conclude)
        last = events[-1] if events else None
        if isinstance(last, ResponseEvent):
            last.response = response if self._encoded is None else msgspec.Raw(self._encoded)
            last.trace_id = msgspec.UNSET if trace_id is None else trace_id
        self._emit(events, buffer)
        return response.status

    def body(self) -> bytes:
        """Give the whole response, once the run has ended."""
        return codec.encode(self.lifecycle.response) if self._encoded is None else self._encoded

    async def _store(self, conclude: Conclude) -> None:
        response = self.lifecycle.response
        encoded = None
        try:
            encoded = codec.encode(response)
            stored = await conclude(encoded)
        except Exception:
            logger.exception("%s cannot be stored.", response.id)
            stored = False
        if stored == response.store:
            self._encoded = encoded
        response.store = stored

    def _emit(self, events: list[Event | VendorEvent], buffer: bytearray) -> None:
        if self._write is not None:
            for event in events:
                self._write(event, buffer)


class JsonChannel:
    """The "json" protocol: chunks as they are.

    Args:
        stream: Whether the chunks go out as they come.
        reducer: Makes the trace's output from a stream's chunks. Default: their list.
    """

    def __init__(self, stream: bool, reducer: Callable[[Sequence[Any]], Any] | None = None) -> None:
        self._stream = stream
        self._reducer = reducer
        self.size = 0
        self.chunks: list[Any] = []

    def start(self, buffer: bytearray) -> None:
        """Begin."""

    def feed(self, output: Any, buffer: bytearray) -> None:
        """Take in an output."""
        encoded = codec.encode(output)
        self.chunks.append(msgspec.Raw(encoded))
        self.size += len(encoded)
        if self._stream:
            buffer += b"data: " + encoded + b"\n\n"

    async def complete(self, buffer: bytearray) -> str:
        """End well; give the status."""
        return "completed"

    async def fail(self, error: AgentError, buffer: bytearray) -> str:
        """End with an error; give the status."""
        if self._stream:
            buffer += b"data: " + codec.encode({"error": error.payload()}) + b"\n\n"
        return "failed"

    async def cancel(self, cause: str, buffer: bytearray) -> str:
        """End a cancelled run; give the status."""
        return "cancelled"

    def body(self) -> bytes:
        """Give the JSON answer: the one output, or the list of several."""
        return bytes(self.chunks[0]) if len(self.chunks) == 1 else codec.encode(self.chunks)

    def totals(self) -> tuple[int, None]:
        """Give how many chunks the stream had; of tokens this protocol tells nothing."""
        return len(self.chunks) if self._stream else 0, None

    def result(self) -> Any:
        """Give the chunks, reduced where there is a reducer."""
        chunks = [msgspec.json.decode(each) for each in self.chunks]
        if not self._stream:
            return chunks[0] if len(chunks) == 1 else chunks
        try:
            return chunks if self._reducer is None else self._reducer(chunks)
        except Exception:
            logger.exception("The reducer failed; the trace has the chunks.")
            return chunks
