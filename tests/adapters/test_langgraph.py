"""Serve real LangGraph graphs, with LangChain's fake models and its client."""

import asyncio
import importlib
import json
import operator
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated, Any, TypedDict

import calculator
import mlflow
import mlflow.langchain
import openai
import pytest
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_stream_writer
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.types import Send, interrupt
from pydantic import SecretStr

from agent_asgi import (
    AgentApp,
    AgentRouter,
    Context,
    ReasoningItem,
    ResponsesRequest,
    SummaryText,
    Usage,
)
from agent_asgi.adapters import langgraph
from agent_asgi.testing import AgentClient
from tests.support.apps import started
from tests.support.asking import ANN, BOB, TOKENS, fetch
from tests.support.autologging import autologging
from tests.support.calling import Json, Serve, connect, events_of, streamed, texts
from tests.support.stream_rules import check_stream
from tests.support.traces import traces

USED = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}


class Streaming(GenericFakeChatModel):
    """LangChain's fake model, which streams only text, with calls, reasoning and usage added."""

    def _stream(self, *args: Any, **options: Any) -> Iterator[ChatGenerationChunk]:
        message = self._generate(*args, **options).generations[0].message
        assert isinstance(message, AIMessage)
        if thought := message.additional_kwargs.get("reasoning_content"):
            for word in thought.split():
                yield chunk(additional_kwargs={"reasoning_content": word})
        for word in str(message.content).split(" ") if message.content else ():
            yield chunk(word)
        for number, call in enumerate(message.tool_calls):
            begun = {"index": number, "id": call["id"], "name": call["name"], "args": ""}
            yield chunk(tool_call_chunks=[begun])
            for letter in json.dumps(call["args"]):
                more = {"index": number, "id": None, "name": None, "args": letter}
                yield chunk(tool_call_chunks=[more])
        yield chunk(usage_metadata=message.usage_metadata)


def chunk(content: str = "", **fields: Any) -> ChatGenerationChunk:
    return ChatGenerationChunk(message=AIMessageChunk(content=content, **fields))


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@tool
def weather(city: str) -> str:
    """Return the weather in a city."""
    return f"sunny in {city}"


def script() -> Iterator[AIMessage]:
    """Think and call, then answer."""
    call = {"name": "add", "args": {"a": 1, "b": 2}, "id": "call_1"}
    thought = {"reasoning_content": "They want a sum."}
    yield AIMessage("", tool_calls=[call], additional_kwargs=thought, usage_metadata=USED)
    yield AIMessage("It is three.", usage_metadata=USED)


