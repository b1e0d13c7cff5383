"""Python values as those that msgspec writes: subclasses of texts and numbers, arrays, paths."""

import inspect
import os
from collections import deque
from collections.abc import Mapping, Sequence, Set
from typing import Any

import msgspec


def plain(value: Any) -> Any:
    """Convert a value, or a dict's key, that msgspec cannot encode; an `enc_hook`.

    Secrets of pydantic are masked.

    Raises:
        TypeError: The value's type is unknown; the message names it.
    """
    if value is None or isinstance(value, bool):  # a key: msgspec encodes it as a value
        return "null" if value is None else str(value).lower()
    if type(value) in (tuple, list, dict, set, frozenset):
        raise TypeError(f"A {type(value).__name__} cannot be the key of a JSON object.")
    if not isinstance(value, type):
        for kind, convert in _SUBCLASSES.items():
            if isinstance(value, kind):
                return convert(value)
        for name, convert in _METHODS.items():
            if hasattr(value, name):
                return convert(value)
    if inspect.iscoroutine(value):
        raise TypeError(unawaited(value))
    raise TypeError(f"{type(value).__name__} cannot be encoded as JSON.")


def unawaited(coroutine: Any) -> str:
    """Close a coroutine that is not awaited, and return the message of the error."""
    coroutine.close()  # else Python warns about it too
    return f"The output is a coroutine of {coroutine.__name__}(). Is an `await` missing?"


def builtins(value: Any) -> Any:
    """Convert a value to dicts, lists, texts, numbers, booleans and nulls.

    Raises:
        TypeError: It contains a value whose type is unknown; the message names it.
    """
    try:
        return msgspec.to_builtins(value, str_keys=True, enc_hook=plain)
    except TypeError:
        pass  # for some keys only the encoder asks the hook
    return msgspec.json.decode(msgspec.json.encode(value, enc_hook=plain))


def dumped(model: Any, **options: Any) -> Any:
    """Return a pydantic model as a dict; what pydantic cannot encode is left to `plain`.

    Args:
        model: The model.
        **options: Further arguments of `model_dump`.
    """
    try:
        return model.model_dump(mode="json", warnings=False, **options)
    except ValueError:  # pydantic's serialization errors
        return model.model_dump(mode="python", warnings=False, **options)


def _as_read(model: Any) -> Any:
    """Return a pydantic model as the JSON that it was read from: with the nulls that were set,
    without those of defaults, which clients may refuse.
    """
    known = dumped(model, by_alias=True, exclude_none=True)
    return _with_nulls(known, dumped(model, by_alias=True, exclude_unset=True))


def _with_nulls(known: Any, given: Any) -> Any:
    """Return a value without nulls with those that another form of it has."""
    if isinstance(known, dict) and isinstance(given, dict):
        nulls = {name: None for name, field in given.items() if field is None}
        return nulls | {name: _with_nulls(known[name], given.get(name)) for name in known}
    if isinstance(known, list) and isinstance(given, list):
        return [_with_nulls(*pair) for pair in zip(known, given, strict=True)]
    return known


_SUBCLASSES: dict[Any, Any] = {
    str: str.__str__,  # the text itself: the subclass may print itself otherwise
    int: int.__int__,
    float: float.__float__,
    os.PathLike: os.fspath,
    Mapping: dict,
    (Set, Sequence, deque): list,
}
_METHODS: dict[str, Any] = {
    "model_dump": _as_read,
    "tolist": lambda value: value.tolist(),  # numpy's scalars and arrays, tensors
    "get_secret_value": str,  # masked
    "unicode_string": str,  # pydantic's URLs
}
