"""openai, LangChain and pydantic-ai use the served example agent through Chat Completions."""

import asyncio
from collections.abc import Iterator
from typing import Any

import calculator
import openai
import pydantic
import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic_ai import Agent, ThinkingPart
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

from tests.support.calling import Serve

WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}
ASKED: Any = [{"role": "user", "content": "What is the weather in Paris?"}]
SAID = "This is what get_weather says: 21 degrees"


class Result(pydantic.BaseModel):
    """A structured answer."""

    answer: float


def asking(content: str) -> Any:
    """Make a conversation with one message."""
    return [{"role": "user", "content": content}]


@pytest.fixture(autouse=True)
def without_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the example agent off the network, and LangSmith out of LangChain."""
    monkeypatch.delenv("OPENAI_MODEL", raising=False)
    monkeypatch.setenv("LANGSMITH_TRACING", "false")


@pytest.fixture
def url(serve: Serve) -> str:
    """Serve the example agent; return its base URL."""
    return serve(calculator.app) + "/v1"


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    """A client of the example agent with strict response validation."""
    with openai.OpenAI(base_url=url, api_key="none", _strict_response_validation=True) as made:
        yield made


def test_openai_create(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="calculator", messages=asking("7 squared"))
    assert isinstance(answer, ChatCompletion)
    assert answer.id.startswith("chatcmpl-")
    (choice,) = answer.choices
    assert (choice.message.content or "").endswith("The answer is 49.")
    assert (choice.finish_reason, choice.message.tool_calls) == ("stop", None)
    assert "Steps: 1." in choice.message.model_dump()["reasoning_content"]
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer._request_id


def test_openai_three_turns(client: openai.OpenAI) -> None:
    messages: Any = []
    for question, number in (("7 squared", "49"), ("and times 3?", "147"), ("minus 7", "140")):
        messages += asking(question)
        answer = client.chat.completions.create(model="calculator", messages=messages)
        assert f"The answer is {number}." in (answer.choices[0].message.content or "")
        messages.append(answer.choices[0].message.model_dump(exclude_none=True))


def test_openai_stream(client: openai.OpenAI) -> None:
    with client.chat.completions.create(
        model="calculator",
        messages=asking("15% of 80"),
        stream=True,
        stream_options={"include_usage": True},
    ) as stream:
        chunks = list(stream)
    assert all(isinstance(each, ChatCompletionChunk) for each in chunks)
    assert len({(each.id, each.created, each.model) for each in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    texts = [each.choices[0].delta.content or "" for each in chunks[:-1]]
    assert "".join(texts).endswith("The answer is 12.")
    assert len([each for each in texts if each]) > 3
    assert [each.choices[0].finish_reason for each in chunks[-3:-1]] == [None, "stop"]
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens > 3


def test_openai_stream_helper(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(model="calculator", messages=asking("2 + 3")) as stream:
        deltas = [each.delta for each in stream if each.type == "content.delta"]
        done = stream.get_final_completion()
    assert done.choices[0].message.content == "".join(deltas)
    assert "".join(deltas).endswith("The answer is 5.")
    assert done.choices[0].finish_reason == "stop"


def test_openai_parse(client: openai.OpenAI) -> None:
    answer = client.chat.completions.parse(
        model="calculator", messages=asking("12 * (3 + 4)"), response_format=Result
    )
    assert answer.choices[0].message.parsed == Result(answer=84)


@pytest.mark.parametrize("streams", [False, True], ids=["json", "stream"])
def test_openai_tool_round_trip(client: openai.OpenAI, streams: bool) -> None:
    options: Any = {"model": "calculator", "tools": [WEATHER], "parallel_tool_calls": False}
    if streams:
        with client.chat.completions.stream(messages=ASKED, **options) as stream:
            kinds = [each.type for each in stream]
            first: Any = stream.get_final_completion().choices[0]
        assert "tool_calls.function.arguments.delta" in kinds
        assert "tool_calls.function.arguments.done" in kinds
    else:
        first = client.chat.completions.create(messages=ASKED, **options).choices[0]
    assert first.finish_reason == "tool_calls"
    (call,) = first.message.tool_calls
    assert (call.function.name, call.function.arguments) == ("get_weather", '{"city":"Paris"}')
    function = {"name": call.function.name, "arguments": call.function.arguments}
    again = {"id": call.id, "type": "function", "function": function}
    said: Any = {"role": "assistant", "content": None, "tool_calls": [again]}
    gave: Any = {"role": "tool", "tool_call_id": call.id, "content": "21 degrees"}
    last = client.chat.completions.create(messages=[*ASKED, said, gave], **options).choices[0]
    assert last.message.content == SAID
    assert last.finish_reason == "stop"


def test_openai_named_tool(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="calculator",
        messages=ASKED,
        tools=[WEATHER],
        tool_choice={"type": "function", "function": {"name": "get_weather"}},
    )
    assert answer.choices[0].finish_reason == "tool_calls"


def test_openai_models_are_what_a_client_may_ask_for(client: openai.OpenAI) -> None:
    (model,) = client.models.list().data
    assert (model.id, model.object) == ("calculator", "model")
    assert client.chat.completions.create(model=model.id, messages=asking("1 + 1")).choices


@pytest.fixture
def model(url: str) -> Iterator[ChatOpenAI]:
    """The example agent as a LangChain model."""
    options: Any = {"model": "calculator", "base_url": url, "api_key": "none", "max_retries": 0}
    with openai.DefaultHttpxClient() as http:
        yield ChatOpenAI(**options, stream_usage=True, http_client=http)


def test_langchain_invoke_and_turns(model: ChatOpenAI) -> None:
    first = model.invoke("7 squared")
    assert isinstance(first, AIMessage)
    assert first.text.endswith("The answer is 49.")
    assert first.usage_metadata is not None
    assert first.usage_metadata["total_tokens"] > 2
    assert first.response_metadata["finish_reason"] == "stop"
    talk = [HumanMessage("7 squared"), first, HumanMessage("and times 3?")]
    assert model.invoke(talk).text.endswith("The answer is 147.")


def test_langchain_stream(model: ChatOpenAI) -> None:
    chunks = list(model.stream("15% of 80"))
    assert len(chunks) > 5
    whole = chunks[0]
    for each in chunks[1:]:
        whole += each
    assert isinstance(whole, AIMessageChunk)
    assert whole.text.endswith("The answer is 12.")
    assert whole.usage_metadata is not None
    assert whole.usage_metadata["output_tokens"] > 2


@tool
def get_weather(city: str) -> str:
    """Return the weather in a city."""
    return f"21 degrees in {city}"


@pytest.mark.parametrize("streams", [False, True], ids=["json", "stream"])
def test_langchain_tool_round_trip(model: ChatOpenAI, streams: bool) -> None:
    bound = model.bind_tools([get_weather])
    question = HumanMessage("What is the weather in Paris?")
    first: Any = None
    if streams:
        for chunk in bound.stream([question]):
            first = chunk if first is None else first + chunk
    else:
        first = bound.invoke([question])
    (call,) = first.tool_calls
    assert (call["name"], call["args"]) == ("get_weather", {"city": "Paris"})
    gave = get_weather.invoke(call)
    assert isinstance(gave, ToolMessage)
    last = bound.invoke([question, first, gave])
    assert last.text == "This is what get_weather says: 21 degrees in Paris"


class City(pydantic.BaseModel):
    """The city a user asks about."""

    city: str


def test_langchain_structured_output(model: ChatOpenAI) -> None:
    number = model.with_structured_output(Result, method="json_schema")
    assert number.invoke("12 * (3 + 4)") == Result(answer=84)
    city = model.with_structured_output(City, method="function_calling")
    assert city.invoke("The weather in Paris?") == City(city="Paris")


def weather_agent(model: Any) -> tuple[Agent, list[str]]:
    """Make a pydantic-ai agent with a tool; return it and the cities the tool was called with."""
    agent = Agent(model)
    cities: list[str] = []

    @agent.tool_plain
    def get_weather(city: str) -> str:
        """Return the weather in a city."""
        cities.append(city)
        return f"21 degrees in {city}"

    return agent, cities


@pytest.mark.parametrize("kind", [OpenAIChatModel, OpenAIResponsesModel])
def test_pydantic_ai_runs_a_tool(url: str, kind: Any) -> None:
    async def main() -> None:
        async with openai.AsyncOpenAI(base_url=url, api_key="none") as client:
            model = kind("calculator", provider=OpenAIProvider(openai_client=client))
            agent, cities = weather_agent(model)
            done = await agent.run("What is the weather in Paris?")
            assert done.output == "This is what get_weather says: 21 degrees in Paris"
            assert cities == ["Paris"]
            async with agent.run_stream("What is the weather in Oslo?") as streamed:
                assert (await streamed.get_output()).endswith("21 degrees in Oslo")
            assert streamed.usage.total_tokens > 0

    asyncio.run(main())


def test_pydantic_ai_leaves_the_agents_own_tools_alone(url: str) -> None:
    async def main() -> None:
        async with openai.AsyncOpenAI(base_url=url, api_key="none") as client:
            model = OpenAIChatModel("calculator", provider=OpenAIProvider(openai_client=client))
            agent, cities = weather_agent(model)
            first = await agent.run("7 squared")
            assert first.output.endswith("The answer is 49.")
            parts = first.response.parts
            thoughts = [each.content for each in parts if isinstance(each, ThinkingPart)]
            assert thoughts == ["I work it out one operation at a time. Steps: 1."]
            more = await agent.run("and times 3?", message_history=first.all_messages())
            assert more.output.endswith("The answer is 147.")
            async with agent.run_stream("15% of 80") as streamed:
                bits = [each async for each in streamed.stream_text(delta=True, debounce_by=None)]
            assert len(bits) > 3
            assert "".join(bits).endswith("The answer is 12.")
            assert cities == []

    asyncio.run(main())
