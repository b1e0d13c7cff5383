"""An agent for tests of the WebSocket."""

from collections.abc import AsyncIterator
from typing import Any

from agent_asgi import AgentError, AgentRouter, FunctionCall, ResponsesRequest

Json = dict[str, Any]
ERRORS = {"fail": ValueError("a secret"), "busy": AgentError("busy", 429, "busy")}


class Agent:
    """An agent that obeys the last input and remembers each conversation it saw."""

    def __init__(self, name: str = "ws") -> None:
        self.router = AgentRouter(name)
        self.router.stream(self.reply)
        self.url = ""
        self.seen: list[list[str]] = []

    async def reply(self, request: ResponsesRequest) -> AsyncIterator[Any]:
        given = request.to_dict()["input"]
        said = [given] if isinstance(given, str) else [text_of(each) for each in given]
        self.seen.append(said)
        if said[-1] in ERRORS:
            raise ERRORS[said[-1]]
        if said[-1] == "call":
            yield FunctionCall(call_id="call_1", name="look", arguments="{}")
        elif said[-1] == "upstream":
            yield {"type": "response.failed", "response": {"error": {"message": "no"}}}
        else:
            yield "answer "
            yield str(len(said))
        if said[-1] == "break":
            raise ValueError("a secret")


def text_of(item: Json) -> str:
    said = item.get("content") or item.get("output") or item["name"]
    return str(said[0]["text"] if isinstance(said, list) else said)
