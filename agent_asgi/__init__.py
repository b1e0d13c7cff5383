"""Serve agents over HTTP: routers, the OpenAI Responses wire, streaming, MLflow traces."""

from .app import AgentApp
from .auth import BearerTokens
from .context import Context, get_context, get_request_headers
from .errors import AgentError
from .limits import Limits, Timeouts
from .router import AgentRouter
from .schema.items import (
    FunctionCall,
    FunctionCallOutput,
    Message,
    OutputText,
    ReasoningItem,
    SummaryText,
)
from .schema.requests import ResponsesRequest
from .schema.responses import Response, Usage
from .tracing.version import track_git_version

__version__ = "0.1.0"

__all__ = [
    "AgentApp",
    "AgentError",
    "AgentRouter",
    "BearerTokens",
    "Context",
    "FunctionCall",
    "FunctionCallOutput",
    "Limits",
    "Message",
    "OutputText",
    "ReasoningItem",
    "Response",
    "ResponsesRequest",
    "SummaryText",
    "Timeouts",
    "Usage",
    "get_context",
    "get_request_headers",
    "track_git_version",
]
