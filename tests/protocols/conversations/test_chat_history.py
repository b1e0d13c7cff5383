"""A chat client sends back what it was shown: nothing that it was not shown is lost by that."""

from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from agent_asgi import (
    AgentRouter,
    ApprovalRequest,
    FunctionCall,
    FunctionCallOutput,
    Reasoning,
    ResponsesRequest,
)
from tests.support.calling import Json, Serve, client_of, plain

CALL = FunctionCall("own", call_id="c1")
TOOLS: Any = [{"type": "function", "function": {"name": "theirs"}}]
ANSWERS: dict[str, list[Any]] = {
    "tools": ["Let me see. ", CALL, FunctionCallOutput("c1", "r"), "Done."],
    "call last": ["Done.", CALL, FunctionCallOutput("c1", "r")],
    "reasoning": [Reasoning("hm"), "R"],
    "call before text": [FunctionCall("theirs", {"a": 1}, "c2"), Reasoning("hm"), "Calling."],
    "approval": ["Sure?", ApprovalRequest("erase", {"path": 'resp_any"'}), CALL],
    "only an approval": [ApprovalRequest("erase", {"path": "/"})],
    "refusal": [{"type": "message", "content": [{"type": "refusal", "refusal": "No."}]}, "Never."],
}


def agent() -> AgentRouter:
    """Make an agent that answers as the first message asks, and later ones with a text."""
    router = AgentRouter("agent")

    @router.stream
    async def reply(request: ResponsesRequest) -> AsyncIterator[Any]:
        for output in ANSWERS.get(request.input_text, ["ok"]):
            yield output

    return router


def chat(client: openai.OpenAI, messages: list[Any]) -> Any:
    """Send a history; return the message that answers, as a client sends it back."""
    made = client.chat.completions.create(
        model="agent",
        messages=messages,
        tools=TOOLS,
        store=True,
        extra_body={"conversation": "talk"},
    )
    message = made.choices[0].message.to_dict()
    return {name: value for name, value in message.items() if name != "reasoning_content" and value}


def stored(client: openai.OpenAI) -> list[Json]:
    """Return the conversation's items, oldest first."""
    return [plain(item) for item in client.conversations.items.list("talk", order="asc")]


@pytest.mark.parametrize("answer", ANSWERS)
def test_what_a_chat_was_shown_edits_nothing(serve: Serve, answer: str) -> None:
    with client_of(serve, "memory://", agent(), single_user=True) as client:
        history: list[Any] = [{"role": "user", "content": answer}]
        history.append(chat(client, history))
        first = stored(client)
        if "tool_calls" in history[-1]:
            history.append({"role": "tool", "tool_call_id": "c2", "content": "done"})
        history.append({"role": "user", "content": "next"})
        for _ in ("sent", "regenerated"):
            chat(client, history)
            assert stored(client)[: len(first)] == first
            assert len(stored(client)) == len(first) + len(history) - 2 + 1
        history[-1] = {"role": "user", "content": "edited"}
        chat(client, history)
        assert stored(client)[: len(first)] == first


@pytest.mark.parametrize("cut", ["Let me see. \n\nChanged.", "Let me see. ", "Changed."])
def test_an_answer_that_a_chat_edits_is_replaced_as_a_whole(serve: Serve, cut: str) -> None:
    with client_of(serve, "memory://", agent(), single_user=True) as client:
        history: list[Any] = [{"role": "user", "content": "tools"}]
        chat(client, history)
        history += [{"role": "assistant", "content": cut}, {"role": "user", "content": "next"}]
        chat(client, history)
        assert [item["content"][0]["text"] for item in stored(client)] == [
            "tools",
            cut,
            "next",
            "ok",
        ]
