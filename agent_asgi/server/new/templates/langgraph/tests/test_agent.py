"""Tests of the agent, with a fake model."""

import asyncio
from typing import Any

import pytest
from agent_asgi.testing import AgentClient, Answer
from langchain_core.language_models.fake_chat_models import FakeMessagesListChatModel
from langchain_core.messages import AIMessage

import agent
from agent import app, count_letter


class FakeModel(FakeMessagesListChatModel):
    def bind_tools(self, tools: Any, **options: Any) -> Any:
        return self


@pytest.fixture(autouse=True)
def untraced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")


async def ask(text: str) -> Answer:
    async with app.lifespan():
        return await AgentClient(app).post("/responses", {"input": text})


def test_the_tool() -> None:
    assert count_letter("Strawberry", "R") == 3


def test_it_calls_the_tool_and_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = {"word": "strawberry", "letter": "r"}
    call: Any = {"name": "count_letter", "args": arguments, "id": "call_1"}
    model = FakeModel(
        responses=[AIMessage("", tool_calls=[call]), AIMessage("There are 3.")]
    )
    monkeypatch.setattr(agent, "chat_model", lambda: model)
    answer = asyncio.run(ask("How many r in strawberry?"))
    assert (answer.items[0]["name"], answer.items[0]["output"]) == ("count_letter", "3")
    assert answer.output_text == "There are 3."
