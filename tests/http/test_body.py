"""What an app reads from a request, and what else may arrive."""

import asyncio
import json
from typing import Any

import pytest

from agent_asgi import AgentApp, AgentError, AgentRouter, Limits, ResponsesRequest
from agent_asgi.testing import AgentClient, Answer
from tests.support.apps import ask_unstarted, started
from tests.support.echo import echo


def app(**options: Any) -> AgentApp:
    """Make an app whose agent returns its input."""
    router = AgentRouter()

    @router.invoke
    async def say(request: ResponsesRequest) -> str:
        return request.input_text

    return AgentApp(router, **options)


def send_parts(target: AgentApp, parts: list[dict[str, Any]]) -> list[Any]:
    """Send a body in parts, without a length; return the messages of the answer."""

    async def main() -> list[Any]:
        inbox: asyncio.Queue[Any] = asyncio.Queue()
        for part in parts:
            await inbox.put(part)
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        scope = AgentClient(target)._scope("POST", "/responses", {}, 0)
        scope["headers"] = [(b"x-request-id", b"")]
        async with started(target):
            await asyncio.wait_for(target(scope, inbox.get, send), 10)
        return sent

    return asyncio.run(main())


def part(body: bytes, *, more: bool = True) -> dict[str, Any]:
    """Return a message that carries a part of a body."""
    return {"type": "http.request", "body": body, "more_body": more}


def test_a_body_in_parts() -> None:
    sent = send_parts(app(), [part(b'{"input": '), part(b'"x'), part(b'y"}', more=False)])
    assert sent[0]["status"] == 200
    assert b'"text":"xy"' in sent[1]["body"]
    assert (b"x-request-id", b"") not in sent[0]["headers"]


def test_a_body_that_grows_too_large_is_refused_at_once() -> None:
    sent = send_parts(app(limits=Limits(max_body_bytes=10)), [part(b"x" * 8), part(b"x" * 8)])
    assert sent[0]["status"] == 413


def test_a_body_without_a_length_that_is_too_large() -> None:
    target = app(limits=Limits(max_body_bytes=10))
    assert send_parts(target, [part(b"x" * 20, more=False)])[0]["status"] == 413


def test_a_client_that_leaves_before_its_body_has_come() -> None:
    assert send_parts(app(), [part(b"{"), {"type": "http.disconnect"}]) == []


def test_a_websocket_elsewhere_is_closed() -> None:
    async def main() -> list[Any]:
        sent: list[Any] = []
        scope = AgentClient(app())._scope("GET", "/health", {}, 0) | {"type": "websocket"}

        async def receive() -> Any:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await app()(scope, receive, send)
        return sent

    assert asyncio.run(main())[0]["type"] == "websocket.close"


def test_a_middleware_that_fails_is_a_500_in_our_form() -> None:
    class Fails:
        def __init__(self, inner: Any) -> None:
            self.inner = inner

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            raise ValueError("a secret")

    from starlette.middleware import Middleware

    client = AgentClient(app(middleware=[Middleware(Fails)]))

    async def main() -> Any:
        async with client.stream("/responses", {"input": "x"}) as answer:
            async for _ in answer.bodies():
                pass
            seen.append(answer)

    seen: list[Any] = []
    with pytest.raises(ValueError, match="a secret"):
        asyncio.run(main())
    assert seen[0].status == 500
    assert seen[0].json()["error"]["type"] == "server_error"
    assert b"a secret" not in seen[0].body


@pytest.mark.parametrize("status", [200, 600])
def test_an_error_has_an_errors_status(status: int) -> None:
    with pytest.raises(ValueError, match="status must be from 400 to 599"):
        AgentError("x", status)


@pytest.mark.parametrize("kind", ["response.failed", "error"])
def test_a_failure_that_a_handler_passes_on(kind: str) -> None:
    router = AgentRouter()
    error = {"code": "rate_limit", "message": "Too fast."}

    @router.stream
    async def passes(request: ResponsesRequest) -> Any:
        yield "so far"
        if kind == "error":
            yield {"type": "error", **error}
        else:
            yield {"type": "response.failed", "response": {"output": [], "error": error}}

    answer = asyncio.run(AgentClient(AgentApp(router)).post("/responses", {"input": "x"}))
    body = answer.json()
    assert (answer.status, body["status"], body["error"]) == (200, "failed", error)


