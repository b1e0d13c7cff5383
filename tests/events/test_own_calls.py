"""Calls of the agent's own tools: what clients of each protocol see, and what handlers get back."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from agent_asgi import (
    AgentApp,
    AgentRouter,
    FunctionCall,
    FunctionCallOutput,
    OutputText,
    ResponsesRequest,
)
from agent_asgi.testing import AgentClient
from tests.support.openresponses_schema import validate_event, validate_response
from tests.support.stream_rules import accumulate, check_stream, fold

Json = dict[str, Any]
MODES = ("mcp_call", "function_call", "hidden")
TOOLS = [{"type": "function", "name": "weather"}]


def agent(mode: Any, *outputs: Any, seen: list[Any] | None = None) -> AgentApp:
    """Create an app whose agent yields these outputs; `seen` gets its inputs."""
    router = AgentRouter("tutor", own_tools=mode)

    @router.stream
    async def tutor(request: ResponsesRequest) -> AsyncIterator[Any]:
        if seen is not None:
            seen.append(request.input)
        for output in outputs:
            yield output

    return AgentApp(router)


def ask(app: AgentApp, path: str = "/responses", **fields: Any) -> list[Json]:
    """Return the output of a request."""
    answer = asyncio.run(AgentClient(app).post(path, {"input": "x", **fields}))
    assert answer.status == 200, answer.json()
    output: list[Json] = answer.json()["output"]
    return output


def stream(app: AgentApp, path: str = "/responses", **fields: Any) -> list[Json]:
    """Return the events of a request, which are valid."""
    body = {"input": "x", "stream": True, **fields}
    events = asyncio.run(AgentClient(app).post(path, body)).events()
    if path == "/responses":
        for event in events:
            validate_event(event)
        check_stream(events)
    return [event for event in events if "type" in event]


@pytest.mark.parametrize("space", ["n", None])
def test_a_tool_in_a_namespace_is_the_clients(space: str | None) -> None:
    inner: Json = {"type": "function", "name": "look", "parameters": {"type": "object"}}
    tools: list[Json] = [{"type": "namespace", "name": "n", "description": "d", "tools": [inner]}]
    app = agent("mcp_call", FunctionCall("look", namespace=space), FunctionCall("n"))
    for choice in ("auto", "required", {"type": "function", "name": "look"}):
        output = ask(app, tools=tools, tool_choice=choice)
        assert types(output) == ["function_call", "mcp_call"]
    one_of = {"type": "allowed_tools", "mode": "required", "tools": [tools[0]]}
    assert types(ask(app, tools=tools, tool_choice=one_of)) == ["function_call", "mcp_call"]
    other = agent("mcp_call", FunctionCall("look", namespace="agents"))
    assert types(ask(other, tools=tools)) == ["mcp_call"]
    assert types(ask(other, tools=[inner])) == ["function_call"]


def test_a_forbidden_tool_in_a_namespace_is_not_called() -> None:
    inner: Json = {"type": "function", "name": "look"}
    tools: list[Json] = [{"type": "namespace", "name": "n", "tools": [inner, 5]}]
    body = {"input": "x", "tools": tools, "tool_choice": "none"}
    app = agent("mcp_call", FunctionCall("look", namespace="n"))
    answer = asyncio.run(AgentClient(app).post("/responses", body))
    assert answer.json()["error"]["code"] == "tool_choice_violated"


def types(items: list[Json]) -> list[str]:
    """Return the types of items or events."""
    return [item["type"] for item in items]


def add() -> FunctionCall:
    """Return a call of the agent's own tool."""
    return FunctionCall("add", {"a": 1, "b": 2}, "call_1")


SUM = FunctionCallOutput("call_1", "3")


def test_a_call_and_its_output_are_one_item() -> None:
    app = agent("mcp_call", "let me see", add(), SUM, "it is 3")
    _, call, _ = ask(app)
    assert call.pop("id").startswith("mcp_")
    assert call == {
        "type": "mcp_call",
        "status": "completed",
        "server_label": "tutor",
        "name": "add",
        "arguments": '{"a":1,"b":2}',
        "output": "3",
        "error": None,
    }


