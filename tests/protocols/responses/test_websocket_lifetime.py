"""How WebSocket turns and connections end, and what they leave behind."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from agent_asgi import AgentApp, AgentRouter, Context, ResponsesRequest, Timeouts
from agent_asgi.store.conversation_store import Size
from agent_asgi.store.memory import MemoryStore
from agent_asgi.store.turn import NO_BOUND, Chain
from tests.support.servers import Server
from tests.support.slow_agent import SLOW, Seen, counting
from tests.support.stream_rules import check_stream
from tests.support.traces import traces
from tests.support.websocket_agent import Agent
from tests.support.websocket_client import (
    CLOSING,
    WAIT,
    connect,
    ended,
    read,
    read_url,
    refused,
    send,
    turn,
)

LIMIT = (400, "websocket_connection_limit_reached", None)
BLOCKS = 100
Serve = Callable[[Any], str]


def trace_of(agent: str) -> Any:
    """Wait for an agent's only trace; return it."""
    until = time.monotonic() + WAIT
    while not (found := traces(agent=agent)):
        assert time.monotonic() < until, f"{agent} left no trace"
        time.sleep(0.05)
    (trace,) = found
    return trace


def begin(ws: ClientConnection, **fields: Any) -> None:
    """Start a turn and read until its first text."""
    send(ws, "x", **fields)
    while json.loads(ws.recv(timeout=WAIT))["type"] != "response.output_text.delta":
        pass


def small(url: str) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
    made.connect(("127.0.0.1", int(url.rsplit(":", 1)[1])))
    return made


class Flood:
    """An agent that outputs more than the socket buffers hold, as fast as the client reads."""

    def __init__(self, name: str) -> None:
        self.router = AgentRouter(name)
        self.router.stream(self.reply)
        self.given = 0

    async def reply(self, request: ResponsesRequest) -> AsyncIterator[str]:
        for _ in range(1 if request.input_text == "short" else BLOCKS):
            self.given += 1
            yield "x" * 100_000
            await asyncio.sleep(0)


class Quiet:
    """An agent that is silent for a while, then answers; its app can be drained."""

    def __init__(self, seconds: float, store: MemoryStore | None = None) -> None:
        router = AgentRouter("ws-quiet")
        router.stream(self.reply)
        self.app = AgentApp(router, store=store)
        self.seconds = seconds
        self.cause: str | None = None
        self.over = threading.Event()
        self._loop: asyncio.AbstractEventLoop

    def drain(self) -> Any:
        return asyncio.run_coroutine_threadsafe(self.app.drain(), self._loop)

    async def reply(self, request: ResponsesRequest, context: Context) -> AsyncIterator[str]:
        self._loop = asyncio.get_running_loop()
        try:
            await asyncio.sleep(0 if request.input_text == "short" else self.seconds)
            yield "done"
        finally:
            self.cause = context.cancelled.cause
            self.over.set()


@pytest.mark.parametrize("politely", [True, False])
def test_a_client_that_leaves_in_mid_turn(serve: Serve, politely: bool) -> None:
    seen, name = Seen(), f"ws-left-{politely}"
    with connect(serve(AgentApp(counting(seen, name)))) as ws:
        begin(ws)
        ws.close() if politely else ws.socket.shutdown(socket.SHUT_RDWR)
        assert seen.done.wait(5)
    assert seen.cause == "client_disconnected"
    assert seen.ended - seen.began >= SLOW * 0.9
    trace = trace_of(name)
    assert trace.info.tags["agent_asgi.status"] == "cancelled"
    assert trace.data.spans[0].outputs["output"][0]["content"][0]["text"].startswith("0 ")


def test_a_client_that_leaves_before_its_run_begins(serve: Serve) -> None:
    class Slow(MemoryStore):
        async def chain(self, id: str, owner: str, most: Size = NO_BOUND) -> Chain:
            await asyncio.sleep(0.3)
            return await super().chain(id, owner, most)

    agent = Quiet(0.5, Slow())
    url = serve(agent.app)
    first = json.loads(read_url(f"{url}/responses", {"input": "short"}))
    agent.over.clear()
    with connect(url) as ws:
        send(ws, "x", previous_response_id=first["id"])
    agent.over.wait(2)
    assert agent.cause == "client_disconnected" or not agent.over.is_set()


