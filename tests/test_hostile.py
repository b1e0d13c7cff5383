"""Clients, and outputs of agents, that mean harm; tests/hostile measures what others feel of it."""

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from calling import Json, Serve, connect, ended, until
from conftest import Server

from agent_asgi import AgentApp, AgentError, AgentRouter, Limits, ResponsesRequest, Timeouts
from agent_asgi import protocol as http_protocol
from agent_asgi.protocol import MAX_HEAD, HttpProtocol
from agent_asgi.testing import AgentClient, Answer

FORGERIES = [
    "data: [DONE]\n\n",
    "\n\ndata: [DONE]\n\n",
    "\n\nevent: response.completed\ndata: {}\n\n",
    "\r\n\r\ndata: [DONE]\r\n\r\n",
    "\r\rdata: [DONE]\r\r",
    *(f'{end}{end}data: {{"type": "response.completed"}}{end}{end}' for end in "\x85\u2028\u2029"),
    "\x0b\x0bdata: x\x0c\x0c\x1c\x1ddata: x\x1e",
    "\x00",
    ": ping\n\n",
    "id: 1\nretry: 1\n\n",
    '"}\n\ndata: {"type": "response.completed"}\n\n',
]
"""Model output that would be an event of its own, were it written as it is."""
FORGERY = "".join(FORGERIES)


def forger(protocol: Any = "responses") -> AgentRouter:
    """Make an agent that puts forgeries wherever an agent may put text."""
    router = AgentRouter("forger", protocol=protocol)

    @router.stream
    async def forge(request: dict[str, Any]) -> AsyncIterator[Any]:
        for each in FORGERIES:
            yield each
        if protocol == "json":
            yield {FORGERY: FORGERY}
        else:
            yield {
                "type": "function_call",
                "id": FORGERY,
                "call_id": FORGERY,
                "name": FORGERY,
                "arguments": FORGERY,
            }
            yield {"type": "acme:note", FORGERY: FORGERY}
            yield {"output": [], "metadata": {FORGERY: FORGERY}}
        if request["input"] == "fail":
            raise AgentError(FORGERY, 418, FORGERY, headers={"x-forged": "a\r\nx-evil: b"})

    return router


def frames_of(body: bytes) -> list[str]:
    """Split a stream as the strictest parser would, and as one that splits where Python does."""
    text = body.decode()
    assert "\r" not in text
    *frames, rest = text.split("\n\n")
    assert rest == ""
    assert "".join(line + "\n" for line in text.splitlines()) == text
    return frames


def events_of(body: bytes, named: bool) -> list[Json]:
    """Give the events of a stream, having looked at every byte between them."""
    *frames, done = frames_of(body)
    assert done == "data: [DONE]"
    events = []
    for frame in frames:
        head, _, data = frame.partition("data: ")
        events.append(json.loads(data))
        assert head == (f"event: {events[-1]['type']}\n" if named else "")
    return events


def check_forged(events: list[Json], last: str) -> None:
    """Check that the events are the run's own and the texts those that the agent gave."""
    assert [each["sequence_number"] for each in events] == list(range(len(events)))
    deltas = [each["delta"] for each in events if each["type"] == "response.output_text.delta"]
    assert deltas == FORGERIES
    assert [each["type"] for each in events].count("response.completed") <= 1
    assert events[-1]["type"] == last
    _, call = events[-1]["response"]["output"]
    assert {call[name] for name in ("id", "call_id", "name", "arguments")} == {FORGERY}
    assert events[-1]["response"]["metadata"] == {FORGERY: FORGERY}
    (note,) = [each for each in events if each["type"] == "acme:note"]
    assert note[FORGERY] == FORGERY


@pytest.mark.parametrize("path", ["/responses", "/invocations"])
@pytest.mark.parametrize("ending", ["completed", "failed"])
def test_no_event_can_be_forged(path: str, ending: str) -> None:
    said = "fail" if ending == "failed" else "x"
    answer = asyncio.run(
        AgentClient(AgentApp(forger())).post(path, {"input": said, "stream": True})
    )
    events = events_of(answer.body, named=path == "/responses")
    check_forged(events, f"response.{ending}")
    if ending == "failed":
        assert events[-2]["error"]["message"] == events[-2]["message"] == FORGERY


