"""A client for tests and evaluations: calls an app without a server, frame by frame.

Unlike httpx's `ASGITransport`, which delivers a stream only when it has ended, it returns each
frame as it is sent, and it can disconnect during a stream.
"""

import asyncio
import functools
import json
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import unquote

from starlette.types import ASGIApp, Message

from .agents.router import AgentRouter
from .app import AgentApp
from .errors import AgentError


class Answer:
    """An answer, as far as it has arrived.

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
        """The body so far."""
        return b"".join(self.messages)

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    def events(self) -> list[dict[str, Any]]:
        """The events so far, without comments and `[DONE]`."""
        return [event for frame in self.body.split(b"\n\n") if (event := parse_frame(frame))]

    def response(self) -> dict[str, Any]:
        """The response of `/responses` or `/invocations`; of a stream, its newest so far.

        Raises:
            AgentError: The answer is an error, or the stream ended with one.
            ValueError: The answer has no response, as that of another endpoint.
        """
        if self.headers.get("content-type", "").startswith("text/event-stream"):
            bodies = [_checked(event) for event in self.events()]
            found = next((body["response"] for body in bodies[::-1] if "response" in body), None)
        else:
            found = _checked(self.json())
        if not isinstance(found, dict) or "output" not in found:
            raise ValueError("The answer has no response.")
        return found

    @property
    def items(self) -> list[dict[str, Any]]:
        """The items of the response's output."""
        items: list[dict[str, Any]] = self.response()["output"]
        return items

    @property
    def output_text(self) -> str:
        """The text of the response: that of all its messages, joined."""
        messages = (item for item in self.items if item["type"] == "message")
        parts = (part for message in messages for part in message["content"])
        return "".join(part["text"] for part in parts if part["type"] == "output_text")

    @property
    def usage(self) -> dict[str, Any] | None:
        """The tokens used; None at `/invocations` if the agent reports none."""
        return self.response().get("usage")


class Stream(Answer):
    """An answer in progress, from `AgentClient.stream`."""

    def __init__(
        self, inbox: asyncio.Queue[Message], outbox: asyncio.Queue[Message | None]
    ) -> None:
        super().__init__()
        self._inbox = inbox
        self._outbox = outbox

    async def frames(self) -> AsyncIterator[bytes]:
        """Yield each frame as it is sent, without its blank line; includes comments."""
        rest = b""
        async for body in self.bodies():
            *frames, rest = (rest + body).split(b"\n\n")
            for frame in frames:
                yield frame

    async def each_event(self) -> AsyncIterator[dict[str, Any]]:
        """Yield each event as it is sent, without comments and `[DONE]`."""
        async for frame in self.frames():
            event = parse_frame(frame)
            if event is not None:
                yield event

    async def bodies(self) -> AsyncIterator[bytes]:
        """Yield the body of each ASGI message as it is sent."""
        while (message := await self._outbox.get()) is not None:
            if message["type"] == "http.response.start":
                self.status = message["status"]
                self.headers = {
                    name.decode("latin-1").lower(): value.decode("latin-1")
                    for name, value in message["headers"]
                }
                continue
            body = bytes(message.get("body", b""))
            self.messages.append(body)
            yield body

    async def disconnect(self) -> None:
        """Disconnect, as a client that closes its connection."""
        await self._inbox.put({"type": "http.disconnect"})


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
        """Send a GET request and return its whole answer.

        Args:
            path: For example "/health".
            headers: Further headers. Default none.

        Raises:
            Exception: Whatever the app raised.
        """
        async with self.stream(path, None, headers=headers, method="GET") as answer:
            async for _ in answer.bodies():
                pass
        return answer

    async def post(
        self, path: str, body: Any, *, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send a POST request and return its whole answer.

        Args:
            path: For example "/responses".
            body: A value to send as JSON, or bytes to send unchanged.
            headers: Further headers. Default none.

        Raises:
            Exception: Whatever the app raised.
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
        """Send a request and follow its answer; disconnects at the end of the block.

        Args:
            path: For example "/responses".
            body: A value to send as JSON, bytes to send unchanged, or None for no body.
            headers: Further headers. Default none.
            method: The HTTP method. Default "POST".

        Raises:
            Exception: Whatever the app raised.
        """
        inbox: asyncio.Queue[Message] = asyncio.Queue()
        outbox: asyncio.Queue[Message | None] = asyncio.Queue()
        content = b"" if body is None else body
        if not isinstance(content, bytes):
            content = json.dumps(content).encode()
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
        headers = {"content-type": "application/json", "content-length": str(length), **headers}
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [
                (name.lower().encode("latin-1"), value.encode("latin-1"))
                for name, value in headers.items()
            ],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }


def predict_fn(router: AgentRouter) -> Callable[..., Any]:
    """Return a function for `mlflow.genai.evaluate` that runs an agent as the server does.

    Each row's `inputs` are a request body. The run is traced as usual, and MLflow adds its
    assessments to that trace. All runs share one event loop in a separate thread, so that they can
    share an agent's connections; each run has its own app.

    Args:
        router: The agent.

    Returns:
        A sync function that takes the body as keyword arguments and returns the answer of
        `/invocations`: a response, or the JSON of a "json" router. With `stream=True` it runs the
        stream handler and returns the final response or, of a "json" router, the list of chunks.
        It raises `AgentError` if the run fails or the body is invalid.
    """

    def predict(**inputs: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(_predict(router, inputs), _loop()).result()

    return predict


async def _predict(router: AgentRouter, inputs: dict[str, Any]) -> Any:
    # a new app, since MLflow first tries the function with traces off, and a tracer keeps that
    app = AgentApp(router, store="memory://", debug=True)
    async with app.lifespan():
        answer = await AgentClient(app).post("/invocations", inputs)
    if router.protocol == "responses":
        return answer.response()
    if answer.headers["content-type"].startswith("text/event-stream"):
        return [_checked(chunk) for chunk in answer.events()]
    body = answer.json()  # may have an `error` member
    return body if answer.status == 200 else _checked(body)


def _checked(body: Any) -> Any:
    """Return the body unless it is an error, which is raised."""
    error = body.get("error") if isinstance(body, dict) else None
    if isinstance(error, dict) and error.keys() >= {"message", "code"}:
        raise AgentError(error["message"], code=error["code"], param=error.get("param"))
    return body


def _loop() -> asyncio.AbstractEventLoop:
    with _starting:  # the first calls may be concurrent
        return _started()


_starting = threading.Lock()


@functools.cache
def _started() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="agent-asgi-predict", daemon=True).start()
    return loop


def parse_frame(frame: bytes) -> dict[str, Any] | None:
    """Return the event of a frame; None for a comment and for `[DONE]`."""
    data = b"\n".join(line[5:].strip() for line in frame.splitlines() if line.startswith(b"data:"))
    if not data or data == b"[DONE]":
        return None
    event: dict[str, Any] = json.loads(data)
    return event
