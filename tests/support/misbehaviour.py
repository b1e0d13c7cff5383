"""Handlers that misbehave in every way, and some that recover."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from agent_asgi import ResponsesRequest

CIRCLE: list[Any] = []
CIRCLE.append(CIRCLE)


async def raises_at_once(request: ResponsesRequest) -> AsyncIterator[Any]:
    raise ValueError("a secret")
    yield


async def raises_in_a_message(request: ResponsesRequest) -> AsyncIterator[Any]:
    yield "so far"
    raise ValueError("a secret")


async def raises_after_a_wait(request: ResponsesRequest) -> AsyncIterator[Any]:
    yield "so far"
    await asyncio.sleep(0.01)
    raise ValueError("a secret")


async def raises_in_an_arguments_delta(request: ResponsesRequest) -> AsyncIterator[Any]:
    yield {"type": "response.function_call_arguments.delta", "item_id": "f", "delta": "{"}
    raise ValueError("a secret")


async def raises_while_it_is_closed(request: ResponsesRequest) -> AsyncIterator[Any]:
    try:
        yield "so far"
        yield object()
    finally:
        raise ValueError("a secret")


async def raises_while_it_cleans_up(request: ResponsesRequest) -> AsyncIterator[Any]:
    try:
        yield "so far"
        await asyncio.sleep(3600)
    finally:
        raise ValueError("a secret")


async def raises_what_cannot_be_told(request: ResponsesRequest) -> AsyncIterator[Any]:
    yield "so far"
    raise Unspeakable


class Unspeakable(Exception):
    """A handler's error that cannot be converted to a string."""

    def __str__(self) -> str:
        raise RuntimeError("an error that cannot be told")


async def raises_a_group(request: ResponsesRequest) -> AsyncIterator[Any]:
    yield "so far"
    async with asyncio.TaskGroup() as group:
        group.create_task(_fails())
        await asyncio.sleep(3600)


async def _fails() -> None:
    raise ValueError("a secret")


async def raises_a_cancellation_of_its_own(request: ResponsesRequest) -> AsyncIterator[Any]:
    yield "so far"
    raise asyncio.CancelledError


async def never_returns(request: ResponsesRequest) -> AsyncIterator[Any]:
    yield "so far"
    await asyncio.sleep(3600)


async def never_says_a_word(request: ResponsesRequest) -> AsyncIterator[Any]:
    await asyncio.Event().wait()
    yield


async def ignores_its_cancellation(request: ResponsesRequest) -> AsyncIterator[Any]:
    yield "so far"
    for _ in range(100):
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(3600)


async def goes_on_after_its_cancellation(request: ResponsesRequest) -> AsyncIterator[Any]:
    yield "so far"
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        for _ in range(100):
            yield "more"


async def yields_for_ever_after_its_cancellation(request: ResponsesRequest) -> AsyncIterator[Any]:
    while True:
        try:
            yield "word "
            await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            yield "no"


async def recurses(request: ResponsesRequest) -> AsyncIterator[Any]:
    def deeper() -> Any:
        return deeper()

    yield "so far"
    yield deeper()


def recurses_in_a_thread(request: ResponsesRequest) -> Iterator[Any]:
    yield "so far"
    yield from recurses_in_a_thread(request)


def raises_in_a_thread(request: ResponsesRequest) -> Iterator[Any]:
    yield "so far"
    raise ValueError("a secret")


def stops_by_stop_iteration(request: ResponsesRequest) -> Iterator[Any]:
    yield "so far"
    raise StopIteration("a secret")


def leaving_by(error: BaseException) -> dict[str, Callable[[ResponsesRequest], Any]]:
    """Make handlers of all kinds that raise what would end a task, a thread or the process."""

    async def in_a_stream(request: ResponsesRequest) -> AsyncIterator[Any]:
        yield "so far"
        raise error

    async def after_a_wait(request: ResponsesRequest) -> AsyncIterator[Any]:
        yield "so far"
        await asyncio.sleep(0.01)
        raise error

    async def in_a_coroutine(request: ResponsesRequest) -> str:
        raise error

    def in_a_thread(request: ResponsesRequest) -> Iterator[Any]:
        yield "so far"
        raise error

    handlers = in_a_stream, after_a_wait, in_a_coroutine, in_a_thread
    return {f"{type(error).__name__} {each.__name__}": each for each in handlers}