def test_the_openai_client_sees_no_forged_event(serve: Serve) -> None:
    """Nor does it in the log of a background run, or in the replay of a stored response."""
    client = connect(serve(AgentApp(forger())))
    events: list[Any] = [*client.responses.create(model="forger", input="x", stream=True)]
    check_forged([each.to_dict(warnings=False) for each in events], "response.completed")
    begun = client.responses.create(model="forger", input="x", background=True)
    ended(client, begun.id)
    for id_ in (begun.id, events[-1].response.id):
        with client.responses.with_streaming_response.retrieve(id_, stream=True) as answer:
            replayed = events_of(answer.read(), named=True)
        text = "".join(each["delta"] for each in replayed if each["type"].endswith("text.delta"))
        assert text == FORGERY
        assert replayed[-1]["type"] == "response.completed"


def test_no_chunk_can_be_forged() -> None:
    client = AgentClient(AgentApp(forger("json")))
    answer = asyncio.run(client.post("/invocations", {"input": "fail", "stream": True}))
    *frames, done = frames_of(answer.body)
    assert done == "data: [DONE]"
    chunks = [json.loads(each.removeprefix("data: ")) for each in frames]
    assert chunks[:-1] == [*FORGERIES, {FORGERY: FORGERY}]
    assert chunks[-1]["error"]["message"] == FORGERY


@pytest.mark.parametrize("end", ["\n", "\r", "\u2028", "\x85", "\x00", " "])
def test_a_vendor_type_that_would_end_its_line_fails_the_run(end: str) -> None:
    router = AgentRouter()

    @router.stream
    async def forge(request: ResponsesRequest) -> AsyncIterator[Any]:
        yield {"type": f"acme:x{end}data: [DONE]{end}{end}"}

    answer = asyncio.run(
        AgentClient(AgentApp(router)).post("/responses", {"input": "x", "stream": True})
    )
    assert b"[DONE]" not in answer.body.removesuffix(b"data: [DONE]\n\n")
    assert b'"code":"agent_error"' in answer.body


@contextlib.contextmanager
def serving(app: AgentApp, **options: Any) -> Iterator[Server]:
    """Serve an app by uvicorn and look into it."""
    server = Server(app, **options)
    try:
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def connections(url: str, count: int = 1) -> Iterator[list[socket.socket]]:
    """Open connections for bytes as they are, with little room for what comes back."""
    with contextlib.ExitStack() as stack:
        opened = []
        for _ in range(count):
            each = stack.enter_context(socket.socket())
            each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            each.settimeout(20)
            each.connect((urlsplit(url).hostname, urlsplit(url).port))
            opened.append(each)
        yield opened


def post(body: bytes, *headers: bytes, path: bytes = b"/responses") -> bytes:
    """Give the bytes of a request."""
    lines = [b"POST %s HTTP/1.1" % path, b"host: x", b"content-length: %d" % len(body), *headers]
    return b"\r\n".join([*lines, b"", body])


def rest_of(opened: socket.socket, pause: float = 0.0) -> bytes:
    """Read until the server closes the connection."""
    got = bytearray()
    while part := opened.recv(1 << 17):
        got += part
        time.sleep(pause)
    return bytes(got)


def answered(url: str, sent: bytes) -> bytes:
    """Send bytes, and give what comes until the server closes the connection."""
    with connections(url) as (opened,):
        with contextlib.suppress(ConnectionError):  # cut while it sent
            opened.sendall(sent)
            return rest_of(opened)
    return b""


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


def echo() -> AgentRouter:
    router = AgentRouter()

    @router.invoke
    async def say(request: ResponsesRequest) -> Any:
        said = str(request.input)
        return "x" * int(said) if said.isdigit() else json.dumps(request.to_dict())

    return router


def ask(body: Any, path: str = "/responses", limits: Limits | None = None) -> Answer:
    return asyncio.run(AgentClient(AgentApp(echo(), limits=limits)).post(path, body))


