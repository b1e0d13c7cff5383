"""`GET /health`, `/ready` and `/ping`, for probes and load balancers."""

from starlette.requests import Request
from starlette.responses import Response

from ..http.responses import ErrorResponse, json_response
from ..runs.admission import Stage
from ..runtime import AppConfig
from ..schema import codec


class Health:
    """The endpoints for probes.

    Args:
        config: The app.
    """

    def __init__(self, config: AppConfig) -> None:
        self._config = config

    async def health(self, _: Request) -> Response:
        """Answer that the process is alive."""
        return json_response(b'{"status":"healthy"}')

    async def ready(self, _: Request) -> Response:
        """Answer whether runs are taken, and why the last start failed; starts the app if that has
        not happened."""
        runtime = self._config.begin()
        if runtime.ready:
            return json_response(b'{"status":"ready"}')
        body = {"status": "starting"}
        if runtime.admission.stage > Stage.SERVING:
            body = {"status": "draining"}
        elif (reason := self._config.start_failure) is not None:
            body["reason"] = reason
        return ErrorResponse(codec.encode(body), 503, {}, refused=None)

    async def ping(self, _: Request) -> Response:
        """Answer whether runs are in flight, as Bedrock AgentCore's `GET /ping` does."""
        admission = self._config.begin().admission
        busy = "HealthyBusy" if admission.runs else "Healthy"
        body = {"status": busy, "time_of_last_update": int(admission.updated)}
        return json_response(codec.encode(body))
