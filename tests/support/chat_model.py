"""A model behind the OpenAI API on 127.0.0.1: Chat Completions, answered by a function."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.support.servers import serving

Json = dict[str, Any]


class Call(NamedTuple):
    """A call of a tool, as the model's answer."""

    name: str
    arguments: Json


class ChatModel:
    """Answers Chat Completions, streamed or not.

    Args:
        think: Returns the answer to a request's body: a text, or a call of a tool.
        pause: Seconds before each word of a stream.

    Attributes:
        bodies: The bodies of the requests, in order.
        url: What `OPENAI_BASE_URL` must be.
    """

    def __init__(self, think: Callable[[Json], str | Call], pause: float = 0) -> None:
        self._think = think
        self._pause = pause
        self.bodies: list[Json] = []
        self.url = ""
        self.app = Starlette(routes=[Route("/v1/chat/completions", self._answer, methods=["POST"])])

    async def _answer(self, request: Request) -> Response:
        body = await request.json()
        self.bodies.append(body)
        answer = self._think(body)
        if body.get("stream"):
            return StreamingResponse(self._frames(answer), media_type="text/event-stream")
        message = {"role": "assistant", **_content(answer, len(self.bodies))}
        choice = {"index": 0, "message": message, "finish_reason": _reason(answer)}
        return JSONResponse(_chunk("chat.completion", [choice], usage=USAGE))

    async def _frames(self, answer: str | Call) -> AsyncIterator[str]:
        for delta in _deltas(answer, len(self.bodies)):
            await asyncio.sleep(self._pause)
            yield _frame([{"index": 0, "delta": delta, "finish_reason": None}])
        yield _frame([{"index": 0, "delta": {}, "finish_reason": _reason(answer)}])
        yield _frame([], usage=USAGE)
        yield "data: [DONE]\n\n"


USAGE = {"prompt_tokens": 20, "completion_tokens": 10, "total_tokens": 30}


def _content(answer: str | Call, number: int) -> Json:
    if isinstance(answer, str):
        return {"content": answer}
    function = {"name": answer.name, "arguments": json.dumps(answer.arguments)}
    call = {"index": 0, "id": f"call_{number}", "type": "function", "function": function}
    return {"content": None, "tool_calls": [call]}


def _deltas(answer: str | Call, number: int) -> Iterator[Json]:
    """Yield a text in pieces of four characters, as tokens split words and markers."""
    if isinstance(answer, str):
        for start in range(0, len(answer), 4):
            yield {"content": answer[start : start + 4]}
    else:
        yield _content(answer, number)


def _reason(answer: str | Call) -> str:
    return "stop" if isinstance(answer, str) else "tool_calls"


def _chunk(kind: str, choices: list[Json], **fields: Any) -> Json:
    named = {"id": "chatcmpl_1", "object": kind, "created": 1, "model": "fake"}
    return {**named, "choices": choices, **fields}


def _frame(choices: list[Json], **fields: Any) -> str:
    return f"data: {json.dumps(_chunk('chat.completion.chunk', choices, **fields))}\n\n"


def text_of(message: Json) -> str:
    """Return the text of a message in a request's body."""
    content = message["content"]
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content)
    return content or ""


@contextmanager
def thinking(think: Callable[[Json], str | Call], pause: float = 0) -> Iterator[ChatModel]:
    """Run a model until the block ends."""
    model = ChatModel(think, pause)
    with serving(model.app) as server:
        model.url = f"{server.url}/v1"
        yield model
