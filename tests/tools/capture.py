"""Captures the examples in docs/wire.md from real servers; `make wire` writes the page.

Each entry of `EXCHANGES` appears in the page between `<!-- captured: NAME -->` and `<!-- end -->`.
Ids, times and versions, which vary between captures, are replaced by fixed ones; the rest is
unchanged, except for what `shortened` omits.
"""

import http.client
import json
import os
import re
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import websockets.sync.client as websockets

from agent_asgi.schema import events as schema
from tests.support.servers import Server
from tests.tools.wire_agents import ASKED, apps

PAGE = Path(__file__).parents[2] / "docs" / "wire.md"
MARKS = re.compile(r"(<!-- captured: (.+?) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
SHOWN = ["content-type", "retry-after", "x-should-retry", "www-authenticate"]
KEPT = ["id", "status", "output", "error", "incomplete_details", "usage"]
"""The fields of a response that `shortened` keeps."""
Json = dict[str, Any]


class Exchange(NamedTuple):
    """A request to an app, and the requests before it."""

    app: str
    """The name of an app in wire_agents."""
    request: str
    """Method and path; `{id}` stands for the id of the first response."""
    body: Any = None
    """Its body; in strings, `{id}` stands for that id, and `{trace}` for the id of its trace."""
    headers: dict[str, str] | None = None
    first: Json | None = None
    """The body of a preceding `POST /v1/responses`; its response is the first response."""
    before: tuple[Json, ...] = ()
    """Bodies of requests to the same path before this one."""
    held: tuple[Json, ...] = ()
    """Bodies of requests to the same path that are still open during this one."""
    whole: bool = False
    """Whether the answer is shown in full."""
    lines: int = 0
    """The number of lines of the answer to show; 0 for all."""
    done: bool = False
    """Whether to wait until the first response has ended."""


ASK = {"input": "Is it?"}
RUN = "POST /v1/responses"
CHAT = "POST /v1/chat/completions"
SAY_SOMETHING = [{"role": "user", "content": "say something"}]
GOOD = {"response_id": "{id}", "trace_id": "{trace}"}
WEATHER: Json = {"type": "function", "name": "get_weather", "description": "The weather of a place"}
WEATHER |= {"parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
QUESTION = {"role": "user", "content": "Is it?", "id": "msg_question"}


def talk(request: str, body: Any = None) -> Exchange:
    """Return a request about a conversation, named in its path, of a question and an answer."""
    name = request.split("/")[3]
    return Exchange("single", request, body, first={"input": [QUESTION], "conversation": name})


THANKS = {"role": "user", "content": "Thanks."}
ANSWER = {"type": "mcp_approval_response", "approval_request_id": ASKED, "approve": True}
EXCHANGES = {
    "response": Exchange("tutor", RUN, ASK, whole=True),
    "stream": Exchange("tutor", RUN, {**ASK, "stream": True}),
    "tools stream": Exchange("calculator", RUN, {"input": "2 + 3", "stream": True}),
    "parts": Exchange("parts", RUN, {"input": "hi", "stream": True}),
    "tool call": Exchange(
        "calculator",
        RUN,
        {"input": "What is the weather in Paris?", "tools": [WEATHER], "stream": True},
    ),
    "incomplete stream": Exchange("parts", RUN, {"input": "cut", "stream": True}),
    "failed stream": Exchange("failing", RUN, {"input": "say something", "stream": True}),
    "background": Exchange("tutor", RUN, {**ASK, "background": True}),
    "background stream": Exchange(
        "tutor", RUN, {**ASK, "background": True, "stream": True}, lines=9
    ),
    "retrieve": Exchange("tutor", "GET /v1/responses/{id}", first=ASK),
    "resume": Exchange(
        "tutor",
        "GET /v1/responses/{id}?stream=true&starting_after=5",
        first={**ASK, "background": True},
        done=True,
    ),
    "input items": Exchange("tutor", "GET /v1/responses/{id}/input_items?limit=1", first=ASK),
    "cancel": Exchange(
        "slow", "POST /v1/responses/{id}/cancel", first={"input": "silence", "background": True}
    ),
    "delete": Exchange("tutor", "DELETE /v1/responses/{id}", first=ASK),
    "list": Exchange("single", "GET /v1/responses?limit=1", first=ASK),
    "conversation": Exchange(
        "single", "POST /v1/conversations", {"items": [QUESTION], "metadata": {"topic": "being"}}
    ),
    "conversation list": Exchange("single", "GET /v1/conversations?limit=1"),
    "conversation retrieve": talk("GET /v1/conversations/talk-1"),
    "conversation update": talk("POST /v1/conversations/talk-2", {"metadata": {"topic": "being"}}),
    "conversation delete": talk("DELETE /v1/conversations/talk-3"),
    "conversation items": talk("GET /v1/conversations/talk-4/items?order=asc"),
    "conversation items add": talk("POST /v1/conversations/talk-5/items", {"items": [THANKS]}),
    "conversation item": talk("GET /v1/conversations/talk-6/items/msg_question"),
    "conversation item delete": talk("DELETE /v1/conversations/talk-7/items/msg_question"),
    "compact": Exchange(
        "calculator", "POST /v1/responses/compact", {"model": "calculator", "input": "2 + 3"}
    ),
    "invocations": Exchange("tutor", "POST /invocations", ASK, whole=True),
    "invocations stream": Exchange(
        "tutor",
        "POST /invocations",
        {**ASK, "stream": True, "databricks_options": {"return_trace": True}},
    ),
    "json": Exchange("adder", "POST /invocations", {"numbers": [1, 2, 3]}),
    "json stream": Exchange("counter", "POST /invocations", {"to": 2, "stream": True}),
    "chat": Exchange("tutor", CHAT, {"messages": [{"role": "user", "content": "Is it?"}]}),
    "chat stream": Exchange(
        "calculator",
        CHAT,
        {
            "messages": [{"role": "user", "content": "2 + 3"}],
            "stream": True,
            "stream_options": {"include_usage": True},
        },
    ),
    "chat failed": Exchange("failing", CHAT, {"messages": SAY_SOMETHING, "stream": True}),
    "feedback": Exchange("tutor", "POST /feedback", {**GOOD, "value": True}, first=ASK),
    "playground": Exchange("calculator", "GET /", lines=1),
    "playground file": Exchange("calculator", "GET /playground/app.js", lines=1),
    "playground settings": Exchange("calculator", "GET /playground.json"),
    "models": Exchange("several", "GET /v1/models"),
    "model": Exchange("calculator", "GET /v1/models/calculator"),
    "agent info": Exchange("several", "GET /agent/info"),
    "health": Exchange("calculator", "GET /health"),
    "ready": Exchange("calculator", "GET /ready"),
    "ping": Exchange("calculator", "GET /ping"),
    "metrics": Exchange("counted", "GET /metrics", first={"input": "2 + 3"}, lines=6),
    "openapi": Exchange("calculator", "GET /openapi.json", lines=6),
    "docs": Exchange("calculator", "GET /docs", lines=1),
    "docs file": Exchange("calculator", "GET /docs/viewer.js", lines=1),
    "websocket": Exchange("tutor", "WS /v1/responses", ASK),
}
DEEP = {"input": [{"role": "user", "content": [{"type": "x", "y": {"z": {}}}]}]}
ERRORS = {
    "invalid_json": Exchange("calculator", RUN, b"{"),
    "invalid_request": Exchange("calculator", RUN, {"input": "2 + 3", "stream": "false"}),
    "nested_too_deeply": Exchange("small", RUN, DEEP),
    "too_many_nodes": Exchange("small", RUN, {"input": [{"role": "user", "content": []}] * 5}),
    "not_supported": Exchange("parts", "POST /v1/responses/compact", {**ASK, "model": "parts"}),
    "item_not_found": Exchange(
        "calculator", RUN, {"input": [{"type": "item_reference", "id": "msg_of_nobody"}]}
    ),
    "conversation_not_found": Exchange("tutor", RUN, {**ASK, "conversation": "conv_of_nobody"}),
    "conversation_too_large": Exchange(
        "brief", RUN, {**ASK, "conversation": "talk"}, first={**ASK, "conversation": "talk"}
    ),
    "approval_already_answered": Exchange(
        "asker", RUN, {"input": [ANSWER]}, before=({"input": "Send it."}, {"input": [ANSWER]})
    ),
    "authentication_required": Exchange("tutor", "GET /v1/conversations"),
    "unsupported_content_encoding": Exchange("calculator", RUN, ASK, {"content-encoding": "gzip"}),
    "unauthenticated": Exchange("closed", RUN, ASK),
    "invalid_token": Exchange("closed", RUN, ASK, {"authorization": "Bearer guessed"}),
    "origin_not_allowed": Exchange(
        "calculator", RUN, ASK, {"origin": "https://example.net", "content-type": "text/plain"}
    ),
    "not_found": Exchange("calculator", "GET /nowhere"),
    "model_not_found": Exchange("several", RUN, {**ASK, "model": "poet"}),
    "response_not_found": Exchange("calculator", "GET /v1/responses/resp_of_nobody"),
    "previous_response_not_found": Exchange(
        "calculator", RUN, {**ASK, "previous_response_id": "resp_of_nobody"}
    ),
    "trace_not_found": Exchange(
        "tutor", "POST /feedback", {**GOOD, "trace_id": "tr-of-nobody", "value": False}, first=ASK
    ),
    "body_timeout": Exchange("small", RUN, b'{"input": ', {"content-length": "100"}),
    "conversation_locked": Exchange(
        "slow",
        RUN,
        {"input": "x", "conversation": "c1"},
        held=({"input": "x", "conversation": "c1", "stream": True},),
    ),
    "idempotency_key_reused": Exchange(
        "calculator",
        RUN,
        {"input": "3 + 4"},
        {"idempotency-key": "order-17"},
        first={"input": "2 + 3"},
    ),
    "request_too_large": Exchange("small", RUN, b'{"input": "' + b"x" * 400 + b'"}'),
    "too_many_runs": Exchange("few", RUN, {"input": "x"}, held=({"input": "x", "stream": True},)),
    "too_many_queued": Exchange(
        "few",
        RUN,
        {"input": "x", "background": True},
        held=({"input": "x", "background": True},) * 2,
    ),
    "too_many_streams": Exchange(
        "one stream", RUN, {"input": "x", "stream": True}, held=({"input": "x", "stream": True},)
    ),
    "agent_error": Exchange("failing", RUN, {"input": "x"}),
    "tool_choice_violated": Exchange(
        "caller",
        RUN,
        {
            "input": "x",
            "tools": [{"type": "function", "name": "look", "parameters": {}}],
            "tool_choice": "none",
        },
    ),
    "output_too_large": Exchange("talkative", RUN, {"input": "too much"}),
    "no_handler": Exchange("adder", "POST /invocations", {"numbers": [], "stream": True}),
    "server_error": Exchange("broken", RUN, ASK),
    "bad_gateway": Exchange("fronted", "GET /assets/app.js"),
    "unavailable": Exchange("ending", RUN, {"input": "x"}, first={"input": "go"}),
    "cancelled": Exchange("ended", RUN, {"input": "wait"}),
    "gateway_timeout": Exchange("slow fronted", "GET /assets/app.js"),
    "timeout": Exchange("hasty", RUN, {"input": "x"}),
    "silence_timeout": Exchange("impatient", RUN, {"input": "silence"}),
}
ID = re.compile(r"\b([a-z]+[_-])[0-9a-f]{32}(?![0-9a-f])")
TIME = re.compile(r"\b1[789]\d{8}\b")
VERSION = re.compile(r'(?<="mlflow_version": ")[^"]+')


class Captured(NamedTuple):
    """The result of an exchange, with fixed ids and times."""

    sent: str
    answered: str
    events: tuple[Json, ...] = ()


class Capture:
    """Sends requests to the apps, and starts each app's server when first needed."""

    def __init__(self, stack: ExitStack) -> None:
        self._apps = apps()
        self._servers: dict[str, Server] = {}
        self._stack = stack

    def ask(self, exchange: Exchange) -> Captured:
        """Send the requests of an exchange; return the last one and its answer."""
        host = self._host(exchange.app)
        method, path = exchange.request.split(" ", 1)
        with ExitStack() as held:
            for body in exchange.before:
                connection, answer = _send(host, "POST", path, body, None)
                answer.read()
                connection.close()
            for body in exchange.held:
                held.callback(_send(host, "POST", path, body, None)[0].close)
            if exchange.first is not None:
                made, trace = self._made(host, exchange)
                path = path.replace("{id}", made)
                if isinstance(exchange.body, dict):
                    told = json.dumps(exchange.body).replace("{id}", made).replace("{trace}", trace)
                    exchange = exchange._replace(body=json.loads(told))
            if method == "WS":
                return _talk(host, path, exchange)
            connection, answer = _send(host, method, path, exchange.body, exchange.headers)
            text = answer.read().decode()
            connection.close()
        return _captured(exchange, f"{method} {path}", answer, text)

    def _host(self, name: str) -> str:
        if name not in self._servers:
            self._servers[name] = Server(self._apps[name])
            self._stack.callback(self._servers[name].stop)
        return self._servers[name].url.removeprefix("http://")

    def _made(self, host: str, exchange: Exchange) -> tuple[str, str]:
        """Create the first response; return its id and the id of its trace."""
        connection, answer = _send(host, "POST", "/v1/responses", exchange.first, exchange.headers)
        made: str = json.loads(answer.read())["id"]
        until = time.monotonic() + 30
        while exchange.done and _status(host, made) in ("queued", "in_progress"):
            if time.monotonic() > until:
                raise TimeoutError(f"{exchange} does not end")
            time.sleep(0.05)
        connection.close()
        return made, answer.headers["x-mlflow-trace-id"] or ""


def _send(
    host: str, method: str, path: str, body: Any, headers: dict[str, str] | None
) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    connection = http.client.HTTPConnection(host, timeout=60)
    content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    json_type = {} if body is None else {"content-type": "application/json"}
    connection.request(method, path, content, {**json_type, **(headers or {})})
    return connection, connection.getresponse()


def _status(host: str, id: str) -> str:
    connection, answer = _send(host, "GET", f"/v1/responses/{id}", None, None)
    status: str = json.loads(answer.read())["status"]
    connection.close()
    return status


def _talk(host: str, path: str, exchange: Exchange) -> Captured:
    """Take one turn on a WebSocket."""
    message = {"type": "response.create", **exchange.body}
    events: list[Json] = []
    with websockets.connect(f"ws://{host}{path}") as socket:
        socket.send(json.dumps(message))
        while not events or events[-1]["type"] != "response.completed":
            events.append(json.loads(socket.recv(30)))
    lines = "\n".join(_line(shortened(event)) for event in events)
    same = Same()
    return Captured(
        same(f"GET {path} HTTP/1.1\nupgrade: websocket\n\n{_line(message)}"), same(lines)
    )


def _captured(
    exchange: Exchange, request: str, answer: http.client.HTTPResponse, text: str
) -> Captured:
    """Format an exchange as HTTP messages."""
    same = Same()
    json_type = {} if exchange.body is None else {"content-type": "application/json"}
    given = "".join(
        f"{name}: {value}\n" for name, value in (json_type | (exchange.headers or {})).items()
    )
    body = exchange.body
    content = body.decode() if isinstance(body, bytes) else "" if body is None else _pretty(body)
    sent = same(f"{request} HTTP/1.1\n{given}\n{content}".rstrip())
    got = [f"{name}: {answer.headers[name]}\n" for name in SHOWN if name in answer.headers]
    kind = answer.headers.get_content_type()
    events: tuple[Json, ...] = ()
    if kind == "text/event-stream":
        text, events = _stream(text, exchange)
    elif kind == "application/json":
        told = json.loads(text)
        text = _pretty(told if exchange.whole else shortened(told))
    lines = text.rstrip().splitlines()
    if exchange.lines and len(lines) > exchange.lines:
        lines = [*lines[: exchange.lines], "..."]
    head = f"HTTP/1.1 {answer.status}\n{''.join(got)}"
    told = same(head + "\n" + "\n".join(lines))
    return Captured(sent, told, events)


def _stream(text: str, exchange: Exchange) -> tuple[str, tuple[Json, ...]]:
    lines, events = [], []
    for line in text.splitlines():
        if line.startswith("data: {"):
            event = json.loads(line.removeprefix("data: "))
            events.append(event)
            line = f"data: {_line(event if exchange.whole else shortened(event))}"
        lines.append(line)
    return "\n".join(lines), tuple(events)


class Same:
    """Replaces ids, times and versions that vary between captures by fixed ones."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._counts: dict[str, int] = {}

    def __call__(self, text: str) -> str:
        """Return a text with fixed times and versions, and ids numbered from 1 by prefix."""
        text = VERSION.sub("3.17.2", TIME.sub("1764000000", text))
        return ID.sub(self._name, text)

    def _name(self, found: re.Match[str]) -> str:
        if found[0] not in self._names:
            self._counts[found[1]] = self._counts.get(found[1], 0) + 1
            self._names[found[0]] = f"{found[1]}{self._counts[found[1]]}"
        return self._names[found[0]]


def shortened(told: Any) -> Any:
    """Omit from a response, at any level, the fields that the page shows in full elsewhere."""
    if not isinstance(told, dict):
        return told
    if told.get("object") == "response":
        kept = {name: told[name] for name in KEPT if told.get(name) not in (None, [])}
        return {"object": "response", **kept, "...": "..."}
    return {name: shortened(value) if name == "response" else value for name, value in told.items()}


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _pretty(value: Any) -> str:
    line = _line(value)
    return line if len(line) <= 120 else json.dumps(value, ensure_ascii=False, indent=2)


def captured() -> dict[str, str]:
    """Run every exchange; return the page's contents by marker name."""
    with ExitStack() as stack:
        capture = Capture(stack)
        told = {name: capture.ask(each) for name, each in EXCHANGES.items()}
        errors = {name: capture.ask(each) for name, each in ERRORS.items()}
    shown = {name: _blocks(each) for name, each in told.items()}
    shown["errors"] = "\n".join(f"### `{name}`\n\n{_blocks(each)}" for name, each in errors.items())
    shown["events"] = _events([event for each in told.values() for event in each.events])
    return shown


def _blocks(each: Captured) -> str:
    return f"```http\n{each.sent}\n```\n\n```http\n{each.answered}\n```\n"


def _events(seen: list[Json]) -> str:
    """Return a table of all events, and the first captured event of each type."""
    rows = ["| event | meaning |\n|---|---|\n"]
    frames = []
    same = Same()
    for kind in EVENTS:
        name = str(kind.__struct_config__.tag)
        rows.append(f"| `{name}` | {(kind.__doc__ or '').strip()} |\n")
        event = next(event for event in seen if event.get("type") == name)
        frames.append(f"event: {name}\ndata: {same(_line(shortened(event)))}\n")
    return "".join(rows) + "\n```text\n" + "\n".join(frames) + "```\n"


EVENTS = [
    each
    for each in vars(schema).values()
    if isinstance(each, type)
    and issubclass(each, schema.Event)
    and each.__struct_config__.tag
    and each.__struct_config__.tag != each.__name__
]
"""Every event of the schema."""


def written(page: str, shown: dict[str, str]) -> str:
    """Return the page with the captured contents between its markers."""
    return MARKS.sub(lambda found: found[1] + shown[found[2]] + found[4], page)


def main() -> None:
    """Rewrite the page."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
        PAGE.write_text(written(PAGE.read_text(), captured()))


if __name__ == "__main__":
    main()
