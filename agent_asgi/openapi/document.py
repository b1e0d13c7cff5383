"""The OpenAPI 3.1 document: every operation of an app, as it is routed."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from starlette.routing import BaseRoute, Route

from ..limits import Limits
from ..router import AgentRouter
from ..schema.requests import ResponsesRequest
from .components import Schema, of_annotation, ref, schemas
from .operations import (
    ERRORS,
    JSON_OBJECT,
    OPERATIONS,
    REQUEST_ID,
    RETRY_AFTER,
    SHOULD_RETRY,
    TRACE_ID,
    Operation,
)

SERVER = "the server"
"""The tag of the operations that ask no agent; no agent can have this name."""
_ONE = re.compile(r"\{(\w+)\}")


def document(
    routes: Sequence[BaseRoute],
    routers: Sequence[AgentRouter],
    limits: Limits,
    version: str,
    *,
    authenticated: bool = False,
) -> dict[str, Any]:
    """Make the OpenAPI document of an app.

    Args:
        routes: The app's routes; each one's name is that of its operation.
        routers: The agents.
        limits: Bounds, to tell of.
        version: The package's version.
        authenticated: Whether a bearer token must say who asks. Default False.
    """
    found: dict[str, Schema] = dict(schemas())
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        if isinstance(route, Route):
            paths.setdefault(route.path, {}).update(_operations(route, routers, found))
    if authenticated:
        _ask_for_tokens(routes, paths)
    scheme = {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}}
    tags = [{"name": each.name, "description": _about(each)} for each in routers]
    return {
        "openapi": "3.1.0",
        "info": _info(routers, limits, version),
        "paths": paths,
        "components": {"schemas": found} | (scheme if authenticated else {}),
        "tags": [*tags, {"name": SERVER, "description": "What asks no agent."}],
    }


def _operations(
    route: Route, routers: Sequence[AgentRouter], found: dict[str, Schema]
) -> dict[str, Any]:
    """Describe what each method of a route does; put further components in their place."""
    about = OPERATIONS[route.name]
    router = getattr(route.endpoint, "router", None)
    speaking = [each for each in routers if each.protocol == "responses"]
    agents = speaking if router is None else [router]
    made: dict[str, Any] = {}
    for method in sorted((route.methods or set()) - {"HEAD"}):
        made[method.lower()] = _operation(route.path, method, about, agents)
        if about.body is not None:
            own = {"schema": ref(about.body)}
            content = _content(about, agents, found) if about.asks else own
            if about.asks and (router is None or about.named):
                _need_model(content, agents if router is None else ())
            body = {"required": True, "content": {"application/json": content}}
            made[method.lower()]["requestBody"] = body
    return made


def _ask_for_tokens(routes: Sequence[BaseRoute], paths: dict[str, dict[str, Any]]) -> None:
    for route in routes:
        if isinstance(route, Route) and not OPERATIONS[route.name].open:
            for operation in paths[route.path].values():
                operation["security"] = [{"token": []}]
                operation["responses"]["401"] = _error(401)


def _info(routers: Sequence[AgentRouter], limits: Limits, version: str) -> dict[str, Any]:
    title = routers[0].name if len(routers) == 1 else "agents"
    told = "".join(f"- {each.name}: {_about(each)}\n" for each in routers)
    size = f"A request's body has at most {limits.max_body_bytes} bytes."
    whole = "Integers are written without a fraction and without an exponent."
    return {"title": title, "version": version, "description": f"{told}\n{size} {whole}"}


def _about(router: AgentRouter) -> str:
    return router.description or "An agent."


def _operation(
    path: str, method: str, about: Operation, agents: Iterable[AgentRouter]
) -> dict[str, Any]:
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _ONE.findall(path)
    ]
    return {
        "operationId": f"{method.lower()} {path}",
        "tags": ([each.name for each in agents] if about.asks else []) or [SERVER],
        "summary": about.summary,
        "description": about.description,
        "parameters": [*in_path, *about.parameters],
        "responses": _answers(path, about),
    }


def _answers(path: str, about: Operation) -> dict[str, Any]:
    answers: dict[str, Any] = {}
    if about.answers:
        answers["200"] = {
            "description": "It is done.",
            "headers": REQUEST_ID | (TRACE_ID if about.runs else {}),
            "content": {kind: {"schema": each} for kind, each in about.answers.items()},
        }
    if about.linked:
        answers["200"]["links"] = _links(path)
    answers |= {str(status): _error(status) for status in about.errors}
    if about.unready is not None:
        content = {"application/json": {"schema": about.unready}}
        answers["503"] = {"description": "Not now.", "headers": REQUEST_ID, "content": content}
    if about.runs:
        answers["default"] = _error(None) | {"description": "What the agent says went wrong."}
    return answers


def _error(status: int | None) -> dict[str, Any]:
    headers = REQUEST_ID | SHOULD_RETRY
    if status in (None, 409, 429, 503):
        headers |= RETRY_AFTER
    return {
        "description": ERRORS.get(status or 0, ""),
        "headers": headers,
        "content": {"application/json": {"schema": ref("Error")}},
    }


def _links(path: str) -> dict[str, Any]:
    """Tell what can be done with a response once it is there."""
    one = path.removesuffix("/invocations").removesuffix("/responses") + "/responses/{id}"
    names = (f"get {one}", f"delete {one}", f"post {one}/cancel", f"get {one}/input_items")
    return {
        re.sub(r"\W+", "_", name): {
            "operationId": name,
            "parameters": {"id": "$response.body#/id"},
        }
        for name in names
    }


def _content(
    about: Operation, agents: Iterable[AgentRouter], components: dict[str, Schema]
) -> dict[str, Any]:
    """Describe a body: what the protocol asks for, and what the handlers' annotations do."""
    given = ref(about.body) if about.body else JSON_OBJECT
    wanted = [
        (f"{_escaped(agent.name)}.{mode}", handler.input_type)
        for agent in agents
        for mode, handler in agent.handlers.items()
        if mode in about.modes
    ]
    if not wanted or any(_is_any(each) for _, each in wanted):
        return {"schema": given, "example": about.example}
    options = []
    for name, each in wanted:
        schema, found = of_annotation(each, name)
        components.update(found)
        options.append(schema)
    return {"schema": {"allOf": [given, {"anyOf": options}]}}


def _escaped(name: str) -> str:
    """Make an agent's name one for a component, and no other agent's."""
    return re.sub(r"[^A-Za-z0-9-]", lambda found: f"_{ord(found[0]):x}_", name)


def _need_model(content: dict[str, Any], agents: Iterable[AgentRouter]) -> None:
    """Have a body name its agent, one of these or, where there are none, any."""
    names = [each.name for each in agents]
    model = {"type": "string", "enum": names} if names else {"type": "string"}
    needed = {"properties": {"model": model}, "required": ["model"]}
    content["schema"] = {"allOf": [content["schema"], needed]}
    if "example" in content:
        content["example"] = {"model": names[0] if names else "agent"} | content["example"]


def _is_any(wanted: Any) -> bool:
    return wanted in (None, Any, dict, ResponsesRequest) or (
        getattr(wanted, "__origin__", None) is dict
    )
