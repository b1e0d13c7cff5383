"""What a client of each protocol sees of a run, read from its stream."""

import json
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

Json = dict[str, Any]


class Call(NamedTuple):
    """A tool call; its output is None if the client has to execute it."""

    name: str
    arguments: Json
    output: str | None


class Seen(NamedTuple):
    """What a client has seen of a run."""

    text: str = ""
    ending: str = "completed"
    calls: tuple[Call, ...] = ()
    reasoning: str = ""
    approvals: tuple[str, ...] = ()
    citations: tuple[str, ...] = ()


class Client(NamedTuple):
    """How a protocol is spoken."""

    path: str
    """Below the agent's."""
    body: Callable[[str, str | None], Json]
    """Returns the body of a request for a stream, with a text and the URL of an image or None."""
    read: Callable[[list[Json]], Seen]
    """Reads the data of the frames."""
    headers: Mapping[str, str] = MappingProxyType({})


def data_of(body: bytes) -> list[Json]:
    """Return the data of a stream's frames as JSON; a body that is no stream is one of them."""
    if not body.startswith((b"data:", b"event:", b"id:", b":")):
        return [json.loads(body)] if body else []
    lines = [line for line in body.decode().split("\n") if line.startswith("data: ")]
    return [json.loads(line[6:]) for line in lines if line != "data: [DONE]"]


def _tree(frames: list[Json], name: str) -> Iterator[Any]:
    """Yield the values of all frames that have a member."""
    return (frame[name] for frame in frames if name in frame)


def _joined(frames: list[Json], kind: str, member: str = "delta") -> str:
    return "".join(frame[member] for frame in frames if frame.get("type") == kind)


# the Responses API, and MLflow's form of it


def responses_body(text: str, image: str | None) -> Json:
    parts: list[Json] = [{"type": "input_text", "text": text}]
    if image is not None:
        parts.append({"type": "input_image", "image_url": image})
    return {"input": [{"type": "message", "role": "user", "content": parts}], "stream": True}


def read_responses(frames: list[Json]) -> Seen:
    ends = [frame for frame in frames if frame["type"] == "response.output_item.done"]
    done = [frame["item"] for frame in sorted(ends, key=lambda frame: frame["output_index"])]
    outputs = {
        each["call_id"]: each["output"] for each in done if "output" in each and "call_id" in each
    }
    calls = [
        Call(each["name"], json.loads(each["arguments"]), outputs.get(each["call_id"]))
        for each in done
        if each["type"] == "function_call"
    ]
    calls += [
        Call(each["name"], json.loads(each["arguments"]), each["output"])
        for each in done
        if each["type"] == "mcp_call"
    ]
    annotations = _tree(frames, "annotation")
    endings = {"response.completed", "response.failed", "response.incomplete"}
    (ending,) = [frame["type"] for frame in frames if frame["type"] in endings] or ["cut"]
    return Seen(
        _joined(frames, "response.output_text.delta"),
        ending.removeprefix("response."),
        tuple(calls),
        _joined(frames, "response.reasoning_summary_text.delta"),
        tuple(each["name"] for each in done if each["type"] == "mcp_approval_request"),
        tuple(each["url"] for each in annotations),
    )


# Chat Completions


def chat_body(text: str, image: str | None) -> Json:
    parts: list[Json] = [{"type": "text", "text": text}]
    if image is not None:
        parts.append({"type": "image_url", "image_url": {"url": image}})
    return {"messages": [{"role": "user", "content": parts}], "stream": True}


def read_chat(frames: list[Json]) -> Seen:
    choices = [choice for frame in frames for choice in frame.get("choices", ())]
    deltas = [choice["delta"] for choice in choices]
    parts = [call for delta in deltas for call in delta.get("tool_calls") or ()]
    calls = []
    for name in [each["function"]["name"] for each in parts if each["function"].get("name")]:
        text = "".join(each["function"].get("arguments") or "" for each in parts)
        calls.append(Call(name, json.loads(text), None))
    finish = [choice["finish_reason"] for choice in choices if choice["finish_reason"]]
    failed = any("error" in frame for frame in frames)
    names = {"stop": "completed", "tool_calls": "completed", "length": "incomplete"}
    ending = "failed" if failed else names[finish[0]] if finish else "cut"
    return Seen(
        "".join(delta.get("content") or "" for delta in deltas),
        ending,
        tuple(calls),
        "".join(delta.get("reasoning_content") or "" for delta in deltas),
    )


# the AI SDK


def ui_body(text: str, image: str | None) -> Json:
    parts: list[Json] = [{"type": "text", "text": text}]
    if image is not None:
        parts.append({"type": "file", "mediaType": "image/png", "url": image})
    message = {"id": "m1", "role": "user", "parts": parts}
    return {"id": "chat-0123456789abcdef", "messages": [message], "trigger": "submit-message"}


def read_ui(frames: list[Json]) -> Seen:
    inputs = {f["toolCallId"]: f for f in frames if f["type"] == "tool-input-available"}
    outputs = {f["toolCallId"]: f["output"] for f in frames if f["type"] == "tool-output-available"}
    asked = [f["toolCallId"] for f in frames if f["type"] == "tool-approval-request"]
    calls = [
        Call(each["toolName"], each["input"], outputs.get(id_))
        for id_, each in inputs.items()
        if id_ not in asked
    ]
    kinds = [frame["type"] for frame in frames]
    names = {"stop": "completed", "tool-calls": "completed", "length": "incomplete"}
    finish = [frame.get("finishReason") for frame in frames if frame["type"] == "finish"]
    ending = "failed" if "error" in kinds else names[finish[0] or "stop"] if finish else "cut"
    return Seen(
        _joined(frames, "text-delta"),
        ending,
        tuple(calls),
        _joined(frames, "reasoning-delta"),
        tuple(inputs[id_]["toolName"] for id_ in asked),
        tuple(frame["url"] for frame in frames if frame["type"] == "source-url"),
    )


