"""The official OpenAI client against a real server and the example agent."""

from collections.abc import Callable, Iterator
from typing import Any

import calculator
import openai
import pytest
from pydantic import BaseModel

from tests.support.openresponses_schema import validate_response
from tests.support.weather_tool import TOOL


@pytest.fixture(params=["", "/v1"])
def client(
    serve: Callable[[Any], str], request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[openai.OpenAI]:
    """A client of the example agent, with and without /v1 in the base URL."""
    monkeypatch.delenv("OPENAI_MODEL", raising=False)
    url = serve(calculator.app) + request.param
    with openai.OpenAI(base_url=url, api_key="none") as made:
        yield made


def test_create(client: openai.OpenAI) -> None:
    answer = client.responses.create(model="calculator", input="7 squared")
    assert answer.output_text.endswith("The answer is 49.")
    assert (answer.model, answer.status, answer.error) == ("calculator", "completed", None)
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens
    validate_response(answer.to_dict(mode="json"))


def test_create_goes_on_in_a_conversation(client: openai.OpenAI) -> None:
    answer = client.responses.create(
        input=[
            {"role": "user", "content": "7 squared"},
            {"role": "assistant", "content": "The answer is 49."},
            {"role": "user", "content": [{"type": "input_text", "text": "and times 3?"}]},
        ]
    )
    assert "147" in answer.output_text


def test_create_streams(client: openai.OpenAI) -> None:
    with client.responses.create(input="15% of 80", stream=True) as stream:
        events = list(stream)
    deltas = [each.delta for each in events if each.type == "response.output_text.delta"]
    assert len(deltas) > 3
    assert "".join(deltas).endswith("The answer is 12.")
    assert [each.sequence_number for each in events] == list(range(len(events)))


def test_the_accumulating_helper_sees_every_type(client: openai.OpenAI) -> None:
    with client.responses.stream(model="calculator", input="12 * (3 + 4)") as stream:
        types = {event.type.removeprefix("response.") for event in stream}
        final = stream.get_final_response()
    assert final.output_text.endswith("The answer is 84.")
    assert [each.type for each in final.output] == ["reasoning", "mcp_call", "mcp_call", "message"]
    assert types == {
        "created",
        "in_progress",
        "completed",
        "output_item.added",
        "output_item.done",
        "content_part.added",
        "content_part.done",
        "output_text.delta",
        "output_text.done",
        "mcp_call.in_progress",
        "mcp_call_arguments.delta",
        "mcp_call_arguments.done",
        "mcp_call.completed",
        "reasoning_summary_part.added",
        "reasoning_summary_part.done",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
    }


def test_parse(client: openai.OpenAI) -> None:
    class Result(BaseModel):
        answer: float
        steps: list[str]

    parsed = client.responses.parse(model="calculator", input="12 * (3 + 4)", text_format=Result)
    assert parsed.output_parsed == Result(answer=84, steps=["3 + 4 = 7", "12 × 7 = 84"])


def test_a_clients_own_tool(client: openai.OpenAI) -> None:
    question: Any = {"role": "user", "content": "What's the weather in Paris?"}
    first = client.responses.create(input=[question], tools=[TOOL])
    call = first.output[-1]
    assert call.type == "function_call"
    assert (call.name, call.arguments) == ("get_weather", '{"city":"Paris"}')
    output: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    items: Any = [question, call.to_dict(), output]
    second = client.responses.create(input=items, tools=[TOOL])
    assert "sunny" in second.output_text


def test_it_asks_back(client: openai.OpenAI) -> None:
    assert "?" in client.responses.create(input="sing me a song").output_text


def test_models(client: openai.OpenAI) -> None:
    (model,) = client.models.list()
    assert (model.id, model.object) == ("calculator", "model")


def test_request_id(client: openai.OpenAI) -> None:
    raw = client.responses.with_raw_response.create(
        input="1 + 1", extra_headers={"x-request-id": "mine-1"}
    )
    assert raw.request_id == "mine-1"
    assert raw.headers["x-mlflow-trace-id"].startswith("tr-")
