"""The example agent with a model: a second agent, served here and called by the real client."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import calculator
import pytest

from agent_asgi import AgentApp, AgentRouter, FunctionCall, ResponsesRequest, Usage
from agent_asgi.testing import AgentClient
from tests.support.apps import started
from tests.support.stream_rules import check_stream


@pytest.fixture
def model(
    serve: Callable[[Any], str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[dict[str, Any]]]:
    """Serve a model that reasons, calls tools and answers; yield the request bodies it gets."""
    router = AgentRouter("model")
    bodies = []

    @router.stream
    async def think(request: ResponsesRequest) -> AsyncIterator[Any]:
        bodies.append(request.to_dict())
        if request.model == "broken":
            raise ValueError("a secret")
        yield {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]}
        yield FunctionCall(call_id="c1", name="look", arguments="{}")
        for word in ("from ", "a ", "model"):
            yield word
            await asyncio.sleep(0)
        yield Usage(input_tokens=3, output_tokens=4)

    monkeypatch.setenv("OPENAI_API_KEY", "none")
    monkeypatch.setenv("OPENAI_BASE_URL", serve(AgentApp(router)))
    monkeypatch.setenv("OPENAI_MODEL", "tiny")
    calculator.model_client.cache_clear()
    yield bodies
    calculator.model_client.cache_clear()


def stream_from_example(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Stream from the example agent; close its client in the loop that used it."""

    async def main() -> list[dict[str, Any]]:
        app = AgentApp(calculator.router)
        async with started(app):
            answer = await AgentClient(app).post("/v1/responses", body | {"stream": True})
            await calculator.model_client().close()
        return answer.events()

    return asyncio.run(main())


def test_a_models_events_stream_through(model: list[dict[str, Any]]) -> None:
    events = stream_from_example({"input": "hello", "temperature": 0.5, "conversation": "s"})
    response = check_stream(events)
    assert [each["type"] for each in response["output"]] == ["reasoning", "mcp_call", "message"]
    assert response["output"][2]["content"][0]["text"] == "from a model"
    assert response["usage"]["total_tokens"] == 7
    assert response["model"] == "calculator"
    (body,) = model
    assert (body["model"], body["store"], body["temperature"]) == ("tiny", False, 0.5)
    assert "conversation" not in body


def test_a_model_that_fails(
    model: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OPENAI_MODEL", "broken")

    async def main() -> Any:
        app = AgentApp(calculator.router)
        async with started(app):
            answer = await AgentClient(app).post("/v1/responses", {"input": "hello"})
            await calculator.model_client().close()
        return answer

    answer = asyncio.run(main())
    assert (answer.status, answer.json()["error"]["code"]) == (500, "agent_error")
    assert b"secret" not in answer.body
    assert len(model) == 1  # x-should-retry: false stopped the client from retrying
