"""Serve agents of the OpenAI Agents SDK, with its scripted model and its real OpenAI clients."""

import asyncio
import importlib
import json
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import agents
import calculator
import mlflow
import openai
import pytest
from agents.testing import ModelStep, ScriptedModel, assistant_message, function_call
from openai.types.responses import ResponseTextDeltaEvent
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from agent_asgi import AgentApp, AgentRouter, Context, Message, ReasoningItem, ResponsesRequest
from agent_asgi.adapters.openai_agents import inputs, outputs
from agent_asgi.testing import AgentClient
from tests.support.apps import started
from tests.support.autologging import autologging
from tests.support.framework_agents import Serve, chatted, deltas, failure, streamed, three_turns
from tests.support.traces import traces

WEATHER = "What's the weather in Paris?"
TEXT, CALL, RESULT = "message", "function_call", "function_call_output"
OWN = "mcp_call"


@pytest.fixture(autouse=True)
def off_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the SDK's traces and the example agent off the network."""
    monkeypatch.delenv("OPENAI_MODEL", raising=False)
    agents.set_trace_processors([])


@agents.function_tool
def get_weather(city: str) -> str:
    """Return the weather in a city."""
    return f"sunny in {city}"


def router_of(agent: agents.Agent[Any], name: str = "t-agents", **options: Any) -> AgentRouter:
    router = AgentRouter(name)

    @router.stream
    async def run(request: ResponsesRequest) -> AsyncIterator[Any]:
        return outputs(agents.Runner.run_streamed(agent, inputs(request), **options))

    return router


def scripted(*steps: Any, **options: Any) -> agents.Agent[Any]:
    return agents.Agent(name="scripted", model=ScriptedModel(steps, emit_traces=True), **options)


def call_then_say() -> list[Any]:
    """Return the steps of a model that calls the tool, then answers."""
    call = function_call("get_weather", {"city": "Paris"}, call_id="call_1")
    usage = agents.Usage(requests=1, input_tokens=5, output_tokens=2, total_tokens=7)
    said = assistant_message("It is sunny.")
    return [ModelStep(output=[call], usage=usage), ModelStep(output=[said], usage=usage)]


def types(items: Any) -> list[str]:
    return [each["type"] if isinstance(each, dict) else each.type for each in items]


def test_reasoning_goes_back_to_the_model_without_a_status() -> None:
    thought = ReasoningItem(id="rs_1", summary=[], encrypted_content="x", status="completed")
    (item,) = inputs(ResponsesRequest(input=[thought]))
    assert item == {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"}


def test_a_lacking_sdk_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "agents", None)
    monkeypatch.delitem(sys.modules, inputs.__module__)
    with pytest.raises(ImportError, match=r"pip install .*\[openai-agents\]'"):
        importlib.import_module(inputs.__module__)


def test_text_tool_result_and_usage_of_the_turns(serve: Serve) -> None:
    agent = scripted(*call_then_say(), *call_then_say(), tools=[get_weather])
    url = serve(AgentApp(router_of(agent)))
    events, final = streamed(url, WEATHER)
    assert types(final.output) == [OWN, TEXT]
    call, _ = final.output
    assert call.type == "mcp_call"
    assert (call.name, call.arguments) == ("get_weather", '{"city":"Paris"}')
    assert (call.output, call.server_label) == ("sunny in Paris", "t-agents")
    assert final.output_text == "It is sunny."
    assert final.usage is not None
    assert (final.usage.input_tokens, final.usage.total_tokens) == (10, 14)
    assert [each.type for each in events].count("response.completed") == 1
    assert types(chatted(url, WEATHER)) == [CALL, RESULT, TEXT]


