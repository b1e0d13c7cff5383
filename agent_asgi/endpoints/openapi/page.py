"""The OpenAPI document as one HTML page, without scripts or assets from elsewhere."""

import base64
import hashlib
import re
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

Schema = Mapping[str, Any]

STYLE = "\n" + Path(__file__).with_suffix(".css").read_text()
_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; frame-ancestors 'none'"
"""The page's content security policy: its own style and nothing else."""
_BOUNDS = {
    "minimum": "from {}",
    "maximum": "to {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {}",
    "maxItems": "at most {}",
    "maxProperties": "at most {} fields",
    "pattern": "like {}",
    "default": "default {}",
}


def page(document: Mapping[str, Any]) -> str:
    """Return the page that shows an OpenAPI document.

    Args:
        document: The document, as `document.document` returns it.
    """
    info = document["info"]
    title = escape(info["title"])
    body = "".join(_section(tag, document["paths"]) for tag in document["tags"])
    schemas = "".join(_schema(*each) for each in sorted(document["components"]["schemas"].items()))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{STYLE}</style></head><body>"
        f'<h1>{title} <span class="dim">{escape(info["version"])}</span></h1>'
        f'<p>{_text(info["description"])}</p><p><a href="openapi.json">openapi.json</a></p>'
        f"{body}<h2>Schemas</h2>{schemas}</body></html>"
    )


def _text(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _details(summary: str, body: str) -> str:
    return f"<details><summary>{summary}</summary><div>{body}</div></details>"


def _section(tag: Mapping[str, Any], paths: Mapping[str, Any]) -> str:
    operations = "".join(
        _operation(path, method, each)
        for path, methods in paths.items()
        for method, each in methods.items()
        if tag["name"] in each["tags"]
    )
    return f"<h2>{escape(tag['name'])}</h2><p>{_text(tag['description'])}</p>{operations}"


def _operation(path: str, method: str, about: Mapping[str, Any]) -> str:
    parameters = "".join(
        _entry(f"{each['name']} ({each['in']})", each) for each in about["parameters"]
    )
    answers = "".join(_answer(status, each) for status, each in about["responses"].items())
    parts = {
        "Parameters": parameters and f"<dl>{parameters}</dl>",
        "Body": _media(about.get("requestBody", {})),
        "Answers": answers,
    }
    summary = (
        f'<span class="method">{method.upper()}</span> <code>{escape(path)}</code> '
        f'<span class="dim">{_text(about["summary"])}</span>'
    )
    body = "".join(f"<h3>{name}</h3>{part}" for name, part in parts.items() if part)
    return _details(summary, f"<p>{_text(about['description'])}</p>{body}")


def _answer(status: str, about: Mapping[str, Any]) -> str:
    headers = "".join(_entry(*each) for each in about.get("headers", {}).items())
    summary = f'{status} <span class="dim">{_text(about["description"])}</span>'
    return _details(summary, f"{_media(about)}<dl>{headers}</dl>")


def _media(about: Mapping[str, Any]) -> str:
    kinds = about.get("content", {}).items()
    return "".join(f"<p><code>{kind}</code>: {_shape(each['schema'])}</p>" for kind, each in kinds)


def _schema(name: str, schema: Schema) -> str:
    body = f'<div id="{escape(name)}"><p>{_text(schema.get("description", ""))}</p></div>'
    return _details(f"<code>{escape(name)}</code>", body + _shape(schema))


def _entry(name: str, about: Schema) -> str:
    shape, text = _shape(about.get("schema", about)), _text(about.get("description", ""))
    return f"<dt><code>{escape(name)}</code> {shape}</dt><dd>{text}</dd>"


def _shape(schema: Any) -> str:
    """Describe a schema in a few words, or as a list of fields."""
    if not isinstance(schema, Mapping):
        return "anything" if schema else "nothing"
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#{name}">{name}</a>'
    fields = _fields(schema)
    for key, word in (("allOf", " and "), ("anyOf", " or ")):
        if key in schema:
            return f"{word.join(map(_shape, schema[key]))} {fields}"
    if "enum" in schema:
        return " or ".join(f"<code>{escape(str(each))}</code>" for each in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_shape(schema.get('items', True))}{_bounds(schema)}"
    if "contentSchema" in schema:
        return f"JSON of {_shape(schema['contentSchema'])}"
    if "const" in schema:
        return f"<code>{escape(str(schema['const']))}</code>"
    kind = schema.get("type", "anything")
    kinds = " or ".join(kind) if isinstance(kind, list) else str(kind)
    return f"{escape(kinds)}{_bounds(schema)}{fields}"


def _bounds(schema: Schema) -> str:
    bounds = (text.format(schema[key]) for key, text in _BOUNDS.items() if key in schema)
    return escape("".join(f", {each}" for each in bounds))


def _fields(schema: Schema) -> str:
    required = schema.get("required", ())
    entries = "".join(
        _entry(f"{name} *" if name in required else name, each)
        for name, each in schema.get("properties", {}).items()
    )
    return f"<dl>{entries}</dl>" if entries else ""
