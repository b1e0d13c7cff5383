"""Agents of the OpenAI Agents SDK: a streamed run as what a handler yields.

A stream handler, an `async def`, is `return outputs(Runner.run_streamed(agent, inputs(request)))`.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, cast

import msgspec

from ..errors import AgentError, AgentFailed, InvalidRequest
from ..outputs import as_usage
from ..schema.items import InputItem, Message
from ..schema.requests import ResponsesRequest
from ..schema.responses import InputTokensDetails, OutputTokensDetails, Usage
from .calls import settled

try:
    from agents import (
        InputGuardrailTripwireTriggered,
        MaxTurnsExceeded,
        OutputGuardrailTripwireTriggered,
        RunResultStreaming,
        StreamEvent,
        ToolInputGuardrailTripwireTriggered,
        ToolOutputGuardrailTripwireTriggered,
        TResponseInputItem,
    )
    from agents import Usage as RunUsage
except ImportError as error:
    raise ImportError(
        "This needs the OpenAI Agents SDK: pip install 'agent-asgi[openai-agents]'"
    ) from error

_TOLD = (
    MaxTurnsExceeded,
    InputGuardrailTripwireTriggered,
    OutputGuardrailTripwireTriggered,
    ToolInputGuardrailTripwireTriggered,
    ToolOutputGuardrailTripwireTriggered,
)
_MADE_HERE = ("tool_call_output_item", "handoff_output_item", "mcp_approval_response_item")
"""The run's items that no model has said, so that no raw event has them."""


def inputs(request: ResponsesRequest, *, session: bool = False) -> list[TResponseInputItem]:
    """Give what `Runner.run_streamed` takes as its input.

    The request's `instructions` come first, as a system message; not with a session, which would
    keep them. A call without an output is told as interrupted.

    Args:
        request: The request.
        session: Whether the SDK keeps the conversation in a session of its own, and needs only what
            came with this request. Default False: the whole conversation.
    """
    given = request.new_input if session else request.input
    first: list[TResponseInputItem] = []
    if request.instructions and not session:
        first = [{"role": "system", "content": request.instructions}]
    if isinstance(given, str):
        return [*first, {"role": "user", "content": given}]
    return first + [cast(TResponseInputItem, _item(each)) for each in settled(given)]


def _item(item: InputItem) -> dict[str, Any]:
    """Give an item as each of the SDK's models reads it: a text goes with its role alone."""
    if isinstance(item, Message):
        said = item.text if item.role == "assistant" and item.id is None else item.content
        if isinstance(said, str):
            return {"role": item.role, "content": said}
    plain: dict[str, Any] = msgspec.to_builtins(item)
    return plain


async def outputs(result: RunResultStreaming) -> AsyncIterator[Any]:
    """Give what a streamed run says: the models' own events, what tools gave, and the usage.

    Closing it cancels the run and waits for its end.

    Args:
        result: What `Runner.run_streamed` gave.

    Raises:
        InvalidRequest: An input guardrail was tripped.
        AgentFailed: Another guardrail was tripped, or the run took more turns than it may.
        NotImplementedError: A tool waits for somebody's approval.
    """
    events = cast(AsyncGenerator[StreamEvent, None], result.stream_events())
    told = Usage()
    try:
        async for event in events:
            if event.type == "raw_response_event":
                yield event.data
                if event.data.type in ("response.completed", "response.incomplete"):
                    told += as_usage(event.data.response.usage or Usage())
            elif event.type == "run_item_stream_event" and event.item.type in _MADE_HERE:
                yield event.item.to_input_item()
    except _TOLD as error:
        raise _failure(error) from error
    finally:
        result.cancel()
        await events.aclose()
        if result.run_loop_task is not None:
            await asyncio.wait([result.run_loop_task])
    if result.interruptions:
        names = ", ".join(str(each.name) for each in result.interruptions)
        raise NotImplementedError(f"nobody can approve a tool call over this wire: {names}")
    if rest := _beyond(result.context_wrapper.usage, told):
        yield rest


def _failure(error: Exception) -> AgentError:
    """Tell the client which of the agent's own bounds ended the run."""
    if isinstance(error, MaxTurnsExceeded):
        return AgentFailed("The agent took too many turns.", "max_turns_exceeded")
    if isinstance(error, InputGuardrailTripwireTriggered):
        return InvalidRequest("A guardrail refused the input.", "input", "guardrail_tripped")
    return AgentFailed("A guardrail stopped the agent.", "guardrail_tripped")


def _beyond(whole: RunUsage, told: Usage) -> Usage | None:
    """Give what a run used beside its own models' turns: agents that it has as tools."""
    had, thought = told.input_tokens_details, told.output_tokens_details
    cached = (whole.input_tokens_details.cached_tokens or 0) - had.cached_tokens
    reasoning = (whole.output_tokens_details.reasoning_tokens or 0) - thought.reasoning_tokens
    rest = Usage(
        input_tokens=whole.input_tokens - told.input_tokens,
        output_tokens=whole.output_tokens - told.output_tokens,
        input_tokens_details=InputTokensDetails(cached_tokens=cached),
        output_tokens_details=OutputTokensDetails(reasoning_tokens=reasoning),
    )
    return rest if rest.total_tokens > 0 else None