def test_the_time_limit_of_an_idle_connection(serve: Serve) -> None:
    url = serve(AgentApp(Agent().router, timeouts=Timeouts(websocket=0.5)))
    begun = time.monotonic()
    with connect(url) as ws:
        turn(ws, "one")
        ended(ws, LIMIT)
    assert time.monotonic() - begun > 0.4


def test_the_time_limit_in_mid_turn(serve: Serve) -> None:
    seen = Seen()
    url = serve(AgentApp(counting(seen, "ws-limit"), timeouts=Timeouts(websocket=0.5)))
    with connect(url) as ws:
        send(ws, "x")
        send(ws, "never begun")
        response = check_stream(read(ws), cancelled=True)
        assert response["incomplete_details"] is None
        ended(ws, LIMIT)
    assert seen.cause == "shutdown"
    assert trace_of("ws-limit").info.tags["agent_asgi.status"] == "cancelled"


def test_the_time_limit_of_a_slow_reader(serve: Serve) -> None:
    url = serve(AgentApp(Flood("ws-late").router, timeouts=Timeouts(websocket=0.5)))
    with connect(url, sock=small(url), compression=None, max_size=None) as ws:
        send(ws, "x")
        time.sleep(1)
        check_stream(read(ws), cancelled=True)
        ended(ws, LIMIT)


def test_the_time_limit_of_a_client_that_reads_no_more() -> None:
    timeouts = Timeouts(websocket=0.5, cleanup=0.5)
    server = Server(AgentApp(Flood("ws-stuck").router, timeouts=timeouts))
    with connect(server.url, sock=small(server.url), compression=None) as ws:
        send(ws, "x")
        time.sleep(2.5)
        left = len(server._server.server_state.tasks)
        ws.socket.shutdown(socket.SHUT_RDWR)
    server.stop()
    assert left == 0


def test_a_slow_reader_slows_only_itself(serve: Serve) -> None:
    agent = Flood("ws-slow")
    url = serve(AgentApp(agent.router))
    with connect(url, sock=small(url), compression=None, max_size=None) as slow:
        send(slow, "x")
        given = -1
        while given != agent.given:
            given = agent.given
            time.sleep(0.5)
        assert 0 < given < BLOCKS
        with connect(url) as other:
            for _ in range(5):
                turn(other, "short")
        assert agent.given == given + 5
        text = check_stream(read(slow))["output"][0]["content"][0]["text"]
        assert len(text) == BLOCKS * 100_000


def test_the_servers_end_closes_connections() -> None:
    seen = Seen()
    server = Server(AgentApp(counting(seen, "ws-end")))
    with connect(server.url) as idle, connect(server.url) as busy:
        begin(busy)
        begun = time.monotonic()
        server.stop()
        assert time.monotonic() - begun < 20
        for ws in (idle, busy):
            with pytest.raises(ConnectionClosed, match="1012"):
                list(ws)
    assert seen.done.is_set()


def test_the_apps_end_closes_connections(serve: Serve) -> None:
    agent = Quiet(0.5)
    url = serve(agent.app)
    with connect(url) as idle, connect(url) as busy:
        turn(idle, "short")
        send(busy, "x")
        time.sleep(0.2)
        done = agent.drain()
        ended(idle, CLOSING)
        assert check_stream(read(busy))["status"] == "completed"
        ended(busy, CLOSING)
        done.result(WAIT)
    with connect(url) as ws:
        ended(ws, CLOSING)


def test_a_client_that_leaves_while_the_app_ends(serve: Serve) -> None:
    agent = Quiet(3)
    with connect(serve(agent.app)) as ws:
        turn(ws, "short")
        agent.over.clear()
        send(ws, "x")
        time.sleep(0.2)
        done = agent.drain()
        time.sleep(0.2)
    assert agent.over.wait(1)
    assert agent.cause == "client_disconnected"
    done.result(WAIT)


def test_a_conversation_is_locked(serve: Serve) -> None:
    seen = Seen()
    url = serve(AgentApp(counting(seen, "ws-lock")))
    with connect(url) as other:
        with connect(url) as ws:
            begin(ws, conversation="talk")
            assert refused(other, "x", conversation="talk") == (409, "conversation_locked", None)
        assert seen.done.wait(5)
        time.sleep(0.2)
        begin(other, conversation="talk")
