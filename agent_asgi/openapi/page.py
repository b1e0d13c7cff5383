"""The document as one page of HTML: no script, no asset from elsewhere."""

import base64
import hashlib
import re
from collections.abc import Mapping
from html import escape
from typing import Any

Schema = Mapping[str, Any]

STYLE = """
:root { color-scheme: light dark; --line: #8885; --soft: #8882; --dim: #777; --link: #06c; }
@media (prefers-color-scheme: dark) { :root { --dim: #aaa; --link: #6bf; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: auto; padding: 1rem; }
a { color: var(--link); }
code { font: 0.9em ui-monospace, monospace; overflow-wrap: anywhere; }
h2 { margin: 2rem 0 0.5rem; }
h3 { font-size: 1rem; margin: 0.8rem 0 0.2rem; }
p { margin: 0.5rem 0; white-space: pre-line; }
details { border: 1px solid var(--line); border-radius: 6px; margin: 0.4rem 0; }
details details { margin: 0.2rem 0; }
summary { cursor: pointer; padding: 0.4rem 0.6rem; background: var(--soft); }
details > div { padding: 0.2rem 0.6rem; }
dl { margin: 0.3rem 0; }
dt { margin-top: 0.4rem; }
dd { margin: 0 0 0 1rem; }
.dim { color: var(--dim); }
.method { display: inline-block; min-width: 4rem; font-weight: bold; }
"""
_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; frame-ancestors 'none'"
"""The page's content-security-policy: its own style and nothing else."""
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
    """Make the page that shows an OpenAPI document.

    Args:
        document: The document, as `openapi.document` makes it.
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
    said = f"<p>{_text(about['description'])}</p>" if about["description"] else ""
    parameters = "".join(
        _entry(f"{each['name']} ({each['in']})", each | each["schema"])
        for each in about["parameters"]
    )
    body = "".join(_media(each) for each in [about.get("requestBody")] if each)
    answers = "".join(_answer(status, each) for status, each in about["responses"].items())
    parts = (("Parameters", f"<dl>{parameters}</dl>" if parameters else ""), ("Body", body))
    told = "".join(f"<h3>{name}</h3>{each}" for name, each in parts if each)
    summary = (
        f'<span class="method">{method.upper()}</span> <code>{escape(path)}</code> '
        f'<span class="dim">{_text(about["summary"])}</span>'
    )
    return _details(summary, f"{said}{told}<h3>Answers</h3>{answers}")


def _answer(status: str, about: Mapping[str, Any]) -> str:
    headers = "".join(_entry(*each) for each in about.get("headers", {}).items())
    body = f"{_media(about)}<dl>{headers}</dl>"
    return _details(f"{status} <span class='dim'>{_text(about['description'])}</span>", body)


def _media(about: Mapping[str, Any]) -> str:
    kinds = about.get("content", {}).items()
    return "".join(f"<p><code>{kind}</code>: {_shape(each['schema'])}</p>" for kind, each in kinds)


def _schema(name: str, schema: Schema) -> str:
    body = f'<div id="{escape(name)}"><p>{_text(schema.get("description", ""))}</p></div>'
    return _details(f"<code>{escape(name)}</code>", body + _shape(schema))


def _entry(name: str, about: Schema) -> str:
    kind = _shape(about.get("schema", about))
    return (
        f"<dt><code>{escape(name)}</code> {kind}</dt><dd>{_text(about.get('description', ''))}</dd>"
    )


def _shape(schema: Any) -> str:
    """Tell in a few words, or in a list of fields, what a schema allows."""
    if not isinstance(schema, Mapping):
        return "anything" if schema else "nothing"
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#{name}">{name}</a>'
    fields = _fields(schema)
    for key, word in (("allOf", " and "), ("anyOf", " or ")):
        if key in schema:
            options = word.join(_shape(each) for each in schema[key])
            return f"{options} {fields}" if fields else options
    if "enum" in schema:
        return " or ".join(f"<code>{escape(str(each))}</code>" for each in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_shape(schema.get('items', True))}{_bounds(schema)}"
    if "contentSchema" in schema:
        return f"JSON of {_shape(schema['contentSchema'])}"
    if "const" in schema:
        return f"<code>{escape(str(schema['const']))}</code>"
    kind = schema.get("type", "anything")
    named = " or ".join(kind) if isinstance(kind, list) else str(kind)
    return f"{escape(named)}{_bounds(schema)}{fields}"


def _bounds(schema: Schema) -> str:
    told = [text.format(schema[key]) for key, text in _BOUNDS.items() if key in schema]
    return escape("".join(f", {each}" for each in told))


def _fields(schema: Schema) -> str:
    required = schema.get("required", ())
    entries = "".join(
        _entry(f"{name} *" if name in required else name, each)
        for name, each in schema.get("properties", {}).items()
    )
    return f"<dl>{entries}</dl>" if entries else ""
