"""LangChain's `HumanInTheLoopMiddleware`, over restarts of the server."""

import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.language_models.fake_chat_models import FakeMessagesListChatModel
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver

from agent_asgi import AgentRouter, Context, ResponsesRequest
from agent_asgi.adapters.langgraph import outputs
from tests.support.approving import answer, called, kinds, of_store, requests_of, respond
from tests.support.calling import error_of

CALL, OWN, ASKED = "function_call", "mcp_call", "mcp_approval_request"
MODES = ["batched", "per_call"]


class Scripted(FakeMessagesListChatModel):
    """A model that takes tools and answers from a list."""

    def bind_tools(self, tools: Any, **options: Any) -> Any:
        return self


@tool
def erase(path: str) -> str:
    """Erase a file."""
    return f"erased {path}"


@tool
def look(path: str) -> str:
    """Look at a file."""
    return f"looked at {path}"


def calling(*calls: tuple[str, str]) -> AIMessage:
    return AIMessage(
        "",
        tool_calls=[
            {"name": name, "args": {"path": path}, "id": f"c{path}"} for name, path in calls
        ],
    )


def eraser(
    memory: InMemorySaver, *answers: AIMessage, mode: Any = "batched", allowed: Any = True
) -> AgentRouter:
    """Return an agent whose model gives answers; `memory` outlives the server."""
    graph: Any = create_agent(
        Scripted(responses=list(answers)),
        [erase, look],
        middleware=[HumanInTheLoopMiddleware({"erase": allowed}, interrupt_mode=mode)],
        checkpointer=memory,
    )
    router = AgentRouter("t-approvals")

    @router.stream
    async def run(request: ResponsesRequest, context: Context) -> AsyncIterator[Any]:
        return outputs(graph, request, context)

    return router


DONE = AIMessage("Done.")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("way", ["json", "stream", "background"])
def test_approved_after_a_restart(postgres: str, way: str, mode: str) -> None:
    memory = InMemorySaver()
    with of_store(postgres, eraser(memory, calling(("erase", "x")), mode=mode)) as client:
        first = respond(client, way, input="Erase x.")
    assert kinds(first) == [OWN, ASKED]
    (request,) = requests_of(first)
    assert (request["name"], request["arguments"]) == ("erase", '{"path":"x"}')
    with of_store(postgres, eraser(memory, DONE, mode=mode)) as client:
        second = respond(client, way, input=[answer(request, True)])
        assert called(second) == [("erase", '{"path": "x"}', "erased x")]
        assert second["output"][-1]["content"][0]["text"] == "Done."
        with pytest.raises(openai.BadRequestError) as raised:
            respond(client, "json", input=[answer(request, True)])
        assert error_of(raised)[1] == "approval_already_answered"


@pytest.mark.parametrize("mode", MODES)
def test_several_with_each_decision(mode: str) -> None:
    calls = calling(("erase", "x"), ("erase", "y"), ("erase", "v"), ("look", "z"))
    with of_store("memory://", eraser(InMemorySaver(), calls, DONE, mode=mode)) as client:
        first = respond(client, "stream", input="Erase all.", conversation="c1")
        one, two, three = sorted(requests_of(first), key=lambda each: str(each["arguments"]))[::-1]
        assert [json.loads(each["arguments"])["path"] for each in (one, two, three)] == [*"yxv"]
        changed = answer(two, True, **{"agent_asgi:arguments": {"path": "other"}})
        body: Any = {"input": [answer(one, False, reason="not mine"), changed, answer(three, True)]}
        second = respond(client, "stream", **body)  # without its conversation
        told = {json.loads(call)["path"]: output for _, call, output in called(second)}
        assert told["y"].endswith("with reason: not mine")
        assert told["x"].endswith("erased other")
        assert told["v"] == "erased v"


def test_a_batched_call_without_an_answer_is_rejected() -> None:
    calls = calling(("erase", "x"), ("erase", "y"))
    with of_store("memory://", eraser(InMemorySaver(), calls, DONE)) as client:
        one, _ = requests_of(respond(client, "json", input="Erase x and y."))
        second = respond(client, "json", input=[answer(one, True)])
        told = {json.loads(call)["path"]: output for _, call, output in called(second)}
        assert told["x"] == "erased x"
        assert told["y"].endswith("No answer was given.")


@pytest.mark.parametrize("mode", MODES)
def test_a_decision_that_is_not_allowed(mode: str) -> None:
    allowed = {"allowed_decisions": ["approve", "reject"]}
    router = eraser(InMemorySaver(), calling(("erase", "x")), mode=mode, allowed=allowed)
    with of_store("memory://", router) as client:
        (request,) = requests_of(respond(client, "json", input="Erase x."))
        changed: Any = answer(request, True, **{"agent_asgi:arguments": {"path": "y"}})
        with pytest.raises(openai.BadRequestError, match="approve, reject") as raised:
            client.responses.create(input=[changed])
        assert error_of(raised)[2] == "input[0].approve"


@pytest.mark.parametrize("mode", MODES)
def test_a_question_is_no_approval(mode: str) -> None:
    allowed = {"allowed_decisions": ["respond"]}
    router = eraser(InMemorySaver(), calling(("erase", "x")), mode=mode, allowed=allowed)
    with of_store("memory://", router) as client:
        first = respond(client, "json", input="Erase x.")
        assert kinds(first) == [OWN, CALL]
        assert first["output"][-1]["name"] == "interrupt"


def test_a_session_needs_no_store() -> None:
    router = eraser(InMemorySaver(), calling(("erase", "x")), DONE)
    with of_store("memory://", router) as client:
        body: Any = {"store": False, "extra_headers": {"x-session-id": "s1"}}
        first = respond(client, "json", input="Erase x.", **body)
        (request,) = requests_of(first)
        second = respond(client, "json", input=[request, answer(request, True)], **body)
        assert called(second) == [("erase", '{"path": "x"}', "erased x")]
        with pytest.raises(openai.BadRequestError) as raised:
            client.responses.create(input="Erase x.", store=False)
        assert error_of(raised)[2] == "store"
