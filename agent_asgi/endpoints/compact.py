"""`POST /responses/compact`: a conversation in short, made by the agent."""

import time

from .. import codec
from ..channels import ResponsesChannel
from ..conversation import continued, resolve
from ..errors import AgentError, InvalidRequest, NotSupported
from ..lifecycle import Lifecycle
from ..outputs import new_id
from ..schema.responses import Response, Usage, echo
from .answers import answer_json, asks_for_trace
from .base import Endpoint, Incoming, context_of


class Compact(Endpoint):
    """Runs the router's compact handler on a whole conversation."""

    async def answer(self, incoming: Incoming) -> None:
        """Answer a request that has arrived whole."""
        live = incoming.live
        request = codec.decode_request(incoming.body)
        if request.model is None:
            raise InvalidRequest("model: name the agent whose conversation this is.", "model")
        router = self.router or self.service.by_model(request.model)
        handler = router.handler_for("compact")
        if handler is None:
            raise NotSupported(f"The agent {router.name!r} compacts no conversations.", "model")
        owner = incoming.owner
        full = await continued(live.store, await resolve(live.store, request, owner), owner)
        value = handler.value(full)
        self.log_request(incoming, handler, router.name, False)
        context = context_of(live, incoming.scope, incoming.headers, router, owner, request)
        response = echo(
            request, id=context.response_id, created_at=int(time.time()), agent=router.name
        )
        wants_trace = asks_for_trace(incoming.headers, request.databricks_options)
        channel = ResponsesChannel(
            Lifecycle(response, events=False),
            None,
            lambda: context.trace_id if wants_trace else None,
        )
        run = live.runner.run(
            router, handler, value, request.received, context, channel, "json", owner
        )
        scope, receive, send = incoming.scope, incoming.receive, incoming.send
        async with live.gates[router.name]:
            await answer_json(run, lambda: _compaction(response), self.path, scope, receive, send)


def _compaction(response: Response) -> bytes:
    """Encode the window of items that stands for the conversation from now on.

    Raises:
        AgentError: The handler gave no `compaction` item.
    """
    if not any(each["type"] == "compaction" for each in response.output):
        raise AgentError("A compact handler must give a `compaction` item.")
    return codec.encode(
        {
            "id": new_id("cmp"),
            "object": "response.compaction",
            "created_at": response.created_at,
            "output": response.output,
            "usage": response.usage or Usage(),
        }
    )
