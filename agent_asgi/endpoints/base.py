"""From a request to a run: read, decode, pick the router, bind the handler."""

import logging
from typing import Any, NamedTuple

from starlette.types import Message, Receive, Scope, Send

from ..auth import identity_of
from ..body import BodyTimeout, ClientGone, check_shape, discard, read_body
from ..context import Context, Headers, request_id
from ..errors import AgentError, TooLarge
from ..handlers import Handler
from ..outputs import new_id
from ..router import AgentRouter
from ..schema.requests import ResponsesRequest
from ..service import Live, Service
from .answers import error_response

logger = logging.getLogger("agent_asgi")

AGENTCORE_SESSION = "x-amzn-bedrock-agentcore-runtime-session-id"
"""Amazon Bedrock AgentCore's name of the session, which it sends with each request."""


class Incoming(NamedTuple):
    """A request that has arrived whole."""

    scope: Scope
    receive: Receive
    send: Send
    headers: Headers
    body: bytes
    live: Live

    @property
    def owner(self) -> str:
        """Whose responses these are: the authenticated principal; empty where there is none."""
        return owner_of(self.scope)


class Endpoint:
    """An ASGI app that reads a body and answers it; errors are answered here.

    Args:
        service: What all endpoints share.
        path: The endpoint's path, for the log.
        router: The router that answers. Default None: the one that `model` names.
    """

    def __init__(self, service: Service, path: str, router: AgentRouter | None = None) -> None:
        self.service = service
        self.path = path
        self.router = router

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        headers = Headers(scope["headers"])
        try:
            live = self.service.started() or await self.service.live()
            limits, seconds = self.service.limits, self.service.timeouts.body
            declared = headers.get("content-length")
            body = await read_body(receive, limits.max_body_bytes, declared, seconds)
            check_shape(body, limits)
            await self.answer(Incoming(scope, receive, send, headers, body, live))
        except ClientGone:
            return
        except (TooLarge, BodyTimeout) as error:
            await _cut_off(error, scope, receive, send)
        except AgentError as error:
            await error_response(error)(scope, receive, send)

    async def answer(self, incoming: Incoming) -> None:
        """Answer a request that has arrived whole.

        Raises:
            AgentError: The request is at fault; no handler has started.
        """
        raise NotImplementedError

    def log_request(self, incoming: Incoming, handler: Handler, agent: str, stream: bool) -> None:
        """Log that a request came, never what it says."""
        if not logger.isEnabledFor(logging.DEBUG):
            return
        told = {
            "endpoint": self.path,
            "agent": agent,
            "request_size": len(incoming.body),
            "stream_requested": stream,
            "function_name": handler.name,
        }
        logger.debug("Request received", extra=told)


async def _cut_off(error: AgentError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request whose body has not come whole, and have its connection closed."""

    async def held(message: Message) -> None:
        more = {"more_body": True} if message["type"] == "http.response.body" else {}
        await send({**message, **more})

    response = error_response(error)
    response.headers["connection"] = "close"
    await response(scope, receive, held)
    await discard(receive)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def owner_of(scope: Scope) -> str:
    """Give the identity of the authenticated principal; empty where there is none."""
    return identity_of(scope.get("user")) or ""


def context_of(
    live: Live,
    scope: Scope,
    headers: Headers,
    router: AgentRouter,
    owner: str,
    request: ResponsesRequest | None = None,
) -> Context:
    """Make a run's context; who asks is looked up as DESIGN.md says under "Context"."""
    named = request or ResponsesRequest()
    session = named.session_id or headers.get("x-session-id") or headers.get(AGENTCORE_SESSION)
    state: dict[str, Any] = {**live.state, **scope.get("state", {})}
    return Context(
        new_id("resp"),
        router.name,
        headers=headers,
        session_id=session,
        user=owner or named.user_id,
        model=named.model,
        state=state,
        request_id=request_id.get(),
    )
