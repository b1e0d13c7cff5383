"""Every kind of handler, in both modes, with every request and result type."""

import asyncio
import functools
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, TypedDict

import msgspec
import pytest
from mlflow.types.responses import (
    ResponsesAgentRequest,
    ResponsesAgentResponse,
    ResponsesAgentStreamEvent,
)
from pydantic import BaseModel

from agent_asgi import (
    AgentApp,
    AgentRouter,
    ApprovalRequest,
    Context,
    FunctionCall,
    FunctionCallOutput,
    Message,
    Response,
    ResponsesRequest,
)
from agent_asgi.agents.threads import AHEAD
from agent_asgi.testing import AgentClient, Answer
from tests.support.apps import ask, ask_unstarted, started
from tests.support.stream_rules import check_stream


def post(router: AgentRouter, body: Any, path: str = "/responses") -> Answer:
    """Send one request and return the whole answer."""
    return ask(AgentApp(router), path, body)


def text(answer: Answer) -> str:
    """Return the text of the first message in a JSON answer."""
    said: str = answer.json()["output"][0]["content"][0]["text"]
    return said


async def coroutine(request: ResponsesRequest, context: Context) -> str:
    return f"{request.input_text} {context.agent}"


def function(request: ResponsesRequest, context: Context) -> str:
    return f"{request.input_text} {context.agent}"


async def agen(request: ResponsesRequest, *, context: Context) -> AsyncIterator[str]:
    yield request.input_text
    yield f" {context.agent}"


def generator(context: Context, request: ResponsesRequest) -> Iterator[str]:
    yield request.input_text
    yield f" {context.agent}"


async def to_agen(request: ResponsesRequest, context: Context) -> AsyncIterator[str]:
    return agen(request, context=context)


async def to_generator(request: ResponsesRequest, context: Context) -> Iterator[str]:
    return generator(context, request)


def sync_to_agen(request: ResponsesRequest, context: Context) -> AsyncIterator[str]:
    return agen(request, context=context)


def positional_only(request: ResponsesRequest, context: Context, /) -> str:
    return function(request, context)


def named_context(request: ResponsesRequest, context) -> str:  # type: ignore[no-untyped-def]
    return function(request, context)


def only_context(context: Context) -> str:
    return f"hi {context.agent}"


def with_default(request: ResponsesRequest, context: Context, more: str = "") -> str:
    return function(request, context) + more


class Agent:
    async def method(self, request: ResponsesRequest, context: Context) -> str:
        return await coroutine(request, context)

    def __call__(self, request: ResponsesRequest, context: Context) -> str:
        return function(request, context)


class AsyncAgent:
    async def __call__(self, request: ResponsesRequest, context: Context) -> AsyncIterator[str]:
        async for each in agen(request, context=context):
            yield each


def with_prefix(prefix: str, request: ResponsesRequest, context: Context) -> str:
    return function(request, context)


SHAPES: list[Callable[..., Any]] = [
    coroutine,
    function,
    agen,
    generator,
    to_agen,
    to_generator,
    sync_to_agen,
    positional_only,
    named_context,
    only_context,
    with_default,
    Agent().method,
    Agent(),
    AsyncAgent(),
    functools.partial(with_prefix, "x"),
    functools.partial(coroutine),
]


@pytest.mark.parametrize("register", ["invoke", "stream"])
@pytest.mark.parametrize("handler", SHAPES, ids=lambda each: getattr(each, "__name__", "object"))
def test_every_shape_in_both_modes(handler: Callable[..., Any], register: str) -> None:
    router = AgentRouter("bob")
    getattr(router, register)(handler)

    async def main() -> tuple[Answer, Answer]:
        async with started(AgentApp(router)) as app:
            client = AgentClient(app)
            return (
                await client.post("/responses", {"input": "hi"}),
                await client.post("/responses", {"input": "hi", "stream": True}),
            )

    whole, streamed = asyncio.run(main())
    assert text(whole) == "hi bob"
    assert check_stream(streamed.events())["output"][0]["content"][0]["text"] == "hi bob"


class Struct(msgspec.Struct):
    input: str
    number: int = 0


@dataclass
class Data:
    input: str


class Typed(TypedDict):
    input: str


class Model(BaseModel):
    input: str
    number: int = 0


@pytest.mark.parametrize("wanted", [dict, dict[str, Any], Any, None, Struct, Data, Typed, Model])
def test_the_annotation_decides_the_type(wanted: Any) -> None:
    router = AgentRouter()
    seen = []

    async def handler(request: Any) -> str:
        seen.append(request)
        return request["input"] if isinstance(request, dict) else str(request.input)

    handler.__annotations__["request"] = wanted
    if wanted is None:
        del handler.__annotations__["request"]
    router.invoke(handler)
    assert text(post(router, {"input": "hi", "unknown": 1})) == "hi"
    plain = wanted in (None, Any, dict, dict[str, Any], Typed)
    assert isinstance(seen[0], dict if plain else wanted)


