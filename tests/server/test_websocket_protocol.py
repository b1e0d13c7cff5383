"""A WebSocket client that sends pings and reads nothing is cut off."""

import base64
import contextlib
import os
import socket
from collections.abc import Iterator

import pytest

from agent_asgi import AgentApp
from agent_asgi.server.websocket_protocol import MAX_PONGS, WebSocketProtocol
from tests.support.calling import until
from tests.support.echo import echo
from tests.support.raw_http import connections
from tests.support.servers import Server, serving
from tests.support.websocket_client import connect, turn

PING = b"\x89\xfd" + b"mask" + b"p" * 125
"""A ping with the largest payload; its pong has 127 bytes."""
ENOUGH = 200_000


@contextlib.contextmanager
def upgraded(server: Server) -> Iterator[socket.socket]:
    """Open a raw WebSocket connection with a small receive buffer."""
    key = base64.b64encode(os.urandom(16))
    with connections(server.url) as (opened,):
        opened.sendall(
            b"GET /responses HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            b"sec-websocket-version: 13\r\nsec-websocket-key: %b\r\n\r\n" % key
        )
        assert opened.recv(12) == b"HTTP/1.1 101"
        yield opened


def test_pings_of_a_client_that_reads_nothing_end_its_connection() -> None:
    """Each pong stayed in memory: 223 MiB in 15 seconds."""
    with serving(AgentApp(echo()), ws=WebSocketProtocol) as server:
        with upgraded(server) as opened, pytest.raises(ConnectionError):
            opened.sendall(PING * ENOUGH)
        until(lambda: not server.state.connections and not server.state.tasks)


def test_pings_of_a_client_that_reads_are_answered() -> None:
    with serving(AgentApp(echo()), ws=WebSocketProtocol) as server:
        with upgraded(server) as opened:
            expected = 127 * 100
            for _ in range(2 * MAX_PONGS // expected + 1):
                opened.sendall(PING * 100)
                got = 0
                while got < expected:
                    got += len(opened.recv(65536))
        with connect(server.url) as ws:
            assert ws.ping().wait(10)
            assert turn(ws, "5")["output"][0]["content"][0]["text"] == "xxxxx"