def react(model: Any, *tools: Any, sync: bool = False) -> Any:
    """Build an agent that calls tools until it answers."""

    async def think(state: MessagesState) -> Json:
        return {"messages": [await model.ainvoke(state["messages"])]}

    def think_in_a_thread(state: MessagesState) -> Json:
        return {"messages": [model.invoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("think", think_in_a_thread if sync else think)
    graph.add_node("tools", ToolNode(tools))
    graph.add_edge(START, "think")
    graph.add_conditional_edges("think", tools_condition)
    graph.add_edge("tools", "think")
    return graph


def one(node: Callable[..., Any], state: type[Any] = MessagesState) -> Any:
    """Build a graph with one node."""
    graph = StateGraph(state)
    graph.add_node("node", node)
    graph.add_edge(START, "node")
    return graph


def router_of(graph: Any, name: str = "graph", **options: Any) -> AgentRouter:
    router = AgentRouter(name)

    @router.stream
    async def agent(request: ResponsesRequest, context: Context) -> Any:
        return langgraph.outputs(graph, request, context, **options)

    return router


def client_of(serve: Serve, graph: Any, **options: Any) -> openai.OpenAI:
    return connect(serve(AgentApp(router_of(graph, **options))))


def model_at(url: str) -> ChatOpenAI:
    """Make a LangChain model of an agent served by this package."""
    return ChatOpenAI(
        model="m", base_url=url, api_key=SecretStr("none"), use_responses_api=True, max_retries=0
    )


def outline(output: list[Json]) -> list[tuple[str, str]]:
    """Return the type and text of each item."""
    names = ("arguments", "output")
    return [
        (each["type"], next((each[n] for n in names if n in each), "") or said(each))
        for each in output
    ]


def said(item: Json) -> str:
    parts = item.get("content") or item.get("summary") or []
    return "".join(each["text"] for each in parts)


def run(graph: Any, body: Json, name: str = "graph", **options: Any) -> Json:
    """Stream an answer, check it against the stream rules and return the response."""

    async def main() -> Json:
        app = AgentApp(router_of(graph, name, **options))
        async with started(app):
            answer = await AgentClient(app).post("/responses", body | {"stream": True})
        return check_stream(answer.events())

    return asyncio.run(main())


@pytest.mark.parametrize("sync", [False, True])
def test_a_graph_streams_as_items(serve: Serve, sync: bool) -> None:
    graph = react(Streaming(messages=script()), add, sync=sync).compile()
    client = client_of(serve, graph)
    with client.responses.stream(model="m", input="1 + 2?") as stream:
        events = list(stream)
        response = stream.get_final_response()
    kinds = [each.type for each in events]
    assert kinds.count("response.output_text.delta") == 3
    assert kinds.count("response.reasoning_summary_text.delta") == 4
    assert kinds.count("response.mcp_call_arguments.delta") > 5
    sent = [each.to_dict(mode="json") for each in response.output]
    assert outline(sent) == [
        ("reasoning", "Theywantasum."),
        ("mcp_call", '{"a": 1, "b": 2}'),
        ("message", "Itisthree."),
    ]
    assert response.output_text == "Itisthree."
    assert sent[1]["output"] == "3"
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens) == (10, 4)


def test_the_shape_of_databricks(serve: Serve) -> None:
    graph = react(Streaming(messages=script()), add).compile()
    url = serve(AgentApp(router_of(graph)))
    body = {"input": [{"role": "user", "content": "1 + 2?"}], "stream": True}
    found = events_of(fetch(url, "POST", "/invocations", body=body).body)
    done = [each["item"] for each in found if each["type"] == "response.output_item.done"]
    assert [each["type"] for each in done] == [
        "reasoning",
        "function_call",
        "function_call_output",
        "message",
    ]
    assert len({each["id"] for each in done}) == 4
    deltas = [each for each in found if each["type"] == "response.output_text.delta"]
    assert "".join(each["delta"] for each in deltas) == said(done[-1])
    assert {each["item_id"] for each in deltas} == {done[-1]["id"]}


def test_a_model_that_does_not_stream() -> None:
    model = GenericFakeChatModel(messages=script(), disable_streaming=True)
    response = run(react(model, add).compile(), {"input": "1 + 2?"})
    assert outline(response["output"]) == [
        ("reasoning", "They want a sum."),
        ("mcp_call", '{"a":1,"b":2}'),
        ("message", "It is three."),
    ]
    assert response["output"][1]["output"] == "3"
    assert response["usage"]["total_tokens"] == 14


@pytest.mark.parametrize("nested", [False, True])
def test_langchains_openai_client(serve: Serve, nested: bool) -> None:
    """The graph's model is an agent served by this package."""
    model = model_at(serve(AgentApp(calculator.router)))
    graph = react(model.bind_tools([weather]), weather)
    if nested:
        outer = StateGraph(MessagesState)
        outer.add_node("inner", graph.compile())
        outer.add_edge(START, "inner")
        graph = outer
    with client_of(serve, graph.compile()) as client:
        events = streamed(client, model="m", input='What is the weather for city "Rome"?')
        response = check_stream(events)
        call, *rest = response["output"]
        answer = f"sunny in {json.loads(call['arguments'])['city']}"
        assert outline(rest) == [("message", f"This is what weather says: {answer}")]
        assert (call["name"], call["output"]) == ("weather", answer)
        assert response["usage"]["input_tokens"] > 0


def test_langchains_openai_client_thinks(serve: Serve) -> None:
    """It splits one message into chunks with several ids, and reasoning into blocks."""
    thinker = AgentRouter("thinker")

    @thinker.stream
    async def think(request: ResponsesRequest) -> AsyncIterator[Any]:
        yield ReasoningItem(summary=[SummaryText(text="Hm.")])
        yield "one "
        yield "two"
        yield Usage(input_tokens=3, output_tokens=4)

    model = model_at(serve(AgentApp(thinker)))
    events = streamed(client_of(serve, react(model).compile()), model="m", input="hi")
    response = check_stream(events)
    assert outline(response["output"]) == [("reasoning", "Hm."), ("message", "one two")]
    assert response["usage"]["total_tokens"] == 7


def echo(state: MessagesState) -> Json:
    """Report how many messages there are and the text of the last one."""
    messages = state["messages"]
    return {"messages": [AIMessage(f"{len(messages)}: {messages[-1].text}")]}


def test_three_turns_in_a_session(serve: Serve) -> None:
    client = client_of(serve, one(echo).compile(checkpointer=InMemorySaver()))
    answers = [
        client.responses.create(model="m", input=text, conversation="s").output_text
        for text in ("one", "two", "three")
    ]
    assert answers == ["1: one", "3: two", "5: three"]
    other = client.responses.create(model="m", input="one", conversation="other")
    assert other.output_text == "1: one"


@pytest.mark.parametrize("kept", [False, True])
def test_three_turns_without_a_session(serve: Serve, kept: bool) -> None:
    graph = one(echo).compile(checkpointer=InMemorySaver() if kept else None)
    client = client_of(serve, graph)
    first = client.responses.create(model="m", input="one")
    second = client.responses.create(model="m", input="two", previous_response_id=first.id)
    third = client.responses.create(model="m", input="three", previous_response_id=second.id)
    assert [each.output_text for each in (first, second, third)] == ["1: one", "3: two", "5: three"]


def test_a_client_that_sends_all_each_time(serve: Serve) -> None:
    url = serve(AgentApp(router_of(one(echo).compile(checkpointer=InMemorySaver()))))
    history: list[Json] = []
    for text, answer in (("one", "1: one"), ("two", "3: two"), ("three", "5: three")):
        history.append({"role": "user", "content": text})
        body = {"input": history, "context": {"conversation_id": "s", "user_id": "ann"}}
        output = json.loads(fetch(url, "POST", "/invocations", body=body).body)["output"]
        assert texts(output) == [answer]
        history += output


def test_users_have_threads_of_their_own(serve: Serve) -> None:
    saver = InMemorySaver()
    router = router_of(one(echo).compile(checkpointer=saver))
    url = serve(AgentApp(router, authenticate=TOKENS))
    for token in (ANN, BOB):
        client = connect(url, api_key=token)
        answer = client.responses.create(model="m", input="hello", conversation="s")
        assert answer.output_text == "1: hello"
    assert set(saver.storage) == {"ann/s", "bob/s"}


def test_a_session_goes_on_after_it_was_stopped_in_a_tool() -> None:
    @tool
    async def wait() -> str:
        """Wait forever."""
        await asyncio.Event().wait()
        return "never"

    def think(state: MessagesState) -> Json:
        *before, last = state["messages"]
        if last.text == "go":
            return {
                "messages": [AIMessage("", tool_calls=[{"name": "wait", "args": {}, "id": "1"}])]
            }
        return {"messages": [AIMessage(" ".join([each.type for each in before]))]}

    graph = StateGraph(MessagesState)
    graph.add_node("think", think)
    graph.add_node("tools", ToolNode([wait]))
    graph.add_edge(START, "think")
    graph.add_conditional_edges("think", tools_condition)
    router = router_of(graph.compile(checkpointer=InMemorySaver()))

    async def main() -> list[Json]:
        async with started(AgentApp(router)) as app:
            client = AgentClient(app)
            body = {"input": "go", "conversation": "s", "stream": True}
            async with asyncio.timeout(10), client.stream("/responses", body) as stream:
                async for event in stream.each_event():
                    if event["type"] == "response.mcp_call_arguments.done":
                        break
            again = [
                await client.post("/responses", {"input": each, "conversation": "s"})
                for each in ("again", "and again")
            ]
        return [each.json() for each in again]

    first, second = asyncio.run(main())
    assert outline(first["output"]) == [("message", "human ai tool")]
    assert outline(second["output"]) == [("message", "human ai tool human ai")]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"arguments": ""}, None),
        ({"arguments": '{"a": ', "status": "in_progress"}, None),
        ({"arguments": '{"a": '}, "input[1].arguments"),
        ({"arguments": "[1]"}, "input[1].arguments"),
    ],
)
def test_arguments_that_are_no_object(serve: Serve, fields: Json, param: str | None) -> None:
    url = serve(AgentApp(router_of(one(echo).compile())))
    call = {"type": "function_call", "call_id": "c", "name": "f", **fields}
    body = {"input": [{"role": "user", "content": "x"}, call, {"role": "user", "content": "y"}]}
    answer = json.loads(fetch(url, "POST", "/responses", body=body).body)
    if param is None:
        assert texts(answer["output"]) == ["4: y"]
    else:
        assert (answer["error"]["code"], answer["error"]["param"]) == ("invalid_request", param)


