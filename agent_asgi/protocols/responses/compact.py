"""`POST /responses/compact`: the agent shortens a conversation."""

from ...agents.router import AgentRouter
from ...errors import AgentError, InvalidRequest, NotSupported
from ...http.endpoint import Endpoint, HttpRequest
from ...runtime import AppConfig
from ...schema import codec
from ...schema.decode import decode_request
from ...schema.ids import new_id
from ...schema.requests import ResponsesRequest
from ...schema.responses import Response, Usage
from ..answer import answer_run
from ..base import Encoder, Protocol
from ..prepare import load, prepare


class Compact(Endpoint):
    """Runs the router's compact handler on a whole conversation.

    Args:
        config: The app's settings.
        router: The agent; None for the one that `model` names.
    """

    def __init__(self, config: AppConfig, router: AgentRouter | None) -> None:
        super().__init__(config.limits, config.timeouts)
        self.router = router
        self._config = config

    async def answer(self, request: HttpRequest) -> None:
        runtime = await self._config.running()
        decoded = decode_request(request.body)
        if decoded.model is None:
            raise InvalidRequest("model: must name the agent of the conversation.", "model")
        decoded.store = False  # it adds nothing to a conversation
        router = self.router or self._config.by_model(decoded.model)
        handler = router.handlers.get("compact")
        if handler is None:
            raise NotSupported(f"The agent {router.name!r} cannot compact conversations.", "model")
        scope, headers = request.scope, request.headers
        run, encoder = await prepare(
            runtime, router, decoded, PROTOCOL, scope, headers, "json", handler=handler
        )
        await load(runtime, run)
        await answer_run(runtime, run, encoder, request, self.error_body)


class CompactProtocol(Protocol):
    """The Responses API, answered with the items that replace the conversation."""

    name = "Compact"

    def encoder(self, request: ResponsesRequest, response: Response) -> "CompactEncoder":
        return CompactEncoder(response)


class CompactEncoder(Encoder):
    """Encodes the items that replace the conversation.

    Args:
        response: The response of the compact handler's run.
    """

    def __init__(self, response: Response) -> None:
        self._response = response

    def body(self, encoded: bytes | None) -> bytes:
        output = self._response.output
        if not any(item["type"] == "compaction" for item in output):
            raise AgentError("A compact handler must return a `compaction` item.")
        body = {
            "id": new_id("cmp"),
            "object": "response.compaction",
            "created_at": self._response.created_at,
            "output": output,
            "usage": self._response.usage or Usage(),
        }
        return codec.encode(body)


PROTOCOL = CompactProtocol()
