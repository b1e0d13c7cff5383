"""A handler's outputs become ordered events (DESIGN.md section 2, "lifecycle"). Pure, no I/O."""

import time
from typing import Any

from msgspec import structs

from .errors import AgentError, AgentFailed
from .items import OpenItems
from .outputs import as_dict, as_item, as_usage, getter, is_response
from .reducer import Reducer
from .schema import events as e
from .schema.responses import IncompleteDetails, Response, ResponseError, Usage
from .tools import ToolChoice
from .upstream import Upstream

Events = list[e.Event | e.VendorEvent]


class Lifecycle:
    """Orders the events of one run: `start`, `feed` for each output, then one ending.

    Args:
        response: The response to be, as `schema.responses.echo` makes it.
        choice: Which tools may be called. Default None: any.
        events: Whether the events are wanted, or only the response in the end. Default True.
    """

    def __init__(
        self, response: Response, choice: ToolChoice | None = None, *, events: bool = True
    ) -> None:
        self.response = response
        self.reducer = Reducer()
        self._choice = choice
        self._items = OpenItems(self.reducer, choice, events=events)
        self._upstream: Upstream | None = None  # most handlers say no events of their own
        self.error_events = True
        """Whether an `error` event comes before `response.failed`."""
        self._error: AgentError | None = None
        self._incomplete: IncompleteDetails | None = None

    @property
    def count(self) -> int:
        """How many events there have been."""
        return self._items.count

    def queue(self) -> Events:
        """Give the events of a run that waits for its turn."""
        self.response.status = "queued"
        self._tell(e.ResponseCreated)
        self._tell(e.ResponseQueued)
        return self._items.taken()

    def resume(self, log: Events) -> None:
        """Take in the events that were made before: while the run was queued, or by an attempt
        that died. Comes before `start`.
        """
        for event in log:
            self._items.restore(event)

    def start(self) -> Events:
        """Give the events with which the handler's part begins.

        An item that an attempt before left open is closed with its text so far, as commentary.
        """
        self.response.status = "in_progress"
        if self._items.wanted:
            if not self._items.count:
                self._tell(e.ResponseCreated)
            if not self._items.in_progress:
                self._tell(e.ResponseInProgress)
        if self._items.open:
            self._items.leave_behind()
        return self._items.taken()

    def feed(self, output: Any) -> Events:
        """Give the events of one output of the handler; none where it only adds to the end.

        Raises:
            TypeError: The output is of no type that a handler may give.
        """
        if isinstance(output, str):
            self._items.text(output)
        else:
            self._take(output)
        return self._items.taken()

    def complete(self) -> Events:
        """End the run well, or as the handler's own response said it ended.

        Raises:
            AgentFailed: The request requires a tool call, and there was none.
        """
        if self._error is not None:
            return self.fail(self._error)
        if self._choice is not None and self._incomplete is None:
            self._choice.check_end()
        cut = self._items.close_all(incomplete=self._incomplete is not None)
        if cut and self._incomplete is None:
            self._incomplete = IncompleteDetails(reason="max_output_tokens")
        self.response.incomplete_details = self._incomplete
        if self._incomplete is not None:
            return self._end(e.ResponseIncomplete, "incomplete")
        self.response.completed_at = int(time.time())
        return self._end(e.ResponseCompleted, "completed")

    def fail(self, error: AgentError) -> Events:
        """End the run with an error; items left open stand in the output as they are."""
        if self.error_events:
            self._items.error(error)
        self.response.error = ResponseError(code=error.code, message=error.message)
        return self._end(e.ResponseFailed, "failed")

    def cancel(self, reason: str) -> Events:
        """End a cancelled run; items left open stand in the output as they are."""
        self.response.incomplete_details = IncompleteDetails(reason=reason)
        return self._end(e.ResponseIncomplete, "cancelled")

    def _end(self, event: type[e.ResponseEvent], status: Any) -> Events:
        self.response.status = status
        self.response.output = self.reducer.output()
        self._tell(event)
        return self._items.taken()

    def _tell(self, event: type[e.ResponseEvent]) -> None:
        """Make an event with the response as it stands now."""
        if self._items.wanted:
            self._items.emit(event, response=structs.replace(self.response))

    def _own(self) -> Upstream:
        if self._upstream is None:
            self._upstream = Upstream(self._items)
        return self._upstream

    def _take(self, output: Any) -> None:
        if isinstance(output, str):
            self._items.text(output)
        elif isinstance(output, list | tuple):
            for each in output:
                self._take(each)
        elif isinstance(output, Usage):
            self._use(output)
        else:
            self._take_object(output)

    def _take_object(self, output: Any) -> None:
        get = getter(output)
        kind = get("type")
        if isinstance(kind, str) and (kind.startswith("response.") or kind == "error"):
            self._event(kind, get, output)
        elif isinstance(kind, str) and kind != "response":
            self._item(kind, output)
        elif is_response(get):
            self._merge(as_dict(output))
        else:
            raise TypeError(f"{type(output).__name__} is no text, item, event, response or usage")

    def _item(self, kind: str, output: Any) -> None:
        if ":" in kind and _is_vendor_event(output):
            self._items.vendor(as_dict(output))
        else:
            self._items.whole(as_item(output))

    def _event(self, kind: str, get: Any, output: Any) -> None:
        if kind == "response.created":
            self._own().new_turn()
            self._error = self._incomplete = None
        elif kind in ("response.in_progress", "response.queued"):
            return
        elif kind in ("response.completed", "response.incomplete", "response.failed"):
            self._merge(as_dict(get("response") or {}), status=kind.removeprefix("response."))
        elif kind in ("error", "response.error"):
            given = get("error") or output
            self._fail_later(as_dict(given))
        elif not self._own().event(kind, get):
            self._items.vendor(as_dict(output))

    def _merge(self, given: dict[str, Any], status: str | None = None) -> None:
        self._own().end_turn([as_item(each) for each in given.get("output") or ()])
        if given.get("usage"):
            self._use(as_usage(given["usage"]))
        if given.get("metadata"):
            self.response.metadata = self.response.metadata | as_dict(given["metadata"])
        if given.get("custom_outputs") is not None:
            self.response.custom_outputs = as_dict(given["custom_outputs"])
        status = status or given.get("status")
        if status == "failed" or given.get("error"):
            self._fail_later(as_dict(given.get("error") or {}))
        if status == "incomplete" or given.get("incomplete_details"):
            details = as_dict(given.get("incomplete_details") or {})
            reason = str(details.get("reason", "max_output_tokens"))
            self._incomplete = IncompleteDetails(reason=reason)

    def _fail_later(self, error: dict[str, Any]) -> None:
        """Keep an error that the handler passed on until the handler ends."""
        unknown = AgentFailed()
        self._error = AgentError(
            str(error.get("message") or unknown.message),
            code=str(error.get("code") or unknown.code),
            type=unknown.type,
        )

    def _use(self, usage: Usage) -> None:
        had = self.response.usage
        self.response.usage = usage if had is None else had + usage


def _is_vendor_event(output: Any) -> bool:
    """Tell a vendor's event from a vendor's item: an item has an id or a status of its own."""
    get = getter(output)
    return get("id") is None and get("status") is None
