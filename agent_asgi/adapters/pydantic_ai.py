"""Agents of Pydantic AI: a run's events as what a handler yields.

A stream handler, an `async def`, is `return outputs(agent.run_stream_events(**inputs(request)))`.
"""

import mimetypes
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from itertools import groupby
from typing import Any, TypedDict

from ..errors import AgentFailed, InvalidRequest
from ..schema.items import (
    ContentPart,
    FunctionCall,
    FunctionCallOutput,
    InputFile,
    InputImage,
    InputItem,
    InputText,
    InputVideo,
    Message,
    OutputText,
    PlainText,
    ReasoningItem,
)
from ..schema.requests import ResponsesRequest
from ..schema.responses import InputTokensDetails, OutputTokensDetails, Usage

try:
    from pydantic_ai import (
        AgentRunResultEvent,
        DeferredToolRequests,
        UsageLimitExceeded,
    )
    from pydantic_ai import messages as m
    from pydantic_ai.usage import RunUsage
    from pydantic_core import to_json
except ImportError as error:
    raise ImportError("This needs Pydantic AI: pip install 'agent-asgi[pydantic-ai]'") from error


class Inputs(TypedDict):
    """What an agent's `run_stream_events`, `run` and `iter` take."""

    user_prompt: str | Sequence[m.UserContent] | None
    """What the user said last; None where the input ends with something else."""
    message_history: list[m.ModelMessage]
    """What was said before."""
    instructions: str | None
    """The request's own, which come on top of the agent's."""


def inputs(request: ResponsesRequest) -> Inputs:
    """Give what `agent.run_stream_events` takes, by name.

    Reasoning is left out: what signs it for its provider is not part of the wire. A call without an
    output is told as interrupted: an agent would run what a client only says was called.

    Args:
        request: The request.

    Raises:
        InvalidRequest: An item or a part of it has no counterpart; `param` names it.
    """
    if isinstance(request.input, str):
        return _inputs(request, request.input, [])
    items = list(request.input)
    last = items[-1] if items else None
    if not isinstance(last, Message) or last.role != "user":
        return _inputs(request, None, items)
    prompt = _content(last.content, f"input[{len(items) - 1}].content")
    return _inputs(request, prompt, items[:-1])


def _inputs(
    request: ResponsesRequest, prompt: str | list[m.UserContent] | None, before: list[InputItem]
) -> Inputs:
    return {
        "user_prompt": prompt,
        "message_history": _history(before),
        "instructions": request.instructions,
    }


def _history(items: list[InputItem]) -> list[m.ModelMessage]:
    names = {each.call_id: each.name for each in items if isinstance(each, FunctionCall)}
    numbered = enumerate(items)
    parts = [
        _part(each, names, f"input[{number}]")
        for number, each in numbered
        if not isinstance(each, ReasoningItem)
    ]
    return m.repair_messages(
        [
            m.ModelResponse(parts=list(group)) if said else m.ModelRequest(parts=list(group))
            for said, group in groupby(parts, lambda part: isinstance(part, _SAID))
        ]
    )


_SAID = (m.TextPart, m.ToolCallPart)


def _part(item: InputItem, names: dict[str, str], path: str) -> Any:
    match item:
        case Message(role="user"):
            return m.UserPromptPart(_content(item.content, f"{path}.content"))
        case Message(role="assistant"):
            return m.TextPart(_said(item.content))
        case Message():
            return m.SystemPromptPart(_said(item.content))
        case FunctionCall():
            return m.ToolCallPart(item.name, item.arguments, item.call_id)
        case FunctionCallOutput() if item.call_id in names:
            return m.ToolReturnPart(names[item.call_id], _said(item.output), item.call_id)
        case FunctionCallOutput():
            path = f"{path}.call_id"
            raise InvalidRequest(f"{path}: no function call has the id {item.call_id!r}.", path)
    raise InvalidRequest(f"{path}: this agent takes no item of this type.", path)


def _said(content: str | list[ContentPart]) -> str:
    if isinstance(content, str):
        return content
    return "".join(getattr(each, "text", getattr(each, "refusal", "")) for each in content)


def _content(content: str | list[ContentPart], path: str) -> str | list[m.UserContent]:
    if isinstance(content, str):
        return content
    return [_piece(part, f"{path}[{number}]") for number, part in enumerate(content)]


def _piece(part: ContentPart, path: str) -> m.UserContent:
    match part:
        case InputText() | PlainText() | OutputText():
            return part.text
        case InputImage(image_url=str(url)):
            return _file(url, m.ImageUrl, f"{path}.image_url")
        case InputVideo(video_url=url):
            return _file(url, m.VideoUrl, f"{path}.video_url")
        case InputFile(file_url=str(url)):
            return _file(url, m.DocumentUrl, f"{path}.file_url")
        case InputFile(file_data=str(data)):
            kind = mimetypes.guess_type(part.filename or "")[0] or "application/octet-stream"
            url = data if data.startswith("data:") else f"data:{kind};base64,{data}"
            return _file(url, m.DocumentUrl, f"{path}.file_data")
    raise InvalidRequest(f"{path}: this agent takes no part of this type.", path)


