"""What `AgentClient` tells of an answer: its text, items and usage, streamed or not."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agent_asgi import AgentApp, AgentError, AgentRouter, FunctionCall, Output, Usage
from agent_asgi.testing import AgentClient, Answer

router = AgentRouter()


@router.stream
async def agent(question: str) -> AsyncIterator[Output]:
    if question == "fail":
        raise AgentError("No.", 422, "no_answer")
    yield FunctionCall(call_id="c", name="look", arguments="{}")
    yield "It is "
    yield "sunny."
    yield Usage(input_tokens=1, output_tokens=2)


def post(path: str, **body: Any) -> Answer:
    return asyncio.run(AgentClient(AgentApp(router)).post(path, body))


@pytest.mark.parametrize("path", ["/responses", "/invocations"])
@pytest.mark.parametrize("stream", [False, True])
def test_text_items_and_usage(path: str, stream: bool) -> None:
    answer = post(path, input="hi", stream=stream)
    assert answer.output_text == "It is sunny."
    assert answer.items[-1]["type"] == "message"
    assert answer.usage is not None
    assert answer.usage["total_tokens"] == 3
    assert answer.response()["status"] == "completed"


@pytest.mark.parametrize("stream", [False, True])
def test_an_error_is_raised(stream: bool) -> None:
    answer = post("/responses", input="fail", stream=stream)
    with pytest.raises(AgentError, match=r"No\.") as failure:
        _ = answer.output_text
    assert failure.value.code == "no_answer"


def test_another_answer_has_no_response() -> None:
    answer = asyncio.run(AgentClient(AgentApp(router)).get("/v1/models"))
    with pytest.raises(ValueError, match="no response"):
        answer.response()
