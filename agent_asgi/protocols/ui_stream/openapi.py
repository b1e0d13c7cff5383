"""The OpenAPI operations of the UI message stream, and its schemas."""

from collections.abc import Mapping
from functools import cache

from msgspec import Struct

from ...schema import requests
from ...schema.ids import MAX_ID
from ...schema.openapi import (
    DONE,
    QUESTION,
    RUN,
    SESSION,
    STREAM,
    TEXT,
    Operation,
    Schema,
    components,
    frames,
    list_of,
    nullable,
    object_of,
    one_of,
    ref,
)
from . import request_schema
from .request import SHARED

_CHUNKS = {STREAM: frames(ref("UIChunk"))}
_TYPES = (
    *("start", "start-step", "finish-step", "finish", "error", "abort", "file"),
    *("text-start", "text-delta", "text-end", "source-url", "source-document"),
    *("reasoning-start", "reasoning-delta", "reasoning-end"),
    *("tool-input-start", "tool-input-delta", "tool-input-available", "tool-input-error"),
    *("tool-output-available", "tool-output-error"),
    *("tool-approval-request", "tool-output-denied"),
)
UI_STREAM = Operation(
    "Run the agent with the UI message stream of Vercel's AI SDK",
    _CHUNKS,
    RUN,
    "UIRequestBody",
    (SESSION,),
    runs=True,
    modes=(),
    description=f"Returns server-sent events; the data of each frame is {DONE}",
    example={
        "id": "chat-5f0c2a9e71b84d36",
        "messages": [{"role": "user", "parts": [{"type": "text", "text": QUESTION}]}],
    },
)
OPERATIONS = {
    "UIStream": UI_STREAM,
    "ResumeChat": Operation(
        "Follow the active run of a chat from its start",
        _CHUNKS,
        (429, 503),
        empty=(204, "No run is active in the chat."),
    ),
    "NothingToResume": Operation(
        "Follow the active run of a chat: runs end with their requests here",
        {},
        (503,),
        empty=(204, "No run can be followed."),
    ),
    "StopChat": Operation(
        "Cancel the active run of a chat",
        {},
        (403, 404, 503),
        empty=(204, "No run is active in the chat any more."),
    ),
}
"""The operations, by the names of their routes."""
_ID: Schema = TEXT | {
    "minLength": 1,
    "maxLength": MAX_ID,
    "pattern": r"^(?!\.{1,2}$)[^/\u0000-\u001f\u007f-\u009f]+$",
}
_APPROVED = object_of(approval=object_of(approved={"type": "boolean"}))
_STATE: Schema = {
    "anyOf": [
        {"properties": {"state": {"not": {"enum": ["approval-requested", "approval-responded"]}}}},
        object_of(state=one_of("approval-requested"), approval={"type": "object"}),
        _APPROVED,
    ]
}
_TOOL = TEXT | {"pattern": "^tool-."}
_PART: list[Schema] = [
    object_of(type=one_of("text"), text=TEXT),
    object_of(type=one_of("file"), url=TEXT),
    object_of(type=_TOOL, toolCallId=TEXT) | _STATE,
    object_of(type=one_of("dynamic-tool"), toolCallId=TEXT, toolName=TEXT) | _STATE,
    object_of(
        type={"not": {"anyOf": [one_of("text", "file", "dynamic-tool"), {"pattern": "^tool-"}]}}
    ),
]
_AGENTS = {"properties": {"message": {"properties": {"role": one_of("assistant")}}}}
_NEW = {"properties": {"messageId": {"type": "null"}}}
_ONE: Schema = {
    "properties": {
        "message": ref("UIMessage"),
        "messages": {"type": "null"},
        "trigger": {"not": {"const": "regenerate-message"}},
    },
    "required": ["message"],
    "anyOf": [_AGENTS, _NEW],
}
_ALL: Schema = {
    "properties": {"messages": list_of("UIMessage") | {"minItems": 1}},
    "required": ["messages"],
}
_SHAPES: dict[str, Schema] = {
    "UIRequestBody.id": _ID,
    "ResponsesRequest.tools": nullable(list_of("Tool")),
    "ResponsesRequest.tool_choice": nullable(
        {"enum": ["none", "auto", "required"]}, object_of(type=TEXT)
    ),
}


@cache
def schemas() -> Mapping[str, Schema]:
    """Return the components of the UI message stream, by name."""
    structs: list[type[Struct]] = [request_schema.UIRequestBody, requests.ResponsesRequest]
    made = components(structs, _SHAPES, (request_schema, requests))
    shared = made["ResponsesRequest"]["properties"]
    body = made["UIRequestBody"]
    body["properties"] |= {name: shared[name] for name in (*SHARED, "custom_inputs")}
    kinds = {"anyOf": [one_of(*_TYPES), TEXT | {"pattern": "^data-"}]}
    return {
        "UIRequestBody": body | {"anyOf": [_ALL, _ONE]},
        "UIMessage": made["UIMessage"],
        "UIPart": made["UIPart"] | {"anyOf": _PART},
        "ToolApproval": made["ToolApproval"],
        "UIChunk": object_of(type=kinds),
    }
