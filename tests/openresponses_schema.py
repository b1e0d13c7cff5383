"""Holds JSON against the schema of Open Responses, version 2026-04-24.

What an implementor may add is left out of the check: vendor events (`acme:thing`) and items of
types that the schema does not know.
"""

import json
from collections.abc import Iterator
from functools import cache
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
    return _tagged(_document()["components"]["schemas"]["ItemField"])


def _tagged(union: Json) -> dict[str, str]:
    names = [branch["$ref"].rpartition("/")[2] for branch in union["oneOf"]]
    schemas = _document()["components"]["schemas"]
    return {schemas[name]["properties"]["type"]["enum"][0]: name for name in names}


@cache
def _document() -> Json:
    document: Json = json.loads(DOCUMENT.read_text("utf-8"))
    return document


@cache
def _validator(name: str) -> Validator:
    components = _document()["components"]
    return _Checker({"$ref": f"#/components/schemas/{name}", "components": components})


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


def _one_of(
    validator: Draft202012Validator, branches: list[Json], instance: object, schema: Json
) -> Iterator[ValidationError]:
    """Of a union with a `type`, report what is wrong with the branch that is meant."""
    if "discriminator" not in schema or not isinstance(instance, dict) or "type" not in instance:
        yield from Draft202012Validator.VALIDATORS["oneOf"](validator, branches, instance, schema)
        return
    meant = [branch for branch in branches if _meant(branch, instance, "type")]
    meant = [branch for branch in meant if _meant(branch, instance, "role")] or meant
    if not meant:
        yield ValidationError(f"type {instance['type']!r} is not one of the union's")
    for branch in meant[:1]:
        yield from validator.descend(instance, branch)


def _meant(branch: Json, instance: Json, tag: str) -> bool:
    """Whether the branch of a union has the instance's `type` or `role` (input messages)."""
    name = branch["$ref"].rpartition("/")[2]
    schema = _document()["components"]["schemas"][name]["properties"].get(tag, {})
    values = [value for one in schema.get("anyOf", [schema]) for value in one.get("enum", [])]
    return not values or instance.get(tag) in values


def _any_of(
    validator: Draft202012Validator, branches: list[Json], instance: object, schema: Json
) -> Iterator[ValidationError]:
    """Of `X or null`, report what is wrong with the X."""
    others = [branch for branch in branches if branch.get("type") != "null"]
    if instance is not None and len(others) == 1:
        yield from validator.descend(instance, others[0])
    else:
        yield from Draft202012Validator.VALIDATORS["anyOf"](validator, branches, instance, schema)


_Checker = create(
    meta_schema=Draft202012Validator.META_SCHEMA,
    validators={**Draft202012Validator.VALIDATORS, "oneOf": _one_of, "anyOf": _any_of},
)
