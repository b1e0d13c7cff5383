"""Pydantic AI: an agent as a router, or a run's events as outputs of a handler.

`AgentApp(agent)` serves an agent. With options: `AgentApp(router(agent, "name", max_threads=4))`.
Your own handler, an `async def`, is
`return outputs(agent.run_stream_events(**inputs(request)))`.
"""

import mimetypes
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from itertools import groupby
from types import NoneType
from typing import Any, NotRequired, TypedDict

import msgspec

from ..agents.router import AgentRouter, Tool, valid_name
from ..context import current, get_context
from ..errors import AgentFailed, InvalidRequest, MissingExtra
from ..schema import codec
from ..schema.chat_messages import text_of
from ..schema.ids import item_id
from ..schema.items import (
    ApprovalRequest,
    ApprovalResponse,
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
from ..schema.responses import Usage
from ..schema.tool_calls import INTERRUPTED, NO_ANSWER, made_again

try:
    from pydantic_ai import (
        AgentRunResult,
        AgentRunResultEvent,
        DeferredToolRequests,
        DeferredToolResults,
        FunctionToolset,
        ToolApproved,
        ToolDenied,
        UsageLimitExceeded,
    )
    from pydantic_ai import messages as m
    from pydantic_ai.agent import AbstractAgent
    from pydantic_ai.usage import RunUsage
    from pydantic_core import to_json
except ImportError as error:
    raise MissingExtra("The adapter for Pydantic AI", "pydantic-ai") from error


class Inputs(TypedDict):
    """Arguments of an agent's `run_stream_events`, `run` and `iter`."""

    user_prompt: str | Sequence[m.UserContent] | None
    """The user's last message; None if the input ends with another item."""
    message_history: list[m.ModelMessage]
    """The items before it."""
    instructions: str | None
    """The request's instructions, in addition to the agent's."""
    deferred_tool_results: NotRequired[DeferredToolResults]
    """The client's answers, if the request answers approval requests."""


class _State(msgspec.Struct):
    """What is saved of a run that waits for approval."""

    approvals: dict[str, str]
    """The ids of its approval requests, with those of the calls."""
    calls: list[str]
    """The ids of the calls that the client executes."""
    messages: msgspec.Raw
    """The run's messages."""


_states = msgspec.json.Decoder(_State)


def router(agent: AbstractAgent[Any, Any], name: str | None = None, **options: Any) -> AgentRouter:
    """Return a router that serves an agent.

    Args:
        agent: The agent.
        name: The router's name. Default: the agent's.
        **options: Options of `AgentRouter`.

    Raises:
        TypeError: The agent needs dependencies, or an option has a wrong type.
        ValueError: The name or another option is invalid.
    """
    if agent.deps_type not in (object, NoneType):  # object: none are declared
        raise TypeError(
            f"The agent needs `deps` of type {agent.deps_type.__name__}. Pass them in a handler: "
            "`return outputs(agent.run_stream_events(**inputs(request), deps=...))`."
        )
    router = AgentRouter(valid_name(agent.name) if name is None else name, **options)
    router.tools = partial(_tools, agent)

    @router.stream
    async def run(request: ResponsesRequest) -> AsyncIterator[Any]:
        return outputs(agent.run_stream_events(**inputs(request)))

    return router


def _tools(agent: AbstractAgent[Any, Any]) -> list[Tool]:
    """Return an agent's functions. What its other toolsets have is known only during a run."""
    sets = [each for each in agent.toolsets if isinstance(each, FunctionToolset)]
    return [
        {
            "name": name,
            "description": tool.description,
            "input_schema": tool.function_schema.json_schema,
        }
        for each in sets
        for name, tool in each.tools.items()
    ]


def inputs(request: ResponsesRequest) -> Inputs:
    """Return the keyword arguments of `agent.run_stream_events`.

    Reasoning is left out, since the wire lacks its provider's signature. A call without an output
    is answered as interrupted, since an agent would execute it. If the request answers approval
    requests, the history is that of the run that asked; a call without an answer is denied.

    Args:
        request: The request.

    Raises:
        InvalidRequest: Pydantic AI has no such item or part; `param` names it.
    """
    context = current.get(None)
    if context is not None and context.saved_state is not None:
        return _resumed(request, _states.decode(context.saved_state), context.approvals)
    items = list(request.input)
    prompt: str | list[m.UserContent] | None = None
    last = items[-1] if items else None
    if isinstance(last, Message) and last.role == "user":
        items.pop()
        prompt = _content(last.content, f"input[{len(items)}].content")
    return {
        "user_prompt": prompt,
        "message_history": _history(items),
        "instructions": request.instructions,
    }


def _resumed(request: ResponsesRequest, state: _State, answers: Sequence[object]) -> Inputs:
    """Return the arguments for a request that answers approval requests."""
    results = DeferredToolResults(
        approvals=dict.fromkeys(state.approvals.values(), ToolDenied(NO_ANSWER)),
        calls=dict.fromkeys(state.calls, INTERRUPTED),
    )
    prompt: str | list[m.UserContent] | None = None
    for number, item in enumerate(request.new_input):
        if isinstance(item, ApprovalResponse) and item in answers:
            results.approvals[state.approvals[item.approval_request_id]] = _result_of(item)
            prompt = None
        elif isinstance(item, FunctionCallOutput) and item.call_id in state.calls:
            results.calls[item.call_id] = text_of(item.output)
        elif isinstance(item, Message) and item.role == "user":
            prompt = _content(item.content, f"input[{number}].content")
    return {
        "user_prompt": prompt,
        "message_history": m.ModelMessagesTypeAdapter.validate_json(bytes(state.messages)),
        "instructions": request.instructions,
        "deferred_tool_results": results,
    }


def _result_of(answer: ApprovalResponse) -> ToolApproved | ToolDenied:
    if answer.approve:
        return ToolApproved(override_args=answer.arguments)
    return ToolDenied(answer.reason) if answer.reason else ToolDenied()


def _history(items: list[InputItem]) -> list[m.ModelMessage]:
    names = {each.call_id: each.name for each in items if isinstance(each, FunctionCall)}
    again = made_again(items)
    parts = [
        _part(each, names, f"input[{number}]")
        for number, each in enumerate(items)
        if number not in again and not isinstance(each, _LEFT_OUT)
    ]
    return m.repair_messages(
        [
            m.ModelResponse(parts=list(group)) if own else m.ModelRequest(parts=list(group))
            for own, group in groupby(parts, lambda part: isinstance(part, _MODEL_PARTS))
        ]
    )


_LEFT_OUT = (ReasoningItem, ApprovalRequest, ApprovalResponse)
_MODEL_PARTS = (m.TextPart, m.ToolCallPart)


def _part(item: InputItem, names: dict[str, str], path: str) -> Any:
    match item:
        case Message(role="user"):
            return m.UserPromptPart(_content(item.content, f"{path}.content"))
        case Message(role="assistant"):
            return m.TextPart(text_of(item.content))
        case Message():
            return m.SystemPromptPart(text_of(item.content))
        case FunctionCall():
            return m.ToolCallPart(item.name, item.arguments, item.call_id)
        case FunctionCallOutput() if item.call_id in names:
            return m.ToolReturnPart(names[item.call_id], text_of(item.output), item.call_id)
        case FunctionCallOutput():
            path = f"{path}.call_id"
            raise InvalidRequest(f"{path}: no function call has the id {item.call_id!r}.", path)
    raise InvalidRequest(f"{path}: this agent does not take items of this type.", path)


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
    raise InvalidRequest(f"{path}: this agent does not take parts of this type.", path)


def _file(
    url: str, kind: type[m.ImageUrl | m.VideoUrl | m.DocumentUrl], path: str
) -> m.UserContent:
    """Return a client's file; the server would open any other URL with its own rights.

    https://pydantic.dev/docs/ai/advanced-features/input/
    """
    if url.startswith(("http://", "https://")):
        return kind(url)
    try:
        return m.BinaryContent.from_data_uri(url)
    except ValueError as error:
        message = f"{path}: must be an http or https URL, or base64 data."
        raise InvalidRequest(message, path) from error


async def outputs(stream: AbstractAsyncContextManager[AsyncIterator[Any]]) -> AsyncIterator[Any]:
    """Yield the outputs of a run: text and reasoning, tool calls and results, the usage.

    A result that is not text becomes a separate message of JSON. If tools need approval, the run's
    messages are saved with the response, and `inputs` continues it. Closing the generator cancels
    the run and waits for its end.

    Args:
        stream: What `agent.run_stream_events` returned.

    Raises:
        AgentFailed: The run exceeded its `UsageLimits`.
        InvalidRequest: A tool needs approval, but the client sent `store: false`.
    """
    by_tool = False
    try:
        async with stream as events:
            async for event in events:
                if isinstance(event, AgentRunResultEvent):
                    yield _result(event.result, by_tool)
                    yield _usage(event.result.usage)
                elif isinstance(event, m.OutputToolResultEvent):
                    by_tool = event.part.outcome == "success"
                elif output := _output(event):
                    yield output
    except UsageLimitExceeded as error:
        raise AgentFailed("The agent exceeded its usage limit.", "usage_limit_exceeded") from error


def _output(event: Any) -> Any:
    """Return the output of an event; None if it has none."""
    match event:
        case m.PartDeltaEvent(delta=m.TextPartDelta(content_delta=text)):
            return text
        case m.PartStartEvent(part=m.TextPart(content=text)):
            return text
        case m.PartDeltaEvent(delta=m.ThinkingPartDelta(content_delta=str(text))):
            return _reasoning(text)
        case m.PartStartEvent(part=m.ThinkingPart(content=text)):
            return _reasoning(text)
        case m.PartEndEvent(part=part):
            return _done(part)
        case m.PartStartEvent(part=m.NativeToolReturnPart() as part):  # has no end event
            return _call_output(part)
        case m.FunctionToolCallEvent(part=part):
            return _call(part)
        case m.FunctionToolResultEvent(part=part):
            return _call_output(part)
    return None


def _reasoning(text: str) -> dict[str, Any] | None:
    return {"type": "response.reasoning_summary_text.delta", "delta": text} if text else None


def _done(part: m.ModelResponsePart) -> Any:
    """Return the end of a part's item; a call that the provider executes as a whole."""
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


def _call_output(part: m.ToolReturnPart | m.NativeToolReturnPart) -> FunctionCallOutput:
    return FunctionCallOutput(call_id=part.tool_call_id, output=part.model_response_str())


def _result(result: AgentRunResult[Any], by_tool: bool) -> list[Any]:
    """Return the outputs of a result that was not streamed as text."""
    output = result.output
    if isinstance(output, DeferredToolRequests):
        return _approvals(output, result)
    if not by_tool:
        return []
    return [_message(output if isinstance(output, str) else to_json(output).decode())]


def _approvals(deferred: DeferredToolRequests, result: AgentRunResult[Any]) -> list[Any]:
    """Save the messages of a run that waits for approval, and return what it asks."""
    if not deferred.approvals:
        return []  # the client executes the calls
    requests = [
        ApprovalRequest(part.tool_name, part.args_as_json_str(), id=item_id("mcp_approval_request"))
        for part in deferred.approvals
    ]
    ids = {
        str(request.id): part.tool_call_id
        for request, part in zip(requests, deferred.approvals, strict=True)
    }
    calls = [part.tool_call_id for part in deferred.calls]
    state = _State(ids, calls, msgspec.Raw(result.all_messages_json()))
    get_context().save_state(codec.encode(state))
    return requests


def _usage(usage: RunUsage) -> Usage:
    return Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        input_tokens_details={
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        output_tokens_details={"reasoning_tokens": usage.details.get("reasoning_tokens")},
    )
