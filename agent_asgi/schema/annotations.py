"""The JSON schemas of handlers' annotations."""

from typing import Any

import msgspec

Schema = dict[str, Any]
_DEFS = "#/$defs/"


def object_schema(wanted: Any) -> Schema | None:
    """Return the JSON schema of a type whose values are objects, with all that it refers to.

    Args:
        wanted: A msgspec type, or a class with pydantic's `model_json_schema`.

    Returns:
        The schema; None if the type is not known, or its values are no objects.
    """
    model = getattr(wanted, "model_json_schema", None)
    try:
        schema: Schema = _schema(wanted) if model is None else model()
    except TypeError:  # msgspec does not know the type
        return None
    return schema if schema.get("type") == "object" else None


def takes_object(wanted: Any) -> bool:
    """Return whether a JSON object can become a value of a type, for all that is known of it."""
    if hasattr(wanted, "model_validate"):
        return True
    try:
        return bool(_schema(wanted).get("type", "object") == "object")
    except TypeError:  # msgspec does not know the type
        return False


def _schema(wanted: Any) -> Schema:
    """Return the JSON schema of a msgspec type, with the schemas that it refers to."""
    schema: Schema
    (schema,), made = msgspec.json.schema_components([wanted], ref_template=_DEFS + "{name}")
    root: Schema = made.get(str(schema.get("$ref", "")).removeprefix(_DEFS), schema)
    return root | {"$defs": made} if _DEFS.encode() in msgspec.json.encode(root) else root
