"""Nearly valid bodies of the AI SDK, of A2A and of Agent Bricks: answered, or refused by a name."""

import json
from typing import Any

from hypothesis import strategies as st

from tests.tools.fuzz import agents
from tests.tools.fuzz.bodies import chunked, lists, objects, odd, values
from tests.tools.fuzz.harness import Got, Property, call_app

Case = tuple[bytes, int]
Strategy = st.SearchStrategy[bytes]


def of(fields: dict[str, Strategy]) -> Strategy:
    """Make objects with some of the fields; a name may come twice."""
    some = st.sampled_from(sorted(fields)).flatmap(
        lambda name: fields[name].map(lambda value: json.dumps(name).encode() + b":" + value)
    )
    return st.lists(some, min_size=1, max_size=5).map(lambda made: b"{" + b",".join(made) + b"}")


def cases(bodies: Strategy) -> st.SearchStrategy[Case]:
    """Make cases: a body, and the number of its chunks."""
    return st.tuples(bodies | odd, st.integers(1, 3))


async def refused_or_answered(app: Any, path: str, case: Case, legal: tuple[int, ...]) -> Got:
    """Send a body; the server never fails, and what it refuses has a reason."""
    body, count = case
    headers = [(b"a2a-version", b"1.0")]
    got = await call_app(app, "POST", path, headers=headers, chunks=chunked(body, count))
    assert got.status in (200, 413, *legal), (got.status, got.body)
    if got.status >= 400:
        assert json.loads(got.body)["error"]["message"]
    return got


# the AI SDK

PART = ["type", "text", "state", "url", "mediaType", "toolCallId", "toolName", "input", "output"]
PART += ["approval", "errorText", "providerMetadata", "data", "id", "providerExecuted"]
CALL = {"type": "tool-f", "toolCallId": "c1", "input": {}}
ui_parts = st.one_of(
    objects(PART, values, type="text", text="hi"),
    objects(PART, values, type="file", mediaType="image/png", url="data:image/png;base64,AA=="),
    objects(PART, values, **CALL, state="output-available", output=1),
    objects(PART, values, **CALL, state="approval-responded", approval={"id": "a"}),
    objects(PART, values, type="dynamic-tool", toolName="f", toolCallId="c2", state="output-error"),
    objects(PART, values),
)
ui_messages = st.one_of(
    st.tuples(st.sampled_from(["user", "assistant", "system"]), lists(ui_parts)).map(
        lambda made: b'{"id":"m","role":"%b","parts":%b}' % (made[0].encode(), made[1])
    ),
    objects(["id", "role", "parts", "metadata"], lists(ui_parts) | values),
)
CHAT: dict[str, Strategy] = {
    **dict.fromkeys(["trigger", "messageId", "tools", "custom_inputs", "model", "input"], values),
    "id": st.just(b'"chat"') | values,
    "messages": lists(ui_messages),
    "message": ui_messages,
}


async def check_chat(app: Any, case: Case) -> None:
    """Send a chat; a 409 is a chat that is at work."""
    await refused_or_answered(app, "/echo/api/chat", case, (400, 404, 409))


# A2A

MESSAGE = ["messageId", "role", "parts", "contextId", "taskId", "metadata", "referenceTaskIds"]
a2a_parts = st.one_of(
    objects(["text", "mediaType", "filename", "metadata"], values, text="hi"),
    objects(["raw", "mediaType"], values, raw="AA==", mediaType="image/png"),
    objects(["data", "url", "raw", "text"], values),
)
a2a_messages = st.one_of(
    lists(a2a_parts).map(lambda parts: b'{"messageId":"1","role":"ROLE_USER","parts":%b}' % parts),
    objects(MESSAGE, lists(a2a_parts) | values, messageId="1", role="ROLE_USER"),
)
SEND: dict[str, Strategy] = {
    **dict.fromkeys(["metadata", "tenant", "id", "historyLength", "contextId"], values),
    "message": a2a_messages,
    "configuration": objects(["returnImmediately", "historyLength", "a"], values),
}
METHODS = ["SendMessage", "SendStreamingMessage", "GetTask", "ListTasks", "CancelTask", "x"]
rpc_calls = st.tuples(st.sampled_from(METHODS), of(SEND) | values).map(
    lambda made: b'{"jsonrpc":"2.0","id":1,"method":"%b","params":%b}' % (made[0].encode(), made[1])
)
RPC: dict[str, Strategy] = dict.fromkeys(["jsonrpc", "id", "method", "params"], values)


async def check_rpc(app: Any, case: Case) -> None:
    """Send a call; its errors are in the body of a 200."""
    got = await refused_or_answered(app, "/echo/a2a", case, (400,))
    if got.header("content-type").startswith("application/json"):
        answer = json.loads(got.body)
        assert answer["jsonrpc"] == "2.0"
        assert ("result" in answer) is not ("error" in answer)
        assert answer.get("error", {}).get("code") != -32603, "the server failed"


# Agent Bricks

CHAT_MESSAGE = ["role", "content", "tool_calls", "tool_call_id", "name", "type"]
chat_messages = st.one_of(
    objects(CHAT_MESSAGE, values, role="user", content="hi"),
    objects(CHAT_MESSAGE, values, role="assistant", tool_calls=[{"name": "f", "args": {}}]),
    objects(CHAT_MESSAGE, values, role="tool", name="f", content="1"),
    objects(CHAT_MESSAGE, values),
)
inputs = st.one_of(
    lists(chat_messages),
    of({"messages": lists(chat_messages), "resume": values, "actor": values, "model": values}),
    values,
)
INVOCATION: dict[str, Strategy] = {
    "input": inputs,
    "session_id": st.just(b'"s"') | values,
    "background": st.just(b"true") | values,
    "stream": st.just(b"true") | values,
    "unknown": values,
}
ids = st.uuids().map(lambda id_: f'"{id_}"'.encode())
invocations = st.tuples(ids, of(INVOCATION)).map(
    lambda made: b'{"id":%b,%b' % (made[0], made[1][1:])
)


async def check_invocation(app: Any, case: Case) -> None:
    """Send an invocation; 202 is a background run that was accepted."""
    await refused_or_answered(app, "/echo/api/invocations", case, (202, 400, 404, 409, 422, 429))


CLIENTS: tuple[Property[Any], ...] = (
    Property("AI SDK", 5, cases(of(CHAT)), agents.app, check_chat),
    Property("A2A", 5, cases(rpc_calls | of(RPC)), agents.app, check_rpc),
    Property("Agent Bricks", 5, cases(invocations), agents.app, check_invocation),
)
