"""Large answers wait for their readers in pieces, and those from the store count."""

import json
import socket
from typing import Any

import pytest

from agent_asgi import AgentApp, Limits, Timeouts
from agent_asgi.testing import parse_frame
from tests.support.calling import connect, until
from tests.support.echo import echo
from tests.support.raw_http import connections, post, rest_of
from tests.support.servers import Server, serving

SIZE = 6_000_000
PIECES = 1 << 20
"""More than a piece and the server's own buffer."""


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode()


def ways(id: str, talk: str) -> list[str]:
    """Return the paths that read from the store."""
    return [
        f"/responses/{id}",
        f"/responses/{id}?stream=true",
        f"/responses/{id}/input_items",
        "/responses",
        f"/conversations/{talk}/items",
        "/conversations",
    ]


def stored(server: Server, **more: Any) -> tuple[str, str]:
    """Store a large response in a conversation; return the ids of both."""
    client = connect(server.url, timeout=60)
    talk = client.conversations.create().id
    return client.responses.create(input=str(SIZE), conversation=talk, **more).id, talk


def unread(server: Server) -> int:
    """Return the size of the largest write buffer of the server's connections."""
    return max(
        (each.transport.get_write_buffer_size() for each in server.state.connections), default=0
    )


def begun(opened: socket.socket) -> None:
    assert opened.recv(15, socket.MSG_PEEK) == b"HTTP/1.1 200 OK"


@pytest.mark.parametrize("way", [*range(2), 3, 4])
def test_a_large_stored_answer_is_sent_in_pieces(way: int) -> None:
    """The server's memory held all of it for as long as its client read nothing."""
    with serving(AgentApp(echo(), single_user=True)) as server:
        path = ways(*stored(server))[way]
        with connections(server.url) as (opened,):
            opened.sendall(get(path))
            begun(opened)
            assert until(lambda: unread(server)) < PIECES
            got = rest_of(opened)
        head, _, body = got.partition(b"\r\n\r\n")
        assert b"content-length: %d" % len(body) in head
        if way != 1:
            assert b"x" * SIZE in body
        else:
            assert parse_frame(body.split(b"\n\n")[-3])["type"] == "response.completed"  # type: ignore[index]


def test_a_large_answer_of_a_run_is_sent_in_pieces() -> None:
    with serving(AgentApp(echo())) as server, connections(server.url) as (opened,):
        opened.sendall(post(json.dumps({"input": str(SIZE)}).encode(), b"connection: close"))
        begun(opened)
        assert until(lambda: unread(server)) < PIECES
        assert b"x" * SIZE in rest_of(opened)


@pytest.mark.parametrize("logged", [False, True])
def test_answers_from_the_store_count_as_streams(logged: bool) -> None:
    """Only followed logs did: any number of clients could hold the rest in memory."""
    app = AgentApp(echo(), single_user=True, limits=Limits(max_streams=1))
    with serving(app) as server, connections(server.url) as (slow,):
        more: Any = {"extra_headers": {"idempotency-key": "k"}} if logged else {}
        id_, talk = stored(server, **more)
        slow.sendall(get(f"/responses/{id_}?stream=true"))
        begun(slow)
        until(lambda: unread(server))
        for path in ways(id_, talk):
            with connections(server.url) as (opened,):
                opened.sendall(get(path))
                got = rest_of(opened)
            assert got.startswith(b"HTTP/1.1 429 "), path
            assert b'"code":"too_many_streams"' in got
        assert connect(server.url).responses.cancel(id_).id == id_
        slow.close()
        for path in ways(id_, talk):
            until(lambda: server.state.connections, lambda found: not found)
            with connections(server.url) as (opened,):
                opened.sendall(get(path))
                assert rest_of(opened).startswith(b"HTTP/1.1 200 "), path


def test_a_reader_of_pieces_that_stops_is_cut_off() -> None:
    app = AgentApp(echo(), timeouts=Timeouts(write=0.3))
    with serving(app) as server, connections(server.url) as (opened,):
        id_, _ = stored(server)
        opened.sendall(get(f"/responses/{id_}"))
        until(lambda: unread(server))
        until(lambda: not server.state.connections and not server.state.tasks, seconds=30)
        with pytest.raises(ConnectionResetError):
            rest_of(opened)
