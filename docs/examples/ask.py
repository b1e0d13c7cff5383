"""An agent with a custom protocol (docs/protocols.md)."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec

from agent_asgi import AgentApp, AgentRouter, ResponsesRequest
from agent_asgi.protocols import ChatCompletions, Encoder, Protocol, decode_body, decode_request


class Question(msgspec.Struct):
    question: str
    stream: bool = False
    background: bool = False


class AskEncoder(Encoder):
    def __init__(self, response: Any) -> None:
        self.response = response

    def write(self, event: Any, buffer: bytearray) -> None:
        if event.type == "response.created":
            buffer += frame({"id": self.response.id})
        elif event.type == "response.output_text.delta":
            buffer += frame({"say": event.delta})

    def end(self) -> bytes:
        return frame({"status": self.response.status})

    def body(self, encoded: bytes | None) -> bytes:
        items = self.response.output
        texts = [part["text"] for item in items for part in item.get("content", ())]
        answer = {"id": self.response.id, "status": self.response.status, "say": "".join(texts)}
        return msgspec.json.encode(answer)


class Ask(Protocol):
    name = "Ask"
    paths = ("/ask",)
    stored_path = "/ask/{id}"

    def decode(self, body: bytes, headers: Any, query: bytes) -> ResponsesRequest:
        asked = decode_body(body, Question)
        fields = {"input": asked.question, "stream": asked.stream, "background": asked.background}
        return decode_request(msgspec.json.encode(fields))

    def encoder(self, request: ResponsesRequest, response: Any) -> AskEncoder:
        return AskEncoder(response)


def frame(data: dict[str, Any]) -> bytes:
    return b"data: %b\n\n" % msgspec.json.encode(data)


router = AgentRouter("echo")


@router.stream
async def echo(request: ResponsesRequest) -> AsyncIterator[str]:
    for word in request.input_text.split(" "):
        yield word + " "


app = AgentApp(router, protocols=[ChatCompletions(), Ask()])