def test_the_real_responses_client(serve: Serve) -> None:
    upstream = serve(calculator.app)
    router = AgentRouter("t-responses-model")

    @router.stream
    async def run(request: ResponsesRequest) -> AsyncIterator[Any]:
        async with openai.AsyncOpenAI(base_url=f"{upstream}/v1", api_key="none") as client:
            model = agents.OpenAIResponsesModel("calculator", client)
            agent = agents.Agent(name="weather", model=model, tools=[get_weather])
            async for output in outputs(agents.Runner.run_streamed(agent, inputs(request))):
                yield output

    url = serve(AgentApp(router))
    events, final = streamed(url, WEATHER)
    assert types(final.output) == [OWN, TEXT]
    assert final.output_text == "This is what get_weather says: sunny in Paris"
    assert len(deltas(events)) == len(final.output_text.split())
    assert "".join(deltas(events, "mcp_call_arguments")) == '{"city":"Paris"}'
    assert final.usage is not None
    assert final.usage.input_tokens > 5
    items = chatted(url, WEATHER)
    assert types(items) == [CALL, RESULT, TEXT]
    _, answer = streamed(url, [*items, {"role": "user", "content": "sing"}])
    assert "What would you like to know?" in answer.output_text


CHUNKS: dict[bool, list[Any]] = {
    False: [
        {"reasoning_content": "I should "},
        {"reasoning_content": "look."},
        {
            "tool_calls": [
                {
                    "index": 0,
                    "id": "call_9",
                    "type": "function",
                    "function": {"name": "get_weather", "arguments": '{"city"'},
                }
            ]
        },
        {"tool_calls": [{"index": 0, "function": {"arguments": ': "Rome"}'}}]},
    ],
    True: [{"reasoning_content": "Good."}, {"content": "It is "}, {"content": "sunny."}],
}


async def chat_completions(request: Request) -> StreamingResponse:
    """Answer like a vendor's chat endpoint: call the tool, then report its result."""
    body = await request.json()
    told = body["messages"][-1]["role"] == "tool"

    async def frames() -> AsyncIterator[str]:
        base = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        for delta in CHUNKS[told]:
            choice = {"index": 0, "delta": delta, "finish_reason": None}
            yield f"data: {json.dumps({**base, 'choices': [choice]})}\n\n"
        last = {"index": 0, "delta": {}, "finish_reason": "stop" if told else "tool_calls"}
        usage = {"prompt_tokens": 4, "completion_tokens": 3, "total_tokens": 7}
        yield f"data: {json.dumps({**base, 'choices': [last], 'usage': usage})}\n\n"
        yield "data: [DONE]\n\n"

    return StreamingResponse(frames(), media_type="text/event-stream")


def test_the_real_chat_completions_client(serve: Serve) -> None:
    route = Route("/v1/chat/completions", chat_completions, methods=["POST"])
    upstream = serve(Starlette(routes=[route]))
    router = AgentRouter("t-chat-model")

    @router.stream
    async def run(request: ResponsesRequest) -> AsyncIterator[Any]:
        async with openai.AsyncOpenAI(base_url=f"{upstream}/v1", api_key="none") as client:
            model = agents.OpenAIChatCompletionsModel("m", client)
            agent = agents.Agent(name="weather", model=model, tools=[get_weather])
            async for output in outputs(agents.Runner.run_streamed(agent, inputs(request))):
                yield output

    url = serve(AgentApp(router))
    events, final = streamed(url, "Rome?")
    assert types(final.output) == ["reasoning", OWN, "reasoning", TEXT]
    assert deltas(events, "reasoning_summary_text") == ["I should ", "look.", "Good."]
    assert deltas(events) == ["It is ", "sunny."]
    assert len({each.to_dict()["id"] for each in final.output}) == 4
    assert "__fake_id__" not in final.to_json(warnings=False)
    assert final.usage is not None
    assert (final.usage.input_tokens, final.usage.output_tokens) == (8, 6)
    items = chatted(url, "Rome?")
    assert types(items) == ["reasoning", CALL, RESULT, "reasoning", TEXT]
    history: list[Any] = [{"role": "user", "content": "Rome?"}, *items]
    mixed = [*history, {"role": "assistant", "content": [{"type": "output_text", "text": "So."}]}]
    _, after = streamed(url, [*mixed, {"role": "user", "content": "And now?"}])
    assert after.output_text == "It is sunny."


