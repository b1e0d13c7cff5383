"""`Caller`: what a detached run needs from its request."""

from msgspec import Struct

from ..schema.own_calls import View


class Caller(Struct, kw_only=True, omit_defaults=True):
    """What a detached run needs from its request besides the body."""

    session_id: str | None = None
    """The session."""
    user: str | None = None
    """The user."""
    headers: dict[str, str] = {}
    """`traceparent`, `baggage`, and the headers that `AgentRouter(keep_headers=...)` names."""
    request_id: str = ""
    """The request's id."""
    wants_trace: bool = False
    """Whether the client asked for the trace's id."""
    has_history: bool = False
    """Whether the request has its whole conversation."""
    own_tools: View = "function_call"
    """How the log keeps own calls, whatever `AgentRouter(own_tools=...)` says later."""
