"""Chat Completions: answers match those of Responses, in JSON and in chunks."""

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from agent_asgi import (
    AgentApp,
    AgentError,
    AgentRouter,
    Context,
    FunctionCall,
    FunctionCallOutput,
    Limits,
    Message,
    OutputText,
    ReasoningItem,
    ResponsesRequest,
    SummaryText,
    Timeouts,
)
from agent_asgi.testing import AgentClient, Answer
from tests.support.apps import ask, started
from tests.support.calling import Json, Serve, connect, error_of, there, until
from tests.support.outputs import OUTPUTS, giving
from tests.support.traces import traces

CHAT: Json = {"messages": [{"role": "user", "content": "x"}]}
PATH = "/v1/chat/completions"


async def answers(app: AgentApp, *bodies: Json, path: str = PATH) -> list[Answer]:
    """Send bodies one after another."""
    async with started(app):
        client = AgentClient(app)
        return [await client.post(path, body) for body in bodies]


def complete(app: AgentApp, body: Json, path: str = PATH) -> Answer:
    """Send one body."""
    return ask(app, path, body)


def fold(answer: Answer) -> Json:
    """Assemble the chunks of a stream: the message, its `finish_reason`, the error."""
    assert answer.body.endswith(b"data: [DONE]\n\n")
    whole: Json = {"error": None, "finish_reason": None, "tool_calls": {}}
    for number, event in enumerate(answer.events()):
        if "error" in event:
            whole["error"] = event["error"]
            continue
        chunk = ChatCompletionChunk.model_validate(event, strict=True)
        for choice in chunk.choices:
            delta = choice.delta.model_dump(exclude_none=True)
            assert (delta.pop("role", None) == "assistant") is (number == 0)
            for call in delta.pop("tool_calls", ()):
                function = call.pop("function")
                kept = whole["tool_calls"].setdefault(call.pop("index"), {"arguments": ""})
                kept["arguments"] += function.pop("arguments")
                kept |= call | function
            for name, text in delta.items():
                whole[name] = whole.get(name, "") + text
            assert whole["finish_reason"] is None
            whole["finish_reason"] = choice.finish_reason
    return whole


def message_of(answer: Answer) -> Json:
    """Return the message of a JSON answer in the format of `fold`."""
    ChatCompletion.model_validate(answer.json(), strict=True)
    (choice,) = answer.json()["choices"]
    message: Json = choice["message"]
    calls = {
        n: {"id": each["id"], "type": "function", **each["function"]}
        for n, each in enumerate(message.pop("tool_calls", ()))
    }
    more = {"error": None, "finish_reason": choice["finish_reason"], "tool_calls": calls}
    given = {name: each for name, each in message.items() if each is not None and name != "role"}
    return {"content": "", **given, **more}


OWN = [
    FunctionCall(call_id="own", name="look", arguments="{}"),
    FunctionCallOutput(call_id="own", output="1"),
]
SEVERAL: list[Any] = [
    ReasoningItem(summary=[SummaryText(text="hm"), SummaryText(text="aha")]),
    Message(role="assistant", content="I look."),
    *OWN,
    {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "so"}]},
    Message(role="assistant", content=[OutputText(text="It is "), OutputText(text="one.")]),
    FunctionCall("f", '{"a": 1}', "c1", client=True),
    FunctionCall("g", "{}", "c2", client=True),
]
ALL = {**OUTPUTS, "several": SEVERAL, "own": [*OWN, "one"]}


@pytest.mark.parametrize("kind", ALL)
def test_streams_say_what_json_answers_do_and_responses_too(kind: str) -> None:
    async def main() -> list[Answer]:
        async with started(giving(ALL[kind])) as app:
            client = AgentClient(app)
            return [
                await client.post("/responses", {"input": "x"}),
                await client.post(PATH, CHAT),
                await client.post(PATH, CHAT | {"stream": True}),
            ]

    response, whole, stream = asyncio.run(main())
    if kind in ("failed", "raises"):
        assert whole.status == 500
        assert whole.headers["x-should-retry"] == "false"
        assert fold(stream)["error"] == whole.json()["error"]
        assert whole.json()["error"]["type"] == "model_error"
        return
    message = message_of(whole)
    assert {"content": ""} | fold(stream) == message
    output = response.json()["output"]
    said = [each["content"] for each in output if each["type"] == "message"]
    texts = ["".join(part.get("text", "") for part in content) for content in said]
    assert message["content"] == "\n\n".join(filter(None, texts))