def test_instructions_and_more_state(serve: Serve) -> None:
    class State(MessagesState):
        language: str

    def speak(state: State) -> Json:
        told = [f"{each.type} {each.text}" for each in state["messages"]]
        return {"messages": [AIMessage(" ".join([state["language"], *told]))]}

    graph = one(speak, State).compile(checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "t"}, "recursion_limit": 5}
    client = client_of(serve, graph, state={"language": "de"}, config=config)
    for answer in ("de system Be brief. human hi", "de system Be brief. human hi ai"):
        response = client.responses.create(model="m", input="hi", instructions="Be brief.")
        assert response.output_text.startswith(answer)
    assert graph.get_state(config).values["messages"][0].type == "system"


def asking(state: MessagesState) -> Json:
    answer = interrupt({"question": "Really?"})
    return {"messages": [AIMessage(f"They said {answer!r}.")]}


@pytest.mark.parametrize("session", [{"conversation": "s"}, {}])
@pytest.mark.parametrize(
    ("output", "told"), [("yes", "'yes'"), ('{"ok": true}', "{'ok': True}"), ("[1", "'[1'")]
)
def test_an_interrupt_is_answered(serve: Serve, session: Any, output: str, told: str) -> None:
    client = client_of(serve, one(asking).compile(checkpointer=InMemorySaver()))
    first = client.responses.create(model="m", input="Do it.", **session)
    (call,) = first.output
    assert call.type == "function_call"
    assert (call.name, json.loads(call.arguments)) == ("interrupt", {"question": "Really?"})
    answer: Any = {"type": "function_call_output", "call_id": call.call_id, "output": output}
    more = session or {"previous_response_id": first.id}
    second = client.responses.create(model="m", input=[answer], **more)
    assert second.output_text == f"They said {told}."


