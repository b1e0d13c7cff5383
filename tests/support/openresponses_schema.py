"""Validate JSON against the schema of Open Responses, version 2026-04-24.

What an implementor may add is not checked: vendor events (`acme:thing`) and items of types that
the schema does not define. Of OpenAI's own types that it does not define, those that the server
sends itself are listed here; openai-python's types check them, and that nothing is added.
"""

import json
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match
from jsonschema.protocols import Validator
from jsonschema.validators import create
from openai import BaseModel
from openai.types.responses import (
    ResponseMcpCallArgumentsDeltaEvent,
    ResponseMcpCallArgumentsDoneEvent,
    ResponseMcpCallCompletedEvent,
    ResponseMcpCallFailedEvent,
    ResponseMcpCallInProgressEvent,
)
from openai.types.responses.response_output_item import McpCall

Json = dict[str, Any]

OPENAI_EVENTS: dict[str, type[BaseModel]] = {
    "response.mcp_call.in_progress": ResponseMcpCallInProgressEvent,
    "response.mcp_call_arguments.delta": ResponseMcpCallArgumentsDeltaEvent,
    "response.mcp_call_arguments.done": ResponseMcpCallArgumentsDoneEvent,
    "response.mcp_call.completed": ResponseMcpCallCompletedEvent,
    "response.mcp_call.failed": ResponseMcpCallFailedEvent,
}
OPENAI_ITEMS: dict[str, type[BaseModel]] = {"mcp_call": McpCall}

DOCUMENT = Path(__file__).parent / "openresponses" / "openapi.json"


def validate_response(body: Json) -> None:
    """Check that a JSON answer is a `ResponseResource`."""
    validate("ResponseResource", body)


def validate_request(body: Json) -> None:
    """Check that a request body is a `CreateResponseBody`."""
    validate("CreateResponseBody", body)


def validate_event(event: Json) -> None:
    """Check that an event of a stream matches the schema of its `type`."""
    kind = event.get("type")
    if not isinstance(kind, str):
        raise AssertionError(f"an event's type is a string, not {kind!r}: {event}")
    if ":" in kind:
        return
    if kind in OPENAI_EVENTS:
        _check_openai(OPENAI_EVENTS[kind], event)
        return
    if kind not in event_types():
        raise AssertionError(f"the schema knows no event of type {kind!r}")
    validate(event_types()[kind], event)


def validate(name: str, body: Json) -> None:
    """Check that `body` matches the schema `name`, ignoring items of unknown types."""
    for item in _items(body):
        if isinstance(item, dict) and item.get("type") in OPENAI_ITEMS:
            _check_openai(OPENAI_ITEMS[item["type"]], item)
    error = best_match(_validator(name).iter_errors(_known(body)))
    if error is not None:
        what = f"{name} {body['type']!r}" if "type" in body else name
        raise AssertionError(f"{what}: {error.json_path}: {error.message}")


@cache
def event_types() -> dict[str, str]:
    """Return the name of the schema for each event type."""
    content = _document()["paths"]["/responses"]["post"]["responses"]["200"]["content"]
    return _tagged(content["text/event-stream"]["schema"])


@cache
def item_types() -> dict[str, str]:
    """Return the name of the schema for each type of output item."""
    return _tagged(_schemas()["ItemField"])


def _tagged(union: Json) -> dict[str, str]:
    names = [branch["$ref"].rpartition("/")[2] for branch in union["oneOf"]]
    return {_choices(_schemas()[name], "type")[0]: name for name in names}


@cache
def _document() -> Json:
    document: Json = json.loads(DOCUMENT.read_text("utf-8"))
    return document


def _schemas() -> Json:
    schemas: Json = _document()["components"]["schemas"]
    return schemas


@cache
def _validator(name: str) -> Validator:
    schema = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": _schemas()}}
    return _Checker(schema)


def _known(body: Json) -> Json:
    """Return `body` without the items that the schema does not define; an event's becomes null."""
    known = dict(body)
    if _foreign(body.get("item")):
        known["item"] = None
    if isinstance(body.get("output"), list):
        known["output"] = [item for item in body["output"] if not _foreign(item)]
    if isinstance(body.get("response"), dict):
        known["response"] = _known(body["response"])
    return known


def _items(body: Json) -> list[Any]:
    response = body.get("response")
    output = body.get("output") or (response.get("output") if isinstance(response, dict) else None)
    return [body.get("item"), *(output if isinstance(output, list) else ())]


def _check_openai(model: type[BaseModel], value: Json) -> None:
    """Check that a value is of one of openai-python's types, without further fields."""
    parsed = model.model_validate(value, strict=True)
    if parsed.model_extra:
        raise AssertionError(f"{model.__name__} has no fields {list(parsed.model_extra)}: {value}")


def _foreign(item: object) -> bool:
    if not isinstance(item, dict):
        return False
    kind = item.get("type")
    return isinstance(kind, str) and kind not in item_types()


def _union(
    keyword: str, validator: Draft202012Validator, branches: Any, instance: object, schema: Any
) -> Iterator[ValidationError]:
    """Validate a `oneOf` or `anyOf`, reporting the errors of the intended branch."""
    meant = [branch for branch in branches if _meant(validator, branch, instance)]
    if len(meant) == 1:
        yield from validator.descend(instance, meant[0])
    elif not meant and isinstance(instance, dict) and "type" in instance:
        yield ValidationError(f"no type of the union is {instance['type']!r}")
    else:
        yield from Draft202012Validator.VALIDATORS[keyword](validator, branches, instance, schema)


def _meant(validator: Draft202012Validator, branch: Json, instance: object) -> bool:
    """Return whether `instance` has the JSON type of `branch` and does not contradict its tags."""
    schema = _resolve(branch)
    if "type" in schema and not validator.is_type(instance, schema["type"]):
        return False
    if not isinstance(instance, dict):
        return True
    tags = {tag: _choices(schema, tag) for tag in ("type", "role") if tag in instance}
    return all(instance[tag] in choices for tag, choices in tags.items() if choices)


def _choices(schema: Json, name: str) -> list[Any]:
    field = schema.get("properties", {}).get(name, {})
    return [value for one in field.get("anyOf", [field]) for value in one.get("enum", [])]


def _resolve(schema: Json) -> Json:
    if "$ref" not in schema:
        return schema
    found: Json = _schemas()[schema["$ref"].rpartition("/")[2]]
    return found


_Checker = create(
    meta_schema=Draft202012Validator.META_SCHEMA,
    validators={
        **Draft202012Validator.VALIDATORS,
        "oneOf": partial(_union, "oneOf"),
        "anyOf": partial(_union, "anyOf"),
    },
)
