"""What nests below a run: the handler's own spans and autologged clients."""

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import mlflow
import mlflow.openai
import openai
import pytest
from conftest import traces
from test_tracing_callers import ask, echo_router

from agent_asgi import AgentApp, AgentRouter, Context, ResponsesRequest
from agent_asgi.tracing import exports, held


@pytest.mark.parametrize("kind", ["coroutine", "thread", "async generator", "generator"])
@pytest.mark.parametrize("stream", [False, True])
def test_handlers_own_spans_nest_below(kind: str, stream: bool) -> None:
    router = AgentRouter(f"t-nest-{kind.replace(' ', '-')}-{stream}")

    async def coroutine() -> str:
        with mlflow.start_span("outer"), mlflow.start_span("inner"):
            await asyncio.sleep(0)
            return "x"

    def thread() -> str:
        with mlflow.start_span("outer"), mlflow.start_span("inner"):
            return "x"

    async def async_generator() -> AsyncIterator[str]:
        with mlflow.start_span("outer"):
            yield "x"
            await asyncio.sleep(0.01)
            with mlflow.start_span("inner"):
                yield "y"

    def generator() -> Iterator[str]:
        with mlflow.start_span("outer"):
            yield "x"
            with mlflow.start_span("inner"):
                yield "y"

    handlers: list[Callable[[], Any]] = [coroutine, thread, async_generator, generator]
    handler = next(each for each in handlers if each.__name__ == kind.replace(" ", "_"))
    (router.stream if "generator" in kind else router.invoke)(handler)
    assert ask(AgentApp(router), "/responses", {"input": "x", "stream": stream}).status == 200
    (trace,) = traces(agent=router.name)
    spans = {each.name: each for each in trace.data.spans}
    root = spans[handler.__name__]
    assert len(spans) == 3
    assert spans["outer"].parent_id == root.span_id
    assert spans["inner"].parent_id == spans["outer"].span_id


@pytest.mark.parametrize("kind", ["coroutine", "thread", "async generator", "generator"])
def test_autologged_client_nests_below(kind: str, serve: Callable[[Any], str]) -> None:
    base = serve(AgentApp(echo_router("t-upstream")))
    router = AgentRouter(f"t-autolog-{kind.replace(' ', '-')}")

    async def coroutine(request: ResponsesRequest) -> str:
        async with openai.AsyncOpenAI(base_url=base, api_key="none") as client:
            return (await client.responses.create(model="m", input="hello")).output_text

    def thread(request: ResponsesRequest) -> str:
        with openai.OpenAI(base_url=base, api_key="none") as client:
            return client.responses.create(model="m", input="hello").output_text

    async def async_generator(request: ResponsesRequest) -> AsyncIterator[Any]:
        async with openai.AsyncOpenAI(base_url=base, api_key="none") as client:
            stream = await client.responses.create(model="m", input="hello", stream=True)
            async for event in stream:
                yield event

    def generator(request: ResponsesRequest) -> Iterator[Any]:
        with openai.OpenAI(base_url=base, api_key="none") as client:
            yield from client.responses.create(model="m", input="hello", stream=True)

    handlers: list[Callable[[ResponsesRequest], Any]] = [
        coroutine,
        thread,
        async_generator,
        generator,
    ]
    handler = next(each for each in handlers if each.__name__ == kind.replace(" ", "_"))
    (router.stream if "generator" in kind else router.invoke)(handler)
    with autologging():
        answer = ask(AgentApp(router), "/responses", {"input": "x"})
    assert answer.json()["output"][0]["content"][0]["text"] == "heard hello"
    (trace,) = traces(agent=router.name)
    root, *below = trace.data.spans
    assert root.name == handler.__name__
    (client_span,) = [each for each in below if "esponses" in each.name]
    assert client_span.parent_id == root.span_id
    assert client_span.inputs["input"] == "hello"
    assert "heard hello" in json.dumps(client_span.outputs)


@contextlib.contextmanager
def autologging() -> Iterator[None]:
    mlflow.openai.autolog()
    try:
        yield
    finally:
        mlflow.openai.autolog(disable=True)


def test_spans_of_a_run_that_goes_on_are_written_before_its_end(
    monkeypatch: pytest.MonkeyPatch, tracking_uri: str
) -> None:
    monkeypatch.setattr(held, "HOLD_SECONDS", 0.1)
    router = AgentRouter("t-goes-on")

    @router.invoke
    async def long(context: Context) -> str:
        with mlflow.start_span("step"):
            pass
        exports.hand_over()
        query = "SELECT name FROM spans WHERE trace_id = ?"
        path = tracking_uri.removeprefix("sqlite:///")
        with contextlib.closing(sqlite3.connect(path, timeout=30)) as connection:
            async with asyncio.timeout(30):
                while not (found := connection.execute(query, (context.trace_id,)).fetchall()):
                    await asyncio.sleep(0.1)
        return str(found)

    assert (
        "step"
        in ask(AgentApp(router), "/responses", {"input": "x"}).json()["output"][0]["content"][0][
            "text"
        ]
    )
    (trace,) = traces(agent="t-goes-on")
    assert sorted(each.name for each in trace.data.spans) == ["long", "step"]
    assert trace.info.state.value == "OK"
