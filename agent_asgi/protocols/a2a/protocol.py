"""`A2A`: the Agent2Agent protocol."""

import re
from collections.abc import Mapping, Sequence
from types import NoneType
from typing import TYPE_CHECKING

from starlette.routing import BaseRoute, Route

from ...agents.router import AgentRouter
from ...background.webhooks import check_installed
from ...config import require
from ...schema.openapi import Operation, Schema
from ...store.base import Ending, Record
from ...store.delivery_store import Notice
from ..base import Protocol, check_path
from .card import CARD_PATH, Card
from .endpoints import HttpEndpoint, RpcEndpoint
from .notices import PushHost, notice_of
from .openapi import OPERATIONS, PUSH, schemas

if TYPE_CHECKING:
    from ...runtime import AppConfig

_PUSH = "/tasks/{taskId}/pushNotificationConfigs"
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[0-9]{1,5})?")
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
    ("GET", _PUSH + "/{id}", "GetTaskPushNotificationConfig"),
    ("DELETE", _PUSH + "/{id}", "DeleteTaskPushNotificationConfig"),
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
        push_hosts: The hosts to which clients may direct notifications of a task's end or wait, for
            example `hooks.example.com`, with a port if it is not 443. Default: none, and the cards
            have no push notifications.

    Raises:
        TypeError: An argument has a wrong type.
        ValueError: `url` is not a URL, `path` not a path, or a host is invalid.
        ImportError: Push notifications need a package that is not installed.
    """

    name = "A2A"
    paths = ()
    public = (CARD_PATH,)

    def __init__(
        self,
        url: str | None = None,
        path: str = "/a2a",
        version: str = "1.0.0",
        push_hosts: Sequence[str] = (),
    ) -> None:
        options = {"url": (url, str, NoneType), "version": (version, str)}
        require("A2A", {**options, "push_hosts": (push_hosts, Sequence)})
        check_path("A2A", path)
        if url is not None and not url.startswith(("http://", "https://")):
            raise ValueError(f"A2A: url must begin with https:// or http://, not be {url!r}.")
        self._url = url
        self._path = path
        self._version = version
        self._push_hosts = _checked(push_hosts)
        self.receivers = [PushHost(host) for host in sorted(self._push_hosts)]

    def routes(
        self, config: "AppConfig", router: AgentRouter | None, prefix: str
    ) -> Sequence[BaseRoute]:
        if router is None:  # a card is of one agent
            return []
        path = prefix + self._path
        hosts = self._push_hosts
        card = Card(config, router, self._url, path, self._version, push=bool(hosts))
        rpc = RpcEndpoint(config, router, hosts)
        routes = [
            Route(prefix + CARD_PATH, card, methods=["GET"], name="A2A.card"),
            Route(path, rpc, methods=["POST"], name="A2A"),
        ]
        routes += [
            Route(
                path + rest,
                HttpEndpoint(config, router, hosts, name),
                methods=[method],
                name=f"A2A.{name}",
            )
            for method, rest, name in _ROUTES
        ]
        return routes

    def notice(self, record: Record, ending: Ending) -> Notice:
        return notice_of(record, ending)

    def operations(self) -> Mapping[str, Operation]:
        return OPERATIONS | (PUSH if self._push_hosts else {})

    def schemas(self) -> Mapping[str, Schema]:
        return schemas(push=bool(self._push_hosts))


def _checked(hosts: Sequence[str]) -> frozenset[str]:
    """Return hosts in lower case.

    Raises:
        TypeError: They are no list.
        ValueError: One is no host.
        ImportError: The package that notifications need is not installed.
    """
    if isinstance(hosts, str):
        raise TypeError(f"A2A: push_hosts must be a list, not {hosts!r}.")
    for host in hosts:
        require("A2A", {"each of push_hosts": (host, str)})
        if not _HOST.fullmatch(host.lower()):
            raise ValueError(f"A2A: {host!r} is not a host such as 'hooks.example.com'.")
    if hosts:
        check_installed("A2A(push_hosts=...)")
    return frozenset(host.lower().removesuffix(":443") for host in hosts)
