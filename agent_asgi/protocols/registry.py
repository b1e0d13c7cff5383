"""The protocols that every app speaks, and the routes of its agents."""

from collections.abc import Iterable, Sequence

from starlette.routing import BaseRoute, Route

from ..agents.router import AgentRouter
from ..config import Limits
from ..runtime import AppConfig
from ..schema.openapi import Operation, Schema
from .base import Protocol
from .conversations.protocol import Conversations
from .endpoint import ProtocolEndpoint
from .invocations.json import JsonInvocations
from .invocations.openapi import JSON_INVOCATIONS
from .invocations.protocol import Invocations
from .responses.protocol import Responses
from .retrieve import Retrieve

ALWAYS: tuple[Protocol, ...] = (Responses(), Invocations(), Conversations())
"""The protocols that every agent speaks."""


def routes(config: AppConfig, protocols: Iterable[Protocol]) -> list[BaseRoute]:
    """Return the routes of all agents.

    A single agent is served at the root. Several are served below their names, and at the root by
    a request's `model`.
    """
    routes = [route for protocol in protocols for route in protocol.app_routes(config)]
    if len(config.routers) == 1:
        return routes + _agent_routes(config, protocols, config.routers[0], "")
    routes += _agent_routes(config, protocols, None, "")
    for router in config.routers:
        routes += _agent_routes(config, protocols, router, f"/{router.name}")
    return routes


def _agent_routes(
    config: AppConfig, protocols: Iterable[Protocol], router: AgentRouter | None, prefix: str
) -> list[BaseRoute]:
    if router is not None and router.protocol == "json":
        endpoint = JsonInvocations(config, router)
        return [Route(f"{prefix}/invocations", endpoint, methods=["POST"])]
    routes: list[BaseRoute] = []
    for protocol in protocols:
        post = ProtocolEndpoint(protocol, config, router)
        routes += [
            Route(prefix + path, post, methods=["POST"], name=protocol.name)
            for path in protocol.paths
        ]
        if protocol.stored_path is not None:
            get = Retrieve(protocol, config, router)
            routes.append(Route(prefix + protocol.stored_path, get, methods=["GET"]))
        routes += protocol.routes(config, router, prefix)
    return routes


def public_paths(config: AppConfig, protocols: Iterable[Protocol]) -> frozenset[str]:
    """Return the paths of the protocols that need no authentication."""
    prefixes = ["", *(f"/{router.name}" for router in config.routers)]
    public = [path for protocol in protocols for path in protocol.public]
    return frozenset(prefix + path for prefix in prefixes for path in public)


def challenges(protocols: Iterable[Protocol]) -> dict[str, str]:
    """Return what the `www-authenticate` header of a 401 says besides, by path."""
    merged: dict[str, str] = {}
    for protocol in protocols:
        merged |= protocol.challenges
    return merged


def paths_of(
    routes: Iterable[BaseRoute], protocols: Iterable[Protocol], router: AgentRouter
) -> dict[str, str]:
    """Return the paths at which an agent is reached, by the names of the protocols."""
    names = {each.name: each.name for each in protocols} | {"JsonInvocations": "Invocations"}
    of_app = {path for each in protocols for path in each.app_paths}
    found: dict[str, str] = {}
    for route in routes:
        if not isinstance(route, Route) or "POST" not in (route.methods or ()):
            continue
        is_theirs = getattr(route.endpoint, "router", None) is router or route.path in of_app
        if route.name in names and is_theirs:
            found.setdefault(names[route.name], route.path)
    return found


def first_segments(protocols: Sequence[Protocol]) -> set[str]:
    """Return the first segments of the protocols' paths, which routers may not be named after."""
    paths = [path for each in protocols for path in (*each.paths, *each.app_paths)]
    return {path.split("/")[1] for path in paths}


def queues(protocols: Iterable[Protocol], limits: Limits | None) -> bool:
    """Return whether runs of the protocols may wait for one another in a conversation."""
    if isinstance(limits, Limits) and limits.conversation_queue is not None:
        return limits.conversation_queue > 0
    return any(protocol.conversation_queue for protocol in protocols)


def operations(protocols: Iterable[Protocol]) -> dict[str, Operation]:
    """Return the OpenAPI operations of the protocols' routes, by route name."""
    merged = {"JsonInvocations": JSON_INVOCATIONS}
    for protocol in protocols:
        merged |= protocol.operations()
    return merged


def schemas(protocols: Iterable[Protocol]) -> dict[str, Schema]:
    """Return the OpenAPI schemas of the protocols, by name."""
    merged: dict[str, Schema] = {}
    for protocol in protocols:
        merged |= protocol.schemas()
    return merged
