"""The OpenAPI operation of the Chat Completions API, and its schemas."""

from collections.abc import Mapping
from functools import cache
from typing import get_args

from msgspec import Struct

from ...schema import items
from ...schema.openapi import (
    DONE,
    JSON,
    QUESTION,
    RUN,
    SESSION,
    STREAM,
    STREAMS,
    TEXT,
    Operation,
    Schema,
    components,
    frames,
    list_of,
    nullable,
    ref,
    union,
)
from . import request_schema, response_schema

CHAT_COMPLETIONS = Operation(
    "Run the agent with the OpenAI Chat Completions API",
    {JSON: ref("ChatCompletion"), STREAM: frames({"anyOf": [ref("ChatChunk"), ref("Error")]})},
    RUN,
    "ChatRequest",
    (SESSION,),
    runs=True,
    modes=(),
    description=f"{STREAMS}{DONE}",
    example={"messages": [{"role": "user", "content": QUESTION}]},
)
_MESSAGES: tuple[type[Struct], ...] = get_args(request_schema.Chat)
_CONTENT = {"anyOf": [TEXT, list_of("ChatPart")]}
_SHAPES: dict[str, Schema] = {
    **{f"{each}Chat.content": _CONTENT for each in ("System", "Developer", "User", "Tool")},
    "AssistantChat.content": nullable(*_CONTENT["anyOf"]),
    "ChatRequest.messages": list_of("InputChat") | {"minItems": 1},
    "ChatRequest.tools": nullable(list_of("InputTool")),
}


@cache
def schemas() -> Mapping[str, Schema]:
    """Return the components of the Chat Completions API, by name."""
    structs: list[type[Struct]] = [
        *_MESSAGES,
        *request_schema.PARTS.values(),
        request_schema.ChatTool,
    ]
    structs += [
        request_schema.ChatRequest,
        response_schema.ChatCompletion,
        response_schema.ChatChunk,
    ]
    return components(structs, _SHAPES, (request_schema, response_schema)) | {
        "InputChat": {"anyOf": [ref(each.__name__) for each in _MESSAGES]},
        "ChatPart": union({**items.PARTS, **request_schema.PARTS}),
        "InputTool": union({"function": request_schema.ChatTool}),
    }
