"""Handlers of every shape and type, which the type checkers accept. It is checked, never run."""

import functools
from collections.abc import AsyncIterator, Awaitable, Iterator
from dataclasses import dataclass
from typing import Any, TypedDict, assert_type

import msgspec
import openai.types.responses as openai_types
import pydantic

from agent_asgi import (
    AgentRouter,
    ApprovalRequest,
    Citation,
    Context,
    FunctionCall,
    FunctionCallOutput,
    Message,
    Output,
    Reasoning,
    Response,
    ResponsesRequest,
    Usage,
)

router = AgentRouter()


class Order(msgspec.Struct):
    goods: list[str]


class Model(pydantic.BaseModel):
    goods: list[str]


@dataclass
class Record:
    goods: list[str]


class Fields(TypedDict):
    goods: list[str]


# Every shape.


@router.invoke
async def coroutine(request: ResponsesRequest) -> str:
    return ""


@router.invoke
def function(request: ResponsesRequest, context: Context) -> str:
    return ""


@router.stream
async def async_generator(request: ResponsesRequest, context: Context) -> AsyncIterator[str]:
    yield ""


@router.stream
def generator(request: ResponsesRequest) -> Iterator[str]:
    yield ""


@router.stream()
async def iterator(request: ResponsesRequest) -> AsyncIterator[str]:
    return async_generator(request, Context("resp_1", "agent"))


@router.compact
async def compact(request: ResponsesRequest) -> AsyncIterator[Output]:
    yield {"type": "compaction", "encrypted_content": ""}


class Agent:
    def answer(self, request: ResponsesRequest, context: Context) -> str:
        return ""

    async def __call__(self, request: ResponsesRequest) -> AsyncIterator[str]:
        yield ""


def with_option(request: ResponsesRequest, model: str) -> str:
    return model


router.invoke(Agent().answer)
router.stream(Agent())
router.invoke(functools.partial(with_option, model="small"))
router.invoke(lambda request: "")
router.invoke(lambda request, context: "")


# Every type of a request.


@router.invoke
def text(request: str) -> str:
    return request


@router.invoke
def body(request: dict[str, Any]) -> str:
    return ""


@router.invoke
def order(request: Order) -> Order:
    return request


@router.invoke
async def order_and_context(request: Order, context: Context) -> Order:
    return request


@router.invoke()
def model(request: Model) -> Model:
    return request


@router.stream
async def model_and_context(request: Model, context: Context) -> AsyncIterator[Model]:
    yield request


@router.invoke
def record(request: Record, context: Context) -> None: ...


@router.invoke
def fields(request: Fields) -> None: ...


@router.invoke
def anything(request: Any) -> None: ...


@router.invoke
def keyword(request: ResponsesRequest, *, context: Context) -> None: ...


@router.invoke
def optional(request: dict[str, Any], context: Context | None = None, times: int = 1) -> None: ...


@router.invoke
def only_context(context: Context) -> None: ...


@router.invoke
def nothing() -> None: ...


# What is decorated keeps its type, also with `Any` in it.


async def outputs(request: ResponsesRequest) -> AsyncIterator[Output]:
    yield ""


assert_type(text("hi"), str)
assert_type(order(Order([])), Order)
assert_type(model(Model(goods=[])), Model)
assert_type(body({}), str)
assert_type(router.invoke(Agent()), Agent)
assert_type(router.stream(outputs)(ResponsesRequest()), AsyncIterator[Output])
answered: Awaitable[Order] = order_and_context(Order([]), Context("resp_1", "agent"))
text(request="by its name")


# Every output.


async def every_output(
    event: openai_types.ResponseStreamEvent,
    item: openai_types.ResponseOutputItem,
    response: openai_types.Response,
) -> AsyncIterator[Output]:
    yield "text"
    yield {"type": "acme:thing"}
    yield Message(role="assistant", content="text")
    yield FunctionCall("add", {"a": 1})
    yield FunctionCallOutput("call_1", "3")
    yield Reasoning(summary="First, the units.")
    yield ApprovalRequest("send", {"to": "ann"})
    yield Citation("https://a.example", "A page")
    yield Usage(input_tokens=3)
    yield Response(output=[])
    yield ["text", Usage(output_tokens=2)]
    yield event
    yield item
    yield response