def nested(depth: int) -> bytes:
    """Return a request whose body is nested this many levels deep."""
    inside = depth - 1
    return b'{"input": "x", "metadata": ' + b"[" * inside + b"]" * inside + b"}"


@pytest.mark.parametrize("path", ["/responses", "/invocations"])
def test_a_body_nested_too_deeply(path: str) -> None:
    app = AgentApp(echo(), limits=Limits(max_depth=5))
    answer = ask_unstarted(app, path, nested(6))
    assert answer.status == 400
    assert answer.json()["error"]["code"] == "nested_too_deeply"
    assert "limit 5 levels" in answer.json()["error"]["message"]
    answer = ask_unstarted(app, path, nested(5))
    assert answer.json()["error"]["param"] == "metadata"  # rejected for its type instead


def test_brackets_in_texts_do_not_count() -> None:
    text = '[[[[{{{{"\\"[[[[\\\\' * 50
    answer = ask_unstarted(
        AgentApp(echo(), limits=Limits(max_depth=5, max_nodes=5)), "/responses", {"input": text}
    )
    assert answer.status == 200


def test_a_body_of_too_many_parts() -> None:
    app = AgentApp(echo(), limits=Limits(max_nodes=20))
    items = [{"role": "user", "content": "x"}] * 19
    answer = ask_unstarted(app, "/responses", {"input": items})
    assert answer.json()["error"]["code"] == "too_many_nodes"
    assert "21 arrays and objects (limit 20" in answer.json()["error"]["message"]
    assert ask_unstarted(app, "/responses", {"input": items[:18]}).status == 200


@pytest.mark.parametrize(
    "body",
    [b"[" * 500_000, b'{"a":' * 100_000, b"[]" * 400_000, b'["' * 999],
    ids=["open", "objects", "flat", "in a text"],
)
def test_a_body_of_brackets_is_a_400(body: bytes) -> None:
    answer = ask_unstarted(AgentApp(echo()), "/responses", body)
    assert answer.status == 400
    assert answer.json()["error"]["code"] in ("nested_too_deeply", "too_many_nodes", "invalid_json")


def test_a_body_that_is_fine_is_not_looked_at_twice() -> None:
    """A body with many brackets in its text, but few in its structure, passes the slower check."""
    body = json.dumps({"input": "[" * 1000}).encode()
    assert ask_unstarted(AgentApp(echo()), "/responses", body).status == 200


def ask_echo(body: Any, path: str = "/responses", limits: Limits | None = None) -> Answer:
    return ask_unstarted(AgentApp(echo(), limits=limits), path, body)


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
    answer = ask_echo(body, path)
    error = answer.json()["error"]
    assert (answer.status, error["code"]) == (400, code), error
    assert param == "*" or error["param"] == param


def test_of_a_name_that_comes_twice_the_last_value_counts() -> None:
    """This holds for the handler, for the dict it receives, and for the framework itself."""
    answer = ask_echo(
        b'{"input": "y", "model": "a", "stream": true, "stream": false, "input": "x"}'
    )
    assert answer.status == 200
    (item,) = answer.json()["output"]
    body = json.loads(item["content"][0]["text"])
    assert body == {"input": "x", "model": "a", "stream": False}


def test_a_string_of_5_MB() -> None:  # noqa: N802
    body = {"input": "x" * 5_000_000}
    assert ask_echo(body, limits=Limits(max_body_bytes=4 << 20)).status == 413
    answer = ask_echo(body)
    assert len(json.loads(answer.json()["output"][0]["content"][0]["text"])["input"]) == 5_000_000


def test_items_alike_in_a_request() -> None:
    """Too many for the size limit, too many for the node limit, accepted if both allow it."""
    item = {"type": "message", "id": "msg_same", "role": "user", "content": "x"}
    small = Limits(max_body_bytes=1 << 20)
    assert ask_echo({"input": [item] * 100_000}, limits=small).status == 413
    answer = ask_echo({"input": [item] * 100_000})
    assert (answer.status, answer.json()["error"]["code"]) == (400, "too_many_nodes")
    wide = Limits(max_body_bytes=16 << 20, max_nodes=100_002)
    assert ask_echo({"input": [item] * 100_000}, limits=wide).status == 200
