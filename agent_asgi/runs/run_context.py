"""`RunContext`: a run's request and settings, and the context that its handler gets."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import UNSET, UnsetType

from ..agents.handler import Handler
from ..agents.router import AgentRouter
from ..context import Cause, Context, RunMode, request_id
from ..errors import AgentError, InvalidRequest
from ..http.body import Receive
from ..schema.items import ApprovalResponse
from ..schema.requests import ResponsesRequest
from ..store.approvals import Answers
from .conversation import RunConversation
from .engine import Engine
from .output import Output
from .quotas import Permit

AGENTCORE_SESSION = "x-amzn-bedrock-agentcore-runtime-session-id"
"""The header in which Amazon Bedrock AgentCore sends the session of each request."""


class RunContext(Context):
    """A run's request and settings. What most handlers do not use is looked up when it is used.

    Args:
        engine: What all runs share.
        router: The agent.
        handler: The handler.
        value: The argument of the handler's first parameter.
        inputs: Returns the request's body for the trace.
        output: Turns the handler's outputs into the answer.
        mode: How the run is answered.
        owner: The authenticated principal; empty if there is none.
        headers: The request's headers.
        request: The request; an empty one for a "json" router.
        response_id: The id of the response.
        state: What the lifespan, middleware and authentication pass on to the handler.

    Attributes:
        status: `in_progress`, then how the run ended.
        error: The error that the run failed with, as the client may see it.
        committed: Whether the answer has begun, so that an error cannot change its status.
        detached: Whether the run was stored before it began and continues without its client.
        keeps: Whether the response is saved when it has ended.
        answers: The answers to approval requests that the run takes; None if there are none.
        started: Whether the handler has been called.
        conversation: The conversation that the run belongs to, if it remembers; else None.
        conversation_queue: How many runs may wait for the conversation that the request names.
        permit: What the user's quota has admitted; None if there is no quota.
        receive: The ASGI callable that reports a disconnect; None if nobody listens.
        ended: Whether the last batch is complete.
        created_at: When the run was created, in seconds since 1970.
    """

    __slots__ = (
        "_session_id",
        "_task",
        "_user",
        "_wants_trace",
        "answers",
        "committed",
        "conversation",
        "conversation_queue",
        "created_at",
        "detached",
        "ended",
        "engine",
        "error",
        "handler",
        "inputs",
        "keeps",
        "mode",
        "output",
        "owner",
        "permit",
        "receive",
        "request",
        "router",
        "started",
        "status",
        "value",
    )

    def __init__(
        self,
        engine: Engine,
        router: AgentRouter,
        handler: Handler,
        value: object,
        inputs: Callable[[], Any],
        output: Output,
        mode: RunMode,
        owner: str,
        headers: Mapping[str, str],
        request: ResponsesRequest,
        response_id: str,
        state: dict[str, Any],
    ) -> None:
        self.response_id = response_id
        self.agent = router.name
        self.headers = headers
        self._session_id: str | UnsetType | None = UNSET
        self._user: str | UnsetType | None = UNSET
        self.model = request.model
        self.attempt = 1
        self.previous_events = []
        self.state = state
        self.request_id = request_id.get()
        self.trace_id = None
        self.saved_state = None
        self._state = None
        self._cause = None
        self._waiters = None
        self.engine = engine
        self.router = router
        self.handler = handler
        self.value = value
        self.inputs = inputs
        self.output = output
        self.mode = mode
        self.owner = owner
        self.request = request
        self.created_at = time.time()
        self.status = "in_progress"
        self.error: AgentError | None = None
        self.committed = self.detached = self.keeps = self.ended = self.started = False
        self.answers: Answers | None = None
        self.conversation: RunConversation | None = None
        self.conversation_queue = 0
        self._wants_trace: bool | None = None
        self.permit: Permit | None = None
        self.receive: Receive | None = None
        self._task: asyncio.Task[Any] | None = None  # pulls the run

    @property
    def cause(self) -> Cause | None:
        """Why the run was cancelled; None if it was not."""
        return self._cause

    @property
    def state_to_save(self) -> bytes | None:
        """What the handler saved with `save_state`."""
        return self._state

    @property
    def approvals(self) -> list[ApprovalResponse]:
        return [] if self.answers is None else list(self.answers.new.values())

    def save_state(self, state: bytes) -> None:
        limit = self.engine.limits.max_state_bytes
        if len(state) > limit:
            raise ValueError(f"The state has {len(state)} bytes (Limits.max_state_bytes: {limit}).")
        if self.request.store is False:
            raise InvalidRequest(
                "store: this agent waits for an answer, for which the response must be stored. "
                "Send `store: true`.",
                "store",
            )
        if not (self.keeps or self.detached):
            raise RuntimeError('save_state(): the answers of a "json" router are not stored.')
        super().save_state(state)

    @property
    def wants_trace(self) -> bool:
        """Whether the client asked for the trace's id, in a header or in the body."""
        if self._wants_trace is None:
            options = self.request.databricks_options
            asked = self.headers.get("x-mlflow-return-trace-id", "")
            in_body = options is not None and bool(options.return_trace)
            self._wants_trace = in_body or asked.lower() == "true"
        return self._wants_trace

    @wants_trace.setter
    def wants_trace(self, wants_trace: bool) -> None:
        self._wants_trace = wants_trace

    @property
    def session_id(self) -> str | None:
        """The session that the request names."""
        if self._session_id is UNSET:
            get = self.headers.get
            self._session_id = (
                self.request.session_id or get("x-session-id") or get(AGENTCORE_SESSION)
            )
        return self._session_id

    @session_id.setter
    def session_id(self, session_id: str | None) -> None:
        self._session_id = session_id

    @property
    def user(self) -> str | None:
        """The authenticated user, or else the user that the request names."""
        if self._user is UNSET:
            self._user = self.owner or self.request.user_id
        return self._user

    @user.setter
    def user(self, user: str | None) -> None:
        self._user = user
