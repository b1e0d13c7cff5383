"""Headers that HTTP or a log cannot carry."""

import json

import pytest

from agent_asgi import AgentApp, AgentError, AgentRouter, ResponsesRequest
from tests.support.calling import Serve
from tests.support.echo import echo
from tests.support.raw_http import answered, post


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-a", "b\r\nset-cookie: c"),
        ("x-a", "\x00"),
        ("x-a", "\u20ac"),
        ("x a", "b"),
        ("x-a\r\nx-b", "c"),
        ("content-length", "3"),
        ("Transfer-Encoding", "chunked"),
    ],
)
def test_an_errors_header_that_http_cannot_carry(serve: Serve, name: str, value: str) -> None:
    router = AgentRouter()

    @router.invoke
    async def refuse(request: ResponsesRequest) -> str:
        raise AgentError("no\r\n\r\nno", 418, headers={name: value, "x-kept": "yes"})

    got = answered(serve(AgentApp(router)), post(b'{"input": "x"}', b"connection: close"))
    head, _, body = got.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 418 ")
    assert json.loads(body)["error"]["message"] == "no\r\n\r\nno"
    assert b"x-kept: yes" in head
    assert b"set-cookie" not in head
    assert head.count(b"content-length") == 1


@pytest.mark.parametrize("id_", [b"!", b"a~", b"'\"<>", b"x" * 200])
def test_a_request_id_is_echoed_and_nothing_more(serve: Serve, id_: bytes) -> None:
    sent = post(b"{}", b"x-request-id: " + id_, b"connection: close")
    assert b"\r\nx-request-id: " + id_ + b"\r\n" in answered(serve(AgentApp(echo())), sent)


@pytest.mark.parametrize("id_", [b"a\x80", b"a\x9b2J", b"\xff", b"a b", b"a\tb", b"x" * 201])
def test_a_request_id_that_a_log_may_not_carry_is_not_taken_over(serve: Serve, id_: bytes) -> None:
    sent = post(b"{}", b"x-request-id: " + id_, b"connection: close")
    got = answered(serve(AgentApp(echo())), sent)
    assert got.count(b"\r\nx-request-id: ") == 1
    assert b"\r\nx-request-id: req_" in got
    assert id_ not in got
