"""`OwnCalls`: calls of an agent's own tools, each one item from its name to its output."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from ..schema import events as e
from ..schema.events import Item
from ..schema.ids import is_too_long, random_text, real_id
from ..schema.own_calls import CALL_ID, HIDDEN, OUTPUT_AFTER, View
from ..schema.requests import each_tool
from .accumulator import OutputItem
from .coerce import CLIENT, ERROR, getter
from .misuse import warn_of_unknown_call

if TYPE_CHECKING:
    from .builder import Builder


class OwnTools(NamedTuple):
    """Which calls are the agent's own, and whether clients see them.

    Args:
        label: The `server_label` of the calls: the agent's name.
        mode: `mcp_call` or `hidden`; with `function_call` no call is kept as one item.
    """

    label: str
    mode: View


PAIRS = OwnTools("agent", "function_call")
"""No call is kept as one item, and every output is emitted."""
PAIR = ("function_call", "function_call_output")
"""The types of the items of a call that is not kept as one."""


class OwnCall(OutputItem):
    """A call of an agent's own tool.

    Args:
        index: Position in the output.
        fields: The fields known at the start.
        source: The handler's own id of the item. Default None.
        begun: Position in an output in which the tools' outputs are items too. Default `index`.

    Attributes:
        awaits_output: Whether the arguments are complete and the output is missing.
    """

    def __init__(
        self, index: int, fields: Item, source: str | None = None, begun: int | None = None
    ) -> None:
        super().__init__(index, fields, source)
        self.kind = "function_call"  # as the handler calls it
        self.begun = index if begun is None else begun
        self.awaits_output = False


class OwnCalls:
    """The calls of an agent's own tools in one stream.

    Args:
        builder: Builds the items of the stream.
        tools: Which calls are the agent's own.
        offered: The tools that the client offers.
    """

    def __init__(self, builder: "Builder", tools: OwnTools, offered: Iterable[Any]) -> None:
        self._builder = builder
        self._tools = tools
        self._of_client = {(space, getter(tool)("name")) for space, tool in each_tool(offered)}
        self._names = {name for _, name in self._of_client}
        self._calls: dict[str, OwnCall] = {}
        self._outputs = 0
        self._pairs: dict[str, OutputItem | None] = {}  # own calls that are pairs: their outputs

    def __bool__(self) -> bool:
        return bool(self._calls)

    def by_id(self, id: str) -> OwnCall | None:
        """Return the call with an item's id; None if there is none."""
        return next((call for call in self._calls.values() if call.id == id), None)

    def begin(self, fields: Item) -> OutputItem | None:
        """Emit that an own call begins, or return the item that an output belongs to.

        Returns:
            The call, or its earlier output if they are a pair; None if there is neither.
        """
        kind = fields["type"]
        if kind == "function_call_output":
            call_id = self._builder.call_id(fields["call_id"])
            begun = self._calls.get(call_id) or self._pairs.get(call_id)
            if begun is None and not self._is_called(call_id):
                warn_of_unknown_call(self._tools.label)
            return begun
        if self._tools.mode == "function_call" or not self._is_own(fields):
            return None
        return self._begin(self._kept_form(fields), real_id(fields.get("id")))

    def note(self, item: OutputItem, fields: Item) -> None:
        """Note a call, or an output, that is a separate item.

        Args:
            item: The item.
            fields: The item as the handler reported it.
        """
        call_id = item.fields["call_id"]
        if item.kind == "function_call" and self._tools is not PAIRS and self._is_own(fields):
            self._pairs[call_id] = None
        elif item.kind == "function_call_output" and call_id in self._pairs:
            self._pairs[call_id] = item

    def repeat(self, fields: Item) -> OwnCall:
        """Emit a kept call: begun, and what there is of it."""
        begun = {"status": "in_progress", "arguments": "", "output": None, "error": None}
        call = self._begin({**fields, **begun}, None)
        self._builder.rest(call, fields["arguments"])
        if fields["status"] != "in_progress":
            self.end_arguments(call, {})
        if fields["status"] == "calling":
            self._builder.waiting.remove(call)
        elif fields["status"] != "in_progress":
            self._close(call, fields)
        else:
            self._builder.open.remove(call)
        return call

    def restore(self, fields: Item) -> OwnCall:
        """Return the call of an `output_item.added` event, open."""
        call = OwnCall(len(self._builder.items), fields, None, self._place())
        self._calls[fields[CALL_ID]] = call
        return call

    def end_arguments(self, call: OwnCall, fields: Item) -> None:
        """Emit that the arguments are complete; the call now awaits its output.

        Args:
            call: The call.
            fields: Its finished form, as the handler reported it.
        """
        if call.awaits_output:
            return
        self._builder.emit(e.McpArgumentsDone, call.id, call.index, call.text)
        self.await_output(call, fields)

    def await_output(self, call: OwnCall, fields: Item) -> None:
        """Note that the arguments are complete."""
        fixed = (call.fields.keys() - {"name"}) | {"call_id", CLIENT}
        more = {name: value for name, value in fields.items() if name not in fixed}
        call.fields = {**call.fields, **more, "status": "calling"}
        call.awaits_output = True
        self._builder.open.remove(call)
        self._builder.waiting.append(call)

    def answer(self, call: OwnCall, fields: Item) -> None:
        """Emit that a call is done, with its output.

        Args:
            call: The call.
            fields: The `function_call_output`.
        """
        self.end_arguments(call, {})
        error = fields.get(ERROR)
        result: Item = {"status": "completed", "output": fields["output"], "error": None}
        if error is not None:
            result = {"status": "failed", "output": None, "error": str(error)}
        place = self._place() - call.begun
        self._outputs += 1
        self._close(call, result if place == 1 else result | {OUTPUT_AFTER: place})

    def close(self, call: OwnCall, status: str) -> None:
        """Emit that a call is done that has no output."""
        if status == "incomplete":
            call.awaits_output = True  # its arguments are not complete
            self._builder.open.remove(call)
            self._builder.waiting.append(call)
        else:
            self.end_arguments(call, {})
        self._close(call, {"status": status, "output": None, "error": None})

    def restore_done(self, call: OwnCall, done: Item) -> None:
        """Apply the `output_item.done` event of a call."""
        call.done = done
        self._outputs += done["output"] is not None or done["error"] is not None
        holder = self._builder.waiting if call.awaits_output else self._builder.open
        holder.remove(call)

    def _begin(self, kept: Item, source: str | None) -> OwnCall:
        builder = self._builder
        call = OwnCall(len(builder.items), kept, source, self._place())
        self._calls[kept[CALL_ID]] = call
        builder.show_calls()
        builder.add(call)
        builder.emit(e.OutputItemAdded, call.index, kept)
        builder.emit(e.McpCallInProgress, call.id, call.index)
        return call

    def _close(self, call: OwnCall, result: Item) -> None:
        builder = self._builder
        call.done = done = {**call.current(), **result}
        status = done["status"]
        if status in ("completed", "failed"):
            ended = e.McpCallFailed if status == "failed" else e.McpCallCompleted
            builder.emit(ended, call.id, call.index)
        builder.waiting.remove(call)
        builder.emit(e.OutputItemDone, call.index, done)

    def _place(self) -> int:
        """Return the position of a next item in an output in which outputs are items too."""
        return len(self._builder.items) + self._outputs

    def _is_own(self, fields: Item) -> bool:
        of_client = fields.get(CLIENT)
        if of_client is not None:
            return not of_client
        if not fields["name"]:  # a forwarded stream that has not named it yet
            return not self._of_client
        space, name = fields.get("namespace"), fields["name"]
        if space is None:  # many frameworks drop it
            return name not in self._names
        return self._of_client.isdisjoint({(space, name), (None, name)})

    def _is_called(self, call_id: str) -> bool:
        """Return whether the stream has a call with an id."""
        calls = (item for item in reversed(self._builder.items) if item.kind == "function_call")
        return any(item.fields.get("call_id") == call_id for item in calls)

    def _kept_form(self, fields: Item) -> Item:
        id_ = "mcp_" + (real_id(fields.get("id")) or "").removeprefix("fc_")
        if id_ == "mcp_" or self._builder.has(id_) or is_too_long(id_):
            id_ = "mcp_" + random_text()
        kept = {
            **fields,
            "type": "mcp_call",
            "id": id_,
            "status": "in_progress",
            CALL_ID: self._builder.new_call_id(fields["call_id"]),
            "server_label": self._tools.label,
            "arguments": "",
            "output": None,
            "error": None,
        }
        for name in ("call_id", CLIENT):
            kept.pop(name, None)
        if self._tools.mode == "hidden":
            kept[HIDDEN] = True
        return kept
