"""Tools of Pydantic AI that need approval, over restarts of the server."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic_ai import Agent, ApprovalRequired, DeferredToolRequests, RunContext
from pydantic_ai.messages import ModelMessage, ToolCallPart, ToolReturnPart, UserPromptPart
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel

from agent_asgi import AgentRouter, ResponsesRequest
from agent_asgi.adapters.pydantic_ai import inputs, outputs
from tests.support.approving import answer, called, kinds, of_store, requests_of, respond

CALL, ASKED = "function_call", "mcp_approval_request"


def look(path: str) -> str:
    return f"looked at {path}"


def maybe(context: RunContext[None], path: str) -> str:
    """Ask within the tool."""
    if not context.tool_call_approved:
        raise ApprovalRequired
    return f"maybe {path}"


def eraser(*calls: tuple[str, str]) -> AgentRouter:
    """Return an agent that calls tools with paths, and then reports what it was told."""

    async def model(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[Any]:
        parts = messages[-1].parts
        if not calls and isinstance(parts[-1], UserPromptPart):
            made = [part for each in messages for part in each.parts]
            yield f"{sum(isinstance(part, ToolCallPart) for part in made)} call"
            return
        if any(isinstance(part, ToolReturnPart) for part in parts):
            told = (part for part in parts if isinstance(part, ToolReturnPart | UserPromptPart))
            yield " | ".join(str(part.content) for part in told)
            return
        yield {
            number: DeltaToolCall(
                name=name, json_args=f'{{"path":"{path}"}}', tool_call_id=f"c{path}"
            )
            for number, (name, path) in enumerate(calls)
        }

    agent = Agent(
        FunctionModel(stream_function=model),
        output_type=[str, DeferredToolRequests],
        tools=[look, maybe],
    )

    @agent.tool_plain(requires_approval=True)
    def erase(path: str) -> str:
        return f"erased {path}"

    router = AgentRouter("t-approvals")

    @router.stream
    async def run(request: ResponsesRequest) -> AsyncIterator[Any]:
        return outputs(agent.run_stream_events(**inputs(request)))

    return router


def text_of(response: dict[str, Any]) -> str:
    return str(response["output"][-1]["content"][0]["text"])


@pytest.mark.parametrize("way", ["json", "stream", "background"])
def test_approved_after_a_restart(postgres: str, way: str) -> None:
    with of_store(postgres, eraser(("erase", "x"))) as client:
        first = respond(client, way, input="Erase x.")
    assert kinds(first) == ["mcp_call", ASKED]
    (request,) = requests_of(first)
    assert (request["name"], request["arguments"]) == ("erase", '{"path":"x"}')
    with of_store(postgres, eraser()) as client:
        second = respond(client, way, input=[answer(request, True)])
        assert called(second) == [("erase", '{"path":"x"}', "erased x")]
        assert text_of(second) == "erased x"
        body: Any = {"input": "And?", "previous_response_id": second["id"]}
        assert text_of(respond(client, way, **body)) == "1 call"


def test_rejected_with_a_reason(tmp_path: Any) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    with of_store(url, eraser(("erase", "x"), ("look", "z"))) as client:
        (request,) = requests_of(respond(client, "stream", input="Erase x."))
    with of_store(url, eraser()) as client:
        second = respond(client, "stream", input=[answer(request, False, reason="not mine")])
        assert text_of(second) == "not mine | looked at z"


def test_several_one_with_changed_arguments() -> None:
    with of_store("memory://", eraser(("erase", "x"), ("maybe", "y"))) as client:
        first = respond(client, "json", input="Erase x and y.")
        asked = {request["name"]: request for request in requests_of(first)}
        changed = answer(asked["erase"], True, **{"agent_asgi:arguments": {"path": "other"}})
        body: Any = {"input": [changed, answer(asked["maybe"], True)]}
        assert text_of(respond(client, "json", **body)) == "erased other | maybe y"


def test_what_is_not_answered_is_denied() -> None:
    with of_store("memory://", eraser(("erase", "x"), ("erase", "y"))) as client:
        one, _ = requests_of(respond(client, "json", input="Erase x and y."))
        second = respond(client, "json", input=[answer(one, True)])
        assert text_of(second) == "erased x | No answer was given."


def test_a_message_after_the_answer_reaches_the_model() -> None:
    with of_store("memory://", eraser(("erase", "x"))) as client:
        (request,) = requests_of(respond(client, "json", input="Erase x."))
        note: Any = {"role": "user", "content": "Then rest."}
        second = respond(client, "json", input=[answer(request, True), note])
        assert text_of(second) == "erased x | Then rest."


def test_a_message_in_place_of_an_answer_goes_on() -> None:
    with of_store("memory://", eraser(("erase", "x"))) as client:
        first = respond(client, "json", input="Erase x.")
        body: Any = {"input": "Never mind.", "previous_response_id": first["id"]}
        told, _, said = text_of(respond(client, "json", **body)).partition(" | ")
        assert ("interrupted" in told, said) == (True, "Never mind.")
