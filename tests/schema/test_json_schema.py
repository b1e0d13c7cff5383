"""Where a value differs from a JSON schema; jsonschema is the judge."""

from typing import Any

import jsonschema
import pytest

from agent_asgi.schema.json_schema import differences

NODE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "enum": ["a", "b"]},
        "weight": {"type": ["number", "null"]},
        "count": {"type": "integer"},
        "kind": {"const": "node"},
        "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
        "tags": {"type": "array", "items": {"type": "string"}},
        "more": {"allOf": [{"type": "object"}, {"required": ["x"]}]},
    },
    "required": ["name"],
    "additionalProperties": False,
}
SCHEMA: dict[str, Any] = {"$defs": {"node": NODE}, "$ref": "#/$defs/node"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"name": "a", "weight": None, "count": 2.0, "kind": "node", "more": {"x": 1}}, []),
        ({"name": "a", "next": {"name": "b", "next": None}, "tags": ["x"]}, []),
        ([], ["$ must be of type object"]),
        ({}, ["$.name is missing"]),
        ({"name": "c"}, ["$.name must be one of the values of `enum`"]),
        ({"name": "a", "weight": "1"}, ["$.weight must be of type number or null"]),
        ({"name": "a", "count": 1.5}, ["$.count must be of type integer"]),
        ({"name": "a", "count": True}, ["$.count must be of type integer"]),
        ({"name": "a", "kind": "leaf"}, ["$.kind must be the value of `const`"]),
        ({"name": "a", "next": {}}, ["$.next fits none of `anyOf`"]),
        ({"name": "a", "tags": ["x", 1]}, ["$.tags[1] must be of type string"]),
        ({"name": "a", "other": 1}, ["$.other is not allowed"]),
        ({"name": "a", "more": {}}, ["$.more.x is missing"]),
    ],
)
def test_a_value(value: Any, expected: list[str]) -> None:
    assert differences(value, SCHEMA) == expected
    assert jsonschema.Draft202012Validator(SCHEMA).is_valid(value) is (not expected)


def test_a_reference_that_names_nothing_allows_anything() -> None:
    assert differences(1, {"$ref": "#/$defs/none"}) == []
