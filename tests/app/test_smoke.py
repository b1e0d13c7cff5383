"""The framework end to end, at its simplest."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import openai

from agent_asgi import AgentApp, AgentRouter, Context, ResponsesRequest
from agent_asgi.testing import AgentClient
from tests.support.apps import started
from tests.support.traces import traces


def test_openai_client_streams_from_uvicorn(serve: Callable[[Any], str]) -> None:
    router = AgentRouter("tutor")

    @router.stream
    async def tutor(request: ResponsesRequest, context: Context) -> AsyncIterator[str]:
        for word in request.input_text.split():
            yield word + " "

    with openai.OpenAI(base_url=serve(AgentApp(router)), api_key="none") as client:
        with client.responses.stream(model="tutor", input="one two three") as stream:
            assert stream.get_final_response().output_text == "one two three "
        assert client.responses.create(input="one two").output_text == "one two "


def test_trace_has_inputs_outputs_and_session() -> None:
    router = AgentRouter("traced")

    @router.invoke
    def traced(request: ResponsesRequest) -> str:
        return "forty-two"

    async def main() -> None:
        async with started(AgentApp(router)) as app:
            body = {"input": "what is it?", "conversation": "s-1", "user": "ann"}
            answer = await AgentClient(app).post("/responses", body)
            assert answer.status == 200, answer.body
            assert answer.headers["x-mlflow-trace-id"].startswith("tr-")

    asyncio.run(main())
    (trace,) = traces(agent="traced")
    root = trace.data.spans[0]
    assert (root.name, root.span_type) == ("traced", "AGENT")
    assert root.inputs["input"] == "what is it?"
    assert root.outputs["output"][0]["content"][0]["text"] == "forty-two"
    assert root.attributes["mlflow.message.format"] == "openai"
    assert trace.info.trace_metadata["mlflow.trace.session"] == "s-1"
    assert trace.info.trace_metadata["mlflow.trace.user"] == "ann"
    assert trace.info.tags["agent_asgi.status"] == "completed"