def test_the_item_streams_its_arguments_and_ends_with_its_output() -> None:
    events = stream(agent("mcp_call", add(), SUM, "it is 3"))
    mine = [event for event in events if event.get("output_index") == 0]
    assert types(mine) == [
        "response.output_item.added",
        "response.mcp_call.in_progress",
        "response.mcp_call_arguments.delta",
        "response.mcp_call_arguments.done",
        "response.mcp_call.completed",
        "response.output_item.done",
    ]
    assert mine[-1]["item"]["output"] == "3"
    assert fold(events)[0] == accumulate(events)["output"][0] == mine[-1]["item"]


@pytest.mark.parametrize("mode", MODES)
def test_a_failed_tool(mode: str) -> None:
    failed = FunctionCallOutput("call_1", error="no such town")
    app = agent(mode, add(), failed, "sorry")
    if mode == "mcp_call":
        [call, _] = ask(app)
        content = [{"type": "text", "text": "no such town"}]
        assert call["status"] == "failed"
        assert call["error"] == {"type": "mcp_tool_execution_error", "content": content}
        assert call["output"] is None
        assert "response.mcp_call.failed" in types(stream(app))
    [_, output, _] = ask(app, "/invocations")
    assert output["output"] == "no such town"
    assert set(output) == {"type", "id", "call_id", "output", "status"}


def test_hidden_calls_leave_no_gap() -> None:
    app = agent("hidden", "let me see", add(), SUM, "it is 3")
    events = stream(app)
    assert "mcp" not in str(events)
    assert "function" not in str(events)
    assert types(ask(app)) == ["message", "message"]


@pytest.mark.parametrize("mode", MODES)
def test_invocations_always_have_pairs(mode: str) -> None:
    outputs = ("hm", add(), FunctionCall("add", {}, "call_2"), FunctionCallOutput("call_2", "0"))
    app = agent(mode, *outputs, SUM, "it is 3", " or so")
    order = ["message", *["function_call"] * 2, *["function_call_output"] * 2, "message"]
    output = ask(app, "/invocations")
    assert types(output) == order
    assert [item.get("call_id") for item in output[1:5]] == ["call_1", "call_2", "call_2", "call_1"]
    events = stream(app, "/invocations")
    validated = [event for event in events if event["type"] != "response.completed"]
    for event in validated:
        validate_event(event)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    done = [event for event in events if event["type"] == "response.output_item.done"]
    done.sort(key=lambda event: event["output_index"])
    assert events[-1]["response"]["output"] == [event["item"] for event in done]
    assert types(events[-1]["response"]["output"]) == order


@pytest.mark.parametrize("mode", MODES)
def test_the_pair_conforms_strictly(mode: str) -> None:
    app = agent(mode, add(), SUM, "it is 3")
    answer = asyncio.run(AgentClient(app).post("/responses", {"input": "x"})).json()
    validate_response(answer)
    expected = {
        "mcp_call": ["mcp_call", "message"],
        "function_call": ["function_call", "function_call_output", "message"],
        "hidden": ["message"],
    }
    assert types(answer["output"]) == types(stream(app)[-1]["response"]["output"]) == expected[mode]


@pytest.mark.parametrize("mode", MODES)
def test_chat_completions_hide_them(mode: str) -> None:
    app = agent(mode, add(), SUM, "it is 3")
    body = {"messages": [{"role": "user", "content": "x"}]}
    [choice] = asyncio.run(AgentClient(app).post("/chat/completions", body)).json()["choices"]
    assert choice["finish_reason"] == "stop"
    assert choice["message"]["content"] == "it is 3"
    assert "tool_calls" not in choice["message"]


@pytest.mark.parametrize("mode", MODES)
def test_a_declared_tool_is_the_clients(mode: str) -> None:
    app = agent(mode, add(), SUM, FunctionCall("weather", {"town": "Bonn"}))
    assert types(ask(app, tools=TOOLS))[-1] == "function_call"
    assert types(stream(app, tools=TOOLS)[-1]["response"]["output"])[-1] == "function_call"


@pytest.mark.parametrize(
    ("name", "client", "kind"),
    [("add", True, "function_call"), ("weather", False, "mcp_call"), ("add", None, "mcp_call")],
)
def test_the_handler_may_say_whose_call_it_is(name: str, client: bool | None, kind: str) -> None:
    app = agent("mcp_call", FunctionCall(name, client=client))
    [item] = ask(app, tools=TOOLS)
    assert item["type"] == kind
    assert not any(key.startswith("agent_asgi") for key in item)


