"""Schemas of the Responses API's structs and of the types that handlers are annotated with."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec
from msgspec import Struct

from ...schema import codec, events, ids, items, requests, responses
from ...schema.openapi import (
    TEMPLATE,
    TEXT,
    Schema,
    components,
    item_of,
    list_of,
    nullable,
    object_of,
    one_of,
    ref,
    union,
    untyped,
)

_CONTENT = {"anyOf": [TEXT, list_of("ContentPart")]}
_INPUT = {"anyOf": [TEXT, list_of("InputItem")]}
_SHAPES: dict[str, Schema] = {
    "Message.content": _CONTENT,
    "FunctionCallOutput.output": _CONTENT,
    "ReasoningItem.summary": list_of("SummaryPart"),
    "ReasoningItem.content": nullable(list_of("ReasoningPart")),
    "ResponsesRequest.input": nullable(*_INPUT["anyOf"]),
    "ResponsesRequest.tools": nullable(list_of("Tool")),
    "ResponsesRequest.tool_choice": nullable(
        {"enum": ["none", "auto", "required"]}, object_of(type=TEXT)
    ),
    "Response.output": list_of("OutputItem"),
    "Response.tools": list_of("Tool"),
    "item": ref("OutputItem"),
    "part": ref("ContentPart"),
    "response": ref("Response"),
}
"""Fields that the structs hold more loosely: plain dicts, and types that are not known here."""
_OF_AGENTS = [each for each in items.ITEMS if each not in ("message", *items.CLIENT_ITEMS)]
_ID: Schema = {"type": "string", "maxLength": ids.MAX_ID}
_UNUSUAL: Schema = {
    "title": "UnusualItem",
    "description": "An item that an agent gave with an id; its other fields may have any form.",
    "anyOf": [
        object_of(id=_ID, type=one_of(*_OF_AGENTS)),
        object_of(id=_ID, type=one_of("message"), role={"not": {"enum": [*items.CLIENT_ROLES]}}),
    ],
}
_PREWARM = object_of(prewarm={"const": True})
_OPTIONAL = ("conversation", "custom_outputs", "prompt", "usage")
"""The fields that a response may lack; `usage` only at `/invocations`."""


@cache
def schemas() -> Mapping[str, Schema]:
    """Return the components that every app has, by name."""
    event_types = [*events.ITEM_EVENTS, *events.ResponseEvent.__subclasses__()]
    structs: list[type[Struct]] = [*event_types, *items.ITEMS.values(), *items.PARTS.values()]
    structs += [requests.FunctionTool, requests.ResponsesRequest, requests.FeedbackRequest]
    made = components([*structs, responses.Response], _SHAPES, (items, requests, responses, events))
    response = made["Response"]
    return {name: schema for name, schema in made.items() if not name.startswith("_")} | {
        "ResponsesRequest": _request(made["ResponsesRequest"]),
        "Response": response
        | {"required": [name for name in response["properties"] if name not in _OPTIONAL]},
        "ShortResponse": response
        | {
            "title": "ShortResponse",
            "description": "A response without the fields that neither request nor agent set.",
            "required": list(codec.short_form(responses.Response())),
        },
        "InputMessage": untyped("InputMessage", made["Message"], "message", None),
        "SummaryPart": untyped("SummaryPart", made["SummaryText"], "summary_text"),
        "ReasoningPart": untyped("ReasoningPart", made["ReasoningText"], "reasoning_text"),
        "InputItem": item_of({**items.ITEMS, "message": "InputMessage"}),
        "OutputItem": item_of(items.ITEMS),
        "UnusualItem": _UNUSUAL,
        "ContentPart": union(items.PARTS),
        "Tool": union({"function": requests.FunctionTool}),
        "Event": union({str(each.__struct_config__.tag): each for each in event_types}),
        "Error": object_of(error=ref("ErrorInfo")) | {"title": "Error"},
    }


def _request(schema: Schema) -> Schema:
    """Add what a request body needs, and leave out what a body cannot set."""
    properties = schema["properties"]
    first = {name: properties[name] for name in ("input", "tools", "tool_choice")}
    properties = {k: v for k, v in properties.items() if k not in ("earlier", "raw")}
    detached = object_of(background={"const": True}, store={"const": False})
    return schema | {
        "properties": first | properties,
        "anyOf": [
            {"properties": {"input": _INPUT}, "required": ["input"]},
            {"properties": {"previous_response_id": TEXT}, "required": ["previous_response_id"]},
            {"properties": {"generate": {"const": False}}, "required": ["generate"]},
            {
                "properties": {"prompt_cache_options": _PREWARM},
                "required": ["prompt_cache_options"],
            },
        ],
        "not": {name: detached[name] for name in ("properties", "required")},
    }


def of_annotation(wanted: Any, name: str) -> tuple[Schema, dict[str, Schema]]:
    """Describe the type of a handler's annotation.

    Args:
        wanted: A msgspec type, or a class with pydantic's `model_json_schema`.
        name: Prefix of the components' names.

    Returns:
        The schema, and the components that it refers to.
    """
    template = TEMPLATE.format(name=name + ".{}")
    model = getattr(wanted, "model_json_schema", None)
    if model is None:
        (schema,), made = msgspec.json.schema_components(
            [wanted], schema_hook=lambda _: {}, ref_template=template.format("{name}")
        )
    else:
        schema = model(ref_template=template.format("{model}"))
        made = schema.pop("$defs", {})
    return schema, {f"{name}.{key}": each for key, each in made.items()}