def test_handoff(serve: Serve) -> None:
    second = scripted([assistant_message("Hola.")])
    second.name = "spanish"
    call = function_call("transfer_to_spanish", {}, call_id="call_h")
    _, final = streamed(serve(AgentApp(router_of(scripted([call], handoffs=[second])))), "hola")
    assert types(final.output) == [OWN, TEXT]
    assert final.output_text == "Hola."


def test_usage_of_an_agent_that_is_a_tool(serve: Serve) -> None:
    usage = agents.Usage(requests=1, input_tokens=5, output_tokens=2, total_tokens=7)
    inner = scripted(ModelStep(output=[assistant_message("Rain.")], usage=usage))
    tool = inner.as_tool("forecast", "Forecasts")
    call = function_call("forecast", {"input": "Paris"}, call_id="call_f")
    said = ModelStep(output=[assistant_message("It will rain.")], usage=usage)
    agent = scripted(ModelStep(output=[call], usage=usage), said, tools=[tool])
    _, final = streamed(serve(AgentApp(router_of(agent))), "x")
    assert final.output[0].to_dict()["output"] == "Rain."
    assert final.usage is not None
    assert (final.usage.input_tokens, final.usage.output_tokens) == (15, 6)


def test_three_turns_from_the_store(serve: Serve) -> None:
    assert three_turns(serve, router_of(scripted(*counting(3)))) == ["1", "3", "5"]


def test_instructions_of_the_request() -> None:
    system = {"role": "system", "content": "Be brief."}
    user: Any = {"role": "user", "content": "hi"}
    said: list[Any] = ["hi", [Message(role="user", content="hi")]]
    for given in said:
        request = ResponsesRequest(input=given, instructions="Be brief.")
        assert inputs(request) == [system, user]
        assert inputs(request, session=True) == [user]


def test_three_turns_in_a_session_of_the_sdk(serve: Serve, tmp_path: Path) -> None:
    agent = scripted(*counting(3))
    router = AgentRouter("t-session")

    @router.stream
    async def run(request: ResponsesRequest, context: Context) -> AsyncIterator[Any]:
        session = agents.SQLiteSession(context.session_id or "none", tmp_path / "sessions.db")
        given = inputs(request, session=True)
        try:
            async for output in outputs(agents.Runner.run_streamed(agent, given, session=session)):
                yield output
        finally:
            session.close()

    said = three_turns(serve, router, extra_body={"conversation": "c1"})
    assert said == ["1", "3", "5"]


def test_a_turn_after_one_that_was_stopped_in_a_tool() -> None:
    @agents.function_tool
    async def wait() -> str:
        """Wait forever."""
        await asyncio.Event().wait()
        return "never"

    def last(call: Any) -> Any:
        return [assistant_message(json.dumps([each.get("output") for each in call.input]))]

    waiting = ModelStep(output=[function_call("wait", {}, call_id="call_1")])
    router = router_of(scripted(waiting, ModelStep.respond(last), tools=[wait]))

    async def main() -> Any:
        async with started(AgentApp(router, store="memory://")) as app:
            client = AgentClient(app)
            stopped = ""
            body = {"input": "go", "stream": True}
            async with asyncio.timeout(10), client.stream("/responses", body) as stream:
                async for event in stream.each_event():
                    stopped = event.get("response", {}).get("id", stopped)
                    if event["type"] == "response.mcp_call_arguments.done":
                        break
            again = {"input": "again", "previous_response_id": stopped}
            return (await client.post("/responses", again)).json()

    text = asyncio.run(main())["output"][0]["content"][0]["text"]
    assert json.loads(text) == [None, None, "The call was interrupted: it has no result.", None]


def counting(turns: int) -> list[ModelStep]:
    """Return the steps of a model that reports how many items it received."""

    def count(call: Any) -> Any:
        return [assistant_message(str(len(call.input)))]

    return [ModelStep.respond(count) for _ in range(turns)]


