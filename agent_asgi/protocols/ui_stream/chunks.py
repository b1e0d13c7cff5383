"""Writing the chunks of a UI message stream."""

from typing import Any

import msgspec

from ...schema import codec

Json = dict[str, Any]
OWN: Json = {"providerExecuted": True, "dynamic": True}
"""Marks a call of the agent's own tool, which the client neither executes nor knows."""


def write(buffer: bytearray, type: str, /, **members: Any) -> None:
    """Append a chunk. Clients refuse null for a member that they do not require."""
    write_chunk(buffer, {"type": type, **members})


def write_chunk(buffer: bytearray, chunk: Json) -> None:
    """Append a chunk."""
    buffer += b"data: %b\n\n" % codec.encode(chunk)


def compact(text: str) -> msgspec.Raw | str:
    """Return JSON text on one line, to be written as JSON; other text as it is."""
    try:
        return msgspec.Raw(msgspec.json.format(text.encode(), indent=-1))
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return text


def output_of(output: Any) -> Any:
    """Return the output of a call: the object or list that its text is as JSON, or itself."""
    is_json = isinstance(output, str) and output.startswith(("{", "["))
    return compact(output) if is_json else output


def error_text(error: Any) -> str:
    """Return the text of the `error` of an `mcp_call` item."""
    if isinstance(error, dict):
        content = error.get("content")
        parts = content if isinstance(content, list) else []
        texts = [part["text"] for part in parts if isinstance(part, dict) and "text" in part]
        error = "\n".join(map(str, texts)) or error.get("message")
    return error if isinstance(error, str) and error else "The tool failed."
