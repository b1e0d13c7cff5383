"""Schemas of the document: the wire's structs, and what a handler's annotation asks for."""

import ast
import inspect
from collections.abc import Mapping
from functools import cache
from itertools import pairwise
from types import ModuleType
from typing import Annotated, Any, get_args, get_type_hints

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import FieldInfo, fields

from .. import codec
from ..schema import chat, completions, events, items, requests, responses

Schema = dict[str, Any]
TEMPLATE = "#/components/schemas/{name}"


def ref(name: str) -> Schema:
    """Refer to a component."""
    return {"$ref": TEMPLATE.format(name=name)}


def list_of(name: str) -> Schema:
    """Describe a list of what a component describes."""
    return {"type": "array", "items": ref(name)}


def nullable(*options: Schema) -> Schema:
    """Describe one of several things, or null."""
    return {"anyOf": [*options, {"type": "null"}]}


_CONTENT = {"anyOf": [{"type": "string"}, list_of("ContentPart")]}
_CHAT = {"anyOf": [{"type": "string"}, list_of("ChatPart")]}
_SHAPES: dict[Any, Schema] = {
    (items.Message, "content"): _CONTENT,
    (items.FunctionCallOutput, "output"): _CONTENT,
    (items.ReasoningItem, "summary"): list_of("SummaryPart"),
    (items.ReasoningItem, "content"): nullable(list_of("ReasoningPart")),
    (responses.Response, "output"): list_of("OutputItem"),
    (responses.Response, "tools"): list_of("Tool"),
    (chat.SystemChat, "content"): _CHAT,
    (chat.DeveloperChat, "content"): _CHAT,
    (chat.UserChat, "content"): _CHAT,
    (chat.AssistantChat, "content"): nullable(*_CHAT["anyOf"]),
    (chat.ToolChat, "content"): _CHAT,
    (chat.ChatRequest, "messages"): list_of("InputChat") | {"minItems": 1},
    (chat.ChatRequest, "tools"): nullable(list_of("InputTool")),
    "item": ref("OutputItem"),
    "part": ref("ContentPart"),
    "response": ref("Response"),
}
"""What msgspec cannot tell of: unions of structs with a dict, and what is in plain dicts."""
_MESSAGES: tuple[type[Struct], ...] = get_args(chat.Chat)


@cache
def schemas() -> Mapping[str, Schema]:
    """Give the components that every app has, by their names."""
    told = [*events.ITEM_EVENTS, *events.ResponseEvent.__subclasses__()]
    structs: list[type[Struct]] = [*told, *items.ITEMS.values(), *items.PARTS.values()]
    structs += [requests.FunctionTool, requests.RequestFields, responses.Response]
    structs += [*_MESSAGES, *chat.PARTS.values(), chat.ChatTool, chat.ChatRequest]
    structs += [completions.ChatCompletion, completions.ChatChunk]
    structs += [requests.FeedbackRequest]
    _, found = msgspec.json.schema_components(map(_stand_in, structs), ref_template=TEMPLATE)
    for name, schema in found.items():
        _describe(name, schema)
    response = found["Response"]
    names = [name for name in response["properties"] if name != "custom_outputs"]
    return found | {
        "ResponsesRequest": _request(found.pop("RequestFields")),
        "Response": response | {"required": names},
        "ShortResponse": response
        | {
            "title": "ShortResponse",
            "description": "A response without what the request and the agent left unset.",
            "required": list(codec.short_form(responses.Response())),
        },
        "InputMessage": _untyped("InputMessage", found["Message"], "message", None),
        "SummaryPart": _untyped("SummaryPart", found["SummaryText"], "summary_text"),
        "ReasoningPart": _untyped("ReasoningPart", found["ReasoningText"], "reasoning_text"),
        "InputItem": _union({**items.ITEMS, "message": "InputMessage"}),
        "OutputItem": _union(items.ITEMS),
        "ContentPart": _union(items.PARTS),
        "Tool": _union({"function": requests.FunctionTool}),
        "InputChat": {"anyOf": [ref(each.__name__) for each in _MESSAGES]},
        "ChatPart": _union({**items.PARTS, **chat.PARTS}),
        "InputTool": _union({"function": chat.ChatTool}),
        "Event": _union({str(each.__struct_config__.tag): each for each in told}),
        "Error": {
            "title": "Error",
            "type": "object",
            "properties": {"error": ref("ErrorInfo")},
            "required": ["error"],
        },
    }


