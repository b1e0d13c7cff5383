"""What an OpenAPI document is built from: operations, and the schemas of structs."""

import ast
import inspect
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import pairwise
from types import ModuleType
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from .ids import MAX_ID

Schema = dict[str, Any]
TEMPLATE = "#/components/schemas/{name}"


def ref(name: str) -> Schema:
    """Return a reference to a component."""
    return {"$ref": TEMPLATE.format(name=name)}


def list_of(name: str) -> Schema:
    """Describe a list of one component."""
    return {"type": "array", "items": ref(name)}


def nullable(*options: Schema) -> Schema:
    """Describe one of several values, or null."""
    return {"anyOf": [*options, {"type": "null"}]}


def one_of(*values: str) -> Schema:
    """Describe one of several texts."""
    return {"type": "string", "enum": list(values)}


def object_of(**properties: Schema) -> Schema:
    """Describe an object with all of these properties."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def page_of(name: str) -> Schema:
    """Describe a page of a list of one component."""
    return object_of(
        object=one_of("list"),
        data=list_of(name),
        first_id=MAYBE,
        last_id=MAYBE,
        has_more=BOOLEAN,
    )


def page_parameters(kind: str) -> tuple[Schema, ...]:
    """Describe the parameters of a page of a list."""
    size = parameter("limit", "query", "Size of a page.", type="integer", minimum=1, maximum=100)
    after = parameter("after", "query", f"Id of the last {kind} of the page before.")
    return (size | {"example": 20}, after)


def parameter(name: str, place: str, description: str, **schema: Any) -> Schema:
    """Describe a query parameter or a header; text unless `type` says otherwise."""
    schema = {"type": "string", **schema}
    return {"name": name, "in": place, "description": description, "schema": schema}


def frames(data: Schema) -> Schema:
    """Describe a frame of an event stream by the schema of its data."""
    content = {"contentMediaType": JSON, "contentSchema": data}
    schema = object_of(data={"anyOf": [{"const": "[DONE]"}, TEXT | content]})
    schema["properties"]["event"] = TEXT
    return schema


TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "integer"}
BOOLEAN: Schema = {"type": "boolean"}
MAYBE: Schema = {"type": ["string", "null"]}
JSON, STREAM = "application/json", "text/event-stream"
QUESTION = "What is 12 * (3 + 4)?"
SESSION = parameter("x-session-id", "header", "Session of the trace if the body names none.")
RETURN_TRACE = parameter(
    "x-mlflow-return-trace-id", "header", "`true` adds the trace id to the response's metadata."
)
KEY = parameter(
    "idempotency-key",
    "header",
    "Requests with the same key share one run, which continues if the client disconnects.",
)


class Operation(NamedTuple):
    """What an OpenAPI document says about one operation, on whichever path it is served."""

    summary: str
    answers: dict[str, Schema]
    """Schemas of the 200 answer by media type; empty if there is no such answer."""
    errors: tuple[int, ...] = ()
    """Statuses of the server's own errors."""
    body: str | None = None
    """Component of the request body; empty for any JSON object, None for no body."""
    parameters: tuple[Schema, ...] = ()
    runs: bool = False
    """Whether a handler runs; its errors may have any status."""
    modes: tuple[str, ...] = ("invoke", "stream")
    """The handlers whose annotations the body must match; none if it has its own form."""
    named: bool = False
    """Whether the body must name a `model` even if the app has one agent."""
    linked: bool = False
    """Whether the answer is a response that may be stored."""
    optional: bool = False
    """Whether a request may have no body."""
    open: bool = False
    """Whether the operation needs no authentication."""
    statuses: tuple[int, ...] = (200,)
    """Statuses of the answers."""
    empty: tuple[int, str] | None = None
    """The status and the meaning of an answer without a body; None if there is none."""
    unready: Schema | None = None
    """Schema of a 503 answer that is not an error."""
    description: str = ""
    example: Schema = {"input": QUESTION}  # noqa: RUF012  never changed
    error: str = "Error"
    """Component of the operation's own errors."""


ALONE = (400, 403, 408, 413, 415, 429, 500, 503, 504)
RUN = (*ALONE, 404, 409)
STREAMS = "`stream: true` returns server-sent events; the data of each frame is "
DONE = "described by the schema. `data: [DONE]` ends the stream."


def components(
    structs: Iterable[type[Struct]],
    shapes: Mapping[str, Schema],
    modules: Iterable[ModuleType],
    prefix: str = "",
) -> dict[str, Schema]:
    """Return the schemas of structs and of everything they refer to, by name.

    Args:
        structs: The structs.
        shapes: Schemas that replace msgspec's, by "Struct.field" or "field".
        modules: The modules of the structs; the docs below their fields become descriptions.
        prefix: What the names of the components begin with. Default nothing.
    """
    template = TEMPLATE.replace("{name}", prefix + "{name}")
    _, made = msgspec.json.schema_components(structs, ref_template=template)
    for name, schema in made.items():
        docs = _docs(name, modules)
        for field, own in schema.get("properties", {}).items():
            shape = shapes.get(f"{name}.{field}") or shapes.get(field) or own
            doc = {"description": docs[field]} if field in docs else {}
            schema["properties"][field] = doc | shape
    return {prefix + name: schema for name, schema in made.items()}


def union(known: Mapping[str, type[Struct] | str], without: Sequence[str] = ()) -> Schema:
    """Describe a value of one of the known types, or of a type that is not known here.

    Args:
        known: The structs, or the names of their components, by `type`.
        without: Known types that the value may not have. Default none.
    """
    known = {kind: each for kind, each in known.items() if kind not in without}
    names = [each if isinstance(each, str) else each.__name__ for each in known.values()]
    other = object_of(type={"type": "string", "minLength": 1, "not": {"enum": [*known, *without]}})
    return {"anyOf": [*map(ref, names), other | {"title": "of another type"}]}


def item_of(known: Mapping[str, type[Struct] | str], without: Sequence[str] = ()) -> Schema:
    """Describe an item as `union` does; one that an agent gave may have any form."""
    described = union(known, without)
    described["anyOf"].append(ref("UnusualItem"))
    return described | {"properties": {"id": {"maxLength": MAX_ID}}}


def untyped(title: str, schema: Schema, *types: str | None) -> Schema:
    """Describe an object whose `type` may be missing."""
    properties = {**schema["properties"], "type": {"enum": list(types)}}
    required = [name for name in schema["required"] if name != "type"]
    return schema | {"title": title, "properties": properties, "required": required}


def _docs(name: str, modules: Iterable[ModuleType]) -> dict[str, str]:
    docs: dict[str, str] = {}
    for module in modules:
        struct = getattr(module, name, object)
        for base in reversed(struct.__mro__[:-2]):  # without Struct and object
            docs |= field_docs(sys.modules[base.__module__]).get(base.__name__, {})
        names = dict(
            zip(
                getattr(struct, "__struct_fields__", ()),
                getattr(struct, "__struct_encode_fields__", ()),
                strict=True,
            )
        )
        docs = {names.get(field, field): doc for field, doc in docs.items()}
    return docs


@cache
def field_docs(module: ModuleType) -> Mapping[str, Mapping[str, str]]:
    """Return the docs below the fields of a module's classes; empty if there is no source."""
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
