"""Each endpoint and method, with the status each token gets."""

from typing import NamedTuple

from agent_asgi.protocols import AGUI, MCP, ChatCompletions
from tests.support.calling import Json

BODY = {"input": "x", "model": "one"}
CHAT = {"messages": [{"role": "user", "content": "x"}], "model": "one"}

RUN_INPUT = {
    "threadId": "t",
    "runId": "r",
    "messages": [{"id": "1", "role": "user", "content": "x"}],
    "model": "one",
}
LIST_TOOLS = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
PROTOCOLS = (ChatCompletions(), AGUI(), MCP())


class Row(NamedTuple):
    """A request, and the status for the right user's token and for another user's."""

    right: int = 200
    other: int = 200
    body: Json | None = None
    query: str = ""
    """The query string."""
    free: bool = False
    """Whether no token is needed."""


ONE = Row(other=404)  # a response that belongs to the right user
NONE = Row(404, 404)
TABLE: dict[str, list[Row]] = {
    "POST /responses": [
        Row(body=BODY),
        Row(body={**BODY, "stream": True}),
        Row(body={**BODY, "background": True}),
    ],
    "WS /responses": [Row(101, 101)],
    "GET /responses": [Row()],
    "GET /responses/{id}": [ONE, Row(other=404, query="?stream=true")],
    "DELETE /responses/{id}": [ONE],
    "POST /responses/{id}/cancel": [ONE],
    "GET /responses/{id}/input_items": [ONE],
    "POST /responses/compact": [Row(body=BODY)],
    "GET /responses/input_tokens": [NONE],
    "POST /responses/input_tokens": [NONE],
    "DELETE /responses/input_tokens": [NONE],
    "GET /conversations": [Row()],
    "POST /conversations": [Row(body={"metadata": {"a": "b"}})],
    "GET /conversations/{id}": [ONE],
    "POST /conversations/{id}": [Row(other=404, body={"metadata": None})],
    "DELETE /conversations/{id}": [ONE],
    "GET /conversations/{id}/items": [ONE],
    "POST /conversations/{id}/items": [
        Row(other=404, body={"items": [{"role": "user", "content": "x"}]})
    ],
    "GET /conversations/{id}/items/{item_id}": [ONE],
    "DELETE /conversations/{id}/items/{item_id}": [ONE],
    "POST /invocations": [Row(body=BODY), Row(body={**BODY, "stream": True})],
    "POST /chat/completions": [Row(body=CHAT), Row(body={**CHAT, "stream": True})],
    "POST /agui": [Row(body=RUN_INPUT)],
    "POST /mcp": [Row(body=LIST_TOOLS)],
    "GET /models": [Row()],
    "GET /models/{id}": [Row()],
    "GET /agent/info": [Row()],
    "GET /metrics": [Row()],
    "GET /openapi.json": [Row()],
    "GET /docs": [Row()],
    "POST /feedback": [Row(404, 404, {"response_id": "r", "trace_id": "t", "value": True})],
    "GET /": [Row(free=True)],
    "GET /playground/{file}": [Row(free=True)],
    "GET /playground.json": [Row()],
    "GET /health": [Row(free=True)],
    "GET /ready": [Row(free=True)],
    "GET /ping": [Row(free=True)],
}
"""Endpoints that also exist under /v1 and an agent's name are listed once; HEAD is like GET."""
