"""A turn over a WebSocket in this event loop, without a socket."""

import asyncio
import json
from typing import Any

from starlette.types import ASGIApp

from tests.support.stream_rules import TERMINAL

Json = dict[str, Any]


async def websocket_turn(app: ASGIApp, **body: Any) -> list[Json]:
    """Connect, send one `response.create`, and disconnect after its last message.

    Args:
        app: The app.
        **body: The fields of the request.

    Returns:
        The messages.
    """
    inbox: asyncio.Queue[Any] = asyncio.Queue()
    outbox: asyncio.Queue[Any] = asyncio.Queue()
    scope = {
        "type": "websocket",
        "path": "/responses",
        "raw_path": b"/responses",
        "query_string": b"",
        "root_path": "",
        "scheme": "ws",
        "headers": [(b"host", b"x")],
        "subprotocols": [],
    }
    task = asyncio.ensure_future(app(scope, inbox.get, outbox.put))
    await inbox.put({"type": "websocket.connect"})
    assert (await outbox.get())["type"] == "websocket.accept"
    text = json.dumps({"type": "response.create", **body})
    await inbox.put({"type": "websocket.receive", "text": text})
    messages: list[Json] = []
    while not messages or messages[-1]["type"] not in (*TERMINAL, "error"):
        messages.append(json.loads((await outbox.get())["text"]))
    await inbox.put({"type": "websocket.disconnect", "code": 1000})
    await task
    return messages
