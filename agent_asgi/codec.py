"""Bytes to structs and back; a validation error becomes one that names its field."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar, Union

import msgspec
from msgspec import Raw, Struct, structs

from .errors import InvalidJson, InvalidRequest
from .schema.events import ITEM_EVENTS, Event, VendorEvent
from .schema.items import (
    ITEMS,
    PARTS,
    CallId,
    ContentPart,
    FunctionCallOutput,
    InputItem,
    Message,
    Role,
    Status,
)
from .schema.requests import FunctionTool, RequestFields, ResponsesRequest
from .schema.responses import Response

T = TypeVar("T")


class _Wire(RequestFields, kw_only=True):
    """The body with its varying parts still undecoded."""

    input: str | list[Raw] | None = None
    tools: list[Raw] | None = None
    tool_choice: str | dict[str, Any] | None = None


class _WireMessage(Struct):
    """A message with its parts still undecoded."""

    role: Role
    content: str | list[Raw]
    id: str | None = None
    status: str | None = None
    phase: Literal["commentary", "final_answer"] | None = None


class _WireOutput(Struct):
    """A function's output with its parts still undecoded."""

    call_id: CallId
    output: str | list[Raw]
    id: str | None = None
    status: Status | None = None


class _Head(Struct):
    """What tells the kind of an item, a part or a tool."""

    type: str | None = None
    role: Any = None  # an item of a type not known here has its own idea of it


_encoder = msgspec.json.Encoder()
_heads = msgspec.json.Decoder(_Head)
_objects = msgspec.json.Decoder(dict[str, Any])
_wires = msgspec.json.Decoder(_Wire)
_messages = msgspec.json.Decoder(_WireMessage)
_outputs = msgspec.json.Decoder(_WireOutput)
_items = {
    name: msgspec.json.Decoder(each)
    for name, each in ITEMS.items()
    if each not in (Message, FunctionCallOutput)
}
_parts = {name: msgspec.json.Decoder(each) for name, each in PARTS.items()}
_tools = msgspec.json.Decoder(FunctionTool)
_events = msgspec.json.Decoder(Union[ITEM_EVENTS])  # noqa: UP007  made at run time
_AT = re.compile(r" - at `\$?(?:key in )?(.*)`$")


def invalid(error: msgspec.ValidationError, prefix: str = "") -> InvalidRequest:
    """Turn msgspec's error into a 400 whose `param` is the JSON path of the field.

    Args:
        error: What msgspec raised.
        prefix: Path of the value that was decoded. Default: the body itself.
    """
    text = str(error)
    found = _AT.search(text)
    message = text[: found.start()] if found else text
    path = prefix + (found.group(1).replace("[...]", "") if found else "")
    missing = re.search(r"missing required field `(\w+)`", message)
    if missing:
        path += f".{missing.group(1)}"
    path = path.lstrip(".")
    return InvalidRequest(f"{path}: {message}" if path else message, path or None)


def decode_object(body: bytes) -> dict[str, Any]:
    """Decode a body that may be any JSON object.

    Raises:
        InvalidJson: It is not JSON.
        InvalidRequest: It is not an object.
    """
    return _strict(_objects, body)


def decode_request(body: bytes) -> ResponsesRequest:
    """Decode and check the body of a Responses request (DESIGN.md, "Input").

    Items are decoded one by one, so that a message may lack `type` and an unknown type passes.

    Raises:
        InvalidJson: It is not JSON.
        InvalidRequest: A field is wrong; `param` names it.
    """
    wire = _strict(_wires, body)
    fields = structs.asdict(wire)
    fields["input"] = fields["new_input"] = _input(wire)
    if wire.tools is not None:
        fields["tools"] = [_tool(n, raw) for n, raw in enumerate(wire.tools)]
    if wire.tool_choice is not None:
        _check_tool_choice(wire.tool_choice)
    _strict(_objects, body)  # the fields that were skipped are for the handler and the trace
    return ResponsesRequest(raw=Raw(body), **fields)


def decode_item(item: dict[str, Any]) -> InputItem:
    """Decode an item that this server made; one that is out of the ordinary stays a dict."""
    try:
        return _item("item", Raw(encode(item)))
    except InvalidRequest:
        return item