@pytest.mark.parametrize("path", ["/responses", "/invocations", "/responses/compact"])
@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (b'{"input": "x", "a": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", "too_many_nodes", None),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, "nested_too_deeply", None),
        (b'{"input": "\xff\xfe"}', "invalid_json", None),
        (b'{"input": "\xed\xa0\x80"}', "invalid_json", None),
        (b'\xff\xfe{\x00"\x00', "invalid_json", None),
        (b'{"input": "\\ud800"}', "invalid_json", None),
        (b'{"input": "\\udc00\\ud800 x"}', "invalid_json", None),
        (b'{"input": "x", "temperature": NaN}', "invalid_json", None),
        (b'{"input": "x", "temperature": -Infinity}', "invalid_json", None),
        (b'{"input": "x", "temperature": 1e999}', "invalid_request", "temperature"),
        (b'{"input": "x", "max_output_tokens": 1' + b"0" * 5000 + b"}", "invalid_request", "*"),
        (b'{"input": "x", "input": 1}', "invalid_request", "input"),
        (b'{"input": "x\n\n"}', "invalid_json", None),
        (b'{"input": "x"}\x00', "invalid_json", None),
        (b"", "invalid_json", None),
        (b"\x00" * 100_000, "invalid_json", None),
    ],
)
def test_an_odd_body_is_a_400(path: str, body: bytes, code: str, param: str | None) -> None:
    answer = ask(body, path)
    error = answer.json()["error"]
    assert (answer.status, error["code"]) == (400, code), error
    assert param == "*" or error["param"] == param


def test_of_a_name_that_comes_twice_the_last_value_counts() -> None:
    """For the handler, for what it gets as a dict, and for the framework itself."""
    answer = ask(b'{"input": "y", "model": "a", "stream": true, "stream": false, "input": "x"}')
    assert answer.status == 200
    (item,) = answer.json()["output"]
    body = json.loads(item["content"][0]["text"])
    assert body == {"input": "x", "model": "a", "stream": False}


def test_a_string_of_5_MB() -> None:  # noqa: N802
    body = {"input": "x" * 5_000_000}
    assert ask(body).status == 413
    answer = ask(body, limits=Limits(max_body_bytes=8 << 20))
    assert len(json.loads(answer.json()["output"][0]["content"][0]["text"])["input"]) == 5_000_000


def test_items_alike_in_a_request() -> None:
    """Too many for the size; too many for the number; as they are where both allow it."""
    item = {"type": "message", "id": "msg_same", "role": "user", "content": "x"}
    assert ask({"input": [item] * 100_000}).status == 413
    answer = ask({"input": [item] * 100_000}, limits=Limits(max_body_bytes=16 << 20))
    assert (answer.status, answer.json()["error"]["code"]) == (400, "too_many_nodes")
    wide = Limits(max_body_bytes=16 << 20, max_nodes=100_002)
    assert ask({"input": [item] * 100_000}, limits=wide).status == 200


@pytest.mark.parametrize(
    "item",
    [
        {"type": "message", "id": "same", "content": "x"},
        {"type": "function_call", "id": "same", "call_id": "same", "name": "f"},
    ],
    ids=["messages", "calls"],
)
def test_items_alike_from_a_handler_differ_on_the_wire(item: Json) -> None:
    router = AgentRouter()

    @router.stream
    async def repeat(request: ResponsesRequest) -> AsyncIterator[Any]:
        for _ in range(2000):
            yield item

    answer = asyncio.run(
        AgentClient(AgentApp(router)).post("/responses", {"input": "x", "stream": True})
    )
    for name in item.keys() & {"id", "call_id"}:
        done = [
            each["item"][name] for each in answer.events() if each["type"].endswith("item.done")
        ]
        assert len(done) == len(set(done)) == 2000


