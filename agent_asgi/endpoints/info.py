"""What the server says of itself: models, agent info, health, readiness, ping."""

import importlib.metadata
import os
import time
from typing import Any

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar
from starlette.requests import Request
from starlette.responses import Response

from .. import codec
from ..counts import Counts
from ..errors import NotFound
from ..router import AgentRouter
from ..service import Service
from .answers import ErrorResponse, error_response, json_response

_STARTED = int(time.time())
_limiter: RunVar[anyio.CapacityLimiter] = RunVar("agent_asgi.metrics")
"""Each event loop's one thread for `/metrics`, however many ask at once."""


class Info:
    """The endpoints that ask no agent. None of them but `/metrics` touches a thread.

    Args:
        service: What all endpoints share.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    async def models(self, _: Request) -> Response:
        """List the agents as OpenAI's `GET /models` does."""
        data = [_model(each) for each in self._service.routers if each.protocol == "responses"]
        return _json({"object": "list", "data": data})

    async def model(self, request: Request) -> Response:
        """Give one agent as OpenAI's `GET /models/{id}` does."""
        router = self._service.by_name(request.path_params["id"])
        if router is None or router.protocol != "responses":
            id_ = request.path_params["id"]
            missing = NotFound(f"The model {id_!r} does not exist.", "model_not_found", "model")
            return error_response(missing)
        return _json(_model(router))

    async def agent(self, _: Request) -> Response:
        """Tell what is served, as MLflow's `GET /agent/info` does."""
        agents = [_agent(each) for each in self._service.routers]
        first = agents[0] if len(agents) == 1 else {"name": "agents", "agents": agents}
        name = os.environ.get("DATABRICKS_APP_NAME") or first["name"]
        return _json({"use_case": "agent", **_versions(), **first, "name": name})

    async def health(self, _: Request) -> Response:
        """Tell that the process answers."""
        return _json({"status": "healthy"})

    async def ready(self, _: Request) -> Response:
        """Tell whether runs are taken; start what is not started."""
        live = self._service.begin()
        if live.ready:
            return _json({"status": "ready"})
        status = "draining" if live.stage else "starting"
        return ErrorResponse(codec.encode({"status": status}), 503, {}, refused=None)

    async def metrics(self, request: Request) -> Response:
        """Give the counts of all processes that share them, for Prometheus."""
        counts, alone = self._service.total_counts()
        accept = request.headers.get("accept", "")
        try:  # some milliseconds, and the import; in no thread that handlers may use up
            body, content_type = await anyio.to_thread.run_sync(
                _exposition, counts, accept, alone, limiter=_one_thread()
            )
        except ImportError:
            told = "Metrics need an extra: pip install 'agent-asgi[metrics]'."
            return error_response(NotFound(told, "not_found"))
        return Response(body, headers={"content-type": content_type})

    async def ping(self, _: Request) -> Response:
        """Tell whether runs are in flight, as Bedrock AgentCore's `GET /ping` does."""
        drain = self._service.begin().drain
        busy = "HealthyBusy" if drain.runs else "Healthy"
        return _json({"status": busy, "time_of_last_update": int(drain.updated)})


def _one_thread() -> anyio.CapacityLimiter:
    try:
        return _limiter.get()
    except LookupError:
        _limiter.set(limiter := anyio.CapacityLimiter(1))
        return limiter


def _exposition(counts: Counts, accept: str, alone: bool) -> tuple[bytes, str]:
    from ..metrics import exposition  # an extra

    return exposition(counts, accept, process=alone)


def _json(body: dict[str, Any]) -> Response:
    return json_response(codec.encode(body))


def _model(router: AgentRouter) -> dict[str, Any]:
    model = {"id": router.name, "object": "model", "created": _STARTED, "owned_by": "agent_asgi"}
    return model if router.description is None else model | {"description": router.description}


def _agent(router: AgentRouter) -> dict[str, Any]:
    agent = {"name": router.name, "agent_api": router.protocol}
    return agent if router.description is None else agent | {"description": router.description}


def _versions() -> dict[str, str]:
    for name in ("mlflow", "mlflow-tracing"):
        try:
            return {"mlflow_version": importlib.metadata.version(name)}
        except importlib.metadata.PackageNotFoundError:
            continue
    return {}
