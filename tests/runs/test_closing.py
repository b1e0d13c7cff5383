"""If a run fails while its handler waits, the handler is cancelled and cleans up first."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import openai
import pytest

from agent_asgi import AgentApp, AgentRouter, Limits, ResponsesRequest, Timeouts
from agent_asgi.testing import AgentClient
from tests.support.apps import ask, started
from tests.support.calling import Serve, connect, streamed
from tests.support.stream_rules import check_stream

LITTLE = Limits(max_output_bytes=600)
STREAM: Any = ("/responses", {"input": "x", "stream": True})
"""Fewer bytes than the events before the first wait."""
seen: list[str] = []


async def waits(request: ResponsesRequest) -> AsyncIterator[str]:
    try:
        yield "Wait"
        await asyncio.sleep(60)
    finally:
        await asyncio.sleep(0.05)
        seen.append("ended")


async def gives_what_waits(request: ResponsesRequest) -> AsyncIterator[str]:
    return waits(request)


async def waits_for_its_own_task(request: ResponsesRequest) -> AsyncIterator[str]:
    task = asyncio.create_task(asyncio.sleep(60))
    yield "Wait"
    try:
        await task
    finally:
        await asyncio.sleep(0.05)
        seen.append("ended" if task.cancelled() else "left")


async def goes_on(request: ResponsesRequest) -> AsyncIterator[str]:
    try:
        yield "Wait"
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        yield "more"
    finally:
        await asyncio.sleep(0.05)
        seen.append("ended")


async def returns(request: ResponsesRequest) -> AsyncIterator[str]:
    yield "Wait"
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        seen.append("ended")


def in_a_thread(request: ResponsesRequest) -> Iterator[str]:
    try:
        yield "Wait"
        time.sleep(0.3)
        yield "more"
    finally:
        seen.append("ended")


def app_of(handler: Callable[..., Any], **options: Any) -> AgentApp:
    """Make an app with one handler, and clear what was seen."""
    router = AgentRouter()
    router.stream(handler)
    seen.clear()
    return AgentApp(router, **options)


def complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was logged as a warning or worse."""
    return [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    "handler", [waits, gives_what_waits, waits_for_its_own_task, goes_on, returns, in_a_thread]
)
def test_clean_up_comes_before_the_end(
    handler: Callable[..., Any], serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    client = connect(serve(app_of(handler, limits=LITTLE)))
    stream = client.responses.create(model="agent", input="x", stream=True)
    with pytest.raises(openai.APIError, match="600 bytes"):
        list(stream)  # raises as soon as the error has arrived
    assert seen == ["ended"]
    seen.clear()
    events = streamed(client, model="agent", input="x")
    check_stream(events)
    assert events[-1]["response"]["error"]["code"] == "output_too_large"
    assert seen == ["ended"]
    assert complaints(caplog) == []


def test_a_clean_up_that_hangs_is_bounded_and_told(caplog: pytest.LogCaptureFixture) -> None:
    async def hangs(request: ResponsesRequest) -> AsyncIterator[str]:
        try:
            yield "Wait"
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(60)

    answer = ask(app_of(hangs, limits=LITTLE, timeouts=Timeouts(cleanup=0.1)), *STREAM)
    assert answer.events()[-1]["response"]["error"]["code"] == "output_too_large"
    assert complaints(caplog) == ["Handler 'hangs' failed while it was being closed."]


def test_an_answer_that_cannot_be_sent(caplog: pytest.LogCaptureFixture) -> None:
    app = app_of(waits)

    async def fails(scope: Any, receive: Any, send: Any) -> None:
        async def broken(message: Any) -> None:
            raise RuntimeError("a server's own")

        await app(scope, receive, broken)

    async def main() -> None:
        async with started(app):
            with pytest.raises(RuntimeError, match="a server's own"):
                await AgentClient(fails).post("/responses", {"input": "x", "stream": True})

    asyncio.run(asyncio.wait_for(main(), 20))
    assert seen == ["ended"]
    assert "already running" not in caplog.text


def test_a_generator_that_is_abandoned_is_closed(caplog: pytest.LogCaptureFixture) -> None:
    async def ignores(request: ResponsesRequest) -> AsyncIterator[str]:
        yield "so far"
        try:
            while True:
                try:
                    await asyncio.sleep(60)
                except asyncio.CancelledError:
                    seen.append("ignored")
        finally:
            seen.append("ended")

    answer = ask(app_of(ignores, timeouts=Timeouts(run=0.1, cleanup=0.1)), *STREAM)
    assert answer.events()[-1]["response"]["error"]["code"] == "timeout"
    assert seen == ["ignored", "ended"]
    assert complaints(caplog) == [
        "Handler 'ignores' ignored its cancellation for 0.1 s and was abandoned."
    ]
