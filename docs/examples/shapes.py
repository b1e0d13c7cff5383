"""Fill JSON schemas: a tool's arguments from a message, an answer in the requested format."""

import re
from contextlib import suppress
from fractions import Fraction
from typing import Any

from arithmetic import LONGEST, NUMBER, Answer, NoAnswerError, plain

MISFIT = "My answer does not fit the shape that you ask for."


def numbers_in(text: str) -> list[Fraction]:
    """Return the numbers in a message."""
    found = re.findall(rf"(?<![\w.])-?{NUMBER}", plain(text[:LONGEST]))
    return [Fraction(each) for each in found]


def objects_in(text: str) -> list[str]:
    """Return what a message is about: the words after "in" and "for"."""
    end = r"(?=\s+(?:in|for|right|now|today|tomorrow|please)\b|[?.!,]|$)"
    return re.findall(rf"\b(?:in|for)\s+([^?.!,]+?){end}", text[:LONGEST])


def arguments_for(schema: dict[str, Any], message: str) -> tuple[dict[str, Any], list[str]]:
    """Fill a tool's parameters from a message; return them and the names of the missing ones."""
    pools: dict[str, list[Any]] = {
        "string": objects_in(message),
        "number": (numbers := numbers_in(message)),
        "integer": numbers,
    }
    properties: dict[str, dict[str, Any]] = schema.get("properties") or {}
    found = {name: argument(each, pools, message) for name, each in properties.items()}
    lacking = [name for name in schema.get("required") or [] if found.get(name) is None]
    missing = [name for name in lacking if "null" not in kinds(properties.get(name, {}))]
    return {key: each for key, each in found.items() if each is not None or key in lacking}, missing


def argument(schema: dict[str, Any], pools: dict[str, list[Any]], message: str) -> Any:
    """Take the message's value for one parameter; return None if it has none."""
    words = plain(message).split()
    if "enum" in schema:
        return next((each for each in schema["enum"] if str(each).lower() in words), None)
    pool = next((pools[kind] for kind in kinds(schema) if pools.get(kind)), None)
    if not pool:
        return None
    value = pool.pop(0)
    return json_number(value, kinds(schema)[0]) if isinstance(value, Fraction) else value


def kinds(schema: dict[str, Any]) -> list[str]:
    """Return the JSON types that a schema allows; a string if it names none."""
    if "anyOf" in schema:
        return [kind for option in schema["anyOf"] for kind in kinds(option)]
    given = schema.get("type", "string")
    return [given] if isinstance(given, str) else list(given)


def json_number(value: Fraction | None, kind: str) -> int | float:
    """Convert a number for JSON; refuse to round it to an integer."""
    if value is None or (kind == "integer" and value.denominator != 1):
        raise NoAnswerError(MISFIT)
    return int(value) if value.denominator == 1 else float(value)


def fitted(answer: Answer, schema: dict[str, Any], definitions: dict[str, Any]) -> Any:
    """Fit an answer to a JSON schema; an array gets one entry for each step."""
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        if name not in definitions:
            raise NoAnswerError(MISFIT)
        others = {key: each for key, each in definitions.items() if key != name}
        return fitted(answer, definitions[name], others)
    types = kinds(schema)
    options = schema.get("anyOf") or [{**schema, "type": each} for each in types]
    if len(options) == 1 and "anyOf" not in schema:
        return filled(answer, types[0], schema, definitions)
    return first_fit(answer, options, definitions)


def first_fit(answer: Answer, options: list[dict[str, Any]], definitions: dict[str, Any]) -> Any:
    """Return the answer in the first of several schemas that it fits."""
    for option in options:
        with suppress(NoAnswerError):
            return fitted(answer, option, definitions)
    raise NoAnswerError(MISFIT)


def filled(answer: Answer, kind: str, schema: dict[str, Any], definitions: dict[str, Any]) -> Any:
    """Fill a schema of one type."""
    if kind == "object":
        parts = (schema.get("properties") or {}).items()
        return {name: fitted(answer, part, definitions) for name, part in parts}
    if kind == "array":
        return [fitted(step, schema.get("items") or {}, definitions) for step in answer.steps]
    if kind in {"number", "integer"}:
        return json_number(answer.value, kind)
    if kind == "string" and ("enum" in schema or "const" in schema):
        return named_in(answer.text, schema.get("enum") or [schema["const"]])
    return {"string": answer.text, "boolean": True}.get(kind)


def named_in(text: str, options: list[str]) -> str:
    """Return the only option, or the one that the text names."""
    for option in options:
        if len(options) == 1 or str(option).lower() in text.lower():
            return option
    raise NoAnswerError(MISFIT)
