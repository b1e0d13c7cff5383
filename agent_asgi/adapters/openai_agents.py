"""OpenAI Agents SDK: an agent as a router, or a streamed run as outputs of a handler.

`AgentApp(agent)` serves an agent. With options: `AgentApp(router(agent, "name", max_threads=4))`.
Your own handler, an `async def`, is
`return outputs(Runner.run_streamed(agent, inputs(request)))`.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from functools import partial
from typing import Any, cast

import msgspec
from msgspec import structs

from ..agents.router import AgentRouter, Tool, valid_name
from ..context import get_context
from ..errors import AgentError, AgentFailed, InvalidRequest, MissingExtra
from ..events.coerce import as_usage
from ..schema import codec
from ..schema.ids import item_id
from ..schema.items import ApprovalRequest, ApprovalResponse, InputItem, Message
from ..schema.requests import ResponsesRequest
from ..schema.responses import Usage
from ..schema.tool_calls import answered

try:
    from agents import (
        Agent,
        FunctionTool,
        InputGuardrailTripwireTriggered,
        MaxTurnsExceeded,
        OutputGuardrailTripwireTriggered,
        Runner,
        RunResultStreaming,
        RunState,
        StreamEvent,
        ToolInputGuardrailTripwireTriggered,
        ToolOutputGuardrailTripwireTriggered,
        TResponseInputItem,
    )
    from agents import Usage as RunUsage
    from openai.types.responses.response_output_item import McpApprovalRequest
except ImportError as error:
    raise MissingExtra("The adapter for the OpenAI Agents SDK", "openai-agents") from error

_FAILURES = (
    MaxTurnsExceeded,
    InputGuardrailTripwireTriggered,
    OutputGuardrailTripwireTriggered,
    ToolInputGuardrailTripwireTriggered,
    ToolOutputGuardrailTripwireTriggered,
)
_APPROVALS = (ApprovalRequest, ApprovalResponse)  # calls and outputs tell what came of them
_CALL_ITEMS = ("tool_call_item", "handoff_call_item")
_OWN_ITEMS = ("tool_call_output_item", "handoff_output_item", "mcp_approval_response_item")
"""Items that come from the SDK, not from a model, and so are in no raw event."""


class _State(msgspec.Struct):
    """What is saved of a run that waits for approval."""

    approvals: list[str]
    """The ids of its approval requests, in the order of its interruptions."""
    run: dict[str, Any]
    """The SDK's `RunState`."""


_states = msgspec.json.Decoder(_State)


def router(agent: Agent[Any], name: str | None = None, **options: Any) -> AgentRouter:
    """Return a router that serves an agent; tools that need approval ask for it.

    Args:
        agent: The agent.
        name: The router's name. Default: the agent's.
        **options: Options of `AgentRouter`.

    Raises:
        TypeError: An option has a wrong type.
        ValueError: The name or another option is invalid.
    """
    router = AgentRouter(valid_name(agent.name) if name is None else name, **options)
    router.tools = partial(_tools, agent)

    @router.stream
    async def run(request: ResponsesRequest) -> AsyncIterator[Any]:
        return outputs(Runner.run_streamed(agent, await resume(agent, request)))

    return router


def _tools(agent: Agent[Any]) -> list[Tool]:
    """Return an agent's functions. What its MCP servers have is known only during a run."""
    return [
        {
            "name": tool.name,
            "description": tool.description,
            "input_schema": tool.params_json_schema,
        }
        for tool in agent.tools
        if isinstance(tool, FunctionTool)
    ]


def inputs(request: ResponsesRequest, *, session: bool = False) -> list[TResponseInputItem]:
    """Return the input of `Runner.run_streamed`.

    The request's `instructions` come first, as a system message, unless there is a session, which
    would store them. A call without an output is answered as interrupted.

    Args:
        request: The request.
        session: Whether the SDK stores the conversation in its own session and needs only the new
            items. Default False: the whole conversation.
    """
    items = request.new_input if session else request.input
    first: list[TResponseInputItem] = []
    if request.instructions and not session:
        first = [{"role": "system", "content": request.instructions}]
    told = [each for each in answered(items) if not isinstance(each, _APPROVALS)]
    return first + [cast(TResponseInputItem, _item(each)) for each in told]


