"""Converting AG-UI's run inputs to Responses requests. Pure."""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Raw, Struct, structs

from ...schema import codec
from ...schema.decode import decode_request
from ...schema.requests import ResponsesRequest
from ...schema.tool_calls import NO_ANSWER
from .content import parts
from .request_schema import (
    ActivityMessage,
    ApprovalPayload,
    AssistantMessage,
    Content,
    InputMessage,
    ReasoningMessage,
    ResumeEntry,
    RunAgentInput,
    ToolMessage,
)

Json = dict[str, Any]
APPROVAL = "mcpr_"
"""How the ids of approval requests begin."""
REJECTED = "The user did not approve the call."


class RunInfo(Struct):
    """What the encoder needs of a run input."""

    thread_id: str
    run_id: str
    parent_run_id: str | None
    is_current: bool
    """Whether the client speaks 1.0."""
    approved: dict[str, str]
    """The approved calls: their tools by their ids."""
    results: dict[str, str]
    """The results of calls that the client has answered by `resume`."""


class AGUIRequest(ResponsesRequest, kw_only=True):
    """A request that was converted from a run input."""

    body: Raw
    """The bytes of the run input."""
    info: RunInfo
    """What the encoder needs of it."""

    def received(self) -> Json:
        """Return the run input."""
        body: Json = msgspec.json.decode(self.body)
        return body

    def keeps(self, output: list[Json]) -> bool:
        """Return whether the response is stored: the client has the history, but an approval
        request leads to its response.
        """
        return any(item["type"] == "mcp_approval_request" for item in output)


def decode_input(body: bytes) -> AGUIRequest:
    """Decode a run input.

    Raises:
        InvalidJson: The body is not JSON.
        InvalidRequest: A field is invalid; `param` names it.
    """
    run: RunAgentInput = codec.convert(codec.decode_object(body), RunAgentInput)
    answers = [_Answer.of(entry, n) for n, entry in enumerate(run.resume or ())]
    request = decode_request(codec.encode(_converted(run, answers)))
    return AGUIRequest(body=Raw(body), info=_info(run, answers), **structs.asdict(request))


def _converted(run: RunAgentInput, answers: "list[_Answer]") -> Json:
    """Return the body of the Responses request."""
    results = {each.tool_call_id for each in run.messages if isinstance(each, ToolMessage)}
    items = [item for n, each in enumerate(run.messages) for item in _items(each, n, results)]
    props = run.forwarded_props
    inputs = (
        props if isinstance(props, dict) else {} if props is None else {"forwardedProps": props}
    )
    fields = {
        "model": run.model,
        "input": items + [answer.item for answer in answers],
        "instructions": "\n".join(f"{e.description}: {e.value}" for e in run.context or ()) or None,
        "tools": [_tool(structs.asdict(tool)) for tool in run.tools or ()] or None,
        "custom_inputs": inputs | {"state": {} if run.state is None else run.state},
        "context": {"conversation_id": run.thread_id},
        "stream": True,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _tool(tool: Json) -> Json:
    return {"type": "function", **tool, "strict": False}


def _items(message: InputMessage, number: int, results: set[str]) -> Iterator[Json]:
    """Yield the items of a message.

    Args:
        message: The message.
        number: Its index.
        results: The ids of the calls that have a result.
    """
    path = f"messages[{number}].content"
    if isinstance(message, ActivityMessage):
        return
    if isinstance(message, AssistantMessage):
        yield from _assistant_items(message, results)
    elif isinstance(message, ToolMessage):
        yield _output(message, path)
    elif isinstance(message, ReasoningMessage):
        yield from _reasoning(message)
    else:
        role = message.__struct_config__.tag
        yield {"type": "message", "role": role, "content": _content(message.content, path)}


def _assistant_items(message: AssistantMessage, results: set[str]) -> Iterator[Json]:
    if message.content:
        yield {"type": "message", "role": "assistant", "content": message.content}
    for call in message.tool_calls or ():
        function = msgspec.to_builtins(call.function)
        if call.id.startswith(APPROVAL) and call.id not in results:
            yield {"type": "mcp_approval_request", "id": call.id, **function}
        else:
            yield {"type": "function_call", "call_id": call.id, **function}


def _output(message: ToolMessage, path: str) -> Json:
    output: Json = {"type": "function_call_output", "call_id": message.tool_call_id}
    if message.error is not None:
        return output | {"output": message.error, "agent_asgi:error": message.error}
    return output | {"output": _content(message.content, path)}


def _reasoning(message: ReasoningMessage) -> Iterator[Json]:
    if message.encrypted_value is not None:  # model APIs refuse reasoning that they cannot check
        summary = [{"type": "summary_text", "text": message.content}] if message.content else []
        encrypted = {"encrypted_content": message.encrypted_value}
        yield {"type": "reasoning", "id": message.id, "summary": summary, **encrypted}


def _content(content: Content, path: str) -> str | list[Json]:
    return content if isinstance(content, str) else parts(content, path)


class _Answer(Struct):
    """An answer to an interrupt."""

    id: str
    """The interrupt's id."""
    item: Json
    """The answer as an item."""
    result: str | None
    """The call's result; None if the agent has it."""

    @classmethod
    def of(cls, entry: ResumeEntry, number: int) -> "_Answer":
        """Return the answer in an entry of `resume`.

        Raises:
            InvalidRequest: It does not say whether a call is approved.
        """
        id_ = entry.interrupt_id
        if not id_.startswith(APPROVAL):
            output = NO_ANSWER if entry.status == "cancelled" else _text(entry.payload)
            return cls(
                id_, {"type": "function_call_output", "call_id": id_, "output": output}, output
            )
        payload = ApprovalPayload(approved=False, reason=NO_ANSWER)
        if entry.status == "resolved":
            payload = _approval(entry.payload, f"resume[{number}].payload")
        item = {
            "type": "mcp_approval_response",
            "approval_request_id": id_,
            "approve": payload.approved,
            "reason": payload.reason,
            "agent_asgi:arguments": payload.edited_args,
        }
        rejection = " ".join(filter(None, (REJECTED, payload.reason)))
        return cls(id_, item, None if payload.approved else rejection)


def _approval(payload: Any, path: str) -> ApprovalPayload:
    try:
        return msgspec.convert(payload, ApprovalPayload)
    except msgspec.ValidationError as error:
        raise codec.invalid(error, path) from error


def _text(payload: Any) -> str:
    return payload if isinstance(payload, str) else codec.encode(payload).decode()


def _info(run: RunAgentInput, answers: list[_Answer]) -> RunInfo:
    made = [each.tool_calls for each in run.messages if isinstance(each, AssistantMessage)]
    tools = {call.id: call.function.name for calls in made for call in calls or ()}
    return RunInfo(
        run.thread_id,
        run.run_id,
        run.parent_run_id,
        (run.protocol_version or "").startswith("1."),
        {each.id: tools[each.id] for each in answers if each.result is None and each.id in tools},
        {each.id: each.result for each in answers if each.result is not None},
    )