def _stand_in(struct: type[Struct]) -> type[Struct]:
    """Make a struct of the same name and fields, each of a type that msgspec can tell of."""
    hints = get_type_hints(struct, include_extras=True)
    shapes = {name: _SHAPES.get((struct, name)) or _SHAPES.get(name) for name in hints}
    if not any(shapes.values()):
        return struct
    made: list[Any] = []
    for each in fields(struct):
        shape = shapes[each.name]
        kind = Annotated[Any, Meta(extra_json_schema=shape)] if shape else hints[each.name]
        made.append((each.name, kind) if each.required else (each.name, kind, _default(each)))
    tagged = struct.__struct_config__
    more: dict[str, Any] = {"tag_field": tagged.tag_field, "tag": tagged.tag} if tagged.tag else {}
    doc = {"__doc__": struct.__doc__}
    return msgspec.defstruct(struct.__name__, made, kw_only=True, namespace=doc, **more)


def _default(field: FieldInfo) -> Any:
    if field.default_factory is msgspec.NODEFAULT:
        return field.default
    return msgspec.field(default_factory=field.default_factory)


def _union(known: Mapping[str, type[Struct] | str]) -> Schema:
    """Describe what has one of the known types, or a type that is not known here."""
    names = {tag: each if isinstance(each, str) else each.__name__ for tag, each in known.items()}
    other = {
        "title": "of another type",
        "type": "object",
        "properties": {"type": {"type": "string", "minLength": 1, "not": {"enum": list(names)}}},
        "required": ["type"],
    }
    return {"anyOf": [*(ref(each) for each in names.values()), other]}


def _untyped(title: str, schema: Schema, *types: str | None) -> Schema:
    """Describe what may come in without its type."""
    properties = {**schema["properties"], "type": {"enum": list(types)}}
    needed = [name for name in schema["required"] if name != "type"]
    return schema | {"title": title, "properties": properties, "required": needed}


def _request(plain: Schema) -> Schema:
    """Describe a request's body, the fields of several shapes included."""
    given = {"anyOf": [{"type": "string"}, list_of("InputItem")]}
    choice = {"type": "object", "properties": {"type": {"type": "string"}}, "required": ["type"]}
    more = {
        "input": nullable(*given["anyOf"]),
        "tools": nullable(list_of("Tool")),
        "tool_choice": nullable({"enum": ["none", "auto", "required"]}, choice),
    }
    docs = _docs(requests)["ResponsesRequest"]
    described = {name: schema | {"description": docs[name]} for name, schema in more.items()}
    continues = {
        "properties": {"previous_response_id": {"type": "string"}},
        "required": ["previous_response_id"],
    }
    return plain | {
        "title": "ResponsesRequest",
        "description": requests.ResponsesRequest.__doc__,
        "properties": described | plain["properties"],
        "anyOf": [{"properties": {"input": given}, "required": ["input"]}, continues],
        "not": {
            "properties": {"background": {"const": True}, "store": {"const": False}},
            "required": ["background", "store"],
        },
    }


def _describe(name: str, schema: Schema) -> None:
    """Put the docs under a struct's fields into its schema."""
    for module in (items, requests, responses, events, chat, completions):
        struct = getattr(module, name, None)
        for base in getattr(struct, "__mro__", ()):
            for field, doc in _docs(inspect.getmodule(base)).get(base.__name__, {}).items():
                if field in schema.get("properties", ()):
                    schema["properties"][field].setdefault("description", doc)


@cache
def _docs(module: ModuleType | None) -> Mapping[str, Mapping[str, str]]:
    """Give the docs under the fields of a module's classes; none where its source is not there."""
    if module is None or not module.__name__.startswith(__package__.partition(".")[0]):
        return {}
    try:
        tree = ast.parse(inspect.getsource(module))
    except OSError:
        return {}
    return {each.name: _fields(each.body) for each in tree.body if isinstance(each, ast.ClassDef)}


def _fields(body: list[ast.stmt]) -> dict[str, str]:
    return {
        field.target.id: inspect.cleandoc(str(doc.value.value)).replace("\n", " ")
        for field, doc in pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(doc, ast.Expr)
        and isinstance(doc.value, ast.Constant)
    }


def of_annotation(wanted: Any, name: str) -> tuple[Schema, dict[str, Schema]]:
    """Describe what a handler's annotation asks for.

    Args:
        wanted: A msgspec type, or a class with pydantic's `model_json_schema`.
        name: What the names of the components begin with.

    Returns:
        The schema, and the components that it refers to.
    """
    template = TEMPLATE.format(name=name + ".{}")
    model = getattr(wanted, "model_json_schema", None)
    if model is None:
        (schema,), found = msgspec.json.schema_components(
            [wanted], schema_hook=lambda _: {}, ref_template=template.format("{name}")
        )
    else:
        schema = model(ref_template=template.format("{model}"))
        found = schema.pop("$defs", {})
    return schema, {f"{name}.{key}": each for key, each in found.items()}
