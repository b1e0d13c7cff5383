"""`AgentBricks`: the invocation API of Databricks Agent Bricks."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from starlette.routing import BaseRoute, Route

from ...agents.router import AgentRouter
from ...context import Headers
from ...errors import AgentError
from ...schema import codec
from ...schema.openapi import Operation, Schema
from ...schema.requests import ResponsesRequest
from ...schema.responses import Response
from ..base import Protocol, check_path
from .encoder import InvocationEncoder
from .endpoints import InvocationEvents, Invocations, InvocationState
from .openapi import INVOCATION, OPERATIONS, SCHEMAS
from .request import InvocationRequest, convert, decode_invocation

if TYPE_CHECKING:
    from ...runtime import AppConfig


class AgentBricks(Protocol):
    """The invocation API of Databricks Agent Bricks (`databricks-agentbricks`).

    The client chooses the id of an invocation, which is its idempotency key. The run continues if
    the client leaves. A session is a conversation.

    Args:
        path: The path, relative to the agent's. Default "/api/invocations".

    Raises:
        TypeError: `path` is not a str.
        ValueError: `path` is not a path.
    """

    name = "AgentBricks"
    paths = ()
    accepted_status = 202
    conversation_queue = 100
    operation = INVOCATION

    def __init__(self, path: str = "/api/invocations") -> None:
        check_path("AgentBricks", path)
        self._path = path

    def decode(self, body: bytes, headers: Headers, query: bytes) -> ResponsesRequest:
        return convert(decode_invocation(body))

    def encoder(self, request: ResponsesRequest, response: Response) -> InvocationEncoder:
        if not isinstance(request, InvocationRequest):
            return InvocationEncoder(response, response.id)
        return InvocationEncoder(response, request.invocation, request.after, request.urls)

    def error(self, error: AgentError, body: bytes) -> bytes:
        payload = error.payload()
        if (payload["message"] or "").startswith("conversation:"):
            payload["message"] = "session_id:" + error.message.removeprefix("conversation:")
        if payload["param"] == "conversation":
            payload["param"] = "session_id"
        return codec.encode({"error": payload})

    def routes(
        self, config: "AppConfig", router: AgentRouter | None, prefix: str
    ) -> Sequence[BaseRoute]:
        if router is None:  # the id is one agent's
            return []
        path, settings = prefix + self._path, (self, config, router)
        return [
            Route(path, Invocations(*settings), methods=["POST"], name=self.name),
            Route(f"{path}/{{id}}", InvocationState(*settings), methods=["GET"]),
            Route(f"{path}/{{id}}/events", InvocationEvents(*settings), methods=["GET"]),
        ]

    def operations(self) -> Mapping[str, Operation]:
        return {self.name: INVOCATION, **OPERATIONS}

    def schemas(self) -> Mapping[str, Schema]:
        return SCHEMAS