def test_a_handler_of_str_gets_the_text() -> None:
    router = AgentRouter()

    @router.invoke
    def shout(question: str) -> str:
        return question.upper()

    assert text(post(router, {"input": "hi"})) == "HI"
    items = [{"role": "user", "content": "old"}, {"role": "assistant", "content": "yes"}]
    assert text(post(router, {"input": [*items, {"role": "user", "content": "hi"}]})) == "HI"


def test_a_json_handler_takes_no_str() -> None:
    with pytest.raises(TypeError, match="'shout' takes a str"):

        @AgentRouter(protocol="json").invoke
        def shout(question: str) -> str:
            return question


@pytest.mark.parametrize("wanted", [Struct, Model])
def test_bad_input_never_reaches_the_handler(wanted: Any) -> None:
    router = AgentRouter()

    async def handler(request: Any) -> str:
        raise AssertionError

    handler.__annotations__["request"] = wanted
    router.invoke(handler)
    answer = post(router, {"input": "hi", "number": "many"})
    assert (answer.status, answer.json()["error"]["param"]) == (400, "number")


def test_mlflows_own_types_work_unchanged() -> None:
    router = AgentRouter()
    item = {
        "type": "message",
        "id": "m1",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "hi"}],
    }

    @router.invoke
    def invoke(request: ResponsesAgentRequest) -> ResponsesAgentResponse:
        output: Any = [item]
        return ResponsesAgentResponse(output=output, custom_outputs={"k": request.custom_inputs})

    @router.stream
    def stream(request: ResponsesAgentRequest) -> Iterator[ResponsesAgentStreamEvent]:
        for delta in ("h", "i"):
            said: Any = {"item_id": "m1", "delta": delta}
            yield ResponsesAgentStreamEvent(type="response.output_text.delta", **said)
        done: Any = {"item": item}
        yield ResponsesAgentStreamEvent(type="response.output_item.done", **done)

    body = {"input": [{"role": "user", "content": "x"}], "custom_inputs": {"a": 1}}
    whole = post(router, body, "/invocations")
    assert text(whole) == "hi"
    assert whole.json()["custom_outputs"] == {"k": {"a": 1}}
    assert ResponsesAgentResponse(**whole.json()).output[0].model_dump()["id"] == "m1"
    streamed = post(router, {**body, "stream": True}, "/invocations").events()
    assert len(check_stream(streamed)["output"]) == 1
    assert check_stream(streamed)["output"][0]["content"][0]["text"] == "hi"


@dataclass
class Item:
    role: str
    content: str
    type: str = "message"


class PydanticItem(BaseModel):
    type: str = "message"
    role: str = "assistant"
    content: str = "hi"


@pytest.mark.parametrize(
    "result",
    [
        {"type": "message", "content": "hi"},
        Item("assistant", "hi"),
        PydanticItem(),
        Message(role="assistant", content="hi"),
        [Message(role="assistant", content="hi")],
        Response(output=[Message(role="assistant", content="hi")]),
        {"output": [{"type": "message", "content": "hi"}]},
    ],
)
def test_results_of_every_type(result: Any) -> None:
    router = AgentRouter()

    @router.invoke
    async def handler(request: ResponsesRequest) -> Any:
        return result

    assert text(post(router, {"input": "x"})) == "hi"


def test_an_unsupported_result_names_handler_and_type(caplog: pytest.LogCaptureFixture) -> None:
    router = AgentRouter()

    @router.invoke
    async def odd_one(request: ResponsesRequest) -> Any:
        return 3.5

    answer = post(router, {"input": "x"})
    assert (answer.status, answer.json()["error"]["code"]) == (500, "agent_error")
    assert "Handler 'odd_one' of agent 'agent' failed. It is at " in caplog.text
    assert "test_handler.py:" in caplog.text
    assert "float is not a string, item, event, response or usage. For text, yield" in caplog.text


async def unawaited() -> str:
    return "late"


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("protocol", ["responses", "json"])
def test_a_missing_await_is_named_in_all_modes(
    caplog: pytest.LogCaptureFixture, protocol: Any, stream: bool
) -> None:
    router = AgentRouter(protocol=protocol)
    outputs = [lambda: unawaited(), lambda: FunctionCallOutput("c1", unawaited())]
    if protocol == "json":
        outputs[1] = lambda: {"answer": unawaited()}

    @router.stream
    async def reply(request: dict[str, Any]) -> AsyncIterator[Any]:
        yield outputs[request["number"]]()

    @router.invoke
    async def answer(request: dict[str, Any]) -> Any:
        return [outputs[request["number"]]()]

    path = "/invocations" if protocol == "json" else "/responses"
    for number in range(2):
        caplog.clear()
        body = {"input": "x", "number": number, "stream": stream}
        post(router, body, path)
        assert "coroutine of unawaited(). Is an `await` missing?" in caplog.text
        assert "During handling" not in caplog.text