def test_interrupts_one_by_one_and_in_subgraphs(serve: Serve) -> None:
    def twice(state: MessagesState) -> Json:
        return {"messages": [AIMessage(f"{interrupt('first?')} {interrupt('second?')}")]}

    def seen(state: MessagesState) -> Json:
        return {"messages": [AIMessage(f"seen: {state['messages'][-2].text}")]}

    graph = StateGraph(MessagesState)
    graph.add_node("twice", one(twice).compile())
    graph.add_node("seen", seen)
    graph.add_edge(START, "twice")
    graph.add_edge("twice", "seen")
    client = client_of(serve, graph.compile(checkpointer=InMemorySaver()))
    response = client.responses.create(model="m", input="go")
    for question in ("first?", "second?"):
        (call,) = response.output
        assert call.type == "function_call"
        assert json.loads(call.arguments) == {"value": question}
        answer: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "1"}
        more: Any = {"type": "message", "role": "user", "content": "and this"}
        response = client.responses.create(
            model="m",
            input=[answer, more] if question == "second?" else [answer],
            previous_response_id=response.id,
        )
    assert response.output_text == "1 1seen: and this"


def test_a_message_begins_an_interrupted_thread_anew(serve: Serve) -> None:
    client = client_of(serve, one(asking).compile(checkpointer=InMemorySaver()))
    for _ in range(2):
        response = client.responses.create(model="m", input="Do it.", conversation="s")
        assert [each.type for each in response.output] == ["function_call"]


def test_an_interrupt_needs_a_checkpointer(caplog: pytest.LogCaptureFixture) -> None:
    answer = asyncio.run(
        AgentClient(AgentApp(router_of(one(asking).compile()))).post(
            "/responses", {"input": "Do it."}
        )
    )
    assert (answer.status, answer.json()["error"]["code"]) == (500, "agent_error")
    assert "no checkpointer" in caplog.text


