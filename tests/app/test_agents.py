"""`AgentApp(agent)`: agents of other frameworks, and functions, as they are."""

import functools
from collections.abc import AsyncIterator, Iterator
from typing import Any, TypedDict

import agents
import pytest
from agents.testing import ScriptedModel, assistant_message
from langgraph.graph import START, MessagesState, StateGraph
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.models.test import TestModel as Scripted

from agent_asgi import AgentApp, AgentRouter, ResponsesRequest
from agent_asgi.adapters import langgraph, openai_agents, pydantic_ai
from tests.support.apps import ask
from tests.support.shop_model import Plain


class Weather(BaseModel):
    """What a handler returns."""

    degrees: int


async def weather(request: ResponsesRequest) -> Weather:
    """Return structured output."""
    return Weather(degrees=len(request.input_text))


async def words(request: ResponsesRequest) -> AsyncIterator[str]:
    yield "one "
    yield request.input_text


def sync_words(request: str) -> Iterator[str]:
    yield "one "
    yield request


class Teacher:
    """Has a bound method as a handler."""

    def teach(self, request: ResponsesRequest) -> str:
        return f"one {request.input_text}"


def tell(prefix: str, request: ResponsesRequest) -> str:
    return f"{prefix} {request.input_text}"


@pytest.fixture(autouse=True)
def off_the_network() -> None:
    agents.set_trace_processors([])


def graph(name: str | None = None) -> Any:
    async def reply(state: MessagesState) -> dict[str, Any]:
        return {"messages": [("assistant", "one two")]}

    return StateGraph(MessagesState).add_node(reply).add_edge(START, "reply").compile(name=name)


def sdk_agent(name: str = "Math Tutor") -> agents.Agent[Any]:
    return agents.Agent(name=name, model=ScriptedModel([[assistant_message("one two")]] * 9))


def pydantic_agent(**options: Any) -> Agent[Any, Any]:
    return Agent(Scripted(custom_output_text="one two"), **options)


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        (words, "words"),
        (sync_words, "sync_words"),
        (Teacher().teach, "teach"),
        (functools.partial(tell, "one"), "tell"),
        (lambda request: "one two", "lambda"),
        (graph("greeter"), "greeter"),
        (sdk_agent(), "Math-Tutor"),
        (pydantic_agent(name="tutor"), "tutor"),
        (pydantic_agent(), "agent"),
        (langgraph.router(graph(), "given"), "given"),
        (openai_agents.router(sdk_agent(), "given", max_threads=1), "given"),
        (pydantic_ai.router(pydantic_agent(), "given"), "given"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_it_answers_under_its_own_name(agent: Any, name: str, stream: bool) -> None:
    app = AgentApp(agent)
    assert [router.name for router in app.routers] == [name]
    answer = ask(app, "/v1/responses", {"model": name, "input": "two", "stream": stream})
    response = answer.events()[-1]["response"] if stream else answer.json()
    assert response["status"] == "completed"
    assert response["output"][-1]["content"][0]["text"] == "one two"


def test_a_model_of_mlflow_s_answers_too() -> None:
    answer = ask(AgentApp(Plain()), "/v1/responses", {"input": "x"})
    assert answer.json()["output"][0]["content"][0]["text"] == "hello"


def test_a_function_s_structured_output_is_json() -> None:
    answer = ask(AgentApp(weather), "/v1/responses", {"input": "1234"})
    assert answer.json()["output"][0]["content"][0]["text"] == '{"degrees":4}'


def test_several_are_told_apart() -> None:
    app = AgentApp(words, sdk_agent("tutor"), AgentRouter("other"))
    assert [router.name for router in app.routers] == ["words", "tutor", "other"]
    with pytest.raises(ValueError, match=r"two agents are named 'words'\. Name them"):
        AgentApp(words, words)


class Numbers(TypedDict):
    """A state without messages."""

    total: int


def no_messages() -> Any:
    return StateGraph(Numbers).add_node("n", lambda state: state).add_edge(START, "n").compile()


@pytest.mark.parametrize(
    ("agent", "message"),
    [
        ("tutor", "an agent is an AgentRouter, a compiled LangGraph graph"),
        (None, "not None. Call other agents in a handler"),
        ([words], r"a list. Pass each agent as a separate argument: AgentApp\(\*agents\)"),
        (Teacher, "the class Teacher. Pass an instance of it"),
        (StateGraph(MessagesState), "a StateGraph. Compile it first"),
        (AgentApp(words), r"an AgentApp. Pass its agents: AgentApp\(\*app.routers\)"),
        (lambda one, two, three: None, "A handler takes the request and, optionally"),
        (no_messages(), "has no `messages`, so it cannot be served as it is"),
        (pydantic_agent(deps_type=int), r"needs `deps` of type int\. Pass them in a handler"),
    ],
)
def test_what_is_no_agent_is_refused_with_the_mend(agent: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        AgentApp(agent)
