"""For tests and evaluations: calls an app as a server would and sees each frame as it is sent.

httpx's `ASGITransport` delivers a stream only when it has ended, which hides that a stream does
not stream; this one does not, and it can leave in the middle.
"""

import asyncio
import functools
import json
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from starlette.types import ASGIApp, Message

from .app import AgentApp
from .errors import AgentError
from .router import AgentRouter


class Answer:
    """What the app has answered so far.

    Attributes:
        status: The HTTP status; 0 until the headers have been sent.
        headers: The headers, names in lower case.
        messages: The bodies of the ASGI messages so far, in order.
    """

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.messages: list[bytes] = []

    @property
    def body(self) -> bytes:
        """All of the body so far."""
        return b"".join(self.messages)

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    def events(self) -> list[dict[str, Any]]:
        """The events of the body so far; comments and `[DONE]` are left out."""
        return [event for frame in self.body.split(b"\n\n") if (event := parse_frame(frame))]


class Stream(Answer):
    """An answer that is still coming; made by `AgentClient.stream`."""

    def __init__(
        self, inbox: asyncio.Queue[Message], outbox: asyncio.Queue[Message | None]
    ) -> None:
        super().__init__()
        self._inbox = inbox
        self._outbox = outbox

    async def frames(self) -> AsyncIterator[bytes]:
        """Give each frame as it is sent, without its blank line; comments too."""
        rest = b""
        async for body in self.bodies():
            *frames, rest = (rest + body).split(b"\n\n")
            for frame in frames:
                yield frame

    async def each_event(self) -> AsyncIterator[dict[str, Any]]:
        """Give each event as it is sent; comments and `[DONE]` are left out."""
        async for frame in self.frames():
            event = parse_frame(frame)
            if event is not None:
                yield event

    async def bodies(self) -> AsyncIterator[bytes]:
        """Give the body of each ASGI message as it is sent."""
        while (message := await self._outbox.get()) is not None:
            if message["type"] == "http.response.start":
                self._take_start(message)
                continue
            body = bytes(message.get("body", b""))
            self.messages.append(body)
            yield body

    async def disconnect(self) -> None:
        """Leave, as a client that closes its connection does."""
        await self._inbox.put({"type": "http.disconnect"})

    def _take_start(self, message: Message) -> None:
        self.status = message["status"]
        self.headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in message["headers"]
        }


class AgentClient:
    """Calls an ASGI app in this event loop, without a socket.

    Args:
        app: The app.
        headers: Headers of every request. Default none.
    """

    def __init__(self, app: ASGIApp, headers: Mapping[str, str] | None = None) -> None:
        self._app = app
        self._headers = dict(headers or {})

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        """Send a GET request and wait for its whole answer."""
        async with self.stream(path, None, headers=headers, method="GET") as answer:
            async for _ in answer.bodies():
                pass
        return answer

    async def post(
        self, path: str, body: Any, *, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send a POST request and wait for its whole answer.

        Args:
            path: Such as "/responses".
            body: Anything JSON, or bytes as they are.
            headers: Further headers. Default none.
        """
        async with self.stream(path, body, headers=headers) as answer:
            async for _ in answer.bodies():
                pass
        return answer

    @asynccontextmanager
    async def stream(
        self,
        path: str,
        body: Any,
        *,
        headers: Mapping[str, str] | None = None,
        method: str = "POST",
    ) -> AsyncIterator[Stream]:
        """Send a request and follow its answer; leaving the block is leaving the server.

        Raises:
            Exception: Whatever the app raised.
        """
        inbox: asyncio.Queue[Message] = asyncio.Queue()
        outbox: asyncio.Queue[Message | None] = asyncio.Queue()
        content = body if isinstance(body, bytes) else b"" if body is None else _encode(body)
        await inbox.put({"type": "http.request", "body": content, "more_body": False})
        scope = self._scope(method, path, {**self._headers, **(headers or {})}, len(content))

        async def call() -> None:
            try:
                await self._app(scope, inbox.get, outbox.put)
            finally:
                await outbox.put(None)

        task = asyncio.create_task(call())
        answer = Stream(inbox, outbox)
        try:
            yield answer
        finally:
            await answer.disconnect()
            await task

    def _scope(
        self, method: str, path: str, headers: Mapping[str, str], length: int
    ) -> dict[str, Any]:
        path, _, query = path.partition("?")
        given = {"content-type": "application/json", "content-length": str(length), **headers}
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [
                (name.lower().encode("latin-1"), value.encode("latin-1"))
                for name, value in given.items()
            ],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }


def predict_fn(router: AgentRouter) -> Callable[..., Any]:
    """Make a function for `mlflow.genai.evaluate` that runs an agent as the server would.

    Each row's `inputs` are a request's body. The run is traced as ever, and MLflow puts its
    assessments on that trace. All runs share one event loop, in a thread of its own, so that what
    an agent keeps open serves all of them; each has an app of its own.

    Args:
        router: The agent.

    Returns:
        A sync function. Its keyword arguments are the body; it gives what `/invocations` answers:
        the response, or the JSON of a "json" router. Where the body has `"stream": true`, the
        stream handler runs, and the function gives the response that the stream ends with, or the
        list of chunks. It raises `AgentError` where the run fails, or its inputs are at fault.
    """

    def predict(**inputs: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(_predict(router, inputs), _loop()).result()

    return predict


async def _predict(router: AgentRouter, inputs: dict[str, Any]) -> Any:
    # a tracer that began while MLflow tried the function without traces would have none
    app = AgentApp(router, store="memory://", debug=True)
    async with app.lifespan():
        answer = await AgentClient(app).post("/invocations", inputs)
    if not answer.headers["content-type"].startswith("text/event-stream"):
        told = answer.json()  # what a "json" agent gives may have an `error` of its own
        return told if router.protocol == "json" and answer.status == 200 else _checked(told)
    events = [_checked(each) for each in answer.events()]
    if router.protocol == "json":
        return events
    return next(each["response"] for each in reversed(events) if "response" in each)


def _checked(given: Any) -> Any:
    """Give what was answered.

    Raises:
        AgentError: It is an error.
    """
    error = given.get("error") if isinstance(given, dict) else None
    if isinstance(error, dict) and error.keys() >= {"message", "code"}:
        raise AgentError(error["message"], code=error["code"], param=error.get("param"))
    return given


def _loop() -> asyncio.AbstractEventLoop:
    with _starting:  # the first calls may come at once
        return _started()


_starting = threading.Lock()


@functools.cache
def _started() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="agent-asgi-predict", daemon=True).start()
    return loop


def parse_frame(frame: bytes) -> dict[str, Any] | None:
    """Give the event of a frame; None for a comment and for `[DONE]`."""
    data = b"\n".join(line[5:].strip() for line in frame.splitlines() if line.startswith(b"data:"))
    if not data or data == b"[DONE]":
        return None
    event: dict[str, Any] = json.loads(data)
    return event


def _encode(body: Any) -> bytes:
    return json.dumps(body).encode()
