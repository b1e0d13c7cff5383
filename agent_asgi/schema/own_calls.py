"""An agent's own tool calls: one item in a log and in a store, shown in the form of each protocol.

A kept call is an `mcp_call` item, of status `calling` while it waits for its output. Its `output`
of parts and its `error` as text are as the handler gave them. Members that its public form does not
have tell it from the `mcp_call` items of other servers: they are taken out of what handlers and
clients send.
"""

from collections.abc import Container, Iterable, Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, Struct

from .codec import encode, strict

Item = dict[str, Any]
View = Literal["mcp_call", "function_call", "hidden"]
"""How own calls are shown: as `mcp_call` items unless they are hidden; as pairs of `function_call`
and `function_call_output`, even if they are hidden; or not at all."""

CALL_ID = "agent_asgi:call_id"
"""The member that makes an `mcp_call` item a kept call: the handler's `call_id`."""
HIDDEN = "agent_asgi:hidden"
"""The member of a kept call that only `/invocations` and the agent itself see."""
OUTPUT_AFTER = "agent_asgi:output_after"
"""How many places after the `function_call` its output stands, if other items came between."""
MARK = f'"{CALL_ID}"'.encode()
"""What JSON contains that has a kept call; a string cannot contain it unescaped."""
_PRIVATE = frozenset({CALL_ID, HIDDEN, OUTPUT_AFTER})
_NOT_OF_A_CALL = _PRIVATE | {"server_label", "output", "error"}


def is_kept_call(item: Mapping[str, Any]) -> bool:
    """Return whether an item is an agent's own call in its kept form."""
    return item.get("type") == "mcp_call" and CALL_ID in item


def without_private(item: Item) -> Item:
    """Return an item without the members that only a kept call has."""
    if _PRIVATE.isdisjoint(item):
        return item
    return {name: value for name, value in item.items() if name not in _PRIVATE}


def is_answered(item: Item) -> bool:
    """Return whether a kept call has an output or an error."""
    return item.get("output") is not None or item.get("error") is not None


def is_shown(item: Item, view: View) -> bool:
    """Return whether a protocol shows an item."""
    if view == "function_call" or not is_kept_call(item):
        return True
    return view == "mcp_call" and not item.get(HIDDEN)


def as_mcp_call(item: Item) -> Item:
    """Return the public `mcp_call` item of a kept call."""
    shown = without_private(item)
    if shown.get("status") == "calling":
        shown["status"] = "in_progress"
    output, error = shown.get("output"), shown.get("error")
    if output is not None and not isinstance(output, str):
        shown["output"] = msgspec.json.encode(output).decode()
    if error is not None:
        content = [{"type": "text", "text": error}]
        shown["error"] = {"type": "mcp_tool_execution_error", "content": content}
    return shown


def as_call(item: Item) -> Item:
    """Return the `function_call` item of a kept call."""
    call = {name: value for name, value in item.items() if name not in _NOT_OF_A_CALL}
    status = item.get("status")
    cut = status in ("in_progress", "incomplete")
    call |= {"type": "function_call", "id": pair_ids(item["id"])[0], "call_id": item[CALL_ID]}
    return call | {"status": status if cut else "completed"}


def as_output(item: Item) -> Item | None:
    """Return the `function_call_output` item of a kept call; None if it has no output."""
    if not is_answered(item):
        return None
    error = item.get("error")
    return {
        "type": "function_call_output",
        "id": pair_ids(item["id"])[1],
        "call_id": item[CALL_ID],
        "output": item["output"] if error is None else error,
        "status": "completed",
    }


def shown(items: Iterable[Item], view: View) -> list[Item]:
    """Return items as a protocol shows them.

    Args:
        items: Items as they are kept.
        view: How the protocol shows own calls.
    """
    if view == "function_call":
        return as_pairs(items)
    visible = [item for item in items if is_shown(item, view)]
    return [as_mcp_call(item) if is_kept_call(item) else item for item in visible]


def as_pairs(items: Iterable[Item]) -> list[Item]:
    """Return items with own calls as the pairs that the handler yielded, in its order."""
    pairs: list[Item] = []
    waiting: list[tuple[int, Item]] = []  # outputs, by their place
    for item in items:
        while waiting and waiting[0][0] <= len(pairs):
            pairs.append(waiting.pop(0)[1])
        if not is_kept_call(item):
            pairs.append(item)
            continue
        output = as_output(item)
        if output is not None:
            waiting.append((len(pairs) + item.get(OUTPUT_AFTER, 1), output))
            waiting.sort(key=lambda place: place[0])
        pairs.append(as_call(item))
    return pairs + [output for _, output in waiting]


def ids_of(item: Item) -> tuple[str, ...]:
    """Return the ids under which an item is shown; none if it has no id."""
    if is_kept_call(item):
        return item["id"], *pair_ids(item["id"])
    return (item["id"],) if "id" in item else ()


def pair_ids(id: str) -> tuple[str, str]:
    """Return the ids of the pair that a call is shown as."""
    suffix = id.removeprefix("mcp_")
    return "fc_" + suffix, "fco_" + suffix


def is_from(item: Mapping[str, Any], agents: Container[str]) -> bool:
    """Return whether an item of a client is a call that one of the agents has made."""
    label = item.get("server_label")
    return item.get("type") == "mcp_call" and isinstance(label, str) and label in agents


class _Text(Struct):
    text: str = ""


class _Error(Struct):
    content: list[_Text] | None = None
    message: str | None = None

    @property
    def text(self) -> str:
        texts = [part.text for part in self.content or ()]
        return "\n".join(filter(None, texts)) or self.message or "failed"


class _Received(Struct):
    """The public form of a call, and the members of a `function_call` that it may have too."""

    id: Annotated[str, Meta(min_length=1)]
    name: str
    arguments: str
    status: Literal["in_progress", "calling", "completed", "incomplete", "failed"] | None = None
    output: str | None = None
    error: str | _Error | None = None
    namespace: Any = UNSET
    caller: Any = UNSET
    async_: Any = msgspec.field(default=UNSET, name="async")


_received = msgspec.json.Decoder(_Received)


def received(item: Item, path: str) -> Item:
    """Return the kept form of a public `mcp_call` item that a client sends back.

    Args:
        item: The item.
        path: Its path in the body.

    Raises:
        InvalidRequest: A member is invalid; `param` names it.
    """
    call = strict(_received, Raw(encode(item)), path)
    if isinstance(call.error, _Error):
        call.error = call.error.text
    call_id = "call_" + call.id.removeprefix("mcp_")
    return {"type": "mcp_call", **msgspec.to_builtins(call), CALL_ID: call_id}
