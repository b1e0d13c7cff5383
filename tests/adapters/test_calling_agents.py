"""Agents of other frameworks call an agent in another process, as docs/calling-agents.md shows: as
an MCP tool, as a sub-agent by Responses and as an A2A remote agent.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import agents
import mlflow
import pytest
from agents import Agent, OpenAIResponsesModel, Runner
from agents.mcp import MCPServerStreamableHttp
from agents.testing import ScriptedModel, assistant_message, function_call
from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import FakeMessagesListChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_openai import ChatOpenAI
from langgraph.graph import START, MessagesState, StateGraph
from mlflow.tracing import get_tracing_context_headers_for_http_request as trace_headers
from openai import AsyncOpenAI, DefaultAsyncHttpxClient
from pydantic import SecretStr
from pydantic_ai import Agent as PydanticAgent
from pydantic_ai.models.openai import OpenAIResponsesModel as PydanticResponsesModel
from pydantic_ai.models.test import TestModel as CallsAllTools
from pydantic_ai.providers.openai import OpenAIProvider

from agent_asgi import AgentApp, AgentRouter, ResponsesRequest
from agent_asgi.protocols import MCP
from tests.clients.packages import PYTHON
from tests.support.asking import fetch
from tests.support.calling import Serve, until
from tests.support.pages import ROOT
from tests.support.servers import free_port

QUESTION, ANSWER = "Will it rain?", "You ask: Will it rain? It will be sunny."
DONE = "Take no umbrella."
Caller = Callable[[str, Any], Awaitable[str]]
"""Calls the agent at a URL, by an HTTP client, and returns its answer."""


@pytest.fixture(autouse=True)
def off_the_network() -> None:
    agents.set_trace_processors([])


@pytest.fixture(scope="module")
def weather(tracking_uri: str) -> Iterator[str]:
    """Serve docs/examples/weather.py in a process; yield its URL."""
    mlflow.get_experiment("0")  # makes the database: two processes must not do so at the same time
    port = free_port()
    argv = [sys.executable, "-m", "uvicorn", "weather:app", "--port", str(port)]
    process = subprocess.Popen(argv, cwd=ROOT / "docs" / "examples")
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: is_traced(url), seconds=90)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(30)
        finally:
            process.kill()


def is_traced(url: str) -> bool:
    """Return whether runs are traced; on a busy machine the server is ready before that."""
    try:
        return "x-mlflow-trace-id" in fetch(url, "POST", "/responses", body={"input": "x"}).headers
    except OSError:
        return False


def planner(tool: str, arguments: dict[str, Any], **options: Any) -> Agent[Any]:
    """Create an agent that calls a tool once, then answers."""
    call = function_call(tool, arguments, call_id="call_1")
    model = ScriptedModel([[call], [assistant_message(DONE)]])
    return Agent("planner", model=model, **options)


async def planned(agent: Agent[Any]) -> str:
    """Run a planner; return what its tool answered."""
    result = await Runner.run(agent, "Plan my day.")
    assert result.final_output == DONE
    item: Any = result.new_items[1].to_input_item()
    output = item["output"]
    return output if isinstance(output, str) else "".join(part["text"] for part in output)


async def mcp_of_agents_sdk(url: str, http: Any) -> str:
    server = MCPServerStreamableHttp(
        {"url": f"{url}/mcp"},
        client_session_timeout_seconds=60,
        tool_meta_resolver=lambda _: trace_headers(),
    )
    async with server:
        return await planned(planner("weather", {"input": QUESTION}, mcp_servers=[server]))


def sub_agent(url: str, http: Any) -> Agent[Any]:
    client = AsyncOpenAI(base_url=f"{url}/v1", api_key="none", http_client=http, max_retries=0)
    return Agent("weather", model=OpenAIResponsesModel("weather", client))


async def tool_of_agents_sdk(url: str, http: Any) -> str:
    tool = sub_agent(url, http).as_tool("ask_weather", "Answers questions about the weather.")
    return await planned(planner("ask_weather", {"input": QUESTION}, tools=[tool]))


async def handoff_of_agents_sdk(url: str, http: Any) -> str:
    agent = planner("transfer_to_weather", {}, handoffs=[sub_agent(url, http)])
    return str((await Runner.run(agent, QUESTION)).final_output)


async def tool_of_pydantic_ai(url: str, http: Any) -> str:
    client = AsyncOpenAI(base_url=f"{url}/v1", api_key="none", http_client=http)
    model = PydanticResponsesModel("weather", provider=OpenAIProvider(openai_client=client))
    weather = PydanticAgent(model)
    outer = PydanticAgent(CallsAllTools())

    @outer.tool_plain
    async def ask_weather() -> str:
        return (await weather.run(QUESTION)).output

    answers: dict[str, str] = json.loads((await outer.run("Plan my day.")).output)
    return answers["ask_weather"]


def chat_model(url: str, http: Any) -> ChatOpenAI:
    return ChatOpenAI(
        model="weather",
        base_url=f"{url}/v1",
        api_key=SecretStr("none"),
        use_responses_api=True,
        http_async_client=http,
    )


async def node_of_langgraph(url: str, http: Any) -> str:
    model = chat_model(url, http)

    async def ask_weather(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    builder = StateGraph(MessagesState)
    builder.add_node("weather", ask_weather)
    builder.add_edge(START, "weather")
    state = await builder.compile().ainvoke({"messages": [HumanMessage(QUESTION)]})
    return str(state["messages"][-1].text)


class Scripted(FakeMessagesListChatModel):
    """Answers with given messages."""

    def bind_tools(self, tools: Any, **_: Any) -> Any:
        return self


async def tool_of_langchain(url: str, http: Any) -> str:
    model = chat_model(url, http)

    async def ask_weather(question: str) -> str:
        """Answer a question about the weather."""
        return str((await model.ainvoke(question)).text)

    call = {"name": "ask_weather", "args": {"question": QUESTION}, "id": "call_1"}
    outer = create_agent(
        Scripted(responses=[AIMessage("", tool_calls=[call]), AIMessage(DONE)]), [ask_weather]
    )
    state: Any = await outer.ainvoke({"messages": [HumanMessage("Plan my day.")]})
    *_, answer, last = state["messages"]
    assert last.text == DONE
    return str(answer.text)


CALLERS = [
    mcp_of_agents_sdk,
    tool_of_agents_sdk,
    handoff_of_agents_sdk,
    tool_of_pydantic_ai,
    node_of_langgraph,
    tool_of_langchain,
]


async def add_trace(request: Any) -> None:
    request.headers.update(trace_headers())


@pytest.mark.parametrize("caller", CALLERS)
def test_another_framework_calls_an_agent_in_one_trace(weather: str, caller: Caller) -> None:
    async def main() -> str:
        hooks: Any = {"request": [add_trace]}
        async with asyncio.timeout(60), DefaultAsyncHttpxClient(event_hooks=hooks) as http:
            return await caller(weather, http)

    with mlflow.start_span("planner") as span:
        assert asyncio.run(main()) == ANSWER
    assert_joined(span)


REMOTE = """
import asyncio, sys
import httpx
from a2a.client import ClientConfig, create_client
from a2a.helpers import get_artifact_text, new_text_message
from a2a.types import Role, SendMessageRequest
from agents import Agent, Runner, function_tool, set_trace_processors
from agents.testing import ScriptedModel, assistant_message, function_call

