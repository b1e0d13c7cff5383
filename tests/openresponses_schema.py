"""Holds JSON against the schema of Open Responses, version 2026-04-24.

What an implementor may add is left out of the check: vendor events (`acme:thing`) and items of
types that the schema does not know.
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

Json = dict[str, Any]

DOCUMENT = Path(__file__).parent / "openresponses" / "openapi.json"


def validate_response(body: Json) -> None:
    """A JSON answer is a `ResponseResource`."""
    validate("ResponseResource", body)


def validate_request(body: Json) -> None:
    """A request body is a `CreateResponseBody`."""
    validate("CreateResponseBody", body)


def validate_event(event: Json) -> None:
    """An event of a stream has the shape that its `type` asks for."""
    kind = event.get("type")
    if not isinstance(kind, str):
        raise AssertionError(f"an event's type is a string, not {kind!r}: {event}")
    if ":" in kind:
        return
    if kind not in event_types():
        raise AssertionError(f"the schema knows no event of type {kind!r}")
    validate(event_types()[kind], event)


def validate(name: str, body: Json) -> None:
    """`body` is what the schema calls `name`, items of unknown types aside."""
    error = best_match(_validator(name).iter_errors(_known(body)))
    if error is not None:
        what = f"{name} {body['type']!r}" if "type" in body else name
        raise AssertionError(f"{what}: {error.json_path}: {error.message}")


@cache
def event_types() -> dict[str, str]:
    """Name of the schema of each type of event."""
    content = _document()["paths"]["/responses"]["post"]["responses"]["200"]["content"]
    return _tagged(content["text/event-stream"]["schema"])


@cache
def item_types() -> dict[str, str]:
    """Name of the schema of each type of output item."""
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
    """`body` without the items that the schema cannot know; an event's `item` may be null."""
    known = dict(body)
    if _foreign(body.get("item")):
        known["item"] = None
    if isinstance(body.get("output"), list):
        known["output"] = [item for item in body["output"] if not _foreign(item)]
    if isinstance(body.get("response"), dict):
        known["response"] = _known(body["response"])
    return known


def _foreign(item: object) -> bool:
    if not isinstance(item, dict):
        return False
    kind = item.get("type")
    return isinstance(kind, str) and kind not in item_types()


def _union(
    keyword: str, validator: Draft202012Validator, branches: Any, instance: object, schema: Any
) -> Iterator[ValidationError]:
    """A `oneOf` or `anyOf` that reports what is wrong with the branch that is meant."""
    meant = [branch for branch in branches if _meant(validator, branch, instance)]
    if len(meant) == 1:
        yield from validator.descend(instance, meant[0])
    elif not meant and isinstance(instance, dict) and "type" in instance:
        yield ValidationError(f"no type of the union is {instance['type']!r}")
    else:
        yield from Draft202012Validator.VALIDATORS[keyword](validator, branches, instance, schema)


def _meant(validator: Draft202012Validator, branch: Json, instance: object) -> bool:
    """Whether `instance` has the JSON type and, as far as it has them, the tags of `branch`."""
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
