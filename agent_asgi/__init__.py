"""Serve agents over HTTP: routers, the OpenAI Responses wire, streaming, MLflow traces."""

from .agents.router import AgentRouter
from .app import AgentApp
from .background.webhooks import Webhook
from .config import Limits, Quota, Timeouts
from .context import Context, get_context, get_request_headers
from .errors import AgentError
from .http.auth import BearerTokens
from .http.forwarded import ForwardedUser
from .http.jwt_tokens import JwtTokens
from .schema.items import (
    ApprovalRequest,
    ApprovalResponse,
    FunctionCall,
    FunctionCallOutput,
    Message,
    OutputText,
    ReasoningItem,
    SummaryText,
)
from .schema.outputs import Citation, Output, Reasoning
from .schema.requests import ResponsesRequest
from .schema.responses import Response, Usage
from .tracing.git import track_git_version

__version__ = "0.1.0"

__all__ = [
    "AgentApp",
    "AgentError",
    "AgentRouter",
    "ApprovalRequest",
    "ApprovalResponse",
    "BearerTokens",
    "Citation",
    "Context",
    "ForwardedUser",
    "FunctionCall",
    "FunctionCallOutput",
    "JwtTokens",
    "Limits",
    "Message",
    "Output",
    "OutputText",
    "Quota",
    "Reasoning",
    "ReasoningItem",
    "Response",
    "ResponsesRequest",
    "SummaryText",
    "Timeouts",
    "Usage",
    "Webhook",
    "get_context",
    "get_request_headers",
    "track_git_version",
]
