"""A chat's history: the client's own counts, and the conversation follows it."""

from collections.abc import AsyncIterator
from typing import Any

from agent_asgi import AgentRouter, FunctionCall, FunctionCallOutput, ResponsesRequest
from tests.support.asking import ANN, BOB, TOKENS, fetch
from tests.support.calling import Json, Serve, connect, plain
from tests.support.ui_chat import CHAT, PATH, app_of, body, chunks_of, text_of, tools_of, user

TOOLS = [{"type": "function", "name": "theirs"}]


def counting() -> AgentRouter:
    """Make an agent that uses a tool, and says how much of the conversation it knows."""
    router = AgentRouter("counter")

    @router.stream
    async def count(request: ResponsesRequest) -> AsyncIterator[Any]:
        if request.input_text == "client":
            if not isinstance(request.input[-1], FunctionCallOutput):
                yield FunctionCall("theirs", '{"a": 1}', "c1")
                return
            yield f"It is {request.input[-1].output}."
            return
        yield FunctionCall("look", {"n": 1}, "own")
        yield FunctionCallOutput("own", {"seen": True})
        roles = [item["role"] for item in request.messages]
        yield f"{' '.join(roles)}: {request.input_text}"

    return router


def said(url: str, sent: Json, token: str | None = None) -> list[Json]:
    reply = fetch(url, "POST", PATH, token, sent)
    assert reply.status == 200, reply.body
    return chunks_of(reply.body)


def shown(found: list[Json], id: str) -> Json:
    """Return the message of the agent as a client has it."""
    parts: list[Json] = [{"type": "step-start"}]
    for part in tools_of(found):
        own = {"providerExecuted": True} if part["own"] else {}
        name = (
            {"type": "dynamic-tool", "toolName": part["name"]}
            if part["own"]
            else {"type": f"tool-{part['name']}"}
        )
        more = {"output": part["output"]} if "output" in part else {}
        state = {"state": part["state"], "input": part["input"], "toolCallId": part["id"]}
        parts.append({**name, **state, **more, **own})
    parts.append({"type": "text", "text": text_of(found)})
    return {"id": id, "role": "assistant", "parts": parts}


def stored(url: str) -> list[Json]:
    items = connect(url).conversations.items.list(CHAT, order="asc", limit=100)
    return [plain(item) for item in items]


def kinds(url: str) -> list[str]:
    return [item["type"] for item in stored(url)]


def test_the_conversation_keeps_what_the_client_has(serve: Serve) -> None:
    url = serve(app_of(counting(), single_user=True))
    first = said(url, body(user("one")))
    answer = shown(first, "a1")
    before = stored(url)
    assert [item["type"] for item in before] == ["message", "mcp_call", "message"]
    second = said(url, body(user("one"), answer, user("two", "u2")))
    assert text_of(second) == "user assistant tool assistant user: two"
    assert stored(url)[:3] == before, "nothing is rewritten"
    assert len(stored(url)) == 6


def test_regenerate_and_edit(serve: Serve) -> None:
    url = serve(app_of(counting(), single_user=True))
    said(url, body(user("one")))
    again = said(url, body(user("one"), trigger="regenerate-message", messageId="a1"))
    assert text_of(again) == "user: one"
    assert kinds(url) == ["message", "mcp_call", "message"]
    edited = said(url, body(user("changed"), messageId="u1"))
    assert text_of(edited) == "user: changed"
    assert kinds(url) == ["message", "mcp_call", "message"]
    assert stored(url)[0]["content"][0]["text"] == "changed"


def test_only_the_last_message(serve: Serve) -> None:
    url = serve(app_of(counting(), authenticate=TOKENS))
    for text, roles in (("one", "user"), ("two", "user assistant tool assistant user")):
        found = said(url, {"id": CHAT, "message": user(text)}, ANN)
        assert text_of(found) == f"{roles}: {text}"
    other = said(url, {"id": CHAT, "message": user("mine")}, BOB)
    assert text_of(other) == "user: mine"


def test_only_the_last_message_with_an_output(serve: Serve) -> None:
    url = serve(app_of(counting(), single_user=True))
    found = said(url, {"id": CHAT, "message": user("client"), "tools": TOOLS})
    message = shown(found, "a1")
    call = message["parts"][1]
    call |= {"state": "output-available", "output": "sunny"}
    sent = {"id": CHAT, "message": message, "messageId": "a1", "tools": TOOLS}
    again = said(url, sent)
    assert text_of(again) == "It is sunny."
    assert again[0]["messageId"] == "a1"
    assert kinds(url) == ["message", "function_call", "function_call_output", "message"]


def test_the_whole_chat_with_an_output(serve: Serve) -> None:
    url = serve(app_of(counting(), single_user=True))
    found = said(url, body(user("client"), tools=TOOLS))
    before = stored(url)
    message = shown(found, "a1")
    message["parts"][1] |= {"state": "output-available", "output": "sunny"}
    assert text_of(said(url, body(user("client"), message, tools=TOOLS))) == "It is sunny."
    assert kinds(url) == ["message", "function_call", "function_call_output", "message"]
    assert stored(url)[:2] == before, "the arguments are the same but for white space"


def test_without_users_a_chat_remembers_nothing(serve: Serve) -> None:
    url = serve(app_of(counting()))
    for text in ("one", "two"):
        found = said(url, {"id": CHAT, "message": user(text)})
        assert text_of(found) == f"user: {text}"
