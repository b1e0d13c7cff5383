"""`POST /invocations` of a "json" router: any JSON object in, any JSON out."""

from ...agents.router import AgentRouter
from ...errors import InvalidRequest
from ...http.endpoint import Endpoint, HttpRequest
from ...runtime import AppConfig
from ...schema import codec
from ..answer import answer_run
from ..json_run import JsonOutput, json_run


class JsonInvocations(Endpoint):
    """Serves a "json" router.

    Args:
        config: The app's settings.
        router: The router.
    """

    def __init__(self, config: AppConfig, router: AgentRouter) -> None:
        super().__init__(config.limits, config.timeouts)
        self.router = router
        self._config = config

    async def answer(self, request: HttpRequest) -> None:
        runtime = await self._config.running()
        body = codec.decode_object(request.body)
        inputs = dict(body)
        stream = body.pop("stream", None)
        if stream is not None and not isinstance(stream, bool):
            raise InvalidRequest("stream: Expected `bool`.", "stream")
        handler = self.router.handler_for(bool(stream))
        output = JsonOutput(bool(stream), self.router.reducer)
        run = json_run(
            runtime, self.router, handler, body, inputs, output, request.scope, request.headers
        )
        await answer_run(runtime, run, output, request, self.error_body)
