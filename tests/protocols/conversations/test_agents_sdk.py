"""The OpenAI Agents SDK as a client: its `OpenAIConversationsSession`, and `conversation_id`."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import agents
import openai
import pytest
from agents.memory import OpenAIConversationsSession

from agent_asgi import AgentApp, AgentRouter, FunctionCall, ResponsesRequest
from tests.support.calling import Json, Serve, texts


@pytest.fixture(autouse=True)
def off_the_network() -> None:
    """Keep the SDK's traces off the network."""
    agents.set_trace_processors([])


class Asked:
    """An agent that records what it hears and calls the client's function for "call"."""

    def __init__(self) -> None:
        self.heard: list[list[str]] = []
        self.router = AgentRouter("asked")
        self.router.stream(self.reply)

    async def reply(self, request: ResponsesRequest) -> AsyncIterator[Any]:
        """Number the answers; call the function when asked to."""
        heard = texts(request.input)
        self.heard.append(heard)
        if heard[-1] == "call":
            yield FunctionCall(call_id="call_1", name="add", arguments="{}")
        else:
            yield f"a{len(heard)}"


@agents.function_tool
def add() -> str:
    """Return 2."""
    return "2"


async def runner(url: str) -> tuple[openai.AsyncOpenAI, agents.Agent[Any]]:
    """Return a client, and an agent of the SDK whose model is the served agent."""
    client = openai.AsyncOpenAI(base_url=url + "/v1", api_key="none", max_retries=0)
    model = agents.OpenAIResponsesModel("asked", client)
    return client, agents.Agent(name="caller", model=model, tools=[add])


async def stored(client: openai.AsyncOpenAI, id: str) -> list[str]:
    """Return the types of a conversation's items, oldest first."""
    return [item.type async for item in client.conversations.items.list(id, order="asc")]


@pytest.mark.parametrize("streamed", [False, True])
def test_conversation_id(serve: Serve, store_url: str, streamed: bool) -> None:
    asked = Asked()
    url = serve(AgentApp(asked.router, store=store_url))

    async def main() -> None:
        client, agent = await runner(url)
        async with client:
            id_ = (await client.conversations.create()).id
            for text in ("q1", "call", "q2"):
                if streamed:
                    run = agents.Runner.run_streamed(agent, text, conversation_id=id_)
                    async for _ in run.stream_events():
                        pass
                else:
                    await agents.Runner.run(agent, text, conversation_id=id_)
            assert await stored(client, id_) == [
                *("message", "message"),
                *("message", "function_call", "function_call_output", "message"),
                *("message", "message"),
            ]

    asyncio.run(main())
    assert asked.heard == [
        ["q1"],
        ["q1", "a1", "call"],
        ["q1", "a1", "call", "", "2"],
        ["q1", "a1", "call", "", "2", "a5", "q2"],
    ]


def test_a_session(serve: Serve, store_url: str) -> None:
    asked = Asked()
    url = serve(AgentApp(asked.router, store=store_url))

    async def main() -> None:
        client, agent = await runner(url)
        async with client:
            session = OpenAIConversationsSession(openai_client=client)
            for text in ("q1", "call", "q2"):
                await agents.Runner.run(agent, text, session=session)
            assert asked.heard[-1] == ["q1", "a1", "call", "", "2", "a5", "q2"]
            id_ = await session._get_session_id()
            assert len(await stored(client, id_)) == len(asked.heard[-1]) + 1
            newest: list[Any] = list(await session.get_items(limit=2))
            assert texts([message(item) for item in newest]) == ["q2", "a7"]
            popped: Any = await session.pop_item()
            assert texts([message(popped)]) == ["a7"]
            many: list[Any] = [{"role": "user", "content": f"{n}"} for n in range(45)]
            await session.add_items(many)
            everything: list[Any] = list(await session.get_items())
            assert texts([message(item) for item in everything[-45:]]) == [
                f"{n}" for n in range(45)
            ]
            again = OpenAIConversationsSession(conversation_id=id_, openai_client=client)
            assert len(await again.get_items()) == len(everything)
            await session.clear_session()
            with pytest.raises(openai.NotFoundError):
                await client.conversations.retrieve(id_)

    asyncio.run(main())


def message(item: Any) -> Json:
    """Return an item of the SDK's as a dict."""
    found: Json = dict(item)
    return found
