"""`tool_choice` is enforced: a forbidden call never reaches the client as a success."""

from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from agent_asgi import AgentRouter, FunctionCall, FunctionCallOutput, ResponsesRequest
from tests.support.calling import Json, Serve, client_of, ended, error_of, plain, streamed
from tests.support.openresponses_schema import validate_event
from tests.support.stream_rules import check_stream

TOOLS: Any = [
    {"type": "function", "name": name, "parameters": {"type": "object"}, "strict": False}
    for name in ("wanted", "other")
]
WANTED: Json = {"type": "function", "name": "wanted"}
ONE_OF: Json = {"type": "allowed_tools", "mode": "auto", "tools": [WANTED]}
MUST: Json = {"type": "allowed_tools", "mode": "required", "tools": [WANTED]}
FORBIDDEN: list[tuple[Any, list[str]]] = [
    ("none", ["wanted"]),
    (WANTED, ["other"]),
    (WANTED, ["wanted", "other"]),
    (WANTED, []),
    (WANTED, ["inner"]),
    (ONE_OF, ["other"]),
    (MUST, []),
    ("required", []),
]
ALLOWED: list[tuple[Any, list[str]]] = [
    ("none", []),
    ("none", ["inner"]),
    (WANTED, ["wanted"]),
    (WANTED, ["inner", "wanted"]),
    (ONE_OF, ["wanted", "inner"]),
    (ONE_OF, []),
    (MUST, ["wanted"]),
    ("required", ["other"]),
    ("auto", ["wanted", "other", "inner"]),
]


def caller() -> AgentRouter:
    """Make an agent that says a word, then calls the functions named in the input."""
    router = AgentRouter()

    @router.stream
    async def call(request: ResponsesRequest) -> AsyncIterator[Any]:
        yield "let me see"
        for name in request.input_text.split():
            yield FunctionCall(call_id=f"call_{name}", name=name, arguments="{}")
            if name == "inner":
                yield FunctionCallOutput(call_id="call_inner", output="1")

    return router


def body(choice: Any, names: list[str]) -> Any:
    """Return a request that makes the agent call these functions."""
    return {"input": " ".join(names), "tools": TOOLS, "tool_choice": choice}


def called(output: list[Json]) -> list[str]:
    """Return the names of the functions called."""
    return [each["name"] for each in output if each["type"] in ("function_call", "mcp_call")]


@pytest.mark.parametrize(("choice", "names"), FORBIDDEN)
def test_what_is_forbidden(serve: Serve, choice: Any, names: list[str]) -> None:
    with client_of(serve, "memory://", caller()) as client:
        with pytest.raises(openai.InternalServerError) as raised:
            client.responses.create(**body(choice, names))
        assert error_of(raised) == (500, "tool_choice_violated", None)
        assert raised.value.type == "model_error"
        assert raised.value.response.headers["x-should-retry"] == "false"
        events = streamed(client, **body(choice, names))
        for event in events:
            validate_event(event)
        final = check_stream(events)
    assert [each["type"] for each in events[-2:]] == ["error", "response.failed"]
    assert final["error"]["code"] == "tool_choice_violated"
    done = [each["item"] for each in events if each["type"] == "response.output_item.done"]
    assert set(called(done)) <= {"wanted", "inner"} - ({"wanted"} if choice == "none" else set())


@pytest.mark.parametrize(("choice", "names"), ALLOWED)
def test_what_is_allowed(serve: Serve, choice: Any, names: list[str]) -> None:
    with client_of(serve, "memory://", caller()) as client:
        answer = client.responses.create(**body(choice, names))
        assert called(plain(answer)["output"]) == names
        final = check_stream(streamed(client, **body(choice, names)))
    assert (final["status"], called(final["output"])) == ("completed", names)


def test_in_the_background(serve: Serve, store_url: str) -> None:
    with client_of(serve, store_url, caller()) as client:
        for choice, names in (("none", ["wanted"]), ("required", [])):
            made = client.responses.create(**body(choice, names), background=True)
            final = ended(client, made.id)
            assert final.status == "failed"
            assert final.error is not None
            assert str(final.error.code) == "tool_choice_violated"


@pytest.mark.parametrize("named_late", [False, True])
def test_forwarded_deltas_are_held_back_too(serve: Serve, named_late: bool) -> None:
    router = AgentRouter()
    item = {"type": "function_call", "id": "f", "call_id": "c", "name": "other", "arguments": ""}
    begun = item | {"name": ""} if named_late else item
    events: list[Any] = [
        {"type": "response.output_text.delta", "item_id": "m", "delta": "hm"},
        {"type": "response.output_item.added", "output_index": 1, "item": begun},
        {"type": "response.function_call_arguments.delta", "item_id": "f", "delta": "{}"},
        {"type": "response.output_item.done", "output_index": 1, "item": item},
    ]

    @router.stream
    async def forward(request: ResponsesRequest) -> AsyncIterator[Any]:
        for event in events:
            yield event

    with client_of(serve, "memory://", router) as client:
        sent = streamed(client, **body("none", []))
    assert check_stream(sent)["status"] == "failed"
    done = [each["item"] for each in sent if each["type"] == "response.output_item.done"]
    assert called(done) == []


def test_without_declared_tools_all_is_the_agents_affair(serve: Serve) -> None:
    with client_of(serve, "memory://", caller()) as client:
        for choice in ("none", "required"):
            answer = client.responses.create(input="inner wanted", tool_choice=choice)
            assert called(plain(answer)["output"]) == ["inner", "wanted"]
