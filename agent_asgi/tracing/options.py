"""`TraceOptions`: how an app's runs are traced."""

import os
from collections.abc import Collection
from dataclasses import dataclass

from ..config import require, require_texts

VARIABLE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_CAPTURING = ("", "true", "span_only", "span_and_event")
"""Its values with which spans have content, the empty one for a variable that is not set."""


@dataclass(frozen=True)
class TraceOptions:
    """How an app's runs are traced.

    Args:
        continue_trace: Whether a caller's trace is continued, and its baggage passed on. Default
            False.
        capture_content: Whether traces have the words of conversations. Default True.
        span_baggage: Names of the entries of a caller's baggage to copy to all spans of its run.
            Default none.

    Raises:
        TypeError: An option has a wrong type.
        ValueError: `span_baggage` is a str.
    """

    continue_trace: bool = False
    capture_content: bool = True
    span_baggage: Collection[str] = ()

    def __post_init__(self) -> None:
        require(
            "AgentApp",
            {
                "continue_trace": (self.continue_trace, bool),
                "capture_content": (self.capture_content, bool),
            },
        )
        require_texts("AgentApp", {"span_baggage": self.span_baggage})

    def captures_content(self) -> bool:
        """Return whether traces have content: not if OpenTelemetry's variable says otherwise."""
        allowed = os.environ.get(VARIABLE, "").strip().lower() in _CAPTURING
        return self.capture_content and allowed