def _item(item: InputItem) -> Any:
    """Return an item in the form that all of the SDK's models read."""
    if isinstance(item, Message):
        content = item.text if item.role == "assistant" and item.id is None else item.content
        if isinstance(content, str):
            return {"role": item.role, "content": content}
    plain = msgspec.to_builtins(item)
    if plain["type"] == "reasoning":
        plain.pop("status", None)  # OpenAI's API refuses it
    return plain


async def resume(
    agent: Agent[Any], request: ResponsesRequest, *, session: bool = False, run_context: Any = None
) -> list[TResponseInputItem] | RunState[Any]:
    """Return the input of `Runner.run_streamed` for an agent whose tools may need approval.

    If the request answers approval requests, it is the run that asked, with the answers; otherwise
    it is what `inputs` returns. An approval request without an answer is asked again.

    Args:
        agent: The agent that the run began with.
        request: The request.
        session: As for `inputs`. Default False.
        run_context: The `context` of the run, which replaces the saved one. Default None.

    Raises:
        InvalidRequest: An answer changes the arguments, which the SDK does not support.
    """
    saved = get_context().saved_state
    if saved is None:
        return inputs(request, session=session)
    state = _states.decode(saved)
    run = await RunState.from_json(agent, state.run, context_override=run_context)
    answers, rest = _answers(request)
    for id_, interruption in zip(state.approvals, run.get_interruptions(), strict=True):
        answer = answers.get(id_)
        if answer is not None and answer.approve:
            run.approve(interruption)
        elif answer is not None:
            run.reject(interruption, rejection_message=answer.reason)
    if rest:
        run.add_input(inputs(structs.replace(request, input=rest, earlier=0, instructions=None)))
    return run


def _answers(
    request: ResponsesRequest,
) -> tuple[dict[str, ApprovalResponse], list[InputItem]]:
    """Return a request's answers by their approval requests, and the items after them."""
    answers: dict[str, ApprovalResponse] = {}
    rest: list[InputItem] = []
    new = get_context().approvals
    for number, item in enumerate(request.new_input):
        if isinstance(item, ApprovalResponse) and item in new:
            if item.arguments is not None:
                path = f"input[{number}].agent_asgi:arguments"
                raise InvalidRequest(f"{path}: this agent's calls cannot be changed.", path)
            answers[item.approval_request_id] = item
            rest = []
        elif isinstance(item, Message | dict):
            rest.append(item)
    return answers, rest


async def outputs(result: RunResultStreaming) -> AsyncIterator[Any]:
    """Yield the outputs of a streamed run: the models' events, tool outputs and the usage.

    If tools need approval, the run's state is saved with the response, and `resume` continues it.
    Closing the generator cancels the run and waits for its end.

    Args:
        result: What `Runner.run_streamed` returned.

    Raises:
        InvalidRequest: An input guardrail was tripped, or a tool needs approval but the client
            sent `store: false`.
        AgentFailed: Another guardrail was tripped, or the run exceeded its number of turns.
    """
    events = cast(AsyncGenerator[StreamEvent, None], result.stream_events())
    before = _difference(result.context_wrapper.usage, Usage())  # of the run that asked
    models, calls = before or Usage(), _Calls(result)
    try:
        async for event in events:
            if event.type == "raw_response_event":
                models += _turn_usage(event.data)
                yield calls.shown(event.data)
            elif event.type == "run_item_stream_event" and event.item.type in _OWN_ITEMS:
                yield calls.with_call(event.item.to_input_item())
    except _FAILURES as error:
        raise _failure(error) from error
    finally:
        result.cancel()
        await events.aclose()
        if result.run_loop_task is not None:
            await asyncio.wait([result.run_loop_task])
    for output in (*calls.rest(), *_approvals(result)):
        yield output
    if rest := _difference(result.context_wrapper.usage, models):
        yield rest