def test_only_calls_without_an_output_are_the_clients() -> None:
    message = message_of(complete(giving(SEVERAL), CHAT))
    assert message["finish_reason"] == "tool_calls"
    assert [each["id"] for each in message["tool_calls"].values()] == ["c1", "c2"]
    assert message["tool_calls"][0]["arguments"] == '{"a": 1}'
    assert message["content"] == "I look.\n\nIt is one."
    assert message["reasoning_content"] == "hm\n\naha\n\nso"
    own = message_of(complete(giving([*OWN, "one"]), CHAT))
    assert (own["content"], own["tool_calls"], own["finish_reason"]) == ("one", {}, "stop")


@pytest.mark.parametrize(
    ("reason", "wanted"),
    [("max_output_tokens", "length"), ("content_filter", "content_filter"), ("other", "length")],
)
def test_an_answer_that_is_cut_says_so(reason: str, wanted: str) -> None:
    cut = FunctionCall("f", '{"a', "c", status="incomplete", client=True)
    app = giving(["hi", cut, {"output": [], "incomplete_details": {"reason": reason}}])
    message = message_of(complete(app, CHAT))
    assert (message["finish_reason"], message["tool_calls"]) == (wanted, {})


def test_a_refusal_and_no_text_is_null_content() -> None:
    answer = complete(giving(OUTPUTS["refusal"]), CHAT)
    message = answer.json()["choices"][0]["message"]
    assert (message["content"], message["refusal"]) == (None, "no")
    assert "usage" not in answer.json()