def test_failure_tells_no_internals(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    secret = RuntimeError("password=hunter2")
    told = failure(serve, router_of(scripted(secret, secret)))
    assert (told["code"], told["type"]) == ("agent_error", "model_error")
    assert "hunter2" not in json.dumps(told)
    assert "hunter2" in caplog.text


@agents.input_guardrail
def refuse_input(context: Any, agent: Any, given: Any) -> agents.GuardrailFunctionOutput:
    return agents.GuardrailFunctionOutput(output_info="why", tripwire_triggered=True)


@agents.output_guardrail
def refuse_output(context: Any, agent: Any, given: Any) -> agents.GuardrailFunctionOutput:
    return agents.GuardrailFunctionOutput(output_info="why", tripwire_triggered=True)


def test_guardrails(serve: Serve) -> None:
    steps = [[assistant_message("no")]] * 2
    told = failure(serve, router_of(scripted(*steps, input_guardrails=[refuse_input])))
    assert (told["code"], told["param"]) == ("guardrail_tripped", "input")
    told = failure(serve, router_of(scripted(*steps, output_guardrails=[refuse_output])))
    assert (told["code"], told["type"]) == ("guardrail_tripped", "model_error")


def test_too_many_turns(serve: Serve) -> None:
    calls = [[function_call("get_weather", {"city": "x"}, call_id=f"c{n}")] for n in range(4)]
    told = failure(serve, router_of(scripted(*calls, tools=[get_weather]), max_turns=1))
    assert told["code"] == "max_turns_exceeded"


@pytest.fixture
def autologged() -> Iterator[None]:
    with autologging(mlflow.openai):
        yield


class Endless:
    """A model stream that yields one word and waits; it records when it is closed."""

    def __init__(self) -> None:
        self.ended = False

    async def __call__(self, call: Any) -> AsyncIterator[Any]:
        try:
            yield ResponseTextDeltaEvent(
                type="response.output_text.delta",
                delta="well",
                item_id="msg_1",
                output_index=0,
                content_index=0,
                sequence_number=0,
                logprobs=[],
            )
            await asyncio.sleep(60)
        finally:
            self.ended = True


@pytest.mark.usefixtures("autologged")
def test_a_client_that_leaves_cancels_the_run() -> None:
    endless = Endless()
    router = router_of(scripted(ModelStep.stream(endless)), "t-agents-left")

    async def main() -> set[Any]:
        async with started(AgentApp(router)) as app:
            before = asyncio.all_tasks()
            async with AgentClient(app).stream("/responses", {"input": "x", "stream": True}) as it:
                async for _ in it.each_event():
                    if b"well" in it.body:
                        break
            await asyncio.sleep(0.05)  # the SDK closes its model in a separate task
            return asyncio.all_tasks() - before

    assert asyncio.run(main()) == set()
    assert endless.ended
    (trace,) = traces(agent="t-agents-left")
    assert trace.info.tags["agent_asgi.status"] == "cancelled"
    ends = {each.name: each.end_time_ns for each in trace.data.spans}
    assert "AgentRunner.run_streamed" in ends
    assert None not in ends.values()


def test_closing_cancels_the_run() -> None:
    endless = Endless()

    async def main() -> None:
        agent = scripted(ModelStep.stream(endless))
        given: Any = outputs(agents.Runner.run_streamed(agent, "x"))
        assert (await anext(given)).delta == "well"
        await given.aclose()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
    assert endless.ended


@pytest.mark.usefixtures("autologged")
def test_spans_nest_below_ours(serve: Serve) -> None:
    router = router_of(scripted(*call_then_say(), tools=[get_weather]), "t-agents-spans")
    streamed(serve(AgentApp(router)), WEATHER)
    (trace,) = traces(agent="t-agents-spans")
    root, *below = trace.data.spans
    assert (root.name, root.parent_id) == ("run", None)
    assert {each.trace_id for each in below} == {root.trace_id}
    parents = {each.span_id: each.parent_id for each in below}
    assert [each.name for each in below if each.parent_id == root.span_id] == [
        "AgentRunner.run_streamed"
    ]
    assert all(parent in (root.span_id, *parents) for parent in parents.values())
    assert {"get_weather", "Generation"} <= {each.name for each in below}
    assert root.outputs["output"][-1]["content"][0]["text"] == "It is sunny."
