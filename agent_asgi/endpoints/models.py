"""`GET /models` and `GET /agent/info`: the app's agents."""

import importlib.metadata
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ..agents.router import AgentRouter
from ..errors import NotFound
from ..http.responses import error_response, json_response
from ..runtime import AppConfig
from ..schema import codec

_STARTED = int(time.time())


class Models:
    """The endpoints that list the agents.

    Args:
        config: The app.
        paths: Returns the paths of an agent by the names of the protocols.
    """

    def __init__(
        self, config: AppConfig, paths: Callable[[AgentRouter], Mapping[str, str]]
    ) -> None:
        self._config = config
        self._paths = paths

    async def models(self, _: Request) -> Response:
        """List the agents as OpenAI's `GET /models` does."""
        data = [_model(router) for router in self._config.routers if router.protocol == "responses"]
        return json_response(codec.encode({"object": "list", "data": data}))

    async def model(self, request: Request) -> Response:
        """Return one agent as OpenAI's `GET /models/{id}` does."""
        id_ = request.path_params["id"]
        router = self._config.by_name(id_)
        if router is None or router.protocol != "responses":
            missing = NotFound(f"The model {id_!r} does not exist.", "model_not_found", "model")
            return error_response(missing)
        return json_response(codec.encode(_model(router)))

    def described(self, root: str) -> list[dict[str, Any]]:
        """Return the description of each agent, with the URL of each protocol.

        Args:
            root: The path where the app is mounted.
        """
        return [_about(router, root, self._paths(router)) for router in self._config.routers]

    async def agent(self, request: Request) -> Response:
        """Describe the agents as MLflow's `GET /agent/info` does, and how they are reached."""
        agents = self.described(root_of(request))
        first = agents[0] if len(agents) == 1 else {"name": "agents", "agents": agents}
        name = os.environ.get("DATABRICKS_APP_NAME") or first["name"]
        body = {"use_case": "agent", **_versions(), **first, "name": name}
        return json_response(codec.encode(body))


def _model(router: AgentRouter) -> dict[str, Any]:
    model = {"id": router.name, "object": "model", "created": _STARTED, "owned_by": "agent_asgi"}
    return model | _description(router)


def root_of(request: Request) -> str:
    """Return the path where the app is mounted, without a slash at its end."""
    root: str = request.scope.get("root_path", "")
    return root.rstrip("/")


def _about(router: AgentRouter, root: str, paths: Mapping[str, str]) -> dict[str, Any]:
    described: dict[str, Any] = {"name": router.name, "agent_api": router.protocol}
    described["protocols"] = [{"name": name, "url": root + path} for name, path in paths.items()]
    names = ("input_schema", "output_schema")
    schemas = {name: each for name, each in zip(names, router.schemas, strict=True) if each}
    tools = () if router.own_tools == "hidden" else router.tools()
    return described | schemas | ({"tools": tools} if tools else {}) | _description(router)


def _description(router: AgentRouter) -> dict[str, str]:
    return {} if router.description is None else {"description": router.description}


def _versions() -> dict[str, str]:
    for name in ("mlflow", "mlflow-tracing"):
        try:
            return {"mlflow_version": importlib.metadata.version(name)}
        except importlib.metadata.PackageNotFoundError:
            continue
    return {}