def test_a_failure_tells_no_internals(serve: Serve) -> None:
    async def fail(state: MessagesState) -> Json:
        await Streaming(messages=iter([AIMessage("so far")])).ainvoke("x")
        raise ValueError("a secret")

    client = client_of(serve, one(fail).compile())
    events = streamed(client, model="m", input="x")
    response = check_stream(events)
    assert response["status"] == "failed"
    assert texts(response["output"]) == ["sofar"]
    assert "secret" not in json.dumps(events)


@pytest.mark.parametrize("loop", [False, True])
def test_a_client_that_leaves_ends_the_graph(loop: bool) -> None:
    ended = asyncio.Event()

    async def wait(state: MessagesState) -> Json:
        get_stream_writer()("begun")
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()
        return {}

    graph = one(wait).compile()
    router = AgentRouter("leaving")

    async def returned(request: ResponsesRequest, context: Context) -> Any:
        return langgraph.outputs(graph, request, context)

    async def looped(request: ResponsesRequest, context: Context) -> AsyncIterator[Any]:
        async for output in langgraph.outputs(graph, request, context):
            yield output

    router.stream(looped if loop else returned)

    async def main() -> None:
        async with started(AgentApp(router)) as app:
            async with AgentClient(app).stream("/responses", {"input": "x", "stream": True}) as it:
                async for event in it.each_event():
                    if event["type"] == "response.output_text.delta":
                        break
                await it.disconnect()
                await asyncio.wait_for(ended.wait(), 10)

    asyncio.run(main())


def test_a_closed_generator_ends_the_graph() -> None:
    ended = asyncio.Event()

    async def wait(state: MessagesState) -> Json:
        get_stream_writer()("begun")
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()
        return {}

    async def main() -> None:
        request = ResponsesRequest(input="x")
        given = langgraph.outputs(one(wait).compile(), request, Context("resp_1", "a"))
        assert await anext(given) == "begun"
        await given.aclose()
        assert ended.is_set()

    asyncio.run(main())


def test_what_nodes_write() -> None:
    def write(state: MessagesState) -> Json:
        writer = get_stream_writer()
        writer("words")
        writer({"progress": 0.5})
        writer({"type": "acme:progress", "done": 1})
        return {}

    async def main() -> list[Json]:
        app = AgentApp(router_of(one(write).compile()))
        async with started(app):
            answer = await AgentClient(app).post("/responses", {"input": "x", "stream": True})
        return answer.events()

    events = asyncio.run(main())
    assert [each["done"] for each in events if each["type"] == "acme:progress"] == [1]
    assert texts(events[-1]["response"]["output"]) == ["words"]


class Plain(TypedDict):
    """A state without a reducer."""

    messages: list[Any]


async def anew(state: MessagesState) -> Json:
    message = await Streaming(messages=iter(["once only"])).ainvoke("x")
    return {"messages": [AIMessage(message.text)]}


async def anew_as_dict(state: MessagesState) -> Json:
    message = await Streaming(messages=iter(["once only"])).ainvoke("x")
    return {"messages": [{"role": "assistant", "content": message.text}]}


@pytest.mark.parametrize(
    ("node", "state", "said"),
    [
        (anew, MessagesState, ["onceonly"]),
        (anew_as_dict, MessagesState, ["onceonly"]),
        (lambda _: {"messages": ("ai", "a tuple")}, MessagesState, ["a tuple"]),
        (lambda _: {"messages": [{"role": "assistant", "content": "a dict"}]}, Plain, ["a dict"]),
        (lambda _: {"messages": AIMessage("one")}, MessagesState, ["one"]),
        (lambda s: {"messages": [*s["messages"], AIMessage("all")]}, Plain, ["all"]),
        (lambda s: {"messages": [*s["messages"], AIMessage("all")]}, MessagesState, ["all"]),
        (lambda _: {"messages": "of the user"}, MessagesState, []),
        (lambda _: None, MessagesState, []),
    ],
)
def test_no_text_comes_twice(node: Any, state: Any, said: list[str]) -> None:
    history = [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": "y"},
        {"role": "user", "content": "z"},
    ]
    response = run(one(node, state).compile(), {"input": history})
    assert texts(response["output"]) == said


