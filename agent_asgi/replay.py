"""A stored response becomes the events that its stream might have had. Pure."""

from typing import Any

import msgspec

from .errors import AgentFailed
from .items import OpenItems
from .reducer import Reducer
from .schema import events as e

_TERMINAL: dict[str, type[e.ResponseEvent]] = {
    "completed": e.ResponseCompleted,
    "failed": e.ResponseFailed,
}


def replay(stored: bytes) -> list[e.Event | e.VendorEvent]:
    """Make the events of a response that has ended; the last one carries it as it is.

    Args:
        stored: The response as JSON.
    """
    response: dict[str, Any] = msgspec.json.decode(stored)
    items = OpenItems(Reducer())
    begun = _raw(response | {"status": "in_progress", "output": []} | dict.fromkeys(_AT_THE_END))
    items.emit(e.ResponseCreated, response=begun)
    items.emit(e.ResponseInProgress, response=begun)
    for item in response["output"]:
        items.replay(item)
    items.close_all(incomplete=response["status"] == "incomplete")
    error = response["error"]
    if error is not None:
        items.error(AgentFailed(error["message"], error["code"]))
    terminal = _TERMINAL.get(response["status"], e.ResponseIncomplete)
    items.emit(terminal, response=msgspec.Raw(stored))
    return items.taken()


_AT_THE_END = ("error", "usage", "completed_at", "incomplete_details")


def _raw(response: dict[str, Any]) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(response))
