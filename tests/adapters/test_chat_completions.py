"""Stream Chat Completions through an agent, from the real client and from any vendor."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

import mlflow
import mlflow.openai
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from agent_asgi import AgentApp, AgentError, AgentRouter, ResponsesRequest
from agent_asgi.adapters.chat_completions import outputs, tools
from agent_asgi.events.lifecycle import Lifecycle
from agent_asgi.schema.decode import decode_request
from agent_asgi.schema.responses import Response as Made
from agent_asgi.testing import AgentClient
from tests.support.asking import fetch
from tests.support.autologging import autologging
from tests.support.calling import Json, Serve, connect, events_of, streamed, texts
from tests.support.stream_rules import check_stream
from tests.support.traces import traces

USAGE = {
    "prompt_tokens": 5,
    "completion_tokens": 3,
    "total_tokens": 8,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 1},
}


def chunk(reason: str | None = None, **delta: Any) -> Json:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [choice],
    }


def call(index: int | None = None, id: str | None = None, **function: Any) -> Json:
    fields = {"index": index, "id": id, "type": "function", "function": function}
    return {name: value for name, value in fields.items() if value is not None}


def answer_to(messages: list[Json], offered: list[Json]) -> Iterator[Json]:
    """Think, call a tool if one is offered, then report its result."""
    last = messages[-1]
    yield chunk(role="assistant", content="")
    for word in ("Let me ", "see."):
        yield chunk(reasoning_content=word)
    if offered and last["role"] == "user":
        name = offered[0]["function"]["name"]
        yield chunk(tool_calls=[call(0, "call_1", name=name, arguments="")])
        for letter in '{"city": "Rome"}':
            yield chunk(tool_calls=[call(0, arguments=letter)])
        yield chunk("tool_calls")
    else:
        for word in f"{len(messages)}: {last['content']}".split(" "):
            yield chunk(content=word + " ")
        yield chunk("stop")
    yield chunk() | {"choices": [], "usage": USAGE}


def chat_server(closed: asyncio.Event | None = None) -> Starlette:
    """Serve a model that speaks Chat Completions; model `slow` never ends, `broken` fails."""

    async def completions(request: Request) -> Response:
        body = await request.json()
        if not body.get("stream"):
            message = {"role": "assistant", "content": "whole"}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            return JSONResponse(chunk() | {"choices": [choice], "usage": USAGE})

        async def frames() -> AsyncIterator[str]:
            if body["model"] == "slow":
                yield frame(chunk(content="so "))
                try:
                    await asyncio.sleep(60)
                finally:
                    if closed is not None:
                        closed.set()
            if body["model"] == "broken":
                yield frame(chunk(content="so far"))
                yield frame({"error": {"message": "a secret", "code": 502}})
            for each in answer_to(body["messages"], body.get("tools", [])):
                yield frame(each)
            yield "data: [DONE]\n\n"

        return StreamingResponse(frames(), media_type="text/event-stream")

    return Starlette(routes=[Route("/v1/chat/completions", completions, methods=["POST"])])


def frame(fields: Json) -> str:
    return f"data: {json.dumps(fields)}\n\n"


def agent_of(url: str, model: str = "m", *, name: str = "chat", sync: bool = False) -> AgentRouter:
    """Make an agent that forwards everything to a model."""
    router = AgentRouter(name)

    options: Any = {"base_url": url + "/v1", "api_key": "none", "max_retries": 0}

    async def agent(request: ResponsesRequest) -> AsyncIterator[Any]:
        chat: Any = {"model": model, "messages": request.messages, **tools(request)}
        async with openai.AsyncOpenAI(**options) as client:
            chunks = await client.chat.completions.create(stream=True, **chat)
            async with contextlib.aclosing(outputs(chunks)) as found:
                async for output in found:
                    yield output

    def agent_in_a_thread(request: ResponsesRequest) -> Iterator[Any]:
        chat: Any = {"model": model, "messages": request.messages, **tools(request)}
        with openai.OpenAI(**options) as client:
            yield from outputs(client.chat.completions.create(stream=True, **chat))

    router.stream(agent_in_a_thread if sync else agent)
    return router


@pytest.mark.parametrize("sync", [False, True])
def test_the_openai_client_behind_the_wire(serve: Serve, sync: bool) -> None:
    client = connect(serve(AgentApp(agent_of(serve(chat_server()), sync=sync))))
    offered: Any = {"type": "function", "name": "weather", "parameters": {"type": "object"}}
    with client.responses.stream(model="m", input="What is it like?", tools=[offered]) as stream:
        kinds = [each.type for each in stream]
        first = stream.get_final_response()
    thought, asked = first.output
    assert thought.type == "reasoning"
    assert thought.summary[0].text == "Let me see."
    assert asked.type == "function_call"
    assert (asked.name, asked.call_id) == ("weather", "call_1")
    assert json.loads(asked.arguments) == {"city": "Rome"}
    assert kinds.count("response.function_call_arguments.delta") == 16
    assert first.usage is not None
    assert (first.usage.total_tokens, first.usage.input_tokens_details.cached_tokens) == (8, 4)
    assert first.usage.output_tokens_details.reasoning_tokens == 1
    output: Any = {"type": "function_call_output", "call_id": "call_1", "output": "sunny"}
    second = client.responses.create(
        model="m", input=[output], tools=[offered], previous_response_id=first.id
    )
    assert second.output_text == "3: sunny "
    third = client.responses.create(model="m", input="Oh?", previous_response_id=second.id)
    assert third.output_text == "5: Oh? "


def test_the_shape_of_databricks(serve: Serve) -> None:
    url = serve(AgentApp(agent_of(serve(chat_server()))))
    body = {"input": [{"role": "user", "content": "hi"}], "stream": True}
    events = events_of(fetch(url, "POST", "/invocations", body=body).body)
    done = [each["item"] for each in events if each["type"] == "response.output_item.done"]
    assert [each["type"] for each in done] == ["reasoning", "message"]
    assert texts(done[1:]) == ["1: hi "]
    offered = {"type": "function", "name": "weather", "parameters": {"type": "object"}}
    events = events_of(fetch(url, "POST", "/invocations", body=body | {"tools": [offered]}).body)
    asked = next(each["item"] for each in events if each.get("item", {}).get("arguments"))
    result = {"type": "function_call_output", "call_id": asked["call_id"], "output": "sunny"}
    answer = json.loads(fetch(url, "POST", "/invocations", body={"input": [asked, result]}).body)
    assert texts(answer["output"][1:]) == ["2: sunny "]
    assert answer["usage"]["total_tokens"] == 8


def test_a_failing_model(serve: Serve) -> None:
    client = connect(serve(AgentApp(agent_of(serve(chat_server()), "broken"))))
    events = streamed(client, model="m", input="hi")
    response = check_stream(events)
    assert (response["status"], texts(response["output"])) == ("failed", ["so far"])
    assert "secret" not in json.dumps(events)


def test_a_client_that_leaves_closes_the_models_stream(serve: Serve) -> None:
    closed = asyncio.Event()
    app = AgentApp(agent_of(serve(chat_server(closed)), "slow"))

    async def main() -> None:
        async with AgentClient(app).stream("/responses", {"input": "x", "stream": True}) as it:
            async for event in it.each_event():
                if event["type"] == "response.output_text.delta":
                    break
            await it.disconnect()

    asyncio.run(main())
    for _ in range(100):
        if closed.is_set():
            return
        asyncio.run(asyncio.sleep(0.05))
    pytest.fail("the model still streams")


@pytest.mark.parametrize("sync", [False, True])
def test_the_clients_span_nests_below_the_run(serve: Serve, sync: bool) -> None:
    router = agent_of(serve(chat_server()), name=f"chat-traced-{sync}", sync=sync)
    with autologging(mlflow.openai):
        answer = asyncio.run(AgentClient(AgentApp(router)).post("/responses", {"input": "hi"}))
    assert answer.status == 200
    (trace,) = traces(agent=router.name)
    root, below = trace.data.spans
    assert below.parent_id == root.span_id
    assert below.name == ("Completions" if sync else "AsyncCompletions")
    assert below.inputs["messages"] == [{"role": "user", "content": "hi"}]


def test_a_whole_completion(serve: Serve) -> None:
    with openai.OpenAI(base_url=serve(chat_server()) + "/v1", api_key="none") as client:
        whole = client.chat.completions.create(model="m", messages=[])
    response = made(outputs(whole))
    assert texts(response["output"]) == ["whole"]
    assert response["usage"]["input_tokens"] == 5


def made(found: Any) -> Json:
    """Return the response built from outputs, without item ids."""
    lifecycle = Lifecycle(Made(status="in_progress"))
    lifecycle.start()
    for each in found:
        lifecycle.feed(each)
    lifecycle.complete()
    response: Json = json.loads(lifecycle.encode())
    for item in response["output"]:
        del item["id"]
    del response["completed_at"]
    return response


def calls_of(*deltas: list[Json]) -> list[tuple[str, str, str]]:
    """Return the calls built from fragments."""
    response = made(outputs([*(chunk(tool_calls=each) for each in deltas), chunk("stop")]))
    return [(each["call_id"], each["name"], each["arguments"]) for each in response["output"]]


A, B = ("a", "f", '{"x":1}'), ("b", "g", "{}")


@pytest.mark.parametrize(
    "deltas",
    [
        pytest.param(
            [[call(0, "a", name="f", arguments='{"x":1}'), call(1, "b", name="g")]], id="whole"
        ),
        pytest.param(
            [
                [call(0, "a", name="f", arguments='{"x"')],
                [call(1, "b", name="g", arguments="{")],
                [call(0, arguments=":1}"), call(1, arguments="}")],
            ],
            id="interleaved",
        ),
        pytest.param(
            [
                [call(0, "a", name="f", arguments='{"x"')],
                [call(0, "a", name="f", arguments=":1}")],
                [call(1, "b", name="g", arguments="{}")],
            ],
            id="id and name repeated",
        ),
        pytest.param(
            [
                [call(None, "a", name="f")],
                [call(None, None, arguments='{"x":1}')],
                [call(None, "b", name="g", arguments="")],
            ],
            id="no index",
        ),
        pytest.param(
            [
                [call(None, "a", name="f"), call(None, "b", name="g")],
                [call(None, "b", arguments="{}"), call(None, "a", arguments='{"x":1}')],
            ],
            id="ids alone",
        ),
        pytest.param(
            [[call(0, "a", name="f", arguments={"x": 1}), call(0, "b", name="g", arguments={})]],
            id="one index for all, arguments as objects",
        ),
        pytest.param(
            [
                [call(0, arguments='{"x"'), call(1, "b", name="")],
                [call(0, "a", name="f", arguments=":1}"), call(1, name="g")],
            ],
            id="the name comes late",
        ),
    ],
)
def test_fragments_of_calls(deltas: list[list[Json]]) -> None:
    assert calls_of(*deltas) == [A, B]


def test_calls_without_ids() -> None:
    whole = [call(name="f", arguments='{"x":1}'), call(name="g", arguments="{}")]
    found = calls_of(whole)
    assert [each[1:] for each in found] == [A[1:], B[1:]]
    assert len({each[0] for each in found}) == 2


def test_calls_without_ids_that_share_an_index() -> None:
    found = calls_of([call(0, "", name="f", arguments='{"x":1}')], [call(0, name="g")])
    assert [each[1:] for each in found] == [("f", '{"x":1}'), ("g", "{}")]


def test_a_call_without_a_name() -> None:
    with pytest.raises(RuntimeError, match="without a name"):
        list(outputs([chunk("tool_calls", tool_calls=[call(0, "a", arguments="{}")])]))


@st.composite
def cuts(draw: st.DrawFn, text: str) -> list[str]:
    places = sorted(draw(st.sets(st.integers(1, max(1, len(text) - 1)), max_size=6)))
    return [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]


@settings(max_examples=200, deadline=None)
@given(st.data(), st.text(max_size=20), st.text(max_size=20), st.lists(st.text(max_size=9)))
def test_however_it_is_cut_it_is_the_same(
    data: st.DataObject, thought: str, text: str, arguments: list[str]
) -> None:
    asked = [json.dumps({"x": each}) for each in arguments]
    named = [
        call(number, f"call_{number}", name=f"f{number}", arguments="")
        for number in range(len(asked))
    ]
    whole = [call(n, f"call_{n}", name=f"f{n}", arguments=each) for n, each in enumerate(asked)]
    at_once = chunk("stop", reasoning_content=thought, content=text, tool_calls=whole)
    fragments = [
        call(number, arguments=part)
        for number, each in enumerate(asked)
        for part in data.draw(cuts(each))
    ]
    by_call = data.draw(st.permutations(range(len(fragments))))
    order = sorted(by_call, key=lambda at: (data.draw(st.integers(0, 3)), at))
    order = in_order(fragments, order)
    cut = [
        *(chunk(reasoning_content=each) for each in data.draw(cuts(thought))),
        *(chunk(content=each) for each in data.draw(cuts(text))),
        *(chunk(tool_calls=[each]) for each in named),
        *(chunk(tool_calls=[fragments[at]]) for at in order),
        chunk("stop"),
        chunk() | {"choices": [], "usage": USAGE},
    ]
    expected = made(outputs([at_once | {"usage": USAGE}]))
    assert made(outputs(cut)) == expected
    assert texts(expected["output"][-1 - len(asked) :][:1]) == [text] or not text


def in_order(fragments: Sequence[Json], order: Sequence[int]) -> list[int]:
    """Keep the fragments of each call in order, however the calls are interleaved."""
    waiting: dict[int, list[int]] = {}
    for at in sorted(order):
        waiting.setdefault(fragments[at]["index"], []).append(at)
    return [waiting[fragments[at]["index"]].pop(0) for at in order]


@pytest.mark.parametrize(
    ("reason", "told"),
    [("length", "max_output_tokens"), ("content_filter", "content_filter"), ("stop", None)],
)
def test_why_it_ended(reason: str, told: str | None) -> None:
    cut = [chunk(content="I sa"), chunk(tool_calls=[call(0, "a", name="f", arguments='{"x')])]
    response = made(outputs([*cut, chunk(reason)]))
    details = response["incomplete_details"]
    assert (details and details["reason"]) == told
    assert response["status"] == ("completed" if told is None else "incomplete")
    last = response["output"][-1]
    assert last["status"] == response["status"]
    assert last["arguments"] == '{"x'


@pytest.mark.parametrize(
    "deltas",
    [
        [{"reasoning": "Hm, "}, {"reasoning": "hm.", "reasoning_content": "hm."}],
        [{"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm, hm."}]}]}],
        [{"content": [{"type": "reasoning", "summary": [{"text": "Hm, hm."}]}]}],
    ],
)
def test_forms_of_reasoning(deltas: list[Json]) -> None:
    said = [
        *deltas,
        {"content": [{"type": "text", "text": "Yes"}, {"type": "text", "text": ""}]},
        {"content": "."},
    ]
    response = made(outputs([*(chunk(**each) for each in said), chunk("stop")]))
    thought, message = response["output"]
    assert thought["summary"] == [{"type": "summary_text", "text": "Hm, hm."}]
    assert texts([message]) == ["Yes."]


def test_a_refusal_and_further_choices() -> None:
    other = {"index": 1, "delta": {"content": "other"}}
    chunks = [chunk(refusal="I "), chunk() | {"choices": [other]}, chunk("stop")]
    response = made(outputs(chunks))
    assert response["output"][0]["content"] == [{"type": "refusal", "refusal": "I "}]


def test_an_error_in_the_stream() -> None:
    with pytest.raises(RuntimeError, match="carried an error: overloaded"):
        list(outputs([{"error": "overloaded"}]))


def test_a_stream_that_was_cut() -> None:
    begun = chunk(tool_calls=[call(0, "a", name="pay", arguments='{"amount": 1')])
    with pytest.raises(RuntimeError, match="was cut"):
        list(outputs([begun]))


class Closing:
    """A stream that records whether it was closed."""

    def __init__(self) -> None:
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[Json]:
        yield chunk(content="a")
        await asyncio.sleep(60)

    def __iter__(self) -> Iterator[Json]:
        yield chunk(content="a")
        yield chunk(content="b")


class Awaited(Closing):
    async def close(self) -> None:
        self.closed = True


class Plain(Closing):
    def close(self) -> None:
        self.closed = True


class Sync:
    """A synchronous stream."""

    def __init__(self) -> None:
        self.closed = False

    def __iter__(self) -> Iterator[Json]:
        yield chunk(content="a")
        yield chunk(content="b")

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("kind", [Awaited, Plain])
def test_closing_closes_the_stream(kind: Callable[[], Closing]) -> None:
    stream = kind()

    async def main() -> None:
        found = outputs(stream)
        assert await anext(found) == "a"
        await found.aclose()

    asyncio.run(main())
    assert stream.closed


def test_closing_closes_a_sync_stream() -> None:
    stream = Sync()
    found: Any = outputs(stream)
    assert next(found) == "a"
    found.close()
    assert stream.closed


def messages_of(**body: Any) -> list[Json]:
    return decode_request(json.dumps(body).encode()).messages


def test_a_text_and_instructions() -> None:
    assert messages_of(input="hi", instructions="Be brief.") == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hi"},
    ]


def test_content_in_parts() -> None:
    sound = {"type": "input_audio", "input_audio": {"data": "x", "format": "wav"}}
    parts = [
        {"type": "input_text", "text": "Look:"},
        {"type": "input_image", "image_url": "data:image/png;base64,x", "detail": "low"},
        {"type": "input_image", "file_id": "file_2"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:x"},
        {"type": "input_video", "video_url": "https://example.com/v"},
        sound,
    ]
    (message,) = messages_of(input=[{"role": "user", "content": parts}])
    assert message["content"] == [
        {"type": "text", "text": "Look:"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,x", "detail": "low"}},
        {"type": "file", "file": {"file_id": "file_2"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:x"}},
        {"type": "video_url", "video_url": {"url": "https://example.com/v"}},
        sound,
    ]


def test_a_file_by_its_url() -> None:
    part = {"type": "input_file", "file_url": "https://example.com/a.pdf"}
    with pytest.raises(AgentError, match="send the data of the file") as raised:
        messages_of(input=[{"role": "user", "content": [part]}])
    assert (raised.value.status, raised.value.param) == (400, "input")


def test_a_conversation_with_calls() -> None:
    refusal = [{"type": "output_text", "text": "No. "}, {"type": "refusal", "refusal": "Sorry."}]
    request = [
        {"role": "developer", "content": [{"type": "input_text", "text": "Be kind."}]},
        {"role": "user", "content": "a and b?"},
        {"type": "reasoning", "summary": []},
        {"role": "assistant", "content": "I ask."},
        {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
        {"type": "function_call", "call_id": "b", "name": "g", "arguments": "{}"},
        {"role": "assistant", "content": "Wait."},
        {"type": "function_call_output", "call_id": "a", "output": "1"},
        {
            "type": "function_call_output",
            "call_id": "b",
            "output": [{"type": "input_text", "text": "2"}],
        },
        {"type": "acme:note", "text": "left out"},
        {"role": "assistant", "content": refusal},
    ]
    functions = [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
        {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
    ]
    assert messages_of(input=request) == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "a and b?"},
        {"role": "assistant", "content": "I ask.\n\nWait.", "tool_calls": functions},
        {"role": "tool", "tool_call_id": "a", "content": "1"},
        {"role": "tool", "tool_call_id": "b", "content": "2"},
        {"role": "assistant", "content": "No. Sorry."},
    ]


def test_a_call_without_an_output_was_interrupted() -> None:
    call = {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "a", "output": "1"}
    answers = [call, output, call, {"role": "user", "content": "x"}, call]
    roles = [(each["role"], each["content"]) for each in messages_of(input=answers)]
    stopped = ("tool", "The call was interrupted: it has no result.")
    called = ("assistant", None)
    assert roles == [called, ("tool", "1"), called, stopped, ("user", "x"), called, stopped]


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        ("required", "required"),
        ({"type": "function", "name": "f"}, {"type": "function", "function": {"name": "f"}}),
        (
            {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [{"type": "function", "name": "f"}],
            },
            "required",
        ),
    ],
)
def test_the_clients_tools(choice: Any, told: Any) -> None:
    offered = {"type": "function", "name": "f", "description": "F.", "parameters": {}}
    body = {"input": "x", "tools": [offered], "tool_choice": choice, "parallel_tool_calls": False}
    found = tools(decode_request(json.dumps(body).encode()))
    function = {"name": "f", "description": "F.", "parameters": {}}
    assert found == {
        "tools": [{"type": "function", "function": function}],
        "tool_choice": told,
        "parallel_tool_calls": False,
    }


def test_no_tools() -> None:
    assert tools(decode_request(b'{"input": "x"}')) == {}