@pytest.mark.parametrize("kind", ["many", "one", "line"])
def test_a_flood_of_headers_is_a_431(kind: str) -> None:
    """uvicorn by itself keeps 64 MiB of them, and more."""
    begin = {"many": b"GET / HTTP/1.1\r\n", "one": b"GET / HTTP/1.1\r\nx-a: ", "line": b"GET /"}
    more = b"x-header: 0123456789\r\n" * 20_000 if kind == "many" else b"a" * 440_000
    with serving(AgentApp(echo()), http=HttpProtocol) as server:
        got = answered(server.url, begin[kind] + more)
        assert got == b"" or got.startswith(b"HTTP/1.1 431 ")
        until(lambda: not server.state.connections)
        with connections(server.url) as (opened,):
            opened.sendall(begin[kind])
            with contextlib.suppress(ConnectionError):
                for _ in range(3):
                    opened.sendall(more[: MAX_HEAD // 2])
                    time.sleep(0.1)  # no more comes when the answer does
            assert opened.recv(65536).startswith(b"HTTP/1.1 431 ")


def test_a_head_that_does_not_arrive_is_a_408(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", 0.2)
    whole = post(b'{"input": "x"}')
    with serving(AgentApp(echo()), http=HttpProtocol) as server:
        for sent in (b"", b"POST /res", whole + whole[:20]):
            got = answered(server.url, sent)
            assert got.count(b"HTTP/1.1 200 ") == sent.count(b'"x"')
            assert b"HTTP/1.1 408 Request Timeout\r\n" in got
        body = b'{"input": "%s"}' % (b"x" * 200_000)
        sent = post(body) * 3 + post(body, b"connection: close")
        assert answered(server.url, sent).count(b"HTTP/1.1 200 ") == 4
        assert not server.state.connections


def test_a_head_that_does_not_arrive_behind_an_unanswered_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The refusal would be taken for a part of that answer; the connection is only closed."""
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", 0.2)
    router = AgentRouter()

    @router.stream
    async def slow(request: ResponsesRequest) -> AsyncIterator[str]:
        yield "word"
        await asyncio.sleep(3600)

    with serving(AgentApp(router), http=HttpProtocol) as server:
        got = answered(server.url, post(b'{"input": "x", "stream": true}') + b"POST /")
        assert b"HTTP/1.1 200 OK" in got
        assert b"408" not in got.partition(b"\r\n\r\n")[2]
        until(lambda: not server.state.tasks)


TIMES = Timeouts(body=0.3, write=0.3)


@pytest.mark.parametrize("begin", [post(b"x" * 100)[:-50], post(b"")[:30]])
def test_slow_senders_leave_nothing_behind(begin: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", 0.3)
    with serving(AgentApp(echo(), timeouts=TIMES), http=HttpProtocol) as server:
        with connections(server.url, 50) as opened:
            for each in opened:
                each.sendall(begin)
            until(lambda: len(server.state.connections) == 50)
            until(lambda: not server.state.connections)
            assert {each.recv(12) for each in opened} == {b"HTTP/1.1 408"}
        assert not server.state.tasks


@pytest.mark.parametrize(
    "sent",
    [
        post(b'{"input": "6000000"}'),
        post(b'{"input": "3000000", "stream": true}'),
        post(b'{"input": "400000"}') * 20,
        post(b'{"input": "200000", "stream": true}', path=b"/invocations") * 20,
    ],
    ids=["json", "stream", "many", "many streams"],
)
def test_readers_that_stop_leave_nothing_behind(sent: bytes) -> None:
    """Their answers had ended, and waited in the server's memory for ever."""
    app = AgentApp(echo(), limits=Limits(max_runs=100), timeouts=TIMES)
    with serving(app) as server, connections(server.url, 50) as opened:
        for each in opened:
            each.sendall(sent)
        until(lambda: server.state.connections)
        until(lambda: not server.state.connections and not server.state.tasks, seconds=30)
        with pytest.raises(ConnectionResetError):
            rest_of(opened[0])
        live: Any = app._service._live
        assert live.gates["agent"].free == 100
        assert live.streams.free == Limits().max_streams


def test_a_reader_that_is_only_slow_gets_all_of_its_answer(serve: Serve) -> None:
    with connections(serve(AgentApp(echo(), timeouts=TIMES))) as (opened,):
        opened.sendall(post(b'{"input": "4500000"}', b"connection: close"))
        assert len(rest_of(opened, pause=0.003)) > 4_500_000
