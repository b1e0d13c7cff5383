"""`GET /metrics`: the app's metrics for Prometheus."""

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar
from starlette.requests import Request
from starlette.responses import Response

from ..errors import NotFound
from ..http.responses import error_response
from ..runtime import AppConfig

_limiter: RunVar[anyio.CapacityLimiter] = RunVar("agent_asgi.metrics")
"""One thread of each event loop for `/metrics`, so that handlers lose none."""


class MetricsEndpoint:
    """Exposes the app's metrics of all its processes.

    Args:
        config: The app.
    """

    def __init__(self, config: AppConfig) -> None:
        self._config = config

    async def metrics(self, request: Request) -> Response:
        """Return the metrics in the format that the client asks for."""
        metrics = self._config.metrics
        if metrics is None:
            return error_response(
                NotFound("Metrics need the extra `agent-asgi[metrics]`.", "not_found")
            )
        self._config.update_metrics()
        accept = request.headers.get("accept", "")
        body, content_type = await anyio.to_thread.run_sync(
            metrics.exposition, accept, limiter=_one_thread()
        )
        return Response(body, headers={"content-type": content_type})


def _one_thread() -> anyio.CapacityLimiter:
    try:
        return _limiter.get()
    except LookupError:
        _limiter.set(limiter := anyio.CapacityLimiter(1))
        return limiter
