"""JSON of openai-python's types, generated from their fields."""

import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from hypothesis import strategies as st
from openai import BaseModel

Json = dict[str, Any]
Values = st.SearchStrategy[Any]

_PLAIN: dict[Any, Values] = {
    str: st.sampled_from(["", "a", "é\n", '{"a": 1}']),
    int: st.integers(0, 9),
    float: st.sampled_from([0.0, 0.5]),
    bool: st.booleans(),
    type(None): st.none(),
}
_ANY: Values = st.sampled_from([None, 1, "x", {"a": None}, [None, {"b": []}]])
_DEPTH = 6
"""Below it, lists are empty and optional fields are left out: filters contain filters."""


def members(union: Any) -> dict[str, type[BaseModel]]:
    """Return the models of a union by their `type`."""
    origin = get_origin(union)
    if origin is Annotated:
        return members(get_args(union)[0])
    if origin in (Union, types.UnionType):
        found: dict[str, type[BaseModel]] = {}
        for member in get_args(union):
            found |= members(member)
        return found
    return dict.fromkeys(get_args(union.model_fields["type"].annotation), union)


def instances(model: type[BaseModel], fixed: Json | None = None, depth: int = 0) -> Values:
    """Generate the JSON of a model: optional fields are there, null or left out.

    Args:
        model: The model.
        fixed: Values of some of its fields, by name. Default none.
        depth: How many objects and lists it is in. Default 0.
    """
    fields: dict[str, Values] = {}
    optional: dict[str, Values] = {}
    for name, field in model.model_fields.items():
        if field.is_required():
            fields[field.alias or name] = _values(field.annotation, depth + 1)
        elif depth < _DEPTH:
            optional[field.alias or name] = _values(field.annotation, depth + 1)
    known = fields | optional
    for name, value in (fixed or {}).items():
        if name in known:
            fields[name] = st.just(value)
            optional.pop(name, None)
    return st.fixed_dictionaries(fields, optional=optional)


def _values(annotation: Any, depth: int) -> Values:
    origin, inner = get_origin(annotation), get_args(annotation)
    if annotation in _PLAIN:
        return _PLAIN[annotation]
    if origin is Annotated:
        return _values(inner[0], depth)
    if origin in (Union, types.UnionType):
        return st.one_of([_values(member, depth) for member in inner])
    if origin is Literal:
        return st.sampled_from(inner)
    if origin is list:
        return st.lists(_values(inner[0], depth + 1), max_size=2) if depth < _DEPTH else st.just([])
    if origin is dict:
        return st.dictionaries(st.sampled_from(["a", "b"]), _values(inner[1], depth + 1))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return instances(annotation, None, depth)
    return _ANY
