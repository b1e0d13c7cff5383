"""`POST /invocations`: Responses in MLflow's dialect, or any JSON of a "json" router."""

import functools
from typing import Any

from .. import codec
from ..channels import JsonChannel
from ..counts import RunMode
from ..errors import InvalidRequest
from ..router import AgentRouter, handler_of
from .answers import answer_json, answer_stream, asks_for_trace
from .base import Endpoint, Incoming, context_of


class JsonInvocations(Endpoint):
    """Any JSON object in, anything JSON out."""

    router: AgentRouter

    async def answer(self, incoming: Incoming) -> None:
        """Answer a request that has arrived whole."""
        body = codec.decode_object(incoming.body)
        given = dict(body)
        stream = _stream(body)
        handler = handler_of(self.router, stream)
        value = handler.value(body)
        self.log_request(incoming, handler, self.router.name, stream)
        owner = incoming.owner
        context = context_of(incoming.live, incoming.scope, incoming.headers, self.router, owner)
        channel = JsonChannel(stream, self.router.reducer)
        mode: RunMode = "stream" if stream else "json"
        run = incoming.live.runner.run(
            self.router,
            handler,
            value,
            lambda: given,
            context,
            channel,
            mode,
            owner,
        )
        scope, receive, send = incoming.scope, incoming.receive, incoming.send
        async with incoming.live.gates[self.router.name]:
            if stream:
                wanted = asks_for_trace(incoming.headers, None)
                tail = functools.partial(_tail, lambda: context.trace_id if wanted else None)
                times = self.service.timeouts
                with incoming.live.streams:
                    await answer_stream(run, tail, times, self.path, scope, receive, send)
            else:
                await answer_json(run, channel.body, self.path, scope, receive, send)


def _stream(body: dict[str, Any]) -> bool:
    stream = body.pop("stream", None)
    if stream is None or isinstance(stream, bool):
        return bool(stream)
    raise InvalidRequest("stream: Expected `bool`.", "stream")


def _tail(trace_id: Any) -> bytes:
    found = trace_id()
    return b"" if found is None else b"data: %s\n\n" % codec.encode({"trace_id": found})