def test_outputs_that_are_hardly_meant_are_warned_of_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    router = AgentRouter("t-misuse")

    @router.stream
    async def reply(request: ResponsesRequest) -> AsyncIterator[Any]:
        yield FunctionCall("look", {}, call_id="c1")
        yield FunctionCallOutput("c1", "fine")
        yield FunctionCallOutput("c9", "of no call")
        yield ApprovalRequest("erase", {})
        yield "Erased."

    for _ in range(2):
        assert post(router, {"input": "x"}).status == 200
    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [text.partition(" yielded ")[2].split()[:2] for text in told] == [
        ["a", "FunctionCallOutput"],
        ["text", "after"],
    ]


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (None, "Is a `return` missing, or was None yielded?"),
        ({"a": 1}, "A dict without `type` is not a"),
    ],
)
def test_a_likely_mistake_has_its_mend(
    output: Any, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    router = AgentRouter()

    @router.invoke
    async def reply(request: ResponsesRequest) -> Any:
        return output

    assert post(router, {"input": "x"}).status == 500
    assert message in caplog.text


@pytest.mark.parametrize("stream", [True, False])
def test_no_handler_for_a_mode(stream: bool) -> None:
    router = AgentRouter(protocol="json")
    (router.invoke if stream else router.stream)(answer_nothing)
    answer = post(router, {"stream": stream}, "/invocations")
    mode = "stream" if stream else "invoke"
    assert (answer.status, answer.json()["error"]["code"]) == (500, "no_handler")
    assert answer.json()["error"]["message"] == f"Agent 'agent' has no {mode} handler."


async def answer_nothing(request: dict[str, Any]) -> None:
    """Answer null."""


def test_a_router_without_a_handler_does_not_start(caplog: pytest.LogCaptureFixture) -> None:
    router = AgentRouter("empty")
    assert ask_unstarted(AgentApp(router), "/responses", {"input": "x"}).status == 503
    assert "Router 'empty' has no handler. Register a function with `@router.invoke`" in caplog.text


def test_a_sync_generator_stays_in_one_thread_and_little_ahead() -> None:
    router = AgentRouter()
    threads = set()
    made = 0

    @router.stream
    def numbers(request: ResponsesRequest) -> Iterator[str]:
        nonlocal made
        for _ in range(10_000):
            made += 1
            threads.add(threading.get_ident())
            yield "x" * 100

    async def main() -> None:
        async with started(AgentApp(router)) as app:
            body = {"input": "x", "stream": True}
            reading = asyncio.Event()
            inbox: asyncio.Queue[Any] = asyncio.Queue()
            await inbox.put({"type": "http.request", "body": msgspec.json.encode(body)})
            scope = AgentClient(app)._scope("POST", "/responses", {}, 40)

            async def send(message: Any) -> None:
                await reading.wait()

            task = asyncio.create_task(app(scope, inbox.get, send))
            await asyncio.sleep(0.3)
            assert 0 < made <= 3 * AHEAD + 330  # one batch, plus what fits between the two
            reading.set()
            await task

    asyncio.run(main())
    assert made == 10_000
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_threads_are_bounded() -> None:
    router = AgentRouter(max_threads=2)
    running = most = 0
    lock = threading.Lock()

    @router.invoke
    def busy(request: ResponsesRequest) -> str:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.02)
        with lock:
            running -= 1
        return "x"

    async def main() -> None:
        async with started(AgentApp(router)) as app:
            client = AgentClient(app)
            await asyncio.gather(*(client.post("/responses", {"input": "x"}) for _ in range(10)))

    asyncio.run(main())
    assert most == 2


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("iterates", [False, True])
def test_a_client_that_leaves_before_its_thread_begins_runs_nothing(
    stream: bool, iterates: bool
) -> None:
    router, free, called = AgentRouter(max_threads=1), threading.Event(), list[str]()

    def function(request: ResponsesRequest) -> str:
        called.append(request.input_text)
        free.wait(10)
        return "done"

    def generator(request: ResponsesRequest) -> Iterator[str]:
        yield function(request)

    router.invoke(generator if iterates else function)
    router.stream(generator if iterates else function)

    async def main() -> None:
        async with started(AgentApp(router)) as app:
            client = AgentClient(app)
            first = asyncio.create_task(client.post("/responses", {"input": "first"}))
            while not called:
                await asyncio.sleep(0.01)
            async with AsyncExitStack() as leaving:
                for number in range(5):
                    body = {"input": f"gone {number}", "stream": stream}
                    await leaving.enter_async_context(client.stream("/responses", body))
                await asyncio.sleep(0.1)
            assert called == ["first"]
            free.set()
            assert (await first).status == 200
            assert (await client.post("/responses", {"input": "last"})).status == 200

    asyncio.run(main())
    assert called == ["first", "last"]


@pytest.mark.parametrize("path", ["/responses", "/invocations"])
def test_a_text_is_a_message_for_a_type_that_takes_messages_alone(path: str) -> None:
    router = AgentRouter()

    @router.invoke
    async def echo(request: ResponsesAgentRequest) -> str:
        return str(request.model_dump()["input"][0]["content"])

    assert text(post(router, {"input": "hello"}, path)) == "hello"


def test_what_the_type_refuses_of_a_text_is_still_refused() -> None:
    class Asked(BaseModel):
        input: int

    router = AgentRouter()

    @router.invoke
    async def echo(request: Asked) -> str:
        raise AssertionError

    answer = post(router, {"input": "hello"})
    assert answer.status == 400
    assert answer.json()["error"]["param"] == "input"