# AG-UI


def agui_body(text: str, image: str | None) -> Json:
    parts: list[Json] = [{"type": "text", "text": text}]
    if image is not None:
        value = image.partition(",")[2]
        source = {"type": "data", "value": value, "mimeType": "image/png"}
        parts.append({"type": "image", "source": source})
    message = {"id": "m1", "role": "user", "content": parts}
    ids = {"threadId": "t1", "runId": "r1", "protocolVersion": "1.0"}
    lists: Json = {"tools": [], "context": []}
    return {**ids, **lists, "messages": [message], "state": {}, "forwardedProps": {}}


def read_agui(frames: list[Json]) -> Seen:
    results = {f["toolCallId"]: f["content"] for f in frames if f["type"] == "TOOL_CALL_RESULT"}
    names = {f["toolCallId"]: f["toolCallName"] for f in frames if f["type"] == "TOOL_CALL_START"}
    ends = [frame for frame in frames if frame["type"] in ("RUN_FINISHED", "RUN_ERROR")]
    interrupts = [each for end in ends for each in (end.get("outcome") or {}).get("interrupts", ())]
    asked = {each.get("toolCallId") for each in interrupts}
    calls = []
    for id_, name in names.items():
        pieces = (f for f in frames if f["type"] == "TOOL_CALL_ARGS" and f["toolCallId"] == id_)
        arguments = json.loads("".join(each["delta"] for each in pieces))
        if id_ not in asked:
            calls.append(Call(name, arguments, results.get(id_)))
    ending = "cut"
    if ends:
        (end,) = ends
        short = "reason" in (end.get("metadata") or {})
        ending = "failed" if end["type"] == "RUN_ERROR" else "incomplete" if short else "completed"
    return Seen(
        _joined(frames, "TEXT_MESSAGE_CONTENT"),
        ending,
        tuple(calls),
        _joined(frames, "REASONING_MESSAGE_CONTENT"),
        tuple(names[id_] for id_ in asked if id_ in names),
    )


# A2A


def a2a_body(text: str, image: str | None) -> Json:
    parts: list[Json] = [{"text": text}]
    if image is not None:
        parts.append({"raw": image.partition(",")[2], "mediaType": "image/png"})
    message = {"messageId": "m1", "role": "ROLE_USER", "parts": parts}
    call = {"jsonrpc": "2.0", "id": 1, "method": "SendStreamingMessage"}
    return {**call, "params": {"message": message}}


def read_a2a(frames: list[Json]) -> Seen:
    texts: dict[str, str] = {}
    state, asked = "", ""
    for frame in frames:
        result = frame.get("result") or {}
        update = result.get("artifactUpdate")
        if update is not None:
            artifact = update["artifact"]
            text = "".join(part.get("text", "") for part in artifact["parts"])
            earlier = texts.get(artifact["artifactId"], "") if update.get("append") else ""
            texts[artifact["artifactId"]] = earlier + text
        status = (result.get("statusUpdate") or result.get("task") or {}).get("status")
        if status is not None:
            state = status["state"]
            asked = json.dumps(status.get("message") or "")
    endings = {
        "TASK_STATE_COMPLETED": "completed",
        "TASK_STATE_FAILED": "failed",
        "TASK_STATE_INPUT_REQUIRED": "completed",
    }
    waits = state == "TASK_STATE_INPUT_REQUIRED"
    approvals = ("delete",) if waits and "delete" in asked else ()
    return Seen("".join(texts.values()), endings.get(state, "cut"), approvals=approvals)


# Agent Bricks


def bricks_body(text: str, image: str | None) -> Json:
    id_ = "00000000-0000-4000-8000-0000000000" + ("01" if image is None else "02")
    return {"id": id_, "input": chat_body(text, image)["messages"], "stream": True}


def read_bricks(frames: list[Json]) -> Seen:
    messages = [frame["message"] for frame in frames if frame["type"] == "message"]
    results = {each["tool_call_id"]: each["content"] for each in messages if each["role"] == "tool"}
    calls = [
        Call(call["name"], call["args"], results.get(call["id"]))
        for each in messages
        for call in each.get("tool_calls", ())
    ]
    parts = [
        part for each in messages if isinstance(each["content"], list) for part in each["content"]
    ]
    summaries = [each for part in parts for each in part.get("summary", ())]
    links = [each["url"] for part in parts for each in part.get("annotations") or ()]
    requests = [
        each["name"]
        for frame in frames
        if frame["type"] == "interrupt"
        for each in frame["value"].get("action_requests", ())
    ]
    return Seen(
        _joined(frames, "delta", "content"),
        {"run.completed": "completed", "run.failed": "failed"}.get(frames[-1]["type"], "cut"),
        tuple(calls),
        "".join(each["text"] for each in summaries),
        tuple(requests),
        tuple(links),
    )


CLIENTS = {
    "Responses": Client("/responses", responses_body, read_responses),
    "invocations": Client("/invocations", responses_body, read_responses),
    "Chat Completions": Client("/chat/completions", chat_body, read_chat),
    "AI SDK": Client("/api/chat", ui_body, read_ui),
    "AG-UI": Client("/agui", agui_body, read_agui),
    "A2A": Client("/a2a", a2a_body, read_a2a, {"a2a-version": "1.0"}),
    "Agent Bricks": Client("/api/invocations", bricks_body, read_bricks),
}
"""The protocols with a stream of their own; MCP's client is its SDK."""
