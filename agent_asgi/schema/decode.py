"""Decoding requests: in one step if the type of every item is known, otherwise item by item."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import Raw, Struct, field, structs

from ..errors import InvalidRequest
from .codec import encode, strict
from .ids import MAX_ID, is_too_long
from .items import (
    CLIENT_ITEMS,
    CLIENT_ROLES,
    ITEMS,
    PARTS,
    CallId,
    ContentPart,
    FunctionCallOutput,
    Id,
    InputItem,
    Message,
    Role,
    Status,
)
from .own_calls import as_pairs, without_private
from .requests import FunctionTool, RequestFields, ResponsesRequest

T = TypeVar("T")

_Untyped: Any = msgspec.defstruct(
    "ResponsesRequest", [("input", str | list[Message])], bases=(ResponsesRequest,), kw_only=True
)
"""A body whose items are all messages, which may have no `type`."""
_whole: tuple[msgspec.json.Decoder[ResponsesRequest], ...] = (
    msgspec.json.Decoder(_Untyped),
    msgspec.json.Decoder(ResponsesRequest),
)


def decode_body(body: bytes, shape: type[T]) -> T:
    """Decode and check the body of a custom protocol.

    Args:
        body: The body.
        shape: A msgspec type; unknown fields are skipped.

    Raises:
        InvalidJson: It is not JSON.
        InvalidRequest: A field is wrong; `param` names it.
    """
    return strict(msgspec.json.Decoder(shape), body)


def decode_request(body: bytes) -> ResponsesRequest:
    """Decode and check the body of a Responses request.

    Raises:
        InvalidJson: It is not JSON.
        InvalidRequest: A field is wrong; `param` names it.
    """
    for decoder in _whole:
        try:
            request = decoder.decode(body)
            if not body.isascii():
                body.decode()  # a typed decoder does not check the strings that it skips
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        if request._earlier_slot:
            request.earlier = 0
        if request._input_slot == []:
            break
        if request.tool_choice is not None:
            _check_tool_choice(request.tool_choice)
        request.raw = body
        return request
    return _by_parts(body, _new_item)


def decode_stored(body: bytes) -> ResponsesRequest:
    """Decode the request of a stored response; an item with an unusual shape stays a dict."""
    try:
        return decode_request(body)
    except InvalidRequest:
        return _by_parts(body, _stored_item)


def _by_parts(body: bytes, item: "_DecodeItem") -> ResponsesRequest:
    """Decode a body with items, parts or tools of unknown types, or raise a detailed error."""
    wire = strict(_wires, body)
    fields = structs.asdict(wire)
    fields["input"] = _input(wire, item)
    if wire.tools is not None:
        fields["tools"] = [_typed(_tools, raw, f"tools[{n}]") for n, raw in enumerate(wire.tools)]
    if wire.tool_choice is not None:
        _check_tool_choice(wire.tool_choice)
    strict(_objects, body)  # fields that were skipped must be valid too
    return ResponsesRequest(raw=body, **fields)


def decode_new_items(items: Sequence[Raw], path: str) -> list[InputItem]:
    """Decode and check items of a client.

    Args:
        items: The items.
        path: The field of the body that has them.

    Raises:
        InvalidRequest: A field is wrong; `param` names it.
    """
    return [_new_item(f"{path}[{n}]", raw) for n, raw in enumerate(items)]


def decode_items(items: Raw) -> list[InputItem]:
    """Decode items of the server's own; an item with an unusual shape stays a dict.

    Calls of an agent's own tools become pairs.
    """
    try:
        return _history.decode(items)
    except msgspec.ValidationError:
        return [decode_item(item) for item in as_pairs(_dicts.decode(items))]


def decode_item(item: dict[str, Any]) -> InputItem:
    """Convert an item of the server's own; one with an unusual shape stays a dict."""
    return _stored_item("item", Raw(encode(item)))


class _Wire(RequestFields, kw_only=True):
    """A body whose items and tools are still encoded."""

    input: str | list[Raw] | None = None
    tools: list[Raw] | None = None
    tool_choice: str | dict[str, Any] | None = None


class _WireMessage(Struct):
    """A message whose parts are still encoded."""

    role: Role
    content: str | list[Raw]
    id: Id | None = None
    status: str | None = None
    phase: Literal["commentary", "final_answer"] | None = None


class _WireOutput(Struct):
    """A function's output whose parts are still encoded."""

    call_id: CallId
    output: str | list[Raw]
    id: Id | None = None
    status: Status | None = None
    error: str | None = field(default=None, name="agent_asgi:error")
    name: str | None = None
    namespace: str | None = None
    caller: dict[str, Any] | None = None
    created_by: str | None = None