def test_an_own_call_without_output_is_completed() -> None:
    app = agent("mcp_call", add(), "never mind")
    call, _ = ask(app)
    assert (call["status"], call["output"], call["error"]) == ("completed", None, None)
    assert types(ask(app, "/invocations")) == ["function_call", "message"]
    stream(app)


def test_outputs_that_are_no_text_are_json_text() -> None:
    parts = [{"type": "input_text", "text": "hi"}]
    app = agent("mcp_call", add(), FunctionCallOutput("call_1", parts))
    assert ask(app)[0]["output"] == '[{"type":"input_text","text":"hi"}]'
    assert ask(app, "/invocations")[1]["output"] == parts
    assert ask(agent("mcp_call", add(), FunctionCallOutput("call_1", {"n": 1})))[0]["output"] == (
        '{"n":1}'
    )
    assert ask(agent("mcp_call", add(), FunctionCallOutput("call_1", [1])))[0]["output"] == "[1]"


def forwarded(turn: int) -> list[Json]:
    """Return the events of a model's turn that calls a function."""
    item = {"type": "function_call", "id": "fc_x", "call_id": "c", "name": "add", "arguments": ""}
    done = item | {"arguments": "{}", "status": "completed"}
    return [
        {"type": "response.created", "response": {}},
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.function_call_arguments.delta", "item_id": "fc_x", "delta": "{}"},
        {"type": "response.function_call_arguments.done", "item_id": "fc_x", "arguments": "{}"},
        {"type": "response.output_item.done", "output_index": 0, "item": done},
        {"type": "response.completed", "response": {"output": [done]}},
    ]


@pytest.mark.parametrize("mode", MODES)
def test_forwarded_turns(mode: str) -> None:
    output = {"type": "function_call_output", "call_id": "c", "output": "3"}
    whole = {"type": "response.output_item.done", "item": output}
    app = agent(mode, *forwarded(1), whole, *forwarded(2), output, "it is 3")
    found = ask(app, "/invocations")
    assert types(found) == ["function_call", "function_call_output"] * 2 + ["message"]
    calls = [item["call_id"] for item in found[:4]]
    assert calls[0] == calls[1] != calls[2] == calls[3]
    stream(app)
    stream(app, "/invocations")


def test_a_response_that_repeats_its_events_adds_nothing() -> None:
    pair = [
        {"type": "function_call", "call_id": "c", "name": "add", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "3"},
    ]
    done = [{"type": "response.output_item.done", "item": item} for item in pair]
    app = agent("mcp_call", *done, {"type": "response.completed", "response": {"output": pair}})
    assert types(ask(app)) == ["mcp_call"]


Follow = Callable[[AgentApp, list[Json]], Json]


def by_chain(app: AgentApp, body: Json) -> Json:
    """Return a second request that names the first one's response."""
    return {"input": "and then?", "previous_response_id": body["id"]}


def by_items(app: AgentApp, body: Json) -> Json:
    """Return a second request that sends the output back."""
    return {"input": [{"role": "user", "content": "x"}, *body["output"], user("and then?")]}


def by_reference(app: AgentApp, body: Json) -> Json:
    """Return a second request that refers to the items of the output."""
    items = [{"type": "item_reference", "id": item["id"]} for item in body["output"]]
    return {"input": [{"role": "user", "content": "x"}, *items, user("and then?")]}


def user(text: str) -> Json:
    """Return a message of the user."""
    return {"role": "user", "content": text}


@pytest.mark.parametrize("follow", [by_chain, by_items, by_reference])
@pytest.mark.parametrize("mode", MODES)
def test_handlers_get_pairs_back(mode: str, follow: Any) -> None:
    seen: list[Any] = []
    app = agent(mode, "hm", add(), SUM, "it is 3", seen=seen)
    client = AgentClient(app)

    async def talk() -> None:
        first = (await client.post("/responses", {"input": "x"})).json()
        second = await client.post("/responses", follow(app, first))
        assert second.status == 200, second.json()

    asyncio.run(talk())
    [_, history] = seen
    kinds = [item.type for item in history]
    if mode == "hidden" and follow is not by_chain:
        assert kinds == ["message"] * 4
        return
    pair = ["function_call", "function_call_output"]
    assert kinds == ["message", "message", *pair, "message", "message"]
    call, output = history[2:4]
    assert (call.name, call.arguments, output.output) == ("add", '{"a":1,"b":2}', "3")
    assert call.call_id == output.call_id
    assert call.id.startswith("fc_")
    if mode == "mcp_call" and follow is by_chain:
        assert call.call_id == "call_1"


