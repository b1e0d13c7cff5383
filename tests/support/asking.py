"""Plain HTTP and WebSocket clients for tests of access control: they add nothing to a request."""

import http.client
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from agent_asgi import BearerTokens

ANN, BOB, WRONG = "ann-7c1e=secret", "bob-93fa-secret", "wrong-5d20-secret"
TOKENS = BearerTokens({ANN: "ann", BOB: "bob"})
WAIT = 10.0


class Reply(NamedTuple):
    """An answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> Any:
        """The error in the body."""
        found = json.loads(self.body)["error"]
        assert found.keys() == {"message", "type", "param", "code"}
        return found


def bearer(token: str | None) -> dict[str, str]:
    """Return the headers that carry a token; none for None."""
    return {} if token is None else {"authorization": f"Bearer {token}"}


def fetch(
    url: str,
    method: str,
    path: str,
    token: str | None = None,
    body: Any = None,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """Send a request with only the given headers, and read the whole answer."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=WAIT)
    content = None if body is None else json.dumps(body).encode()
    kind = {} if body is None else {"content-type": "application/json"}
    try:
        connection.request(method, path, content, {**kind, **bearer(token), **(headers or {})})
        answer = connection.getresponse()
        named = {name.lower(): value for name, value in answer.getheaders()}
        return Reply(answer.status, named, answer.read())
    finally:
        connection.close()


def knock(
    url: str,
    path: str,
    token: str | None = None,
    headers: Mapping[str, str] | None = None,
    turn: Mapping[str, Any] | None = None,
) -> Reply:
    """Open a WebSocket and run one turn; return its last event, or the refusal."""
    given = {**bearer(token), **(headers or {})}
    try:
        with connect(url.replace("http", "ws", 1) + path, additional_headers=given) as ws:
            assert ws.response is not None
            ws.send(json.dumps({"type": "response.create", "input": "x", **(turn or {})}))
            while (event := json.loads(ws.recv(WAIT)))["type"] not in (
                "response.completed",
                "error",
            ):
                pass
            headers = {name.lower(): value for name, value in ws.response.headers.raw_items()}
            return Reply(101, headers, json.dumps(event).encode())
    except InvalidStatus as error:
        refused = error.response
        headers = {name.lower(): value for name, value in refused.headers.raw_items()}
        return Reply(refused.status_code, headers, bytes(refused.body))
