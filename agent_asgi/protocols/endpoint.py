"""`ProtocolEndpoint`: serves the POST requests of every protocol."""

from ..agents.router import AgentRouter
from ..context import RunMode
from ..errors import AgentError
from ..http.endpoint import Endpoint, HttpRequest
from ..runtime import AppConfig, Runtime
from ..schema.requests import ResponsesRequest
from .answer import answer_run, log_request
from .base import Protocol
from .detached import Detached, Key
from .prepare import prepare


class ProtocolEndpoint(Endpoint):
    """Serves a protocol over HTTP.

    Args:
        protocol: The protocol.
        config: The app's settings.
        router: The agent. Default None: the one that a request's `model` names.
    """

    def __init__(
        self, protocol: Protocol, config: AppConfig, router: AgentRouter | None = None
    ) -> None:
        super().__init__(config.limits, config.timeouts)
        self.router = router
        self._protocol = protocol
        self._config = config

    async def answer(self, request: HttpRequest) -> None:
        config, protocol, headers = self._config, self._protocol, request.headers
        runtime = config.started() or await config.running()
        decoded = protocol.decode(request.body, headers, request.scope["query_string"])
        router = self.router or config.by_model(decoded.model)
        name = headers.first(b"idempotency-key")
        key = None if name is None else Key.of(name, router, request.body)
        await serve(runtime, router, decoded, protocol, request, key)

    def error_body(self, error: AgentError, body: bytes) -> bytes:
        return self._protocol.error(error, body)


async def serve(
    runtime: Runtime,
    router: AgentRouter,
    decoded: ResponsesRequest,
    protocol: Protocol,
    request: HttpRequest,
    key: Key | None = None,
) -> None:
    """Run an agent, or join the earlier run with the same key, and answer the request.

    Args:
        runtime: The app's runtime.
        router: The agent.
        decoded: The decoded request.
        protocol: The protocol of the client.
        request: The request.
        key: The idempotency key. Default None: there is none.

    Raises:
        AgentError: The request is refused; no handler has started.
    """
    if key is not None and await Detached(runtime, protocol, request).again(key, decoded):
        return
    scope, headers = request.scope, request.headers
    mode: RunMode = "stream" if decoded.stream else "json"
    run, encoder = await prepare(runtime, router, decoded, protocol, scope, headers, mode)
    if decoded.background or key is not None:
        log_request(run, request)
        await Detached(runtime, protocol, request).begin(run, key)
    else:
        run.keeps = True
        await answer_run(runtime, run, encoder, request, protocol.error, protocol.headers)
