"""What a handler may return or yield, brought to plain dicts. Pure."""

import dataclasses
import os
import re
from collections.abc import Callable
from typing import Any

import msgspec

from . import codec
from .schema.responses import Usage

_PREFIXES = {
    "message": "msg",
    "function_call": "fc",
    "function_call_output": "fco",
    "reasoning": "rs",
    "compaction": "cmp",
}
_TEXTS = {
    "message": ("role",),
    "function_call": ("call_id", "name"),
    "function_call_output": ("call_id",),
    "compaction": ("encrypted_content",),
}
STREAMED = {
    "output_text": ("message", "content"),
    "refusal": ("message", "content"),
    "summary_text": ("reasoning", "summary"),
    "reasoning_text": ("reasoning", "content"),
}
"""The types of part whose text goes out in deltas, each with its place: an item and its list."""
PLACES = {"message": ("content",), "reasoning": ("summary", "content")}
"""The lists of parts of an item, in the order in which they go out."""
_SURROGATE = re.compile("[\ud800-\udfff]")
_PLACEHOLDERS = {"", "__fake_id__", "fake_id", "placeholder", "none", "null"}
Get = Callable[[str], Any]


def random_text() -> str:
    """Give 128 random bits in hexadecimal, that nobody can guess; the system gives many at once."""
    while True:
        try:
            return _pool.pop()  # atomic: several event loops may ask
        except IndexError:
            texts = os.urandom(16 * _AT_ONCE).hex()
            _pool.extend(texts[at : at + 32] for at in range(0, len(texts), 32))


_AT_ONCE = 256
_pool: list[str] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.clear)


def new_id(prefix: str) -> str:
    """Make a fresh id, such as `msg_5f0c...`."""
    return f"{prefix}_{random_text()}"


def prefix_of(kind: str) -> str:
    """Give what the ids of a type of item begin with."""
    return _PREFIXES.get(kind, "item")


def item_id(kind: str) -> str:
    """Make a fresh id for an item of a type."""
    return new_id(prefix_of(kind))


def real_id(given: object) -> str | None:
    """Give an id that a handler gave, None where it only holds the place of one, or cannot be
    written: two of those would come out alike.
    """
    if not isinstance(given, str) or given.lower() in _PLACEHOLDERS:
        return None
    return given if given.isascii() or not _SURROGATE.search(given) else None


def getter(output: object) -> Get:
    """Give a way to read an output's fields without turning all of it into a dict."""
    if isinstance(output, dict):
        return output.get
    return lambda name: getattr(output, name, None)


def as_dict(value: Any) -> dict[str, Any]:
    """Turn a struct, dict, pydantic model or dataclass into a dict of its own, without nulls.

    Raises:
        TypeError: It is none of these, or something in it is not JSON.
    """
    if hasattr(value, "model_dump"):
        value = value.model_dump(mode="json", exclude_none=True, warnings=False)
    if not (isinstance(value, dict | msgspec.Struct) or dataclasses.is_dataclass(value)):
        raise TypeError(f"a {type(value).__name__} has no fields")
    plain: dict[str, Any] = msgspec.to_builtins(value, str_keys=True, enc_hook=codec.plain)
    return {key: each for key, each in plain.items() if each is not None}


def is_response(get: Get) -> bool:
    """Tell a response from an item: it has `output`, and is not what a tool gave."""
    return isinstance(get("output"), list) and get("type") is None


def as_item(value: Any) -> dict[str, Any]:
    """Turn an item that a handler gave into the wire's form, its content in parts.

    Raises:
        TypeError: It is no item, or one of a known type with a wrong field.
    """
    item = as_dict(value)
    kind = item.get("type")
    if not isinstance(kind, str):
        raise TypeError("an item needs a `type`")
    if kind == "message":
        item.setdefault("role", "assistant")
        item["content"] = _parts(item.get("content"), "output_text")
    elif kind == "reasoning":
        item["summary"] = _parts(item.get("summary"), "summary_text")
        if "content" in item:
            item["content"] = _parts(item["content"], "reasoning_text")
    elif kind == "function_call":
        item["arguments"] = _json(item.get("arguments", {}))
        item.setdefault("call_id", new_id("call"))
    elif kind == "function_call_output" and not isinstance(item.get("output"), list):
        item["output"] = _json(item.get("output", ""))
    if kind in _PREFIXES:
        _check(item)
    return item


def as_usage(value: Any) -> Usage:
    """Turn a usage of any form into a `Usage`.

    Raises:
        TypeError: A field is wrong.
    """
    if isinstance(value, Usage):
        return value
    fields = as_dict(value)
    for name in ("input_tokens_details", "output_tokens_details"):
        if name in fields:
            fields[name] = as_dict(fields[name])
    try:
        return msgspec.convert(fields, Usage)
    except msgspec.ValidationError as error:
        raise TypeError(f"usage: {error}") from error


def _json(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _parts(content: Any, default: str) -> list[dict[str, Any]]:
    if isinstance(content, str):
        content = [content] if content else []
    return [_part(each, default) for each in content or ()]


def _part(value: Any, default: str) -> dict[str, Any]:
    part: dict[str, Any] = {"text": value} if isinstance(value, str) else as_dict(value)
    part.setdefault("type", default)
    if part["type"] == "output_text":
        part.setdefault("text", "")
        part["annotations"] = [as_dict(each) for each in part.get("annotations") or ()]
    return part


def _check(item: dict[str, Any]) -> None:
    for name in _TEXTS.get(item["type"], ()):
        if not isinstance(item.get(name), str):
            raise TypeError(f"a {item['type']} item needs `{name}`, a text")
    for within in PLACES.get(item["type"], ()):
        for part in item.get(within, ()):
            _check_part(part, item["type"], within)


def _check_part(part: dict[str, Any], kind: str, within: str) -> None:
    place = STREAMED.get(part["type"])
    if place is None:
        return
    if place != (kind, within):
        raise TypeError(f"a {part['type']} part has no place in the {within} of a {kind} item")
    if not isinstance(part.get(text_name(part["type"])), str):
        raise TypeError(f"a {part['type']} part needs `{text_name(part['type'])}`, a text")


def text_name(kind: str) -> str:
    """Give the field that holds the text of a part."""
    return "refusal" if kind == "refusal" else "text"
