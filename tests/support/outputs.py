"""Outputs of all kinds, and an agent that yields them."""

from collections.abc import AsyncIterator
from typing import Any

from openai.types.responses import ResponseOutputMessage, ResponseOutputText, ResponseTextDeltaEvent

from agent_asgi import (
    AgentApp,
    AgentRouter,
    FunctionCall,
    FunctionCallOutput,
    Message,
    ReasoningItem,
    Response,
    ResponsesRequest,
    SummaryText,
    Usage,
)

MESSAGE = ResponseOutputMessage(
    id="m1",
    type="message",
    role="assistant",
    status="completed",
    content=[ResponseOutputText(type="output_text", text="hi", annotations=[])],
)
DELTA = ResponseTextDeltaEvent(
    type="response.output_text.delta",
    item_id="m9",
    output_index=0,
    content_index=0,
    sequence_number=7,
    delta="hi",
    logprobs=[],
)
OUTPUTS: dict[str, list[Any]] = {
    "text": ["hi ", "there"],
    "call": ["let me see", FunctionCall(call_id="c", name="f", arguments="{}")],
    "tool": [
        FunctionCall(call_id="c", name="f", arguments="{}"),
        FunctionCallOutput(call_id="c", output="1"),
        "one",
    ],
    "reasoning": [ReasoningItem(summary=[SummaryText(text="hm")]), "hi"],
    "refusal": [{"type": "message", "content": [{"type": "refusal", "refusal": "no"}]}],
    "openai": [DELTA, MESSAGE],
    "usage": ["hi", Usage(input_tokens=1, output_tokens=2)],
    "response": [Response(output=[Message(role="assistant", content="hi")], metadata={"k": "v"})],
    "incomplete": ["hi", {"output": [], "incomplete_details": {"reason": "max_output_tokens"}}],
    "failed": ["hi", {"output": [], "error": {"code": "x", "message": "m"}}],
    "raises": ["hi", {"nothing": 1}],
    "vendor": ["hi", {"type": "acme:progress", "n": 1}, {"type": "acme:thing", "id": "t1"}],
    "empty": [],
}
REQUEST: dict[str, Any] = {
    "input": "x",
    "model": "m",
    "instructions": "be nice",
    "tools": [{"type": "function", "name": "f"}],
    "tool_choice": {"type": "allowed_tools", "tools": [{"type": "function", "name": "f"}]},
    "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}},
    "reasoning": {"effort": "low"},
    "temperature": 0.5,
    "metadata": {"k": "v"},
    "store": True,
}


def giving(outputs: list[Any]) -> AgentApp:
    """Create an app whose agent yields these outputs."""
    router = AgentRouter()

    @router.stream
    async def give(request: ResponsesRequest) -> AsyncIterator[Any]:
        for output in outputs:
            yield output

    return AgentApp(router)
