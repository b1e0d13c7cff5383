"""Agents for the tests of the playground."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

from agent_asgi import AgentRouter, Context, FunctionCall, FunctionCallOutput, ResponsesRequest

Serve = Callable[[Any], str]
REFUSED = "Failed to load resource: the server responded with a status of 4"
"""Chromium logs this to the console for each 4xx answer."""


class Held:
    """An agent that outputs a word, then waits for `go`.

    Attributes:
        causes: Why its runs were cancelled.
        inputs: The inputs of its runs.
    """

    def __init__(self) -> None:
        self.go = threading.Event()
        self.causes: list[str | None] = []
        self.inputs: list[Any] = []
        self.router = AgentRouter("held", description="Waits")
        self.router.stream(self._answer)

    async def _answer(self, request: ResponsesRequest, context: Context) -> AsyncIterator[Any]:
        self.inputs.append(request.to_dict()["input"])
        yield {"type": "reasoning", "summary": [{"type": "summary_text", "text": "I wait."}]}
        yield FunctionCall(call_id="c1", name="wait", arguments='{"for": "you"}')
        yield FunctionCallOutput(call_id="c1", output="waited")
        yield "Begun, "
        try:
            while not self.go.is_set():
                await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            self.causes.append(context.cancelled.cause)
            raise
        if request.input_text == "fail":
            raise RuntimeError("A secret of the server.")
        yield "and **ended**."


class Echo:
    """An agent that repeats the user's messages of the conversation, each in brackets.

    Attributes:
        bodies: The bodies of its requests.
    """

    def __init__(self, name: str = "echo", **options: Any) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.router = AgentRouter(name, **options)
        self.router.invoke(self._answer)

    async def _answer(self, request: ResponsesRequest) -> str:
        self.bodies.append(request.received())
        messages = [each for each in request.messages if each["role"] == "user"]
        return " ".join(f"[{text_of(each['content'])}]" for each in messages)


def text_of(content: Any) -> str:
    """Return the text of a message's content."""
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)


def saying(outputs: Iterable[Any], **options: Any) -> AgentRouter:
    """Return an agent that yields the same outputs each time."""
    given = list(outputs)
    router = AgentRouter("speaker", **options)

    @router.stream
    async def speak(request: ResponsesRequest) -> AsyncIterator[Any]:
        for output in given:
            yield output

    return router