class _Calls:
    """The calls of a run's tools. One whose tool may need approval is held until its output comes.

    Args:
        result: The run.
    """

    def __init__(self, result: RunResultStreaming) -> None:
        self._result = result
        self._shown: set[str] = set()
        self._held: dict[str, Any] = {}  # by call id
        self._indexes: set[int] = set()  # of the held calls of a model's turn

    def shown(self, event: Any) -> Any:
        """Return a model's event without what is held; an empty list if all of it is."""
        if event.type == "response.created":
            self._indexes = set()
        elif event.type in ("response.output_item.added", "response.output_item.done"):
            if self._holds(event.item):
                self._indexes.add(event.output_index)
                return []
        elif event.type.startswith("response.function_call_arguments."):
            return [] if event.output_index in self._indexes else event
        elif event.type in ("response.completed", "response.incomplete"):
            output = [item for item in event.response.output if not self._holds(item)]
            if len(output) < len(event.response.output):
                response = event.response.model_copy(update={"output": output})
                return event.model_copy(update={"response": response})
        return event

    def with_call(self, item: Any) -> list[Any]:
        """Return an item, after its call if that was held or is of the run that asked."""
        call_id = item.get("call_id")
        if item.get("type") != "function_call_output" or call_id in self._shown:
            return [item]
        self._shown.add(call_id)
        self._held.pop(call_id, None)
        items = (each.raw_item for each in self._result.new_items if each.type in _CALL_ITEMS)
        call = next((each for each in items if getattr(each, "call_id", None) == call_id), None)
        return [item] if call is None else [call, item]

    def rest(self) -> list[Any]:
        """Return the held calls that neither have an output nor wait for approval."""
        if self._result.interruptions:
            return []
        return list(self._held.values())

    def _holds(self, item: Any) -> bool:
        if item.type != "function_call":
            return False
        if not _may_ask(self._result.current_agent, item.name):
            self._shown.add(item.call_id)
            return False
        self._held[item.call_id] = item
        return True


def _turn_usage(event: Any) -> Usage:
    """Return the usage of a model's turn that an event ends."""
    if event.type not in ("response.completed", "response.incomplete"):
        return Usage()
    return as_usage(event.response.usage or Usage())


def _may_ask(agent: Agent[Any], name: str) -> bool:
    """Return whether an agent's tool may need approval, itself or within its agent."""
    for tool in agent.tools:
        if tool.name == name:
            asks = getattr(tool, "needs_approval", False) is not False
            return asks or getattr(tool, "_is_agent_tool", False)
    return bool(agent.mcp_servers)  # whose tools are not known here


def _approvals(result: RunResultStreaming) -> list[ApprovalRequest]:
    """Save the state of a run that waits for approval, and return what it asks."""
    if not result.interruptions:
        return []
    ids, requests = list[str](), list[ApprovalRequest]()
    for interruption in result.interruptions:
        raw = interruption.raw_item
        if isinstance(raw, McpApprovalRequest):  # the model's own event has it
            ids.append(raw.id)
            continue
        ids.append(item_id("mcp_approval_request"))
        name, arguments = interruption.name or "tool", interruption.arguments or "{}"
        requests.append(ApprovalRequest(name, arguments, id=ids[-1]))
    get_context().save_state(codec.encode(_State(ids, result.to_state().to_json())))
    return requests


def _failure(error: Exception) -> AgentError:
    """Return the client's error for a bound of the agent."""
    if isinstance(error, MaxTurnsExceeded):
        return AgentFailed("The agent exceeded its number of turns.", "max_turns_exceeded")
    if isinstance(error, InputGuardrailTripwireTriggered):
        return InvalidRequest("A guardrail refused the input.", "input", "guardrail_tripped")
    return AgentFailed("A guardrail stopped the agent.", "guardrail_tripped")


def _difference(run: RunUsage, models: Usage) -> Usage | None:
    """Return what a run used besides its models' turns: for agents used as tools."""
    read, written = models.input_tokens_details, models.output_tokens_details
    cached = run.input_tokens_details.cached_tokens or 0
    cache_write = getattr(run.input_tokens_details, "cache_write_tokens", 0) or 0
    reasoning = run.output_tokens_details.reasoning_tokens or 0
    rest = Usage(
        input_tokens=run.input_tokens - models.input_tokens,
        output_tokens=run.output_tokens - models.output_tokens,
        input_tokens_details={
            "cached_tokens": cached - read["cached_tokens"],
            "cache_write_tokens": max(cache_write - read["cache_write_tokens"], 0),
        },
        output_tokens_details={"reasoning_tokens": reasoning - written["reasoning_tokens"]},
    )
    return rest if rest.total_tokens > 0 else None
