"""Tests of the agent, without a server."""

import asyncio

import pytest
from agent_asgi.testing import AgentClient, Answer

from agent import app, count_letter


@pytest.fixture(autouse=True)
def untraced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")


async def ask(text: str) -> Answer:
    async with app.lifespan():
        return await AgentClient(app).post("/responses", {"input": text})


def test_the_tool() -> None:
    assert count_letter("Strawberry", "R") == 3


def test_it_calls_the_tool_and_answers() -> None:
    answer = asyncio.run(ask("How many r in strawberry?"))
    call = answer.items[0]
    assert (call["name"], call["output"]) == ("count_letter", "3")
    assert answer.output_text == "There are 3 r in strawberry."


def test_it_says_what_it_can_do() -> None:
    assert "Ask me" in asyncio.run(ask("Hello!")).output_text
