"""`A2A`: the Agent2Agent protocol."""

from collections.abc import Mapping, Sequence
from types import NoneType
from typing import TYPE_CHECKING

from starlette.routing import BaseRoute, Route

from ...agents.router import AgentRouter
from ...config import require
from ...schema.openapi import Operation, Schema
from ..base import Protocol
from .card import CARD_PATH, Card
from .endpoints import HttpEndpoint, RpcEndpoint
from .openapi import OPERATIONS, schemas

if TYPE_CHECKING:
    from ...runtime import AppConfig

_PUSH = "/tasks/{id}/pushNotificationConfigs"
_ROUTES = (
    ("POST", "/message:send", "SendMessage"),
    ("POST", "/message:stream", "SendStreamingMessage"),
    ("GET", "/tasks", "ListTasks"),
    ("POST", "/tasks/{id}:cancel", "CancelTask"),
    ("GET", "/tasks/{id}:subscribe", "SubscribeToTask"),
    ("POST", "/tasks/{id}:subscribe", "SubscribeToTask"),
    ("GET", "/tasks/{id}", "GetTask"),
    ("POST", _PUSH, "CreateTaskPushNotificationConfig"),
    ("GET", _PUSH, "ListTaskPushNotificationConfigs"),
    ("GET", _PUSH + "/{config_id}", "GetTaskPushNotificationConfig"),
    ("DELETE", _PUSH + "/{config_id}", "DeleteTaskPushNotificationConfig"),
    ("GET", "/extendedAgentCard", "GetExtendedAgentCard"),
)


class A2A(Protocol):
    """The Agent2Agent protocol 1.0 for other agents, by JSON-RPC and by HTTP+JSON.

    A task is a stored background run, its `contextId` a conversation. Each agent has a card at
    `/.well-known/agent-card.json`, below the agent's name if there are several agents.

    Args:
        url: The public URL of the app, for the cards, for example `https://agents.example.com`.
            Default: the one that a request for a card was sent to; such a card is not cached.
        path: The path of JSON-RPC, below which HTTP+JSON is. Default "/a2a".
        version: The version of the agents in their cards. Default "1.0.0".

    Raises:
        TypeError: An argument is not a str.
        ValueError: `url` is no URL, or `path` no path.
    """

    name = "A2A"
    paths = ()
    public = (CARD_PATH,)

    def __init__(self, url: str | None = None, path: str = "/a2a", version: str = "1.0.0") -> None:
        require(
            "A2A", {"url": (url, str, NoneType), "path": (path, str), "version": (version, str)}
        )
        if url is not None and not url.startswith(("http://", "https://")):
            raise ValueError(f"A2A: url must begin with https:// or http://, not be {url!r}.")
        if not path.startswith("/") or path.endswith("/") or "{" in path:
            raise ValueError(f"A2A: path must be like '/a2a', not {path!r}.")
        self._url = url
        self._path = path
        self._version = version

    def routes(
        self, config: "AppConfig", router: AgentRouter | None, prefix: str
    ) -> Sequence[BaseRoute]:
        if router is None:  # a card is of one agent
            return []
        path = prefix + self._path
        card = Card(config, router, self._url, path, self._version)
        rpc = RpcEndpoint(config, router)
        routes = [
            Route(prefix + CARD_PATH, card, methods=["GET"], name="A2A.card"),
            Route(path, rpc, methods=["POST"], name="A2A"),
        ]
        routes += [
            Route(
                path + rest,
                HttpEndpoint(config, router, name),
                methods=[method],
                name=f"A2A.{name}",
            )
            for method, rest, name in _ROUTES
        ]
        return routes

    def operations(self) -> Mapping[str, Operation]:
        return OPERATIONS

    def schemas(self) -> Mapping[str, Schema]:
        return schemas()
