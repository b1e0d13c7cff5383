"""`POST /chat/completions`, `/v1/chat/completions`: for clients that know no Responses."""

from .. import codec
from ..chat.answer import Chunks, completion
from ..chat.request import Converted, decode_chat
from .answers import answer_json, answer_stream
from .base import Endpoint, Incoming
from .turn import Turn, prepare


class ChatCompletions(Endpoint):
    """The OpenAI Chat Completions API."""

    async def answer(self, incoming: Incoming) -> None:
        """Answer a request that has arrived whole."""
        live = incoming.live
        request = decode_chat(incoming.body)
        router = self.router or self.service.by_model(request.model)
        turn = await prepare(
            live, router, request, incoming.scope, incoming.headers, wants_trace=False
        )
        self.log_request(incoming, turn.handler, router.name, bool(request.stream))
        async with live.gates[router.name], turn.locked(live):
            if request.stream:
                await self._stream(incoming, turn, request)
            else:
                await self._json(incoming, turn)

    async def _json(self, incoming: Incoming, turn: Turn) -> None:
        run, channel = turn.run(incoming.live, None, "json")

        def body() -> bytes:
            return codec.encode(completion(channel.lifecycle.response))

        await answer_json(run, body, self.path, incoming.scope, incoming.receive, incoming.send)

    async def _stream(self, incoming: Incoming, turn: Turn, request: Converted) -> None:
        scope, receive, send = incoming.scope, incoming.receive, incoming.send
        chunks = Chunks(usage=request.include_usage)
        run, channel = turn.run(incoming.live, chunks.write, "stream")
        chunks.response = channel.lifecycle.response
        times = self.service.timeouts
        with incoming.live.streams:
            await answer_stream(run, bytes, times, self.path, scope, receive, send)
