"""The names of OpenTelemetry's semantic conventions for generative AI."""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ..context import Context
from ..errors import AgentError
from ..schema.responses import Usage

_KINDS = {
    '"AGENT"': ("invoke_agent", "gen_ai.agent.name"),
    '"TOOL"': ("execute_tool", "gen_ai.tool.name"),
}
"""By MLflow's type of a span, which it writes as JSON: the operation, and where the name goes."""
_CONTENT_FREE = re.compile(
    r"mlflow\.(experimentId|llm\.(cost|model|provider)|chat\.tokenUsage|message\.format"
    r"|span(FunctionName|LogLevel|StartTimeNs|Type)|traceRequestId|traceTag\..*)"
    r"|gen_ai\.(agent\.(id|name|version)|conversation\.id|operation\.name|provider\.name"
    r"|request\.(max_tokens|model|seed|stream|temperature|top_k|top_p)"
    r"|response\.(finish_reasons|id|model|time_to_first_chunk)"
    r"|tool\.(call\.id|name|type)|usage\..*)"
    r"|(session|user)\.id|error\.type|agent_asgi\..*"
)
"""The attributes that hold no word of a conversation. Of all others that is not known."""


class Ending(NamedTuple):
    """How a run ended.

    Args:
        outputs: Returns the response, as far as there is one.
        status: completed, failed, incomplete or cancelled.
        error: What the handler raised. Default None.
        cause: The cause of a cancellation, or the code of its error. Default None.
        usage: The tokens that the handler reported. Default None.
        finish_reason: Why the output ends, in OpenTelemetry's words. Default None.
    """

    outputs: Callable[[], Any]
    status: str
    error: Exception | None = None
    cause: str | None = None
    usage: Usage | None = None
    finish_reason: str | None = None

    def attributes(self) -> dict[str, Any]:
        """Return the attributes of the run's span that are known at its end."""
        attributes: dict[str, Any] = {}
        if self.finish_reason is not None:
            attributes["gen_ai.response.finish_reasons"] = [self.finish_reason]
        if self.status == "failed":
            attributes["error.type"] = self._error_type()
        if self.usage is not None:
            attributes |= _tokens(self.usage)
        return attributes

    def _error_type(self) -> str:
        if self.error is None or isinstance(self.error, AgentError):
            return self.cause or "_OTHER"
        kind = type(self.error)
        is_builtin = kind.__module__ == "builtins"
        return kind.__qualname__ if is_builtin else f"{kind.__module__}.{kind.__qualname__}"


def _tokens(usage: Usage) -> dict[str, int]:
    read, written = map(usage.input_tokens_details.get, ("cached_tokens", "cache_write_tokens"))
    details = {
        "cache_read.input_tokens": read,
        "cache_creation.input_tokens": written,
        "reasoning.output_tokens": usage.output_tokens_details.get("reasoning_tokens"),
    }
    counts = {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
    counts |= {name: count for name, count in details.items() if count}
    return {f"gen_ai.usage.{name}": count for name, count in counts.items()}


def conversation_of(context: Context) -> dict[str, str]:
    """Return the attributes of all spans of a run: its agent, and its conversation."""
    attributes = {"gen_ai.agent.name": context.agent}
    if context.session_id is not None:
        attributes["gen_ai.conversation.id"] = context.session_id
    return attributes


def invocation_of(context: Context) -> dict[str, str]:
    """Return the attributes of a run's own span that are known at its start."""
    return {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": "agent_asgi",
        "gen_ai.response.id": context.response_id,
    }


def operation_of(name: str, attributes: Mapping[str, Any]) -> dict[str, str]:
    """Return the attributes that name the operation of a handler's or a library's own span.

    Args:
        name: The span's name.
        attributes: Its attributes. If they name an operation, there is nothing to add.
    """
    kind = _KINDS.get(attributes.get("mlflow.spanType", ""))
    if kind is None or "gen_ai.operation.name" in attributes:
        return {}
    operation, place = kind
    return {"gen_ai.operation.name": operation, place: name}


def without_content(attributes: Mapping[str, Any], kept: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes that hold no word of a conversation.

    Args:
        attributes: The attributes of a span.
        kept: Those among them that are known to hold none.
    """
    return {
        name: value
        for name, value in attributes.items()
        if name in kept or _CONTENT_FREE.fullmatch(name)
    }
