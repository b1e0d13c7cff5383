"""From a request to a run: read, decode, pick the router, bind the handler."""

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, NamedTuple

from starlette.types import Receive, Scope, Send

from .. import codec
from ..channels import Channel
from ..context import Context, Headers
from ..errors import AgentError
from ..handlers import Handler
from ..limits import ClientGone, read_body
from ..outputs import new_id
from ..router import AgentRouter
from ..run import Run
from ..schema.requests import ResponsesRequest
from ..service import Live, Service
from .answers import error_response

logger = logging.getLogger("agent_asgi")


class Incoming(NamedTuple):
    """A request that has arrived whole."""

    scope: Scope
    receive: Receive
    send: Send
    headers: Headers
    body: bytes
    live: Live


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
            live = await self.service.live()
            declared = headers.get("content-length", "").encode()
            body = await read_body(receive, self.service.limits.max_body_bytes, declared)
            await self.answer(Incoming(scope, receive, send, headers, body, live))
        except ClientGone:
            return
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
        logger.debug(
            "Request received",
            extra={
                "endpoint": self.path,
                "agent": agent,
                "request_size": len(incoming.body),
                "stream_requested": stream,
                "function_name": handler.name,
            },
        )

    def run(
        self,
        incoming: Incoming,
        router: AgentRouter,
        handler: Handler,
        value: object,
        inputs: Callable[[], Any],
        context: Context,
        channel: Channel,
    ) -> Run:
        """Bind a handler to its request.

        Args:
            incoming: The request.
            router: The handler's router.
            handler: The handler.
            value: What its first parameter gets.
            inputs: Gives the body for the trace.
            context: What its second parameter gets.
            channel: What becomes of its outputs.
        """
        live, limiter = incoming.live, incoming.live.limiters[router.name]

        def outputs() -> AsyncIterator[Any]:
            return handler.iterate(value, context, limiter)

        return Run(
            handler.name,
            outputs,
            channel,
            context,
            lambda: live.tracer.begin(
                handler.name,
                inputs,
                context,
                experiment=router.experiment,
                responses=router.protocol == "responses",
            ),
            live.drain,
            self.service.timeouts,
            debug=self.service.debug,
        )


def context_of(
    incoming: Incoming, router: AgentRouter, request: ResponsesRequest | None = None
) -> Context:
    """Make a run's context; who asks is looked up as DESIGN.md says under "Context"."""
    headers, scope = incoming.headers, incoming.scope
    named = request or ResponsesRequest()
    principal: Any = scope.get("user")
    known = getattr(principal, "is_authenticated", False)
    state: dict[str, Any] = {**incoming.live.state, **scope.get("state", {})}
    return Context(
        new_id("resp"),
        router.name,
        headers=headers,
        session_id=named.session_id or headers.get("x-session-id"),
        user=str(principal.display_name) if known else named.user_id,
        model=named.model,
        state=state,
    )


def value_for(handler: Handler, body: Mapping[str, Any] | ResponsesRequest) -> object:
    """Give a handler its request in the type that its annotation asks for.

    Raises:
        InvalidRequest: A field is wrong; `param` names it.
    """
    wanted = handler.input_type
    if isinstance(body, ResponsesRequest):
        if wanted is ResponsesRequest:
            return body
        body = body.to_dict()
    if wanted in (None, Any, dict) or getattr(wanted, "__origin__", None) is dict:
        return body
    return codec.convert(dict(body), wanted)
