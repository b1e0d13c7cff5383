"""Convert what a handler returns or yields to plain dicts."""

import dataclasses
from collections.abc import Callable
from typing import Any

import msgspec

from ..schema import codec
from ..schema.ids import new_id
from ..schema.own_calls import without_private
from ..schema.plain import builtins, plain
from ..schema.responses import Usage

CLIENT = "agent_asgi:client"
"""The member of a handler's `function_call` that says whether the client is to execute it."""
ERROR = "agent_asgi:error"
"""The member of a handler's `function_call_output` that says that the tool failed."""
MARKS = frozenset({CLIENT, ERROR})
"""Members that are for the server and not sent to clients."""
_REQUIRED = {
    "message": ("role",),
    "function_call": ("call_id", "name"),
    "function_call_output": ("call_id",),
    "custom_tool_call": ("call_id", "name"),
    "mcp_approval_request": ("name",),
    "compaction": ("encrypted_content",),
}
"""The string fields that an item must have."""
STREAMED = {
    "output_text": ("message", "content"),
    "refusal": ("message", "content"),
    "summary_text": ("reasoning", "summary"),
    "reasoning_text": ("reasoning", "content"),
}
"""The part types whose text is streamed as deltas, each with its item type and list."""
PLACES = {"message": ("content",), "reasoning": ("summary", "content")}
"""The lists of parts of an item type, in the order in which they are emitted."""
CALLS = {"function_call": "arguments", "custom_tool_call": "input"}
"""The types of calls whose input is streamed, each with the field that has it."""
WITH_STATUS = frozenset({"message", "function_call_output"}) | CALLS.keys()
"""The item types that always have a `status`. Other items have one if the handler gave it one:
model APIs refuse a reasoning item with a status.
"""
ENDED = (None, "completed", "incomplete", "failed")
"""The statuses of items that have ended; None for items without a status."""
BUILT = PLACES.keys() | CALLS.keys() | {"function_call_output", "compaction"}
"""The item types whose events are built here. Items of other types are passed through."""
Get = Callable[[str], Any]


def getter(output: object) -> Get:
    """Return a function that reads an output's fields without converting the whole output."""
    if isinstance(output, dict):
        return output.get
    return lambda name: getattr(output, name, None)


def as_dict(value: Any) -> dict[str, Any]:
    """Convert a struct, dict, pydantic model or dataclass to a new dict.

    Raises:
        TypeError: It is none of these, or it contains something that is not JSON.
    """
    if hasattr(value, "model_dump"):
        value = plain(value)
    if not (isinstance(value, dict | msgspec.Struct) or dataclasses.is_dataclass(value)):
        raise TypeError(f"{type(value).__name__} is not an object with fields.")
    fields: dict[str, Any] = builtins(value)
    return fields


def without_nulls(fields: dict[str, Any]) -> dict[str, Any]:
    """Return a new dict without the fields that are null."""
    return {name: field for name, field in fields.items() if field is not None}


def as_item(value: Any) -> dict[str, Any]:
    """Convert a handler's item to its wire form: one of a type that is built here without nulls,
    with its content in parts, any other unchanged.

    Raises:
        TypeError: It is not an item, or it is one of a known type with an invalid field.
    """
    item = without_private(as_dict(value))
    kind = item.get("type")
    if not isinstance(kind, str):
        raise TypeError("An item needs a `type`.")
    if kind == "mcp_approval_request":
        arguments = item.get("arguments")
        item["arguments"] = _json({} if arguments is None else arguments)
        _check(item)
    if kind not in BUILT:
        return item
    item = without_nulls(item)
    if kind == "message":
        item.setdefault("role", "assistant")
        item["content"] = _parts(item.get("content"), "output_text")
    elif kind == "reasoning":
        item["summary"] = _thoughts(item.get("summary"), "summary_text")
        if "content" in item:
            item["content"] = _thoughts(item["content"], "reasoning_text")
    elif kind in CALLS:
        item[CALLS[kind]] = _json(item.get(CALLS[kind], {} if kind == "function_call" else ""))
        item.setdefault("call_id", new_id("call"))
    elif kind == "function_call_output":
        error = item.get(ERROR)
        item["output"] = _output(item.get("output", "")) if error is None else str(error)
    _check(item)
    return item


def as_usage(value: Any) -> Usage:
    """Convert a usage of any form to a `Usage`.

    Raises:
        TypeError: A field is invalid.
    """
    if isinstance(value, Usage):
        return value
    fields = as_dict(value)
    return Usage(**{name: fields[name] for name in Usage.__struct_fields__ if name in fields})


def _json(value: Any) -> str:
    return value if isinstance(value, str) else codec.encode(value).decode()


def _output(value: Any) -> str | list[dict[str, Any]]:
    """Return a function's output: a string, parts, or anything else as JSON text."""
    if isinstance(value, list) and all(isinstance(part, dict) and "type" in part for part in value):
        return value
    return _json(value)


def _parts(content: Any, default: str) -> list[dict[str, Any]]:
    if isinstance(content, str):
        content = [content] if content else []
    return [as_part(part, default) for part in content or ()]


def _thoughts(content: Any, kind: str) -> list[dict[str, Any]]:
    """Return the parts of a reasoning item; LiteLLM's are of the type `output_text`."""
    return [
        {"type": kind, "text": part["text"]} if part["type"] == "output_text" else part
        for part in _parts(content, kind)
    ]


def as_part(value: Any, default: str) -> dict[str, Any]:
    """Convert a part of an item's content to its wire form; one of an unknown type unchanged.

    Args:
        value: The part, or its text.
        default: The type of a part without a type.

    Raises:
        TypeError: It is neither.
    """
    part: dict[str, Any] = {"text": value} if isinstance(value, str) else as_dict(value)
    if part.get("type") is None:
        part["type"] = default
    if part["type"] in STREAMED:
        part = without_nulls(part)
    if part["type"] == "output_text":
        part.setdefault("text", "")
        part["annotations"] = [as_dict(annotation) for annotation in part.get("annotations") or ()]
    return part


def _check(item: dict[str, Any]) -> None:
    kind = item["type"]
    for name in _REQUIRED.get(kind, ()):
        if not isinstance(item.get(name), str):
            raise TypeError(f"A {kind} item needs the string `{name}`.")
    for within in PLACES.get(kind, ()):
        for part in item.get(within, ()):
            _check_part(part, kind, within)


def _check_part(part: dict[str, Any], kind: str, within: str) -> None:
    part_type = part["type"]
    if part_type not in STREAMED:
        return
    if STREAMED[part_type] != (kind, within):
        raise TypeError(f"A {part_type} part cannot be in the {within} of a {kind} item.")
    if not isinstance(part.get(text_name(part_type)), str):
        raise TypeError(f"A {part_type} part needs the string `{text_name(part_type)}`.")


def text_name(part_type: str) -> str:
    """Return the name of the field that holds a part's text."""
    return "refusal" if part_type == "refusal" else "text"
