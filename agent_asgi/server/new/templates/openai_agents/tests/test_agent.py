"""Tests of the agent, with a scripted model."""

import asyncio

import pytest
from agent_asgi.testing import AgentClient, Answer
from agents.testing import ScriptedModel, assistant_message, function_call

from agent import agent, app, count_letter


@pytest.fixture(autouse=True)
def untraced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")


async def ask(text: str) -> Answer:
    async with app.lifespan():
        return await AgentClient(app).post("/responses", {"input": text})


def test_the_tool() -> None:
    assert count_letter("Strawberry", "R") == 3


def test_it_calls_the_tool_and_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    call = function_call(
        "count_letter", {"word": "strawberry", "letter": "r"}, call_id="call_1"
    )
    model = ScriptedModel([[call], [assistant_message("There are 3.")]])
    monkeypatch.setattr(agent, "model", model)
    answer = asyncio.run(ask("How many r in strawberry?"))
    assert (answer.items[0]["name"], answer.items[0]["output"]) == ("count_letter", "3")
    assert answer.output_text == "There are 3."