def digest(body: bytes) -> str:
    """Give what tells bodies apart, whatever the order of their keys and their white space."""
    plain_form = msgspec.json.encode(msgspec.json.decode(body), order="deterministic")
    return hashlib.sha256(plain_form).hexdigest()


def convert(body: dict[str, Any], wanted: Any) -> Any:
    """Convert a decoded body to the type that a handler's annotation asks for.

    Args:
        body: The body.
        wanted: A msgspec type, or a class with pydantic's `model_validate`.

    Raises:
        InvalidRequest: A field is wrong; `param` names it.
    """
    validate = getattr(wanted, "model_validate", None)
    try:
        return msgspec.convert(body, wanted) if validate is None else validate(body)
    except msgspec.ValidationError as error:
        raise invalid(error) from error
    except ValueError as error:  # pydantic's ValidationError is one
        raise _invalid_model(error, body) from error


def _invalid_model(error: ValueError, body: dict[str, Any]) -> InvalidRequest:
    errors = getattr(error, "errors", None)
    if errors is None:
        return InvalidRequest(str(error))
    first = errors()[0]
    path = _path(first["loc"], body)
    return InvalidRequest(f"{path}: {first['msg']}" if path else first["msg"], path or None)


def _path(loc: Sequence[str | int], value: Any) -> str:
    """Give a place as a path; pydantic names the members of a union in it, which no body has."""
    path = ""
    for number, at in enumerate(loc, 1):
        if isinstance(at, int):
            path += f"[{at}]"
            value = value[at] if isinstance(value, list) and at < len(value) else None
        elif isinstance(value, dict) and (at in value or number == len(loc)):
            path += f".{at}"
            value = value.get(at)
    return path.lstrip(".")


def encode(value: object) -> bytes:
    """Encode any value to JSON; pydantic models and other objects by their own dumps.

    Surrogates without their other half, which no JSON can carry, become U+FFFD.
    """
    try:
        return msgspec.json.encode(value, enc_hook=plain)
    except UnicodeEncodeError:
        return msgspec.json.encode(_without_surrogates(msgspec.to_builtins(value, enc_hook=plain)))


def encode_event(
    event: Event | VendorEvent, buffer: bytearray, head: bytes = b"", end: bytes = b""
) -> None:
    """Append an event's JSON to a buffer, all of it or nothing.

    Args:
        event: The event.
        buffer: What it is appended to.
        head: What comes before it. Default nothing.
        end: What comes after it. Default nothing.
    """
    before = len(buffer)
    buffer += head
    try:
        if type(event) is VendorEvent:
            buffer += encode(event.fields | {"sequence_number": event.sequence_number})
        else:
            _encoder.encode_into(event, buffer, -1)
    except UnicodeEncodeError:
        del buffer[before:]
        buffer += head + encode(event)
    except BaseException:
        del buffer[before:]
        raise
    buffer += end


def on_one_line(frames: bytes) -> bytes:
    """Escape what is no line's end in a stream of events, but is one for Python's `splitlines`.

    Clients that split lines by it, as httpx's `iter_lines` does, would take model output for
    frames.
    """
    for char, escaped in _LINE_ENDS:
        if char in frames:
            frames = frames.replace(char, escaped)
    return frames


_LINE_ENDS = [(each.encode(), f"\\u{ord(each):04x}".encode()) for each in "\x85\u2028\u2029"]
"""The others that it knows are below U+0020, where JSON escapes them anyway."""


def decode_events(frames: bytes) -> list[Event | VendorEvent]:
    """Decode events from their frames in a log; all but the items' own are vendor events."""
    return [_event(each) for each in event_bodies(frames)]


def event_bodies(frames: bytes) -> list[bytes]:
    """Take events' JSON out of their frames in a log."""
    return [each.partition(b"data: ")[2] for each in frames.split(b"\n\n") if each]


def _event(data: bytes) -> Event | VendorEvent:
    try:
        event: Event = _events.decode(data)
    except msgspec.ValidationError:
        fields = msgspec.json.decode(data)
        return VendorEvent(sequence_number=fields.pop("sequence_number"), fields=fields)
    return event


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_without_surrogates(each) for each in value]
    return value