def _file(
    url: str, kind: type[m.ImageUrl | m.VideoUrl | m.DocumentUrl], path: str
) -> m.UserContent:
    """Give a file that a client sent: the server would open any other URL with rights of its own.

    https://pydantic.dev/docs/ai/advanced-features/input/
    """
    if url.startswith(("http://", "https://")):
        return kind(url)
    try:
        return m.BinaryContent.from_data_uri(url)
    except ValueError as error:
        needed = "it must be a URL, http or https, or base64 data"
        raise InvalidRequest(f"{path}: {needed}.", path) from error


async def outputs(stream: AbstractAsyncContextManager[AsyncIterator[Any]]) -> AsyncIterator[Any]:
    """Give what a run says: text and thoughts as they come, tool calls and results, the usage.

    A result that is not text comes as JSON, in a message of its own. Closing it cancels the run and
    waits for its end.

    Args:
        stream: What `agent.run_stream_events` gave.

    Raises:
        AgentFailed: The run used more than its `UsageLimits` allow.
        NotImplementedError: A tool waits for somebody's approval.
    """
    by_tool = False
    try:
        async with stream as events:
            async for event in events:
                if isinstance(event, AgentRunResultEvent):
                    if said := _ending(event.result.output, by_tool):
                        yield said
                    yield _usage(event.result.usage)
                elif isinstance(event, m.OutputToolResultEvent):
                    by_tool = event.part.outcome == "success"
                elif output := _output(event):
                    yield output
    except UsageLimitExceeded as error:
        raise AgentFailed("The agent used more than it may.", "usage_limit_exceeded") from error


def _output(event: Any) -> Any:
    """Give what an event of the run says; None where it says nothing to a client."""
    match event:
        case m.PartDeltaEvent(delta=m.TextPartDelta(content_delta=text)):
            return text
        case m.PartStartEvent(part=m.TextPart(content=text)):
            return text
        case m.PartDeltaEvent(delta=m.ThinkingPartDelta(content_delta=str(text))):
            return _thought(text)
        case m.PartStartEvent(part=m.ThinkingPart(content=text)):
            return _thought(text)
        case m.PartEndEvent(part=part):
            return _done(part)
        case m.PartStartEvent(part=m.NativeToolReturnPart() as part):  # it has no end
            return _returned(part)
        case m.FunctionToolCallEvent(part=part):
            return _call(part)
        case m.FunctionToolResultEvent(part=part):
            return _returned(part)
    return None


def _thought(text: str) -> dict[str, Any] | None:
    return {"type": "response.reasoning_summary_text.delta", "delta": text} if text else None


def _done(part: m.ModelResponsePart) -> Any:
    """Close the item of a part; a call that the provider runs itself comes whole."""
    match part:
        case m.TextPart(content=text) if text:
            return {"type": "response.output_item.done", "item": _message(text)}
        case m.ThinkingPart(content=text) if text:
            item = {"type": "reasoning", "summary": [{"type": "summary_text", "text": text}]}
            return {"type": "response.output_item.done", "item": item}
        case m.NativeToolCallPart():
            return _call(part)
    return None


def _message(text: str) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text}]
    return {"type": "message", "role": "assistant", "content": content}


def _call(part: m.ToolCallPart | m.NativeToolCallPart) -> FunctionCall:
    return FunctionCall(
        call_id=part.tool_call_id, name=part.tool_name, arguments=part.args_as_json_str()
    )


def _returned(part: m.ToolReturnPart | m.NativeToolReturnPart) -> FunctionCallOutput:
    return FunctionCallOutput(call_id=part.tool_call_id, output=part.model_response_str())


def _ending(output: Any, by_tool: bool) -> dict[str, Any] | None:
    """Give what the result says beside the text that has been streamed."""
    if isinstance(output, DeferredToolRequests):
        if output.approvals:
            names = ", ".join(each.tool_name for each in output.approvals)
            raise NotImplementedError(f"nobody can approve a tool call over this wire: {names}")
        return None  # the calls have been told; the client runs them
    if not by_tool:
        return None
    return _message(output if isinstance(output, str) else to_json(output).decode())


def _usage(used: RunUsage) -> Usage:
    thought = used.details.get("reasoning_tokens", 0)
    return Usage(
        input_tokens=used.input_tokens,
        output_tokens=used.output_tokens,
        input_tokens_details=InputTokensDetails(cached_tokens=used.cache_read_tokens),
        output_tokens_details=OutputTokensDetails(reasoning_tokens=thought),
    )
