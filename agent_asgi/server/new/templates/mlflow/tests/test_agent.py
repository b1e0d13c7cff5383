"""Tests of the agent, with a fake model."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from agent_asgi.testing import AgentClient, Answer

import agent
from agent import app, count_letter

Delta = dict[str, Any]


@pytest.fixture(autouse=True)
def untraced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")


async def ask(text: str) -> Answer:
    async with app.lifespan():
        return await AgentClient(app).post("/responses", {"input": text})


def test_the_tool() -> None:
    assert count_letter("Strawberry", "R") == 3


def test_it_calls_the_tool_and_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    function = {
        "name": "count_letter",
        "arguments": '{"word": "strawberry", "letter": "r"}',
    }
    call = {"index": 0, "id": "call_1", "type": "function", "function": function}
    turns = iter([{"tool_calls": [call]}, {"content": "There are 3."}])
    monkeypatch.setattr(agent, "ask_model", lambda _: chunks(next(turns)))
    answer = asyncio.run(ask("How many r in strawberry?"))
    assert (answer.items[0]["name"], answer.items[0]["output"]) == ("count_letter", "3")
    assert answer.output_text == "There are 3."


def chunks(delta: Delta) -> Iterator[Delta]:
    yield {"id": "chat_1", "choices": [{"index": 0, "delta": delta}]}
