"""Structured outputs: an object that an invoke handler returns is the JSON text of its message."""

import dataclasses
import logging
from typing import Any

import msgspec

from ..schema import codec
from ..schema.ids import PREFIXES
from ..schema.items import Typed
from ..schema.json_schema import differences
from ..schema.outputs import Citation
from ..schema.plain import dumped
from ..schema.requests import ResponsesRequest
from ..schema.responses import Response, Usage
from .coerce import getter

logger = logging.getLogger("agent_asgi")


def structured(
    output: Any, returns: tuple[type, ...], request: ResponsesRequest, response_id: str
) -> Any:
    """Return an invoke handler's output with its structured parts as JSON text.

    If the client sent a JSON schema, the log says where the JSON differs from it.

    Args:
        output: The output.
        returns: The classes that the handler's return annotation names.
        request: The request.
        response_id: The response's id, for the log.
    """
    if isinstance(output, list | tuple):
        return [structured(value, returns, request, response_id) for value in output]
    if not _is_structured(output, returns):
        return output
    fields = dumped(output, by_alias=True) if hasattr(output, "model_dump") else output
    text = codec.encode(fields)
    _compare(text, request, response_id)
    return text.decode()


def _is_structured(output: Any, returns: tuple[type, ...]) -> bool:
    if isinstance(output, str | Typed | Usage | Response | Citation):
        return False
    get, named = getter(output), isinstance(output, returns)
    kind = get("type")
    if isinstance(kind, str):
        is_item = kind in PREFIXES or kind.startswith("response.") or isinstance(output, dict)
        return named and not is_item
    if isinstance(get("output"), list):  # a response, unless it is a class of the user's
        return named and not isinstance(output, dict) and get("object") != "response"
    is_model = isinstance(output, msgspec.Struct) or hasattr(output, "model_dump")
    return named or is_model or dataclasses.is_dataclass(output)


def _compare(text: bytes, request: ResponsesRequest, response_id: str) -> None:
    wanted = None if request.text is None else request.text.format
    if wanted is None or wanted.schema is None:
        return
    found = differences(msgspec.json.decode(text), wanted.schema)
    if found:
        logger.warning(
            "The structured output of %s differs from the client's schema: %s.",
            response_id,
            "; ".join(found[:5]),
        )
