"""The OpenAPI operations of MCP, and their schemas."""

from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

from ...schema.openapi import (
    ALONE,
    JSON,
    STREAM,
    TEXT,
    Operation,
    Schema,
    components,
    object_of,
    ref,
)


class Message(Struct, kw_only=True):
    """A JSON-RPC request or notification of MCP."""

    jsonrpc: Literal["2.0"]
    """Always `2.0`."""
    id: str | int | UnsetType = UNSET
    """The id of a request; a notification has none."""
    method: str
    """For example `tools/call`."""
    params: dict[str, Any] | UnsetType = UNSET
    """The parameters of the method."""


class Answer(Struct, kw_only=True):
    """A JSON-RPC response of MCP."""

    jsonrpc: Literal["2.0"]
    """Always `2.0`."""
    id: str | int | None
    """The id of the request."""
    result: Any = UNSET
    """The result of the method."""
    error: dict[str, Any] | UnsetType = UNSET
    """The error: a `code` and a `message`."""


PREFIX = "MCP."
OPERATION = Operation(
    "Call an agent as a tool, with the Model Context Protocol",
    {JSON: ref(f"{PREFIX}Answer"), STREAM: object_of(data=TEXT)},
    (*ALONE, 404, 406),
    f"{PREFIX}Message",
    modes=(),
    description="The answer is JSON, or a stream if there is progress to report.",
    error=f"{PREFIX}Answer",
    empty=(202, "The notification was received."),
    example={"jsonrpc": "2.0", "id": 1, "method": "tools/list"},
)
METADATA = Operation(
    "Describe how to get a token for MCP (RFC 9728)",
    {JSON: object_of(resource=TEXT)},
    open=True,
)


@cache
def schemas() -> Mapping[str, Schema]:
    """Return the components of MCP, by name."""
    from . import openapi

    return components([Message, Answer], {}, (openapi,), prefix=PREFIX)