_SURROGATE = re.compile("[\ud800-\udfff]")


def plain(value: object) -> Any:
    """Turn an object that msgspec does not know into one it does.

    Raises:
        TypeError: There is no way; the message names the type.
    """
    dump = getattr(value, "model_dump", None)
    if dump is not None and not isinstance(value, type):
        return dump(mode="json", exclude_none=True)
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    raise TypeError(f"{type(value).__name__} is not JSON.")


def short_form(response: Response | dict[str, Any]) -> dict[str, Any]:
    """Give a response without what the request did not set, for MLflow's clients.

    Databricks' clients want a field left out rather than null.
    """
    fields = structs.asdict(response) if isinstance(response, Response) else response
    body = {name: fields[name] for name in _ALWAYS}
    body |= {name: fields[name] for name in _WHERE_SET if fields[name]}
    custom = fields.get("custom_outputs", msgspec.UNSET)
    return body if custom is msgspec.UNSET else body | {"custom_outputs": custom}


_ALWAYS = ("id", "object", "created_at", "status", "model", "output")
_WHERE_SET = ("usage", "error", "incomplete_details", "completed_at", "metadata")


def _input(wire: _Wire) -> str | list[InputItem]:
    if wire.input is None:
        if wire.previous_response_id is None:
            raise InvalidRequest("input: a request needs a text or a list of items.", "input")
        return []
    if isinstance(wire.input, str):
        return wire.input
    return [_item(f"input[{n}]", raw) for n, raw in enumerate(wire.input)]


def _item(path: str, raw: Raw) -> InputItem:
    head = _strict(_heads, raw, path)
    kind = "message" if head.type is None and head.role is not None else head.type
    if not kind:
        raise InvalidRequest(f"{path}: an item needs a `type`, or a `role`.", f"{path}.type")
    if kind == "message":
        said = _strict(_messages, raw, path)
        return Message(
            role=said.role,
            content=_content(said.content, f"{path}.content"),
            id=said.id,
            status=said.status,
            phase=said.phase,
        )
    if kind == "function_call_output":
        gave = _strict(_outputs, raw, path)
        return FunctionCallOutput(
            call_id=gave.call_id,
            output=_content(gave.output, f"{path}.output"),
            id=gave.id,
            status=gave.status,
        )
    item: InputItem = _known(_items, kind, raw, path)
    return item


def _content(content: str | list[Raw], path: str) -> str | list[ContentPart]:
    if isinstance(content, str):
        return content
    return [_part(raw, f"{path}[{n}]") for n, raw in enumerate(content)]


def _part(raw: Raw, path: str) -> ContentPart:
    kind = _strict(_heads, raw, path).type
    if not kind:
        raise InvalidRequest(f"{path}: a part needs a `type`.", f"{path}.type")
    part: ContentPart = _known(_parts, kind, raw, path)
    return part


def _tool(number: int, raw: Raw) -> FunctionTool | dict[str, Any]:
    path = f"tools[{number}]"
    kind = _strict(_heads, raw, path).type
    if not kind:
        raise InvalidRequest(f"{path}: a tool needs a `type`.", f"{path}.type")
    tool: FunctionTool | dict[str, Any] = _known({"function": _tools}, kind, raw, path)
    return tool


def _check_tool_choice(choice: str | dict[str, Any]) -> None:
    if isinstance(choice, str) and choice not in ("none", "auto", "required"):
        raise InvalidRequest(
            "tool_choice: must be `none`, `auto`, `required` or an object.", "tool_choice"
        )
    if isinstance(choice, dict) and not isinstance(choice.get("type"), str):
        raise InvalidRequest("tool_choice: an object needs a `type`.", "tool_choice.type")


def _known(
    decoders: Mapping[str, msgspec.json.Decoder[Any]], kind: str, raw: Raw, path: str
) -> Any:
    return _strict(decoders.get(kind, _objects), raw, path)


def _strict(decoder: msgspec.json.Decoder[T], raw: bytes | Raw, path: str = "") -> T:
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise invalid(error, path) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidJson(f"The body is not valid JSON: {error}") from error
    except RecursionError:
        raise InvalidJson("The body is nested too deeply.") from None
