"""`Lifecycle`: a run's outputs become its events and its response."""

import inspect
import logging
import time
from collections.abc import Callable, Container
from typing import Any

import msgspec

from ..errors import AgentError, AgentFailed
from ..schema import codec
from ..schema import events as e
from ..schema.ids import random_text
from ..schema.outputs import Citation
from ..schema.own_calls import View, as_pairs, shown
from ..schema.plain import unawaited
from ..schema.responses import IncompleteDetails, Response, ResponseError, Usage
from .builder import Builder
from .coerce import Get, as_dict, as_item, as_usage, getter, without_nulls
from .forwarding import Upstream
from .own_calls import PAIRS, OwnTools
from .replay import restore
from .shown import Writer
from .tool_choice import ToolChoice

logger = logging.getLogger("agent_asgi")
_NO_USAGE = Usage()
"""The usage of a run whose handler reported none: some clients fail on null. Never modified."""


class Lifecycle:
    """The events of one run: `start`, `feed` for each output, one ending, `close`.

    Args:
        response: The new response, as `schema.responses.echo` makes it.
        writer: Writes the events of the stream. Default None: only the response is wanted.
        choice: Which tools may be called. Default None: any.
        tools: Which calls are the agent's own. Default: none.
        view: How the client's protocol shows own calls. Default None: as they are kept, for a log.

    Attributes:
        response: The response so far.
        buffer: The stream's events that have not been taken yet.
        error_events: Whether an `error` event precedes `response.failed`. Default True.
        encoded: The final response as JSON, if it has been encoded.
        output: The response's items as they are kept, with own calls that clients may not see.
        size: The size of the output that is kept, if it is not streamed: the characters of its
            texts and the bytes of its other outputs.
        streams: Whether events are wanted.
    """

    def __init__(
        self,
        response: Response,
        writer: Writer | None = None,
        choice: ToolChoice | None = None,
        tools: OwnTools = PAIRS,
        view: View | None = None,
    ) -> None:
        self.response = response
        self.streams = writer is not None
        self.error_events = True
        self.encoded: bytes | None = None
        self.output: list[e.Item] = []
        self.size = 0
        self._choice = choice
        self._tools = tools
        self._view = view
        self._taken_ids: Container[str] = ()
        self._plain = bytearray()  # the text of an answer that is not streamed
        self._builder: Builder | None = None
        if writer is None:
            self.buffer = bytearray()
        else:
            self._builder = builder = Builder(writer, choice, tools, response.tools, view)
            self.buffer = builder.buffer
        self._upstream: Upstream | None = None  # most handlers forward no events
        self._error: AgentError | None = None
        self._incomplete: IncompleteDetails | None = None
        self._terminal: type[e.ResponseEvent] | None = None
        self._trace_id: str | msgspec.UnsetType = msgspec.UNSET

    @property
    def events(self) -> int:
        """How many events the stream has had; 0 if events are not wanted."""
        return self._builder.sequence if self.streams and self._builder is not None else 0

    @property
    def text(self) -> Callable[[str], None]:
        """A function that processes text, as `feed` does."""
        return self._builder.text if self.streams and self._builder else self._add_plain

    @property
    def usage(self) -> Usage | None:
        """The tokens that the handler reported as used."""
        return self.response.usage or None

    def avoid(self, ids: Container[str]) -> None:
        """Avoid these ids for new items: the conversation has items with them."""
        self._taken_ids = ids
        if self._builder is not None:
            self._builder.taken = ids

    def queue(self) -> None:
        """Write the first events of a queued run."""
        self.response.status = "queued"
        builder, response = self._items(), msgspec.Raw(codec.encode(self.response))
        builder.emit(e.ResponseCreated, response)
        builder.emit(e.ResponseQueued, response)

    def logged(self, writer: Writer) -> "Lifecycle":
        """Return the lifecycle of a run that has not begun, for its log.

        Args:
            writer: Writes the events of the log.
        """
        lifecycle = Lifecycle(self.response, writer, self._choice, self._tools)
        lifecycle.avoid(self._taken_ids)
        return lifecycle

    def restore(self, event: e.AnyEvent) -> None:
        """Apply an event of the log: of the queued run, or of an attempt that died."""
        restore(self._items(), event, self._choice)

    def start(self) -> None:
        """Write the events that precede the handler's first output.

        An item that an earlier attempt left open is closed with its text so far, as commentary.
        """
        self.response.status = "in_progress"
        builder = self._builder
        if builder is None:
            return
        response = msgspec.Raw(codec.encode(self.response))
        if not builder.sequence:
            builder.emit(e.ResponseCreated, response)
        if not builder.in_progress:
            builder.in_progress = True
            builder.emit(e.ResponseInProgress, response)
        for item in list(builder.open):
            builder.close(item, {"phase": "commentary"} if item.kind == "message" else None)

    def feed(self, output: Any) -> None:
        """Process one output of the handler and write its events, if it has any.

        Raises:
            TypeError: The output is of a type that a handler may not return or yield.
        """
        self._take(output)

    def complete(self) -> str:
        """End the run as completed, or as the handler's own response ended; return the status.

        Raises:
            AgentFailed: The request requires a tool call, but there was none.
        """
        if self._error is not None:
            return self.fail(self._error)
        if self._choice is not None and self._incomplete is None:
            self._choice.check_end()
        if self._builder is not None:
            cut = self._builder.close_all(incomplete=self._incomplete is not None)
            if cut and self._incomplete is None:
                self._incomplete = IncompleteDetails(reason="max_output_tokens")
        if self._incomplete is not None:
            self.response.incomplete_details = self._incomplete
            return self._end(e.ResponseIncomplete, "incomplete")
        self.response.completed_at = int(time.time())
        return self._end(e.ResponseCompleted, "completed")

    def fail(self, error: AgentError) -> str:
        """End the run with an error, open items as they are; return the status.

        An output that cannot be encoded is left out, so that the end can be written.
        """
        if self.error_events and self.response.error is None:
            self._items().error(error)
        self.response.error = ResponseError(code=error.code, message=error.message)
        status = self._end(e.ResponseFailed, "failed")
        try:
            self.encode()
        except Exception:
            logger.exception("The output of %s cannot be encoded.", self.response.id)
            self.response.output = self.output = []
            self.response.usage = Usage()
            self.response.metadata, self.response.custom_outputs = {}, msgspec.UNSET
        return status

    def cancel(self) -> str:
        """End a cancelled run, open items as they are; return the status."""
        return self._end(e.ResponseIncomplete, "cancelled")

    def encode(self) -> bytes:
        """Return the final response as JSON."""
        if self.encoded is None:
            self.encoded = codec.encode(self.response)
        return self.encoded

    def show_trace(self, trace_id: str) -> None:
        """Add the id of the MLflow trace to the response and to the terminal event."""
        self._trace_id = trace_id
        self.response.metadata = self.response.metadata | {"trace_id": trace_id}

    def close(self) -> None:
        """Write the terminal event. From now on the response is as the client sees it."""
        builder = self._builder
        if self._view is not None and builder is not None and builder.has_own_calls:
            self.response.output = shown(self.output, self._view)
            self.encoded = None
        if self._terminal is not None and self.streams:
            response = self.response if self.encoded is None else msgspec.Raw(self.encoded)
            self._items().emit(self._terminal, response, self._trace_id)

    def result(self) -> Any:
        """Return the response without unset fields and with own calls as pairs, for the trace."""
        fields = codec.short_form(self.response)
        if self._builder is not None and self._builder.has_own_calls:
            fields["output"] = as_pairs(self.output)
        return msgspec.json.decode(codec.encode(fields))

    def _end(self, terminal: type[e.ResponseEvent], status: Any) -> str:
        self._terminal = terminal
        self.encoded = None  # an earlier end could not be written
        self.response.status = status
        self.response.usage = self.response.usage or _NO_USAGE
        if self._builder is None and self._incomplete is None and status == "completed":
            self.response.output = self.output = self._plain_output()
        else:
            self.response.output = self.output = self._items().output()
        return str(status)

    def _add_plain(self, delta: str) -> None:
        """Add text to an answer that is not streamed; most answers are one text."""
        self.size += len(delta)
        if self._builder is None:
            self._plain += delta.encode("utf-8", "surrogatepass")
        else:
            self._builder.text(delta)

    def _plain_output(self) -> list[e.Item]:
        """Return the output that the builder would make of the text."""
        if not self._plain:
            return []
        text = self._plain.decode("utf-8", "surrogatepass")
        part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
        return [
            {
                "type": "message",
                "role": "assistant",
                "id": "msg_" + random_text(),
                "status": "completed",
                "content": [part],
            }
        ]

    def _items(self) -> Builder:
        """Return the builder; without a stream, the first output that is not text creates it."""
        if self._builder is None:
            self._builder = Builder(None, self._choice, self._tools, self.response.tools)
            self._builder.taken = self._taken_ids
            self._builder.text(self._plain.decode("utf-8", "surrogatepass"))
        return self._builder

    def _forwarded(self) -> Upstream:
        if self._upstream is None:
            self._upstream = Upstream(self._items())
        return self._upstream

    def _take(self, output: Any) -> None:
        if isinstance(output, str):
            self.text(str.__str__(output))  # a subclass may print itself otherwise
        elif isinstance(output, list | tuple):
            for value in output:
                self._take(value)
        elif isinstance(output, Usage):
            self._add_usage(output)
        else:
            self._take_object(output)

    def _take_object(self, output: Any) -> None:
        if not self.streams:
            self.size += len(codec.encode(output))
        if isinstance(output, Citation):
            self._items().cite(output)
            return
        get = getter(output)
        kind = get("type")
        if kind is None and isinstance(get("output"), list):
            self._merge(as_dict(output))
        elif not isinstance(kind, str) or kind == "response":
            raise TypeError(_unknown(output))
        elif kind.startswith("response.") or kind == "error":
            self._take_event(kind, get, output)
        elif ":" in kind and get("id") is None and get("status") is None:
            self._forwarded().event(kind, get, output)  # a vendor's item has an id or a status
        else:
            self._items().whole(as_item(output))

    def _take_event(self, kind: str, get: Get, output: Any) -> None:
        if kind == "response.created":
            self._forwarded().new_turn()
            self._error = self._incomplete = None
        elif kind in ("response.in_progress", "response.queued"):
            return
        elif kind in ("response.completed", "response.incomplete", "response.failed"):
            self._merge(as_dict(get("response") or {}), status=kind.removeprefix("response."))
        elif kind in ("error", "response.error"):
            self._keep_error(as_dict(get("error") or output))
        else:
            self._forwarded().event(kind, get, output)

    def _merge(self, response: dict[str, Any], status: str | None = None) -> None:
        """Take over a response that the handler returned or forwarded."""
        self._forwarded().end_turn([as_item(value) for value in response.get("output") or ()])
        if response.get("usage"):
            self._add_usage(as_usage(response["usage"]))
        if response.get("metadata"):
            self.response.metadata = self.response.metadata | without_nulls(
                as_dict(response["metadata"])
            )
        if response.get("custom_outputs") is not None:
            self.response.custom_outputs = as_dict(response["custom_outputs"])
        status = status or response.get("status")
        if status == "failed" or response.get("error"):
            self._keep_error(as_dict(response.get("error") or {}))
        if status == "incomplete" or response.get("incomplete_details"):
            details = as_dict(response.get("incomplete_details") or {})
            reason = str(details.get("reason") or "max_output_tokens")
            self._incomplete = IncompleteDetails(reason=reason)

    def _keep_error(self, error: dict[str, Any]) -> None:
        """Keep an error that the handler forwarded until the handler has ended."""
        default = AgentFailed()
        self._error = AgentError(
            str(error.get("message") or default.message),
            code=str(error.get("code") or default.code),
            type=default.type,
        )

    def _add_usage(self, usage: Usage) -> None:
        self.response.usage = (self.response.usage or _NO_USAGE) + usage  # checks what was changed


def _unknown(output: object) -> str:
    """Return what is wrong with a value that is not an output, and how to fix it."""
    if output is None:
        return "The handler's output is None. Is a `return` missing, or was None yielded?"
    if inspect.iscoroutine(output):
        return unawaited(output)
    name = "A dict without `type`" if isinstance(output, dict) else type(output).__name__
    return (
        f"{name} is not a string, item, event, response or usage. For text, yield or return "
        "`str(...)`. To return it as JSON text, use an invoke handler whose return annotation "
        "names its class."
    )
