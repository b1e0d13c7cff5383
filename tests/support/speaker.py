"""An agent that yields outputs by name, for tests of stored responses."""

from collections.abc import AsyncIterator
from typing import Any

from agent_asgi import (
    AgentRouter,
    FunctionCall,
    FunctionCallOutput,
    ReasoningItem,
    ResponsesRequest,
    SummaryText,
    Usage,
)

SAID: dict[str, list[Any]] = {
    "text": ["hi ", "there", Usage(input_tokens=1, output_tokens=2)],
    "tool": [
        "let me see",
        FunctionCall(call_id="c", name="f", arguments='{"a": 1}'),
        FunctionCallOutput(call_id="c", output="1"),
    ],
    "reasoning": [ReasoningItem(summary=[SummaryText(text="hm")]), "hi"],
    "refusal": [{"type": "message", "content": [{"type": "refusal", "refusal": "no"}]}],
    "vendor": [{"type": "acme:thing", "id": "t1", "status": "completed", "n": 1}, "hi"],
    "incomplete": ["half", {"output": [], "incomplete_details": {"reason": "max_output_tokens"}}],
    "failed": ["half", {"output": [], "error": {"code": "x", "message": "m"}}],
    "empty": [],
}


def speaker(**options: Any) -> AgentRouter:
    """Create an agent that yields the outputs named in the input."""
    router = AgentRouter(**options)

    @router.stream
    async def speak(request: ResponsesRequest) -> AsyncIterator[Any]:
        for output in SAID[request.input_text]:
            yield output

    return router