class _Head(Struct):
    """The fields that identify the kind of an item, a part or a tool."""

    type: str | None = None
    role: Any = None  # an item of an unknown type may use it for something else
    id: Any = None


_objects = msgspec.json.Decoder(dict[str, Any])
_heads = msgspec.json.Decoder(_Head)
_wires = msgspec.json.Decoder(_Wire)
_messages = msgspec.json.Decoder(_WireMessage)
_outputs = msgspec.json.Decoder(_WireOutput)
_history = msgspec.json.Decoder(list[InputItem])
_dicts = msgspec.json.Decoder(list[dict[str, Any]])
_items = {
    name: msgspec.json.Decoder(shape)
    for name, shape in ITEMS.items()
    if shape not in (Message, FunctionCallOutput)
}
_parts = {name: msgspec.json.Decoder(shape) for name, shape in PARTS.items()}
_tools = {"function": msgspec.json.Decoder(FunctionTool)}


def _input(wire: _Wire, item: "_DecodeItem") -> str | list[InputItem]:
    if wire.input is None:
        if wire.previous_response_id is None and not wire.only_prepares:
            raise InvalidRequest("input: a string or a list of items is required.", "input")
        return []
    if isinstance(wire.input, str):
        return wire.input
    return [item(f"input[{n}]", raw) for n, raw in enumerate(wire.input)]


_DecodeItem = Callable[[str, Raw], InputItem]
"""Decodes the item at a path."""


def _new_item(path: str, raw: Raw) -> InputItem:
    """Decode an item of a client; one that an agent gave it, with an id, may have any shape."""
    try:
        return _item(path, raw)
    except InvalidRequest:
        head = strict(_heads, raw, path)
        mine = head.role in CLIENT_ROLES if head.type == "message" else head.type in CLIENT_ITEMS
        if mine or not head.type or not isinstance(head.id, str):
            raise
        return _plain_item(path, raw)


def _stored_item(path: str, raw: Raw) -> InputItem:
    """Decode an item that is stored; one with an unusual shape stays a dict."""
    try:
        return _item(path, raw)
    except InvalidRequest:
        return strict(_objects, raw, path)


def _item(path: str, raw: Raw) -> InputItem:
    head = strict(_heads, raw, path)
    kind = "message" if head.type is None and head.role is not None else head.type
    if not kind:
        raise InvalidRequest(f"{path}: an item needs a `type` or a `role`.", f"{path}.type")
    if kind == "message":
        message = structs.asdict(strict(_messages, raw, path))
        message["content"] = _content(message["content"], f"{path}.content")
        return Message(**message)
    if kind == "function_call_output":
        output = structs.asdict(strict(_outputs, raw, path))
        output["output"] = _content(output["output"], f"{path}.output")
        return FunctionCallOutput(**output)
    decoder: msgspec.json.Decoder[Any] | None = _items.get(kind)
    if decoder is None:
        return _plain_item(path, raw)
    item: InputItem = strict(decoder, raw, path)
    return item


def _plain_item(path: str, raw: Raw) -> dict[str, Any]:
    item = without_private(strict(_objects, raw, path))
    id_ = item.get("id")
    if isinstance(id_, str) and is_too_long(id_):
        path += ".id"
        raise InvalidRequest(f"{path}: must have at most {MAX_ID} characters.", path)
    return item


def _content(content: str | list[Raw], path: str) -> str | list[ContentPart]:
    if isinstance(content, str):
        return content
    return [_typed(_parts, raw, f"{path}[{n}]") for n, raw in enumerate(content)]


def _typed(decoders: Mapping[str, msgspec.json.Decoder[Any]], raw: Raw, path: str) -> Any:
    """Decode a part or a tool by its `type`; one of an unknown type becomes a dict."""
    kind = strict(_heads, raw, path).type
    if not kind:
        raise InvalidRequest(f"{path}: a `type` is required.", f"{path}.type")
    return strict(decoders.get(kind, _objects), raw, path)


def _check_tool_choice(choice: str | dict[str, Any]) -> None:
    if isinstance(choice, str) and choice not in ("none", "auto", "required"):
        raise InvalidRequest(
            "tool_choice: must be `none`, `auto`, `required` or an object.", "tool_choice"
        )
    if isinstance(choice, dict) and not isinstance(choice.get("type"), str):
        raise InvalidRequest("tool_choice: an object needs a `type`.", "tool_choice.type")
