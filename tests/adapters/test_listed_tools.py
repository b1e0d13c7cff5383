"""`GET /agent/info` lists the tools that an adapter knows."""

import asyncio
from collections.abc import Callable
from typing import Any

import agents
import pytest
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from pydantic_ai import Agent, FunctionToolset
from pydantic_ai.models.test import TestModel as Scripted

from agent_asgi import AgentApp, AgentRouter
from agent_asgi.adapters import langgraph, openai_agents, pydantic_ai
from agent_asgi.testing import AgentClient

Json = dict[str, Any]


def get_weather(city: str) -> str:
    """Return the weather in a city."""
    return f"sunny in {city}"


def of_openai(**options: Any) -> AgentRouter:
    tools: list[Any] = [agents.function_tool(get_weather), agents.WebSearchTool()]
    return openai_agents.router(agents.Agent("a", tools=tools), **options)


def of_pydantic_ai(**options: Any) -> AgentRouter:
    agent = Agent(Scripted(), name="a", toolsets=[FunctionToolset([get_weather])])
    router = pydantic_ai.router(agent, **options)

    @agent.tool_plain
    def added_later() -> str:
        """Do nothing."""
        return ""

    return router


def of_langgraph(**options: Any) -> AgentRouter:
    graph = StateGraph(MessagesState)
    graph.add_node("model", lambda _: {"messages": GenericFakeChatModel(messages=iter(()))})
    graph.add_node("tools", ToolNode([tool(get_weather)]))
    graph.add_edge(START, "model")
    return langgraph.router(graph.compile(), "a", **options)


MAKERS = (of_openai, of_pydantic_ai, of_langgraph)


def info(router: AgentRouter) -> Json:
    answer = asyncio.run(AgentClient(AgentApp(router)).get("/agent/info"))
    found: Json = answer.json()
    return found


@pytest.mark.parametrize("make", MAKERS)
def test_their_names_descriptions_and_arguments(make: Callable[..., AgentRouter]) -> None:
    tools = {each["name"]: each for each in info(make())["tools"]}
    weather = tools["get_weather"]
    assert weather["description"] == "Return the weather in a city."
    assert weather["input_schema"]["properties"]["city"]["type"] == "string"
    assert weather["input_schema"]["required"] == ["city"]
    later = {"added_later"} if make is of_pydantic_ai else set()
    assert tools.keys() == {"get_weather", *later}


@pytest.mark.parametrize("make", MAKERS)
def test_hidden_tools_are_not_listed(make: Callable[..., AgentRouter]) -> None:
    assert "tools" not in info(make(own_tools="hidden"))


def test_a_router_knows_none() -> None:
    router = AgentRouter()
    router.invoke(lambda request: "x")
    assert "tools" not in info(router)
