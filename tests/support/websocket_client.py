"""A client of the Responses API over a WebSocket."""

import json
import urllib.request
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosedOK
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as connect_to

from tests.support.openresponses_schema import validate
from tests.support.stream_rules import TERMINAL, check_stream

Json = dict[str, Any]
Refusal = tuple[int, str, str | None]
WAIT = 10.0


def create(**fields: Any) -> str:
    return json.dumps({"type": "response.create", **fields})


def connect(url: str, path: str = "/responses", **options: Any) -> Any:
    return connect_to(url.replace("http", "ws", 1) + path, **options)


def send(ws: ClientConnection, input: Any, **fields: Any) -> None:
    ws.send(create(input=input, **fields))


def read(ws: ClientConnection) -> list[Json]:
    """Read messages up to the one that ends a turn."""
    events: list[Json] = []
    while not events or events[-1]["type"] not in (*TERMINAL, "error"):
        events.append(json.loads(ws.recv(timeout=WAIT)))
    return events


def turn(ws: ClientConnection, input: Any, **fields: Any) -> Json:
    """Run a turn that completes; return its response."""
    send(ws, input, **fields)
    return check_stream(read(ws))


def refused(ws: ClientConnection, input: Any, **fields: Any) -> Refusal:
    """Run a turn that only returns an error; return its status, code and param."""
    send(ws, input, **fields)
    return envelope(ws)


def envelope(ws: ClientConnection) -> Refusal:
    """Read one message; check that it is a schema-valid error."""
    body = json.loads(ws.recv(timeout=WAIT))
    validate("WebSocketErrorEvent", body)
    assert "secret" not in body["error"]["message"]
    return body["status"], body["error"]["code"], body["error"]["param"]


def read_url(url: str, body: Json | None = None) -> str:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data), timeout=WAIT) as answer:
        return str(answer.read(), "utf-8")


CLOSING = (503, "unavailable", None)


def ended(ws: ClientConnection, due: Any) -> None:
    """Check the connection's last message and that it closes normally."""
    assert envelope(ws) == due
    with pytest.raises(ConnectionClosedOK):
        ws.recv(timeout=WAIT)