def test_messages_that_come_at_once_do_not_mix() -> None:
    async def both(state: MessagesState) -> Json:
        models = [Streaming(messages=iter([" ".join(letter * 9)])) for letter in "ab"]
        return {"messages": await asyncio.gather(*(each.ainvoke("x") for each in models))}

    response = run(one(both).compile(), {"input": "x"})
    assert sorted(texts(response["output"])) == ["a" * 9, "b" * 9]


def test_a_model_that_is_not_to_stream() -> None:
    async def hidden(state: MessagesState) -> Json:
        quiet = Streaming(messages=iter(["a b", "c d"])).with_config(tags=["nostream"])
        await quiet.ainvoke("x")
        return {"messages": [await quiet.ainvoke("x")]}

    response = run(one(hidden).compile(), {"input": "x"})
    assert texts(response["output"]) == ["cd"]


def test_nodes_at_once() -> None:
    class State(TypedDict):
        messages: Annotated[list[Any], operator.add]

    graph = StateGraph(State)
    graph.add_node("each", lambda given: {"messages": [AIMessage(given["word"])]})
    graph.add_conditional_edges(START, lambda _: [Send("each", {"word": w}) for w in "xyy"])
    response = run(graph.compile(), {"input": "x"})
    assert sorted(texts(response["output"])) == ["x", "y", "y"]


def test_without_subgraphs() -> None:
    graph = StateGraph(MessagesState)
    graph.add_node("inner", one(lambda _: {"messages": [AIMessage("inner")]}).compile())
    graph.add_edge(START, "inner")
    response = run(graph.compile(), {"input": "x"}, subgraphs=False)
    assert texts(response["output"]) == ["inner"]


def test_a_second_attempt_goes_on_from_the_checkpoint() -> None:
    """The process dies in the second node; the first one does not run again."""
    ran: list[str] = []

    def first(state: MessagesState) -> Json:
        ran.append("first")
        return {"messages": [AIMessage("first")]}

    def second(state: MessagesState) -> Json:
        ran.append("second")
        if ran.count("second") == 1:
            raise OSError
        return {"messages": [AIMessage("second")]}

    graph = StateGraph(MessagesState)
    graph.add_node("first", first)
    graph.add_node("second", second)
    graph.add_edge(START, "first")
    graph.add_edge("first", "second")
    compiled = graph.compile(checkpointer=InMemorySaver())
    request = ResponsesRequest(input="x")

    async def attempt(number: int) -> list[Any]:
        context = Context("resp_1", "a", attempt=number)
        return [each async for each in langgraph.outputs(compiled, request, context)]

    with pytest.raises(OSError):
        asyncio.run(attempt(1))
    outputs = asyncio.run(attempt(2))
    assert ran == ["first", "second", "second"]
    assert [each["delta"] for each in outputs if "delta" in each] == ["second"]


@pytest.mark.parametrize("sync", [False, True])
def test_spans_nest_below_the_run(sync: bool) -> None:
    name = f"graph-traced-{sync}"
    graph = react(Streaming(messages=script()), add, sync=sync).compile()
    with autologging(mlflow.langchain):
        run(graph, {"input": "1 + 2?", "conversation": name}, name=name)
    (trace,) = traces(agent=name)
    spans = {each.span_id: each for each in trace.data.spans}
    root, *below = trace.data.spans
    assert (root.name, root.parent_id) == ("agent", None)
    chains = {each.name: chain_of(each, spans) for each in below}
    assert chains["LangGraph"] == ["LangGraph", "agent"]
    assert chains["Streaming"][-2:] == ["LangGraph", "agent"]
    assert chains["add"][-2:] == ["LangGraph", "agent"]
    assert trace.info.trace_metadata["mlflow.trace.session"] == name


def chain_of(span: Any, spans: dict[str, Any]) -> list[str]:
    """Return the names from a span up to its root."""
    above = [] if span.parent_id is None else chain_of(spans[span.parent_id], spans)
    return [span.name.partition("_")[0], *above]


def test_langgraph_is_told_of_where_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "langgraph.types", None)
    monkeypatch.delitem(sys.modules, "agent_asgi.adapters.langgraph")
    monkeypatch.delitem(sys.modules, "agent_asgi.adapters._common.langgraph_thread")
    with pytest.raises(ImportError, match=r"pip install .*\[langgraph\]'"):
        importlib.import_module("agent_asgi.adapters.langgraph")