def test_a_hosted_call_stays_as_it_is() -> None:
    hosted = {
        "type": "mcp_call",
        "id": "mcp_up",
        "server_label": "deepwiki",
        "name": "ask",
        "arguments": "{}",
        "output": "x",
    }
    seen: list[Any] = []
    app = agent("hidden", hosted, seen=seen)
    [item] = ask(app)
    assert item["server_label"] == "deepwiki"
    ask(app, input=[user("x"), item])
    assert seen[-1][1]["type"] == "mcp_call"


def test_output_parts_are_kept_for_history() -> None:
    seen: list[Any] = []
    parts = [{"type": "output_text", "text": "hi"}]
    app = agent("mcp_call", add(), FunctionCallOutput("call_1", parts), seen=seen)
    client = AgentClient(app)

    async def talk() -> None:
        first = (await client.post("/responses", {"input": "x"})).json()
        await client.post("/responses", {"input": "y", "previous_response_id": first["id"]})

    asyncio.run(talk())
    assert seen[1][2].output == [OutputText(text="hi")]


@pytest.mark.parametrize("kind", ["response.acme_event", "acme:event"])
@pytest.mark.parametrize("background", [True, False])
def test_events_about_a_hidden_call_are_hidden(background: bool, kind: str) -> None:
    item = {"type": "function_call", "id": "fc_q", "call_id": "c", "name": "look"}
    about = {"type": kind, "item_id": "fc_q", "detail": "secret"}
    added = {"type": "response.output_item.added", "output_index": 0, "item": item}
    events = [added, about, about | {"output_index": 0}, about | {"item_id": "other"}]
    app = agent("hidden", *events, FunctionCallOutput("c", "1"), "hi")
    client = AgentClient(app)

    async def main() -> list[list[Json]]:
        async with app.lifespan():
            body = {"input": "x", "stream": True, "background": background}
            sent = (await client.post("/responses", body)).events()
            path = f"/responses/{sent[0]['response']['id']}?stream=true"
            return [sent, (await client.get(path)).events() if background else sent]

    for stream_ in asyncio.run(main()):
        assert [event["sequence_number"] for event in stream_] == list(range(len(stream_)))
        about_others = [event for event in stream_ if event["type"] == kind]
        assert [event["item_id"] for event in about_others] == ["other"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        ([SUM, FunctionCallOutput("call_1", "4")], ["3"]),
        ([FunctionCallOutput("call_1", "partial", error="broken")], ["broken"]),
        ([FunctionCallOutput("call_1", [])], [""]),
        ([FunctionCallOutput("call_2", "3"), SUM, SUM], ["3", "3"]),
    ],
)
def test_history_is_the_same_in_every_mode(
    mode: Any, outputs: list[Any], expected: list[str]
) -> None:
    seen: list[ResponsesRequest] = []
    router = AgentRouter("tutor", own_tools=mode)

    @router.stream
    async def tutor(request: ResponsesRequest) -> AsyncIterator[Any]:
        seen.append(request)
        for output in [add(), *outputs]:
            yield output

    app = AgentApp(router)
    client = AgentClient(app)

    async def talk() -> None:
        for path in ("/responses", "/invocations"):
            first = (await client.post(path, {"input": "x"})).json()
            await client.post(path, {"input": "y", "previous_response_id": first["id"]})

    asyncio.run(talk())
    for request in seen[1::2]:
        tools = [message for message in request.messages if message["role"] == "tool"]
        assert [message["content"] for message in tools] == expected


def test_shorthands() -> None:
    call = FunctionCall("add", {"a": 1})
    assert (call.name, call.arguments) == ("add", '{"a":1}')
    assert call.call_id.startswith("call_")
    assert FunctionCall("now").arguments == "{}"
    assert FunctionCall("now").call_id != FunctionCall("now").call_id
    assert FunctionCallOutput(call.call_id, error="no").output == "no"
    with pytest.raises(TypeError, match="name"):
        FunctionCall("a", {}, name="b")  # type: ignore[misc]  # what is tested
