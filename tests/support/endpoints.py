"""Each endpoint and method, with the status each token gets."""

from typing import NamedTuple

from agent_asgi.protocols import A2A, AGUI, MCP, AgentBricks, ChatCompletions, UIStream
from tests.support.calling import Json

BODY = {"input": "x", "model": "one"}
CHAT = {"messages": [{"role": "user", "content": "x"}], "model": "one"}
UI_CHAT = {"id": "chat", "messages": [{"role": "user", "parts": []}], "model": "one"}
INVOCATION = {
    "id": "0b6f9a4e-6c0f-4a3e-9d57-3a1f0c5a7c11",
    "input": [{"role": "user", "content": "x"}],
}
RUN_INPUT = {
    "threadId": "t",
    "runId": "r",
    "messages": [{"id": "1", "role": "user", "content": "x"}],
    "model": "one",
}
LIST_TOOLS = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
HOST = "hooks.example.com"
PROTOCOLS = (
    ChatCompletions(),
    UIStream(resume=True),
    AGUI(),
    A2A(push_hosts=[HOST]),
    MCP(),
    AgentBricks(),
)


class Row(NamedTuple):
    """A request, and the status for the right user's token and for another user's."""

    right: int = 200
    other: int = 200
    body: Json | None = None
    query: str = ""
    """The query string."""
    free: bool = False
    """Whether no token is needed."""


VERSION = "?A2A-Version=1.0"
SENT = {"message": {"messageId": "1", "role": "ROLE_USER", "parts": [{"text": "x"}]}}
PUSH = {"url": f"https://{HOST}/"}
RPC = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": SENT}
STREAMED = {**RPC, "method": "SendStreamingMessage"}
ENDED = Row(400, 404, query=VERSION)  # a task that belongs to the right user
REFUSED = Row(400, 400, query=VERSION)
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
    "GET /.well-known/agent-card.json": [Row(free=True)],
    "POST /a2a": [Row(body=RPC, query=VERSION), Row(body=STREAMED, query=VERSION)],
    "POST /a2a/message:send": [Row(body=SENT, query=VERSION)],
    "POST /a2a/message:stream": [Row(body=SENT, query=VERSION)],
    "GET /a2a/tasks": [Row(query=VERSION)],
    "GET /a2a/tasks/{id}": [Row(other=404, query=VERSION)],
    "POST /a2a/tasks/{id}:cancel": [ENDED],
    "GET /a2a/tasks/{id}:subscribe": [ENDED],
    "POST /a2a/tasks/{id}:subscribe": [ENDED],
    "POST /a2a/tasks/{taskId}/pushNotificationConfigs": [Row(other=404, body=PUSH, query=VERSION)],
    "GET /a2a/tasks/{taskId}/pushNotificationConfigs": [Row(other=404, query=VERSION)],
    "GET /a2a/tasks/{taskId}/pushNotificationConfigs/{id}": [Row(404, 404, query=VERSION)],
    "DELETE /a2a/tasks/{taskId}/pushNotificationConfigs/{id}": [Row(other=404, query=VERSION)],
    "GET /a2a/extendedAgentCard": [REFUSED],
    "POST /api/chat": [Row(body=UI_CHAT)],
    "GET /api/chat/{id}/stream": [Row(204, 204)],
    "POST /api/chat/{id}/stop": [Row(204, 204)],
    "POST /api/invocations": [Row(body=INVOCATION), Row(body={**INVOCATION, "stream": True})],
    "GET /api/invocations/{id}": [NONE],
    "GET /api/invocations/{id}/events": [NONE],
    "POST /agui": [Row(body=RUN_INPUT)],
    "POST /mcp": [Row(body=LIST_TOOLS)],
    "GET /models": [Row()],
    "GET /models/{id}": [Row()],
    "GET /agent/info": [Row()],
    "GET /metrics": [Row()],
    "GET /openapi.json": [Row()],
    "GET /docs": [Row(free=True)],
    "GET /docs/{file}": [Row(free=True)],
    "POST /feedback": [Row(404, 404, {"response_id": "r", "trace_id": "t", "value": True})],
    "GET /": [Row(free=True)],
    "GET /playground/{file}": [Row(free=True)],
    "GET /playground.json": [Row()],
    "GET /health": [Row(free=True)],
    "GET /ready": [Row(free=True)],
    "GET /ping": [Row(free=True)],
}
"""Endpoints that also exist under /v1 and an agent's name are listed once; HEAD is like GET."""
