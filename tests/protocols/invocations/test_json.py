"""The "json" protocol: any JSON object in, anything JSON out."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import pytest

from agent_asgi import AgentApp, AgentError, AgentRouter, Context
from agent_asgi.testing import Answer
from tests.support.apps import ask
from tests.support.traces import traces


def post(router: AgentRouter, body: Any, **headers: str) -> Answer:
    """Send one request to `/invocations`; return the whole answer."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return ask(AgentApp(router), "/invocations", body, given)


@pytest.mark.parametrize("result", [None, 3, "text", [1, 2], {"a": {"b": [None]}}, True])
def test_anything_json_comes_out(result: Any) -> None:
    router = AgentRouter(protocol="json")

    @router.invoke
    async def answer(request: dict[str, Any]) -> Any:
        assert request == {"question": "x"}
        return result

    answered = post(router, {"question": "x", "stream": False})
    assert (answered.status, answered.json()) == (200, result)
    assert answered.headers["content-type"] == "application/json"


class Question(msgspec.Struct):
    question: str


def test_chunks_and_done() -> None:
    router = AgentRouter("chunks", protocol="json")

    @router.stream
    async def answer(request: Question, context: Context) -> AsyncIterator[Any]:
        yield {"n": 1}
        yield "two\n\n"
        yield Question(request.question)

    answered = post(router, {"question": "x", "stream": True}, x_mlflow_return_trace_id="true")
    frames = answered.body.split(b"\n\n")
    assert frames[:3] == [b'data: {"n":1}', b'data: "two\\n\\n"', b'data: {"question":"x"}']
    assert msgspec.json.decode(frames[3][6:]) == {"trace_id": answered.headers["x-mlflow-trace-id"]}
    assert frames[4:] == [b"data: [DONE]", b""]
    (trace,) = traces(agent="chunks")
    assert trace.data.spans[0].outputs == [{"n": 1}, "two\n\n", {"question": "x"}]
    assert trace.data.spans[0].inputs == {"question": "x", "stream": True}
    assert "mlflow.message.format" not in trace.data.spans[0].attributes


def test_a_reducer_makes_the_traces_output() -> None:
    def joined(chunks: Sequence[Any]) -> Any:
        return {"text": "".join(chunks)}

    router = AgentRouter("reduced", protocol="json", reducer=joined)

    @router.stream
    async def answer(request: dict[str, Any]) -> AsyncIterator[str]:
        yield "a"
        yield "b"

    assert post(router, {"stream": True}).status == 200
    (trace,) = traces(agent="reduced")
    assert trace.data.spans[0].outputs == {"text": "ab"}


def test_a_failure_is_a_frame() -> None:
    router = AgentRouter(protocol="json")

    @router.stream
    async def answer(request: dict[str, Any]) -> AsyncIterator[Any]:
        yield 1
        raise AgentError("No more.", 429, "enough")

    assert post(router, {"stream": True}).body == (
        b"data: 1\n\n"
        b'data: {"error":{"message":"No more.","type":"too_many_requests","param":null,'
        b'"code":"enough"}}\n\n'
        b"data: [DONE]\n\n"
    )


@pytest.mark.parametrize(
    ("body", "param"),
    [({"stream": "yes"}, "stream"), ({"stream": True, "question": 1}, "question"), ([1], None)],
)
def test_bad_input(body: Any, param: str | None) -> None:
    router = AgentRouter(protocol="json")

    @router.stream
    async def answer(request: Question) -> AsyncIterator[Any]:
        yield 1

    answered = post(router, body)
    assert (answered.status, answered.json()["error"]["param"]) == (400, param)


@pytest.mark.parametrize("stream", [True, False])
def test_a_mode_without_a_handler(stream: bool) -> None:
    router = AgentRouter(protocol="json")
    (router.invoke if stream else router.stream)(lambda request: 1)
    answered = post(router, {"stream": stream})
    mode = "stream" if stream else "invoke"
    assert answered.status == 500
    assert answered.json()["error"]["message"] == f"Agent 'agent' has no {mode} handler."


def test_what_is_not_json_is_an_error(caplog: pytest.LogCaptureFixture) -> None:
    router = AgentRouter(protocol="json")

    @router.invoke
    async def odd(request: dict[str, Any]) -> Any:
        return object()

    answered = post(router, {})
    assert (answered.status, answered.json()["error"]["code"]) == (500, "agent_error")
    assert "odd" in caplog.text


def test_a_generator_in_invoke_is_a_list() -> None:
    router = AgentRouter(protocol="json")

    @router.invoke
    async def several(request: dict[str, Any]) -> AsyncIterator[int]:
        yield 1
        yield 2

    assert post(router, {}).json() == [1, 2]