def test_the_usage_comes_last_where_the_request_asks_and_the_agent_tells() -> None:
    app = giving(OUTPUTS["usage"])
    wanted = CHAT | {"stream": True, "stream_options": {"include_usage": True}}
    asked, other = asyncio.run(answers(app, wanted, CHAT | {"stream": True}))
    last = asked.events()[-1]
    assert (last["choices"], last["usage"]["total_tokens"]) == ([], 3)
    assert [each["usage"] for each in asked.events()[:-1]] == [None] * (len(asked.events()) - 1)
    assert not any("usage" in each for each in other.events())
    without = complete(giving(["hi"]), wanted)
    assert without.events()[-1]["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("followed", [False, True])
def test_a_stream_that_fails_has_its_usage_before_the_error(followed: bool) -> None:
    """As it runs, and if it is followed in the log, as with an idempotency key."""
    app = giving([*OUTPUTS["usage"], ValueError("a secret")])
    wanted = CHAT | {"stream": True, "stream_options": {"include_usage": True}}
    headers = {"idempotency-key": "k"} if followed else None
    *_, usage, error = ask(app, PATH, wanted, headers).events()
    assert (usage["choices"], usage["usage"]["total_tokens"]) == ([], 3)
    assert error["error"]["code"] == "agent_error"
    other = complete(app, CHAT | {"stream": True}).events()
    assert not any("usage" in each for each in other)
    assert other[-1] == error
    silent = complete(giving(["hi", ValueError("a secret")]), wanted).events()
    assert [each["usage"] for each in silent[:-1]] == [None] * (len(silent) - 1)


def test_text_leaves_at_once_and_calls_at_the_end() -> None:
    router = AgentRouter()
    go_on = asyncio.Event()

    @router.stream
    async def slowly(request: ResponsesRequest) -> AsyncIterator[Any]:
        yield FunctionCall("f", {}, "c1", client=True)
        yield "one"
        await go_on.wait()
        yield "two"

    async def main() -> list[str]:
        seen = []
        async with started(AgentApp(router)) as app:
            async with AgentClient(app).stream(PATH, CHAT | {"stream": True}) as answer:
                async for event in answer.each_event():
                    delta = event["choices"][0]["delta"]
                    seen.append(delta.get("content") or next(iter(delta), "end"))
                    if "one" in seen:
                        go_on.set()
        return seen

    assert asyncio.run(main()) == ["role", "one", "two", "tool_calls", "tool_calls", "end"]


@pytest.mark.parametrize(
    ("stream", "commits"), [(False, False), (True, False), (True, True)], ids=str
)
def test_failures_raise_in_the_openai_client(serve: Serve, stream: bool, commits: bool) -> None:
    router = AgentRouter()

    @router.stream
    async def fail(request: ResponsesRequest) -> AsyncIterator[str]:
        if commits:
            yield "so far"
            await asyncio.sleep(0)
        raise AgentError("Come back later.", 429, "quota_exceeded")

    with connect(serve(AgentApp(router)), max_retries=2) as client:
        ask: Any = client.chat.completions.create
        if commits:
            with pytest.raises(openai.APIError, match="Come back later") as told:
                list(ask(model="agent", stream=stream, **CHAT))
            assert told.value.code == "quota_exceeded"
        else:
            with pytest.raises(openai.RateLimitError) as raised:
                ask(model="agent", stream=stream, **CHAT)
            assert error_of(raised) == (429, "quota_exceeded", None)


def test_a_run_that_is_cut_off_by_the_server_is_an_error() -> None:
    router = AgentRouter()

    @router.stream
    async def endless(request: ResponsesRequest) -> AsyncIterator[str]:
        yield "hi"
        await asyncio.sleep(60)

    async def main() -> Answer:
        app = AgentApp(router, timeouts=Timeouts(drain=0.1))
        async with started(app):
            async with AgentClient(app).stream(PATH, CHAT | {"stream": True}) as answer:
                async for _ in answer.bodies():
                    if b'"hi"' in answer.body and not ending:
                        ending.append(asyncio.create_task(app.drain()))
            await ending[0]
        return answer

    ending: list[asyncio.Task[None]] = []
    whole = fold(asyncio.run(main()))
    assert whole["error"]["code"] == "cancelled"
    assert (whole["content"], whole["finish_reason"]) == ("hi", None)


def test_a_run_that_takes_too_long_is_an_error() -> None:
    router = AgentRouter()

    @router.invoke
    async def slow(request: ResponsesRequest) -> str:
        await asyncio.sleep(60)
        return "late"

    answer = complete(AgentApp(router, timeouts=Timeouts(run=0.1)), CHAT)
    assert (answer.status, answer.json()["error"]["code"]) == (504, "timeout")


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_a_client_that_leaves_cancels_the_run(serve: Serve, stream: bool) -> None:
    name = f"chat-left-{stream}"
    router, begun, ended = AgentRouter(name), threading.Event(), threading.Event()

    @router.stream
    async def count(request: ResponsesRequest, context: Context) -> AsyncIterator[str]:
        try:
            for number in range(1000):
                yield f"{number} "
                begun.set()
                await asyncio.sleep(0.01)
        finally:
            ended.set()

    url = serve(AgentApp(router))
    body = json.dumps(CHAT | {"stream": stream}).encode()
    with socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1])), timeout=10) as sock:
        head = f"POST {PATH} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
        sock.sendall(head.encode() + body)
        assert begun.wait(10)
        if stream:
            assert sock.recv(65536).startswith(b"HTTP/1.1 200")
    assert ended.wait(10)
    (trace,) = until(lambda: traces(agent=name))
    assert trace.info.tags["agent_asgi.status"] == "cancelled"
    assert trace.info.tags["agent_asgi.cause"] == "client_disconnected"
    assert trace.data.spans[0].outputs["output"][0]["content"][0]["text"].startswith("0 ")


def test_the_trace_has_the_body_as_it_came_and_the_session() -> None:
    router = AgentRouter("chat-traced")
    router.invoke(lambda request: "hi")
    body = CHAT | {"user": "ann", "seed": 7, "messages": [{"role": "user", "content": "7 squared"}]}

    async def main() -> list[Answer]:
        async with started(AgentApp(router)) as app:
            client = AgentClient(app, headers={"x-session-id": "s1", "x-request-id": "r1"})
            return [
                await client.post(PATH, body),
                await client.post(PATH, body | {"stream": True, "conversation": "s2"}),
            ]

    found = asyncio.run(main())
    one, two = traces(agent="chat-traced")
    assert one.data.spans[0].inputs == body
    assert one.data.spans[0].outputs["output"][0]["content"][0]["text"] == "hi"
    assert one.data.spans[0].attributes["mlflow.message.format"] == "openai"
    metadata = [each.info.trace_metadata for each in (one, two)]
    assert [each["mlflow.trace.session"] for each in metadata] == ["s1", "s2"]
    assert metadata[0]["mlflow.trace.user"] == "ann"
    assert [each.headers["x-mlflow-trace-id"] for each in found] == [
        each.info.trace_id for each in (one, two)
    ]
    assert [each.headers["x-request-id"] for each in found] == ["r1", "r1"]
    ids = [each.info.tags["agent_asgi.response_id"].removeprefix("resp_") for each in (one, two)]
    assert [f"chatcmpl-{each}" for each in ids] == [
        found[0].json()["id"],
        found[1].events()[0]["id"],
    ]


