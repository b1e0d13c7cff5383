"""Bodies and streams of the AI SDK's `useChat`, without its client."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from agent_asgi import AgentApp
from agent_asgi.protocols import UIStream
from tests.support.apps import ask
from tests.support.calling import Json

CHAT = "chat-5f0c2a9e71b84d36"
PATH = "/api/chat"


def user(text: str, id: str = "u1") -> Json:
    """Return a message of the user."""
    return {"id": id, "role": "user", "parts": [{"type": "text", "text": text}]}


def agents(*parts: Json, id: str = "a1") -> Json:
    """Return a message of the agent."""
    return {"id": id, "role": "assistant", "parts": [{"type": "step-start"}, *parts]}


def tool(name: str, call_id: str, state: str, **members: Any) -> Json:
    """Return the call of a tool as a part of a message."""
    return {"type": f"tool-{name}", "toolCallId": call_id, "state": state, "input": {}, **members}


def body(*messages: Json, **members: Any) -> Json:
    """Return the body of a request with the whole chat."""
    return {"id": CHAT, "messages": list(messages), "trigger": "submit-message", **members}


def chunks_of(stream: bytes) -> list[Json]:
    """Return the chunks of a stream; check that it ended properly."""
    *frames, done, rest = stream.split(b"\n\n")
    assert (done, rest) == (b"data: [DONE]", b""), stream[-200:]
    return [json.loads(frame.removeprefix(b"data: ")) for frame in frames if frame != b": ping"]


def chunks(app: AgentApp, *messages: Json, **members: Any) -> list[Json]:
    """Send a chat to an app, which is started for it, and return the chunks of the answer."""
    answer = ask(app, PATH, body(*(messages or [user("x")]), **members))
    assert answer.status == 200, answer.body
    assert answer.headers["x-vercel-ai-ui-message-stream"] == "v1"
    return chunks_of(answer.body)


def fold(found: Sequence[Json]) -> Json:
    """Return a message of which these are the chunks, as a client puts it together.

    Raises:
        AssertionError: A client would refuse a chunk.
    """
    message: Json = {"parts": []}
    texts: dict[str, Json] = {}
    tools: dict[str, Json] = {}
    for chunk in found:
        assert None not in [
            value for name, value in chunk.items() if name not in ("output", "data")
        ]
        kind = chunk["type"]
        if kind.endswith(("-start", "-delta", "-end")) and "id" in chunk:
            _fold_text(message, texts, chunk)
        elif kind.startswith("tool-"):
            _fold_tool(message, tools, chunk)
        elif kind in ("start", "finish"):
            message |= {kind: chunk}
        elif kind in ("error", "abort"):
            message[kind] = chunk.get("errorText", True)
        elif kind == "start-step":
            message["parts"].append({"type": "step-start"})
        elif kind != "finish-step":
            message["parts"].append(chunk)
    return message


def _fold_text(message: Json, texts: dict[str, Json], chunk: Json) -> None:
    kind, _, what = chunk["type"].rpartition("-")
    if what == "start":
        assert chunk["id"] not in texts
        texts[chunk["id"]] = part = {"type": kind, "text": ""}
        message["parts"].append(part)
    elif what == "delta":
        texts[chunk["id"]]["text"] += chunk["delta"]
    else:
        part = texts.pop(chunk["id"])
        assert part["type"] == kind
        if "providerMetadata" in chunk:
            part["providerMetadata"] = chunk["providerMetadata"]


def _fold_tool(message: Json, tools: dict[str, Json], chunk: Json) -> None:
    kind, id_ = chunk["type"].removeprefix("tool-"), chunk["toolCallId"]
    if kind in ("input-start", "input-available", "input-error"):
        if id_ not in tools:
            tools[id_] = {"type": "tool", "id": id_}
            message["parts"].append(tools[id_])
        tools[id_]["own"] = chunk.get("providerExecuted", False)
        tools[id_]["name"] = chunk["toolName"]
    part = tools.setdefault(id_, {"type": "tool", "id": id_, "earlier": True})
    if part.get("earlier") and part not in message["parts"]:
        message["parts"].append(part)
    if kind == "input-delta":
        part["streamed"] = part.get("streamed", "") + chunk["inputTextDelta"]
    part["state"] = kind
    for name in ("input", "output", "errorText", "approvalId"):
        if name in chunk:
            part[name] = chunk[name]


def tools_of(found: Sequence[Json]) -> list[Json]:
    """Return the calls in a stream."""
    return [part for part in fold(found)["parts"] if part["type"] == "tool"]


def text_of(found: Sequence[Json]) -> str:
    """Return the text in a stream."""
    return "".join(part["text"] for part in fold(found)["parts"] if part["type"] == "text")


def kinds_of(found: Sequence[Json]) -> Iterator[str]:
    """Yield the types of the chunks."""
    return (chunk["type"] for chunk in found)


def app_of(*routers: Any, resume: bool = False, **options: Any) -> AgentApp:
    """Create an app that speaks nothing else beside Responses."""
    return AgentApp(*routers, protocols=[UIStream(resume=resume)], **options)
