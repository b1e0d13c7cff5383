"""When a client leaves, the handler cleans up, the trace is complete and nothing is left over."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio
import pytest

from agent_asgi import AgentApp, AgentRouter, Context, ResponsesRequest, Timeouts
from agent_asgi.testing import AgentClient
from tests.support.apps import started
from tests.support.raw_http import leave
from tests.support.slow_agent import SLOW, Seen, counting
from tests.support.stream_rules import check_stream
from tests.support.traces import traces


@pytest.mark.parametrize(
    ("name", "body", "after"),
    [
        ("leaves-stream", b'{"input": "x", "stream": true}', b'"delta":"2 "'),
        ("leaves-json", b'{"input": "x"}', b""),
    ],
)
def test_leaving_cancels_and_cleans_up(
    serve: Callable[[Any], str], name: str, body: bytes, after: bytes
) -> None:
    seen = Seen()
    url = serve(AgentApp(counting(seen, name)))
    leave(url, body, after) if after else leave_json(url, body)
    assert seen.done.wait(5), "the handler would go on for 10 s"
    assert seen.ended - seen.began >= SLOW * 0.9
    assert seen.cause == "client_disconnected"
    time.sleep(0.3)
    (trace,) = traces(agent=name)
    assert trace.info.tags["agent_asgi.status"] == "cancelled"
    text = trace.data.spans[0].outputs["output"][0]["content"][0]["text"]
    assert text.startswith("0 1 2 ")
    assert "999" not in text


def leave_json(url: str, body: bytes) -> None:
    """POST over a bare socket, wait a moment, close without an answer."""
    port = int(url.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        head = f"POST /responses HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        time.sleep(1)


def test_nothing_is_left_running() -> None:
    seen = Seen()

    async def main() -> set[str]:
        async with started(AgentApp(counting(seen, "left"))) as app:
            before = asyncio.all_tasks()
            async with AgentClient(app).stream("/responses", {"input": "x", "stream": True}) as it:
                async for _ in it.each_event():
                    if b"2 " in it.body:
                        break
            await asyncio.sleep(0)
            return {each.get_name() for each in asyncio.all_tasks() - before}

    assert asyncio.run(main()) == set()
    assert seen.ended > seen.began > 0


def test_a_sync_generator_ends_at_its_next_yield() -> None:
    router = AgentRouter("sync-left")
    causes: list[Any] = []

    @router.stream
    def count(request: ResponsesRequest, context: Context) -> Iterator[str]:
        try:
            for number in range(1000):
                yield f"{number} "
                time.sleep(0.01)
        finally:
            causes.append(context.cancelled.cause)

    async def main() -> None:
        async with started(AgentApp(router)) as app:
            async with AgentClient(app).stream("/responses", {"input": "x", "stream": True}) as it:
                async for _ in it.each_event():
                    if b'"2 "' in it.body:
                        break

    asyncio.run(main())
    assert causes == ["client_disconnected"]
    (trace,) = traces(agent="sync-left")
    assert trace.info.tags["agent_asgi.status"] == "cancelled"


def test_a_stubborn_handler_is_abandoned(caplog: pytest.LogCaptureFixture) -> None:
    router = AgentRouter("stubborn")
    tries: list[int] = []

    @router.invoke
    async def stubborn(request: ResponsesRequest) -> str:
        while len(tries) < 100:
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                tries.append(1)
        return "never"

    async def main() -> float:
        app = AgentApp(router, timeouts=Timeouts(cleanup=0.2))
        async with started(app), AgentClient(app).stream("/responses", {"input": "x"}) as answer:
            await asyncio.sleep(0.1)
            begun = time.monotonic()
            await answer.disconnect()
            async for _ in answer.bodies():
                pass
            return time.monotonic() - begun

    assert asyncio.run(main()) < 9
    assert len(tries) == 1
    assert "ignored its cancellation" in caplog.text


def test_the_hosts_repeated_cancel_reaches_the_handler_once() -> None:
    seen = Seen()
    app = AgentApp(counting(seen, "host-cancels"))

    async def main() -> None:
        async with started(app):
            client = AgentClient(host)
            async with client.stream("/responses", {"input": "x", "stream": True}) as it:
                async for _ in it.bodies():
                    pass
            events = it.events()
            check_stream(events, cancelled=True)
            assert events[-1]["response"]["incomplete_details"] is None

    async def host(scope: Any, receive: Any, send: Any) -> None:
        with anyio.move_on_after(0.2):
            await app(scope, receive, send)

    asyncio.run(main())
    assert seen.ended > 0
    assert seen.ended - seen.began >= SLOW * 0.9


def test_a_handlers_own_timeout_is_its_own_affair() -> None:
    router = AgentRouter("patient")

    @router.stream
    async def patient(request: ResponsesRequest, context: Context) -> AsyncIterator[str]:
        for limit in (asyncio.timeout(0.05), anyio.fail_after(0.05)):
            try:
                if isinstance(limit, asyncio.Timeout):
                    async with limit:
                        await asyncio.sleep(5)
                else:
                    with limit:
                        await anyio.sleep(5)
            except TimeoutError:
                await asyncio.sleep(0.3)
                yield "caught "
        assert not context.cancelled.is_set()

    async def main() -> Any:
        app = AgentApp(router, timeouts=Timeouts(cleanup=0.1))
        async with started(app):
            return (await AgentClient(app).post("/responses", {"input": "x"})).json()

    assert asyncio.run(main())["output"][0]["content"][0]["text"] == "caught caught "


def test_a_cancel_while_sending_reaches_the_handler() -> None:
    seen = Seen()
    app = AgentApp(counting(seen, "sends"))
    stuck = asyncio.Event()

    async def main() -> None:
        inbox: asyncio.Queue[Any] = asyncio.Queue()
        body = b'{"input": "x", "stream": true}'
        await inbox.put({"type": "http.request", "body": body, "more_body": False})
        bodies = []

        async def send(message: Any) -> None:
            bodies.append(message)
            if len(bodies) == 4:
                stuck.set()
                await asyncio.sleep(30)  # a client that has stopped reading

        scope = AgentClient(app)._scope("POST", "/responses", {}, len(body))
        async with started(app):
            task = asyncio.create_task(app(scope, inbox.get, send))
            await stuck.wait()
            await inbox.put({"type": "http.disconnect"})
            await asyncio.wait_for(task, 5)

    asyncio.run(main())
    assert seen.cause == "client_disconnected"
    assert seen.ended - seen.began >= SLOW * 0.9


def test_a_handler_that_hangs_while_it_is_closed_is_bounded(
    caplog: pytest.LogCaptureFixture,
) -> None:
    router = AgentRouter("hangs")

    @router.stream
    async def hangs(request: ResponsesRequest) -> AsyncIterator[Any]:
        try:
            yield 3.5  # unsupported: the run fails and closes the handler
        finally:
            await asyncio.sleep(30)

    async def main() -> float:
        app = AgentApp(router, timeouts=Timeouts(cleanup=0.2))
        async with started(app):
            begun = time.monotonic()
            answer = await AgentClient(app).post("/responses", {"input": "x"})
            assert (answer.status, answer.json()["error"]["code"]) == (500, "agent_error")
            return time.monotonic() - begun

    assert asyncio.run(main()) < 20
    assert "failed while it was being closed" in caplog.text


def test_waiting_for_the_cancellation() -> None:
    router = AgentRouter("waiter")
    causes: list[Any] = []

    @router.invoke
    async def waiter(request: ResponsesRequest, context: Context) -> str:
        async def wait() -> None:
            await context.cancelled.wait()
            causes.append(context.cancelled.cause)

        task = asyncio.create_task(wait())
        try:
            await asyncio.sleep(10)
        finally:
            await task
        return ""

    async def main() -> None:
        app = AgentApp(router, timeouts=Timeouts(run=0.1))
        async with started(app):
            answer = await AgentClient(app).post("/responses", {"input": "x"})
            assert (answer.status, answer.json()["error"]["code"]) == (504, "timeout")

    asyncio.run(main())
    assert causes == ["timeout"]
