"""Compare a value with a JSON schema, as far as structured outputs use it."""

from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]

_TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "number": (int, float),
    "integer": int,
    "boolean": bool,
    "null": type(None),
}


def differences(value: Any, schema: Schema) -> list[str]:
    """Return where a value differs from a schema, without any content of the value.

    The keywords of structured outputs are checked: `type`, `enum`, `const`, `properties`,
    `required`, `additionalProperties`, `items`, `anyOf`, `oneOf`, `allOf` and a `$ref` within the
    schema. Others, such as `pattern` and `maximum`, are not.

    Args:
        value: The value, as JSON's types.
        schema: The schema.

    Returns:
        One line for each difference: a path and what is wrong there. Empty if there is none.
    """
    return list(_differences(value, schema, schema, "$"))


def _differences(value: Any, schema: Any, root: Schema, path: str) -> Iterator[str]:
    if not isinstance(schema, Mapping):
        if schema is False:
            yield f"{path} is not allowed"
        return
    if isinstance(reference := schema.get("$ref"), str):
        yield from _differences(value, _referred(reference, root), root, path)
    yield from _of_unions(value, schema, root, path)
    types = schema.get("type")
    names = [types] if isinstance(types, str) else types or []
    if names and not any(_is(value, name) for name in names):
        yield f"{path} must be of type {' or '.join(map(str, names))}"
    elif "enum" in schema and value not in schema["enum"]:
        yield f"{path} must be one of the values of `enum`"
    elif "const" in schema and value != schema["const"]:
        yield f"{path} must be the value of `const`"
    elif isinstance(value, dict):
        yield from _of_object(value, schema, root, path)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _differences(item, schema.get("items", True), root, f"{path}[{number}]")


def _of_unions(value: Any, schema: Schema, root: Schema, path: str) -> Iterator[str]:
    for part in schema.get("allOf") or ():
        yield from _differences(value, part, root, path)
    for name in ("anyOf", "oneOf"):
        parts = schema.get(name) or ()
        if parts and all(any(_differences(value, part, root, path)) for part in parts):
            yield f"{path} fits none of `{name}`"


def _of_object(value: dict[str, Any], schema: Schema, root: Schema, path: str) -> Iterator[str]:
    properties = schema.get("properties") or {}
    for name in schema.get("required") or ():
        if name not in value:
            yield f"{path}.{name} is missing"
    for name, item in value.items():
        inner = properties.get(name, schema.get("additionalProperties", True))
        yield from _differences(item, inner, root, f"{path}.{name}")


def _is(value: Any, name: str) -> bool:
    if isinstance(value, bool) and name in ("number", "integer"):
        return False
    if name == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES.get(name, object))


def _referred(reference: str, root: Schema) -> Any:
    """Return the schema that a reference within the schema names; True if it names none."""
    found: Any = root
    for key in reference.removeprefix("#").split("/")[1:]:
        found = found.get(key) if isinstance(found, Mapping) else None
    return True if found is None else found