def garbage(value: Callable[[], Any]) -> Callable[[ResponsesRequest], Any]:
    """Make a handler that returns a value no handler may return."""

    async def gives_garbage(request: ResponsesRequest) -> AsyncIterator[Any]:
        yield "so far"
        yield value()

    return gives_garbage


FAILS: dict[str, Callable[..., Any]] = {
    each.__name__: each
    for each in (
        raises_at_once,
        raises_in_a_message,
        raises_after_a_wait,
        raises_in_an_arguments_delta,
        raises_while_it_is_closed,
        raises_what_cannot_be_told,
        raises_a_group,
        recurses,
        recurses_in_a_thread,
        raises_in_a_thread,
        stops_by_stop_iteration,
    )
} | {
    f"gives {name}": garbage(value)
    for name, value in {
        "an object": object,
        "a number": lambda: 7,
        "bytes": lambda: b"bytes",
        "a class": lambda: ResponsesRequest,
        "an empty dict": dict,
        "a circle": lambda: {"type": "acme:x", "of": CIRCLE},
        "a set": lambda: {1, 2},
        "an item without its fields": lambda: {"type": "function_call"},
        "an item of wrong fields": lambda: {"type": "message", "content": 7},
        "an event of wrong fields": lambda: {"type": "response.output_text.delta", "delta": 7},
        "an item that is no item": lambda: {"type": "response.output_item.added", "item": "x"},
        "a type that is no name": lambda: {"type": "acme:x\n\ndata: [DONE]", "id": None},
        "what cannot be JSON": lambda: {"type": "acme:x", "of": object()},
    }.items()
}
LEAVES = (
    leaving_by(SystemExit("a secret"))
    | leaving_by(KeyboardInterrupt("a secret"))
    | leaving_by(GeneratorExit("a secret"))
    | leaving_by(BaseExceptionGroup("a secret", [SystemExit("a secret")]))
    | leaving_by(StopIteration("a secret"))
    | leaving_by(StopAsyncIteration("a secret"))
)
TIMED_OUT: dict[str, Callable[..., Any]] = {
    each.__name__: each
    for each in (
        raises_while_it_cleans_up,
        never_returns,
        never_says_a_word,
        ignores_its_cancellation,
        goes_on_after_its_cancellation,
        yields_for_ever_after_its_cancellation,
    )
}


async def recovers_from_a_group(request: ResponsesRequest) -> AsyncIterator[Any]:
    """Python 3.11 and 3.12 leave a count of cancellations behind here."""
    yield "so far"
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_fails())
            group.create_task(asyncio.sleep(3600))
    except* ValueError:
        pass
    await asyncio.sleep(0.01)
    yield ", recovered"


async def recovers_from_a_group_in_a_coroutine(request: ResponsesRequest) -> str:
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(3600))
            group.create_task(_fails())
    except* ValueError:
        pass
    return "so far, recovered"


async def recovers_from_a_timeout(request: ResponsesRequest) -> AsyncIterator[Any]:
    yield "so far"
    try:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(3600)
    except TimeoutError:
        yield ", recovered"


async def recovers_from_a_cancelled_tool(request: ResponsesRequest) -> AsyncIterator[Any]:
    yield "so far"
    tool = asyncio.create_task(asyncio.sleep(3600))
    tool.cancel()
    try:
        await tool
    except asyncio.CancelledError:
        yield ", recovered"


def recovers_in_a_thread(request: ResponsesRequest) -> Iterator[Any]:
    yield "so far"
    try:
        _exits()
    except SystemExit:
        yield ", recovered"


def _exits() -> None:
    sys.exit(3)


RECOVERS: dict[str, Callable[..., Any]] = {
    each.__name__: each
    for each in (
        recovers_from_a_group,
        recovers_from_a_group_in_a_coroutine,
        recovers_from_a_timeout,
        recovers_from_a_cancelled_tool,
        recovers_in_a_thread,
    )
}
"""These end with the text "so far, recovered"."""
