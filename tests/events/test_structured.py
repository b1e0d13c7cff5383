"""What an invoke handler returns without a type is JSON text; shorthands of items."""

import asyncio
import dataclasses
import json
import logging
from collections.abc import AsyncIterator
from typing import Any, Literal

import msgspec
import numpy as np
import pytest
from openai.types.responses import ResponseOutputMessage
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from agent_asgi import (
    AgentApp,
    AgentRouter,
    Citation,
    FunctionCall,
    Message,
    Output,
    Reasoning,
    Response,
    Usage,
)
from agent_asgi.testing import AgentClient, Answer
from tests.support.outputs import MESSAGE
from tests.support.stream_rules import check_stream


class City(BaseModel):
    name: str
    country: str | None = None
    people: int = Field(default=0, alias="inhabitants")


class Numbers(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    values: Any


class Struct(msgspec.Struct):
    name: str


@dataclasses.dataclass
class Data:
    name: str


class Typed(TypedDict):
    name: str


class Shape(BaseModel):
    type: str
    side: int


class Report(BaseModel):
    output: list[str]


PARIS = {"name": "Paris", "country": None, "inhabitants": 2}
SHAPE = {"type": "square", "side": 2}


def ask(function: Any, *, json_agent: bool = False, **body: Any) -> Answer:
    """Register an invoke handler and ask it."""
    router = AgentRouter(protocol="json" if json_agent else "responses")
    router.invoke(function)
    path = "/invocations" if json_agent else "/responses"
    return asyncio.run(AgentClient(AgentApp(router)).post(path, {"input": "hi", **body}))


def returning(value: Any, annotation: Any = None) -> Any:
    async def agent(question: Any) -> Any:
        return value

    agent.__annotations__["return"] = annotation
    return agent


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("value", "annotation", "expected"),
    [
        (City(name="Paris", inhabitants=2), Any, PARIS),
        (City(name="Paris", inhabitants=2), City | None, PARIS),
        (Numbers(values=np.arange(2)), Any, {"values": [0, 1]}),
        (Struct("Paris"), Any, {"name": "Paris"}),
        (Data("Paris"), Any, {"name": "Paris"}),
        ({"name": "Paris"}, Typed, {"name": "Paris"}),
        ({"name": "Paris"}, dict[str, Any], {"name": "Paris"}),
        (Shape.model_validate(SHAPE), Shape, SHAPE),
        (Report(output=["x"]), Report, {"output": ["x"]}),
        (42, int, 42),
    ],
    ids=repr,
)
def test_an_object_is_the_text(value: Any, annotation: Any, expected: Any, stream: bool) -> None:
    answer = ask(returning(value, annotation), stream=stream)
    assert json.loads(answer.output_text) == expected
    assert [item["type"] for item in answer.items] == ["message"]


def test_other_outputs_beside_it() -> None:
    answer = ask(returning([Reasoning("hm"), Data("Paris"), Usage(input_tokens=1)]))
    assert [item["type"] for item in answer.items] == ["reasoning", "message"]
    assert answer.output_text == '{"name":"Paris"}'
    assert answer.usage is not None
    assert answer.usage["input_tokens"] == 1


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (MESSAGE, ResponseOutputMessage),
        (Message(role="assistant", content="hi"), Message),
        ({"type": "message", "content": "hi"}, dict[str, Any]),
        ({"output": [{"type": "message", "content": "hi"}]}, dict),
        (Response(output=[Message(role="assistant", content="hi")]), Response),
        ("hi", str),
        (["h", "i"], list[str]),
    ],
    ids=repr,
)
def test_items_and_responses_stay_what_they_are(value: Any, annotation: Any) -> None:
    assert ask(returning(value, annotation)).output_text == "hi"


def test_a_json_agent_returns_its_object() -> None:
    assert ask(returning({"name": "x"}, dict), json_agent=True).json() == {"name": "x"}


def test_a_stream_handler_yields_no_objects() -> None:
    router = AgentRouter()

    @router.stream
    async def agent(question: str) -> AsyncIterator[Any]:
        yield Data("Paris")

    answer = asyncio.run(AgentClient(AgentApp(router)).post("/responses", {"input": "hi"}))
    assert answer.status == 500


SCHEMA = {"type": "object", "properties": {"name": {"type": "integer"}}, "required": ["size"]}


@pytest.mark.parametrize("wanted", [SCHEMA, {"type": "object"}])
def test_the_log_says_where_it_differs(wanted: Any, caplog: pytest.LogCaptureFixture) -> None:
    format_ = {"type": "json_schema", "name": "city", "schema": wanted}
    with caplog.at_level(logging.WARNING, "agent_asgi"):
        answer = ask(returning(Data("Paris")), text={"format": format_})
    assert answer.output_text == '{"name":"Paris"}'
    told = [line for line in caplog.messages if "schema" in line]
    assert len(told) == (wanted is SCHEMA)
    if told:
        assert "$.size is missing; $.name must be of type integer" in told[0]
        assert answer.response()["id"] in told[0]
        assert "Paris" not in told[0]


@pytest.mark.parametrize("stream", [False, True])
def test_citations_are_at_the_end_of_the_text(stream: bool) -> None:
    router = AgentRouter()

    @router.stream
    async def agent(question: str) -> AsyncIterator[Output]:
        yield "It is sunny"
        yield Citation("https://a.example", "A")
        yield ", he said."
        yield Citation("https://b.example", start_index=0, end_index=5)

    body = {"input": "hi", "stream": stream}
    answer = asyncio.run(AgentClient(AgentApp(router)).post("/responses", body))
    assert answer.output_text == "It is sunny, he said."
    (message,) = answer.items
    first = {"type": "url_citation", "url": "https://a.example", "title": "A"}
    second = {"type": "url_citation", "url": "https://b.example", "title": ""}
    assert message["content"][0]["annotations"] == [
        first | {"start_index": 11, "end_index": 11},
        second | {"start_index": 0, "end_index": 5},
    ]
    if stream:
        check_stream(answer.events())


def test_a_citation_opens_a_message() -> None:
    answer = ask(returning([Citation("https://a.example"), "It is sunny."]))
    assert answer.output_text == "It is sunny."
    assert len(answer.items) == 1


def test_reasoning_is_a_whole_item() -> None:
    answer = ask(returning([Reasoning("one"), Reasoning("two"), "done"]))
    summaries = [item["summary"] for item in answer.items[:2]]
    assert summaries == [[{"type": "summary_text", "text": each}] for each in ("one", "two")]


def test_the_type_of_outputs() -> None:
    output: Output
    for output in ("x", Reasoning("x"), Citation("x"), Usage(), Response(), {"type": "x"}, MESSAGE):
        assert output is not None
    call: Output = FunctionCall(call_id="c", name="f", arguments="{}")
    assert call is not None
    kind: Literal["reasoning"] = "reasoning"
    assert Reasoning("x").type == kind
