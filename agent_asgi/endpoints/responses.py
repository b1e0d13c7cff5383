"""`POST /responses`, `/v1/responses`, and `POST /invocations` of routers that speak Responses."""

from .. import codec
from ..channels import ResponsesChannel
from ..sse import write_data, write_named
from .answers import answer_json, answer_stream, asks_for_trace
from .base import Endpoint, Incoming
from .detached import Detached, Key
from .turn import Turn, prepare


class Responses(Endpoint):
    """The OpenAI Responses API; `named` frames and the full response."""

    named = True

    async def answer(self, incoming: Incoming) -> None:
        """Answer a request that has arrived whole."""
        live, headers = incoming.live, incoming.headers
        request = codec.decode_request(incoming.body)
        router = self.router or self.service.by_model(request.model)
        wants_trace = asks_for_trace(headers, request.databricks_options)
        key = Key.of(headers, router, incoming.body)
        if key is not None and await self._detached(incoming).again(key, request):
            return
        turn = await prepare(
            live, router, request, incoming.scope, headers, wants_trace=wants_trace
        )
        self.log_request(incoming, turn.handler, router.name, bool(request.stream))
        if request.background or key is not None:
            await self._detached(incoming).begin(turn, key)
            return
        gate = live.gates[router.name]
        if gate.free:  # as `async with gate` does, in fewer steps
            gate.free -= 1
        else:
            await gate.wait()
        try:
            if request.conversation is None:
                await self._answer(incoming, turn)
            else:
                async with turn.locked(live):
                    await self._answer(incoming, turn)
        finally:
            gate.leave()

    def _detached(self, incoming: Incoming) -> Detached:
        return Detached(self.service, incoming, named=self.named)

    async def _answer(self, incoming: Incoming, turn: Turn) -> None:
        scope, receive, send = incoming.scope, incoming.receive, incoming.send
        if turn.request.stream:
            write = write_named if self.named else write_data
            run, _ = turn.run(incoming.live, write, "stream")
            times = self.service.timeouts
            with incoming.live.streams:
                await answer_stream(
                    run, lambda: self.tail(turn.trace_id()), times, self.path, scope, receive, send
                )
        else:
            run, channel = turn.run(incoming.live, None, "json")
            await answer_json(run, lambda: self.body(channel), self.path, scope, receive, send)

    def tail(self, trace_id: str | None) -> bytes:
        """Give the frames between the last event and `[DONE]`."""
        return b""

    def body(self, channel: ResponsesChannel) -> bytes:
        """Give the whole response, encoded."""
        return channel.body()


class Invocations(Responses):
    """MLflow's endpoint: unnamed frames, and no field that the request or the agent left unset."""

    named = False

    def tail(self, trace_id: str | None) -> bytes:
        """Give the trace's id as MLflow's clients read it."""
        return b"" if trace_id is None else b"data: %s\n\n" % codec.encode({"trace_id": trace_id})

    def body(self, channel: ResponsesChannel) -> bytes:
        """Give the response without what is unset, encoded."""
        return codec.encode(codec.short_form(channel.lifecycle.response))
