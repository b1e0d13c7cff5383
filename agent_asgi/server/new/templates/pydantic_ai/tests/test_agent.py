"""Tests of the agent, with Pydantic AI's model for tests."""

import asyncio

import pytest
from agent_asgi.testing import AgentClient, Answer
from pydantic_ai.models.test import TestModel

from agent import agent, app, count_letter


@pytest.fixture(autouse=True)
def untraced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")


async def ask(text: str) -> Answer:
    async with app.lifespan():
        return await AgentClient(app).post("/responses", {"input": text})


def test_the_tool() -> None:
    assert count_letter("Strawberry", "R") == 3


def test_it_calls_the_tool_and_answers() -> None:
    with agent.override(
        model=TestModel()
    ):  # calls each tool once, with made-up arguments
        answer = asyncio.run(ask("How many r in strawberry?"))
    assert (answer.items[0]["name"], answer.items[0]["output"]) == ("count_letter", "1")
    assert "count_letter" in answer.output_text
