"""`POST /responses`, `/v1/responses`, and `POST /invocations` of routers that speak Responses."""

import time

from .. import codec
from ..channels import ResponsesChannel
from ..errors import AgentError, NotSupported
from ..handlers import Handler
from ..lifecycle import Lifecycle
from ..router import AgentRouter
from ..schema.requests import ResponsesRequest
from ..schema.responses import echo
from ..sse import write_data, write_named
from .answers import answer_json, answer_stream, asks_for_trace
from .base import Endpoint, Incoming, context_of, value_for


class Responses(Endpoint):
    """The OpenAI Responses API; `named` frames and the full response."""

    named = True

    async def answer(self, incoming: Incoming) -> None:
        """Answer a request that has arrived whole."""
        request = codec.decode_request(incoming.body)
        router = self.router or self.service.by_model(request.model)
        stream = bool(request.stream)
        handler = handler_of(router, stream)
        _refuse(request)
        value = value_for(handler, request)
        self.log_request(incoming, handler, router.name, stream)
        context = context_of(incoming, router, request)
        lifecycle = Lifecycle(
            echo(request, id=context.response_id, created_at=int(time.time()), agent=router.name)
        )
        wants_trace = asks_for_trace(incoming.headers, request.databricks_options)

        def trace_id() -> str | None:
            return context.trace_id if wants_trace else None

        channel = ResponsesChannel(
            lifecycle,
            (write_named if self.named else write_data) if stream else None,
            trace_id,
        )
        run = self.run(incoming, router, handler, value, request.to_dict, context, channel)
        scope, receive, send = incoming.scope, incoming.receive, incoming.send
        if stream:
            ping = self.service.timeouts.ping
            await answer_stream(
                run, lambda: self.tail(trace_id()), ping, self.path, scope, receive, send
            )
        else:
            await answer_json(run, lambda: self.body(lifecycle), self.path, scope, receive, send)

    def tail(self, trace_id: str | None) -> bytes:
        """Give the frames between the last event and `[DONE]`."""
        return b""

    def body(self, lifecycle: Lifecycle) -> bytes:
        """Encode the whole response."""
        return codec.encode(lifecycle.response)


class Invocations(Responses):
    """MLflow's endpoint: unnamed frames, and no field that the request or the agent left unset."""

    named = False

    def tail(self, trace_id: str | None) -> bytes:
        """Give the trace's id as MLflow's clients read it."""
        return b"" if trace_id is None else b"data: %s\n\n" % codec.encode({"trace_id": trace_id})

    def body(self, lifecycle: Lifecycle) -> bytes:
        """Encode the response without what is unset."""
        return codec.encode(codec.short_form(lifecycle.response))


def handler_of(router: AgentRouter, stream: bool) -> Handler:
    """Give the handler of a mode.

    Raises:
        AgentError: The router has none.
    """
    mode = "stream" if stream else "invoke"
    handler = router.handler_for("stream" if stream else "invoke")
    if handler is None:
        raise AgentError(f"No {mode} handler registered", 500, "no_handler")
    return handler


def _refuse(request: ResponsesRequest) -> None:
    if request.background:
        raise NotSupported("background: this server runs nothing in the background.", "background")
    if request.previous_response_id is not None:
        raise NotSupported(
            "previous_response_id: this server stores no responses; send the whole conversation.",
            "previous_response_id",
        )