def test_an_answer_is_kept_where_the_request_says_so(serve: Serve, store_url: str) -> None:
    router = AgentRouter()
    router.invoke(lambda request: f"{len(request['input'])} said")
    with connect(serve(AgentApp(router, store=store_url))) as client:
        chat: Any = client.chat.completions.create
        options: dict[str, Json] = {"": {}, "no": {"store": False}, "yes": {"store": True}}
        ids = {name: chat(model="agent", **CHAT, **each).id for name, each in options.items()}
        kept = {store: id_.replace("chatcmpl-", "resp_") for store, id_ in ids.items()}
        assert [store for store, id_ in kept.items() if there(client, id_)] == ["yes"]
        (item,) = client.responses.input_items.list(kept["yes"]).data
        assert item.type == "message"
        again = client.responses.create(input="y", previous_response_id=kept["yes"])
        assert again.output_text == "3 said"


def test_a_conversation_takes_one_run_at_a_time() -> None:
    router = AgentRouter()
    waiting, go_on = asyncio.Event(), asyncio.Event()

    @router.invoke
    async def wait(request: ResponsesRequest) -> str:
        waiting.set()
        await go_on.wait()
        return "done"

    async def main() -> tuple[Answer, Answer]:
        body = CHAT | {"conversation": "c"}
        async with started(AgentApp(router)) as app:
            client = AgentClient(app)
            first = asyncio.create_task(client.post(PATH, body))
            await waiting.wait()
            second = await client.post(PATH, body)
            go_on.set()
            return await first, second

    first, second = asyncio.run(main())
    assert (first.status, second.status) == (200, 409)
    assert second.json()["error"]["code"] == "conversation_locked"


def test_the_limits_hold_here_too() -> None:
    router = AgentRouter()
    router.invoke(lambda request: "ok")
    app = AgentApp(router, limits=Limits(max_body_bytes=300, max_depth=5))
    large = complete(app, CHAT | {"x": "x" * 300})
    deep = complete(app, CHAT | {"x": [[[[[[]]]]]]})
    assert (large.status, large.json()["error"]["code"]) == (413, "request_too_large")
    assert (deep.status, deep.json()["error"]["code"]) == (400, "nested_too_deeply")


@pytest.mark.parametrize("prefix", ["", "/v1", "/coder", "/coder/v1"])
def test_several_agents_by_path_and_by_model(prefix: str) -> None:
    routers = [AgentRouter("tutor"), AgentRouter("coder"), AgentRouter("any", protocol="json")]
    for router in routers:
        router.invoke(lambda request, name=router.name: name)
    app = AgentApp(*routers)
    path = f"{prefix}/chat/completions"
    named, none, unknown = asyncio.run(
        answers(app, CHAT | {"model": "coder"}, CHAT, CHAT | {"model": "any"}, path=path)
    )
    assert named.json()["choices"][0]["message"]["content"] == "coder"
    assert named.json()["model"] == "coder"
    if prefix.startswith("/coder"):
        assert none.json()["model"] == "coder"
        assert unknown.status == 200
    else:
        assert (none.status, none.json()["error"]["param"]) == (400, "model")
        assert (unknown.status, unknown.json()["error"]["code"]) == (404, "model_not_found")
    assert complete(app, CHAT, "/any/chat/completions").status == 404


def test_it_can_be_left_out() -> None:
    router = AgentRouter()
    router.invoke(lambda request: "hi")
    app = AgentApp(router, protocols=())
    for path in ("/chat/completions", PATH):
        answer = complete(app, CHAT, path)
        assert (answer.status, answer.json()["error"]["code"]) == (404, "not_found")

    async def paths() -> Any:
        async with started(app):
            return (await AgentClient(app).get("/openapi.json")).json()["paths"]

    assert not [each for each in asyncio.run(paths()) if "chat" in each]


def test_no_agent_among_several_is_named_chat() -> None:
    with pytest.raises(ValueError, match="reserved for an endpoint"):
        AgentApp(AgentRouter("chat"), AgentRouter("other"))