set_trace_processors([])
url, traceparent, question = sys.argv[1:]
call = function_call("ask_weather", {"question": question}, call_id="call_1")
model = ScriptedModel([[call], [assistant_message("Take no umbrella.")]])

async def add_trace(request):
    request.headers["traceparent"] = traceparent

@function_tool
async def ask_weather(question: str) -> str:
    request = SendMessageRequest(message=new_text_message(question, role=Role.ROLE_USER))
    http = httpx.AsyncClient(event_hooks={"request": [add_trace]})
    config = ClientConfig(streaming=False, httpx_client=http)
    async with await create_client(url, config) as client:
        async for event in client.send_message(request):
            answer = "".join(map(get_artifact_text, event.task.artifacts))
    return answer

agent = Agent("planner", model=model, tools=[ask_weather])
print(asyncio.run(Runner.run(agent, "Plan my day.")).new_items[1].output)
"""


def test_an_a2a_remote_agent_is_called_in_one_trace(weather: str) -> None:
    with mlflow.start_span("planner") as span:
        done = subprocess.run(
            [str(PYTHON), "-c", REMOTE, weather, trace_headers()["traceparent"], QUESTION],
            env=os.environ | {"NO_PROXY": "127.0.0.1"},
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.stdout.strip() == ANSWER, done.stderr
    assert_joined(span)


def assert_joined(caller: Any) -> None:
    """Check that the agent's run is a child of the caller's span, in a complete trace."""
    mlflow.flush_trace_async_logging()

    def runs() -> list[Any]:
        trace = mlflow.get_trace(caller.trace_id, silent=True)
        return [span for span in trace.data.spans if span.name == "weather"] if trace else []

    (run,) = until(runs, seconds=30)
    assert run.parent_id == caller.span_id
    assert run.outputs["output"][0]["content"][0]["text"] == ANSWER


REFUSED = "An error occurred while running the tool. Please try again."
"""What the Agents SDK says of a tool that raises."""


@pytest.mark.parametrize(
    ("caller", "told"),
    [
        (mcp_of_agents_sdk, "The agent failed. The server's log has the reason."),
        (tool_of_agents_sdk, REFUSED),
    ],
)
def test_the_calling_agent_goes_on_if_the_agent_fails(
    serve: Serve, caller: Caller, told: str
) -> None:
    router = AgentRouter("weather")

    @router.invoke
    async def fail(request: ResponsesRequest) -> str:
        raise RuntimeError("secret")

    async def main() -> str:
        async with asyncio.timeout(60), DefaultAsyncHttpxClient() as http:
            return await caller(serve(AgentApp(router, protocols=[MCP()])), http)

    with mlflow.start_span("planner"):
        assert asyncio.run(main()) == told
