"""What a trace holds in a real MLflow database, and what nests below a run."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import mlflow
import mlflow.openai
import openai
import pytest

from agent_asgi import AgentApp, AgentError, AgentRouter, Context, ResponsesRequest
from agent_asgi.testing import AgentClient
from tests.support.apps import ask, started
from tests.support.autologging import autologging
from tests.support.echo import echo_router
from tests.support.traces import traces


def test_stream_is_traced_with_the_body_as_it_came_and_the_reduced_response() -> None:
    router = AgentRouter("t-stream")

    @router.stream
    async def poet(request: ResponsesRequest, context: Context) -> AsyncIterator[str]:
        for word in ("one ", "two"):
            yield word

    body = {"input": "count", "stream": True, "vendor": {"deep": [1, None]}, "user": "ann"}
    answer = ask(AgentApp(router), "/responses", body)
    (trace,) = traces(agent="t-stream")
    root = trace.data.spans[0]
    assert (root.name, root.span_type, root.parent_id) == ("poet", "AGENT", None)
    assert root.attributes["mlflow.message.format"] == "openai"
    assert root.inputs == body
    response = answer.events()[-1]["response"]
    assert root.outputs["id"] == response["id"] == trace.info.tags["agent_asgi.response_id"]
    assert root.outputs["output"][0]["content"][0]["text"] == "one two"
    assert trace.info.trace_metadata["mlflow.trace.user"] == "ann"
    assert trace.info.tags["agent_asgi.status"] == "completed"
    assert (trace.info.state.value, root.status.status_code.value) == ("OK", "OK")
    assert answer.headers["x-mlflow-trace-id"] == trace.info.trace_id
    assert "one two" in trace.info.response_preview
    assert "count" in trace.info.request_preview


@pytest.mark.parametrize("stream", [False, True])
def test_large_output_is_traced_whole_by_a_thread(stream: bool) -> None:
    """Even if its text makes MLflow search for attachments, which it does in pure Python."""
    router = AgentRouter(f"t-large-{stream}")
    text = "b64 " * 300_000

    @router.stream
    async def long(request: ResponsesRequest) -> AsyncIterator[str]:
        yield text

    ask(AgentApp(router), "/responses", {"input": "x", "stream": stream})
    (trace,) = traces(agent=f"t-large-{stream}")
    assert trace.data.spans[0].outputs["output"][0]["content"][0]["text"] == text
    assert trace.info.tags["agent_asgi.status"] == "completed"


@pytest.mark.parametrize("stream", [False, True])
def test_failed_run_keeps_its_partial_output_and_the_exception(stream: bool) -> None:
    router = AgentRouter(f"t-failed-{stream}")

    @router.stream
    def breaks(request: ResponsesRequest) -> Iterator[str]:
        yield "so far"
        raise ValueError("no more")

    answer = ask(AgentApp(router), "/invocations", {"input": "go", "stream": stream})
    assert b"no more" not in answer.body
    (trace,) = traces(agent=router.name)
    root = trace.data.spans[0]
    assert trace.info.tags["agent_asgi.status"] == "failed"
    assert (trace.info.state.value, root.status.status_code.value) == ("ERROR", "ERROR")
    assert root.outputs["status"] == "failed"
    assert root.outputs["output"][0]["content"][0]["text"] == "so far"
    (event,) = [each for each in root.events if each.name == "exception"]
    assert event.attributes["exception.type"].endswith("ValueError")
    assert event.attributes["exception.message"] == "no more"
    assert answer.headers["x-mlflow-trace-id"] == trace.info.trace_id


def test_refusal_by_the_handler_is_a_failed_trace() -> None:
    router = AgentRouter("t-refused")

    @router.invoke
    async def refuses() -> str:
        raise AgentError("not you", 403)

    assert ask(AgentApp(router), "/responses", {"input": "x"}).status == 403
    (trace,) = traces(agent="t-refused")
    assert trace.info.tags["agent_asgi.status"] == "failed"
    assert trace.data.spans[0].outputs["error"]["message"] == "not you"


def test_incomplete_run() -> None:
    router = AgentRouter("t-incomplete")

    @router.stream
    async def short() -> AsyncIterator[Any]:
        yield "half"
        yield {
            "type": "response.incomplete",
            "response": {
                "output": [],
                "status": "incomplete",
                "incomplete_details": {"reason": "max_output_tokens"},
            },
        }

    ask(AgentApp(router), "/responses", {"input": "x", "stream": True})
    (trace,) = traces(agent="t-incomplete")
    root = trace.data.spans[0]
    assert trace.info.tags["agent_asgi.status"] == "incomplete"
    assert root.outputs["incomplete_details"] == {"reason": "max_output_tokens"}
    assert root.outputs["output"][0]["content"][0]["text"] == "half"


@pytest.mark.parametrize("sync", [False, True])
def test_client_that_leaves_leaves_a_cancelled_trace(sync: bool) -> None:
    router = AgentRouter(f"t-left-{sync}")

    async def waits(request: ResponsesRequest, context: Context) -> AsyncIterator[str]:
        yield "begun"
        await context.cancelled.wait()
        await asyncio.sleep(30)

    def loops(request: ResponsesRequest, context: Context) -> Iterator[str]:
        yield "begun"
        while not context.cancelled.is_set():
            yield ""
        yield " and left"

    router.stream(loops if sync else waits)

    async def main() -> None:
        async with started(AgentApp(router)) as app:
            body = {"input": "x", "stream": True}
            async with AgentClient(app).stream("/responses", body) as answer:
                async for event in answer.each_event():
                    if event["type"] == "response.output_text.delta":
                        break

    asyncio.run(main())
    (trace,) = traces(agent=router.name)
    root = trace.data.spans[0]
    assert trace.info.tags["agent_asgi.status"] == "cancelled"
    assert root.outputs["status"] == "cancelled"
    assert root.outputs["output"][0]["content"][0]["text"].startswith("begun")
    assert trace.info.state.value == "OK"


@pytest.mark.parametrize("reduced", [False, True])
def test_json_stream_is_traced_by_its_chunks(reduced: bool) -> None:
    reducer = (lambda chunks: {"sum": sum(each["n"] for each in chunks)}) if reduced else None
    router = AgentRouter(f"t-json-{reduced}", protocol="json", reducer=reducer)

    @router.stream
    def count(body: dict[str, Any]) -> Iterator[dict[str, int]]:
        for number in range(body["to"]):
            yield {"n": number}

    body = {"to": 4, "stream": True}
    headers = {"x-session-id": "s-json", "x-mlflow-return-trace-id": "true"}
    answer = ask(AgentApp(router), "/invocations", body, headers)
    (trace,) = traces(agent=router.name)
    root = trace.data.spans[0]
    assert (root.name, root.inputs) == ("count", body)
    assert root.outputs == ({"sum": 6} if reduced else [{"n": each} for each in range(4)])
    assert "mlflow.message.format" not in root.attributes
    assert trace.info.trace_metadata["mlflow.trace.session"] == "s-json"
    assert answer.events()[-1] == {"trace_id": trace.info.trace_id}


def test_failed_json_stream_keeps_its_chunks() -> None:
    router = AgentRouter("t-json-failed", protocol="json")

    @router.stream
    async def breaks() -> AsyncIterator[int]:
        yield 1
        raise KeyError("gone")

    ask(AgentApp(router), "/invocations", {"stream": True})
    (trace,) = traces(agent="t-json-failed")
    assert trace.data.spans[0].outputs == [1]
    assert trace.info.tags["agent_asgi.status"] == "failed"


def test_trace_has_no_header_values() -> None:
    router = AgentRouter("t-secret")

    @router.stream
    async def quiet(request: ResponsesRequest, context: Context) -> AsyncIterator[str]:
        assert context.headers["authorization"] == "Bearer top-secret-1"
        with mlflow.start_span("inner"):
            yield "x"
        raise RuntimeError("oh")

    headers = {
        "authorization": "Bearer top-secret-1",
        "cookie": "sid=top-secret-2",
        "x-api-key": "top-secret-3",
        "x-forwarded-access-token": "top-secret-4",
    }
    ask(AgentApp(router), "/responses", {"input": "x", "stream": True}, headers)
    (trace,) = traces(agent="t-secret")
    assert len(trace.data.spans) == 2
    assert "top-secret" not in trace.to_json()
    assert "top-secret" not in json.dumps([each.to_dict() for each in trace.data.spans])


def test_images_become_attachments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACE_EXTRACT_ATTACHMENTS", "true")
    router = AgentRouter("t-image", protocol="json")

    @router.invoke
    async def painter(body: Any) -> Any:
        return {"b64_json": "aGk="}

    image = "data:image/png;base64,aGk="
    ask(AgentApp(router), "/invocations", {"picture": image, "word": "hi"})
    (trace,) = traces(agent="t-image")
    root = trace.data.spans[0]
    assert root.inputs["word"] == "hi"
    found = [root.inputs["picture"], root.outputs["b64_json"]]
    assert all(each.startswith("mlflow-attachment://") for each in found)
    folder = Path(urlsplit(trace.info.tags["mlflow.artifactLocation"]).path)
    files = [each for each in folder.rglob("*") if each.is_file()]
    assert [each.read_bytes() for each in files] == [b"hi", b"hi"]


def test_without_tracing_there_is_no_trace_and_no_header() -> None:
    router = AgentRouter("t-off")

    @router.invoke
    async def nothing(context: Context) -> str:
        return str(context.trace_id)

    headers = {"x-mlflow-return-trace-id": "true"}
    mlflow.tracing.disable()
    try:
        answer = ask(AgentApp(router), "/responses", {"input": "x"}, headers)
    finally:
        mlflow.tracing.enable()
    assert answer.status == 200
    assert "x-mlflow-trace-id" not in answer.headers
    assert "trace_id" not in answer.json()["metadata"]
    assert traces(agent="t-off") == []
    assert "x-mlflow-trace-id" in ask(AgentApp(router), "/responses", {"input": "x"}).headers


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
    with autologging(mlflow.openai):
        answer = ask(AgentApp(router), "/responses", {"input": "x"})
    assert answer.json()["output"][0]["content"][0]["text"] == "heard hello"
    (trace,) = traces(agent=router.name)
    root, *below = trace.data.spans
    assert root.name == handler.__name__
    (client_span,) = [each for each in below if "esponses" in each.name]
    assert client_span.parent_id == root.span_id
    assert client_span.inputs["input"] == "hello"
    assert "heard hello" in json.dumps(client_span.outputs)


def test_spans_left_open_end_with_the_run() -> None:
    """Otherwise MLflow would hold back the trace forever."""
    router = AgentRouter("t-left-open")

    @router.invoke
    async def leaves() -> str:
        outer = mlflow.start_span_no_context("outer", parent_span=mlflow.get_current_active_span())
        mlflow.start_span_no_context("inner", parent_span=outer)
        return "x"

    ask(AgentApp(router), "/responses", {"input": "x"})
    (trace,) = traces(agent="t-left-open")
    assert sorted(each.name for each in trace.data.spans) == ["inner", "leaves", "outer"]
    assert all(each.end_time_ns for each in trace.data.spans)
    assert trace.info.state.value == "OK"


def test_attributes_are_plain_strings() -> None:
    """Every backend except MLflow's expects them without JSON quotes."""
    router = AgentRouter("t-plain")

    @router.invoke
    async def plain() -> str:
        return "x"

    ask(AgentApp(router), "/responses", {"input": "x", "user": "ann"}, {"x-session-id": "s-1"})
    (trace,) = traces(agent="t-plain")
    written = trace.data.spans[0].to_dict()["attributes"]
    assert written["session.id"] == "s-1"
    assert written["user.id"] == "ann"
    assert written["agent_asgi.status"] == "completed"
