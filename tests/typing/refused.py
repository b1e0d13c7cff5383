"""Mistakes that the type checkers see. It is checked, never run.

Each wrong line ignores its error, by mypy's code and pyright's rule; both report an ignore that no
error needs.
"""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec

from agent_asgi import AgentRouter, Context, Output, ResponsesRequest

router = AgentRouter()


class Order(msgspec.Struct):
    goods: list[str]


# The request is of no type that a body can be converted to.


@router.invoke  # type: ignore[type-var]  # pyright: ignore[reportCallIssue, reportArgumentType]
def number(request: int) -> str:
    return ""


@router.stream  # type: ignore[type-var]  # pyright: ignore[reportCallIssue, reportArgumentType]
async def connection(request: bytes, context: Context) -> AsyncIterator[str]:
    yield ""


@router.stream()  # type: ignore[type-var]  # pyright: ignore[reportCallIssue, reportArgumentType]
def several(request: list[ResponsesRequest]) -> Iterator[str]:
    yield ""


# The second parameter is not the context, or there are more.


@router.invoke  # type: ignore[type-var]  # pyright: ignore[reportCallIssue, reportArgumentType]
def session(request: ResponsesRequest, session_id: str) -> str:
    return ""


@router.invoke  # type: ignore[type-var]  # pyright: ignore[reportCallIssue, reportArgumentType]
def order(request: Order, session_id: str) -> str:
    return ""


@router.invoke  # type: ignore[type-var]  # pyright: ignore[reportCallIssue, reportArgumentType]
def three(request: dict[str, Any], context: Context, times: int) -> str:
    return ""


router.invoke(3)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]


# The output is none.


async def outputs(request: ResponsesRequest) -> AsyncIterator[Output]:
    yield 5  # type: ignore[misc]  # pyright: ignore[reportReturnType]
    yield None  # type: ignore[misc]  # pyright: ignore[reportReturnType]
    yield b"text"  # type: ignore[misc]  # pyright: ignore[reportReturnType]
    yield Order(["tea"])  # type: ignore[misc]  # pyright: ignore[reportReturnType]
    yield request  # type: ignore[misc]  # pyright: ignore[reportReturnType]
