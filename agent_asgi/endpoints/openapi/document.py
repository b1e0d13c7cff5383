"""The OpenAPI 3.1 document: every operation of an app, as it is routed."""

import importlib.metadata
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from starlette.routing import BaseRoute, Route

from ...agents.router import AgentRouter
from ...runtime import AppConfig
from ...schema.openapi import BOOLEAN, JSON, STREAM, TEXT, Operation, Schema, ref
from ...schema.requests import ResponsesRequest
from .components import of_annotation, schemas
from .operations import ERRORS, OPERATIONS, REQUEST_ID, RETRY_AFTER, SHOULD_RETRY, TRACE_ID

SERVER, ALL = "the server", "all agents"
"""Tags of the server's own operations and of all agents'; no agent can have these names."""
JSON_OBJECT: Schema = {
    "type": "object",
    "properties": {
        "stream": {"anyOf": [BOOLEAN, {"type": "null"}], "description": "Whether to stream."}
    },
}


def document(
    config: AppConfig,
    routes: Sequence[BaseRoute],
    operations: Mapping[str, Operation],
    components: Mapping[str, Schema],
) -> dict[str, Any]:
    """Return the OpenAPI document of an app.

    Of two paths that differ in `/v1` only, it has the one with `/v1`, which OpenAI's clients use.

    Args:
        config: The app.
        routes: The app's routes; each has the name of its operation.
        operations: The protocols' operations, by the names of their routes.
        components: The schemas that these refer to, by name.
    """
    known = {**operations, **OPERATIONS}
    made: dict[str, Schema] = {**components, **schemas()}
    paths: dict[str, dict[str, Any]] = {}
    listed = [each for each in routes if isinstance(each, Route) and each.name in known]
    short = {(each.name, each.path.replace("/v1/", "/")) for each in listed if "/v1/" in each.path}
    for route in listed:
        if (route.name, route.path) not in short:
            for method in sorted((route.methods or set()) - {"HEAD"}):
                operation = _operation(route, method.lower(), known[route.name], config, made)
                paths.setdefault(route.path, {})[method.lower()] = operation
    scheme = {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}}
    tags = [{"name": each.name, "description": _about(each)} for each in config.routers]
    if len(tags) > 1:
        tags.insert(0, {"name": ALL, "description": "Operations of the agent that `model` names."})
    return {
        "openapi": "3.1.0",
        "info": _info(config),
        "paths": paths,
        "components": {"schemas": made} | (scheme if config.authenticated else {}),
        "tags": [*tags, {"name": SERVER, "description": "Operations of no agent."}],
    }


def _info(config: AppConfig) -> dict[str, Any]:
    title = config.routers[0].name if len(config.routers) == 1 else "agents"
    agents = "".join(f"- {each.name}: {_about(each)}\n" for each in config.routers)
    notes = (
        f"A request body has at most {config.limits.max_body_bytes} bytes. "
        "Integers are written without a fraction or an exponent. "
        "Paths of OpenAI's APIs work without `/v1` too."
    )
    try:
        version = importlib.metadata.version("agent-asgi")
    except importlib.metadata.PackageNotFoundError:
        version = "unknown"  # a copy of the source, not an installed package
    return {"title": title, "version": version, "description": f"{agents}\n{notes}"}


def _about(router: AgentRouter) -> str:
    return router.description or "An agent."


def _operation(
    route: Route, method: str, about: Operation, config: AppConfig, components: dict[str, Schema]
) -> dict[str, Any]:
    """Describe one operation; add the components that it refers to."""
    router = getattr(route.endpoint, "router", None)
    agents: list[AgentRouter] = []
    if route.name not in OPERATIONS:
        agents = [each for each in config.routers if each.protocol == "responses"]
        agents = agents if router is None else [router]
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": TEXT}
        for name in re.findall(r"\{(\w+)\}", route.path)
    ]
    operation: dict[str, Any] = {
        "operationId": f"{method} {route.path}",
        "tags": [_tag(route.path, agents)],
        "summary": about.summary,
        "description": about.description,
        "parameters": [*in_path, *about.parameters],
        "responses": _answers(route.path, about),
    }
    if about.body is not None:
        content = _content(about, agents, components)
        picks = about.runs or about.modes  # an operation of no agent needs no model
        if route.name not in OPERATIONS and picks and (router is None or about.named):
            _require_model(content, agents if router is None else ())
        operation["requestBody"] = {"required": not about.optional, "content": {JSON: content}}
    if config.authenticated and not about.open:
        operation["security"] = [{"token": []}]
        operation["responses"]["401"] = _error(401, "Error")
    return operation


def _tag(path: str, agents: Sequence[AgentRouter]) -> str:
    if len(agents) < 2:
        return agents[0].name if agents else SERVER
    return next((each.name for each in agents if path.startswith(f"/{each.name}/")), ALL)


def _answers(path: str, about: Operation) -> dict[str, Any]:
    answers: dict[str, Any] = {}
    if about.answers:
        answer = {
            "description": "Success.",
            "headers": REQUEST_ID | (TRACE_ID if about.runs else {}),
            "content": {kind: {"schema": each} for kind, each in about.answers.items()},
        }
        answers |= {str(status): answer for status in about.statuses}
    if about.empty is not None:
        status, meaning = about.empty
        answers[str(status)] = {"description": meaning, "headers": REQUEST_ID}
    if about.linked:
        answers["200"]["links"] = _links(path)
    answers |= {str(status): _error(status, about.error) for status in about.errors}
    if about.unready is not None:
        content = {JSON: {"schema": about.unready}}
        answers["503"] = {"description": "Not ready.", "headers": REQUEST_ID, "content": content}
    if about.runs:
        answers["default"] = _error(None, about.error) | {
            "description": "An error that the agent raised."
        }
    return answers


def _error(status: int | None, form: str) -> dict[str, Any]:
    headers = REQUEST_ID | SHOULD_RETRY
    if status in (None, 409, 429, 503):
        headers |= RETRY_AFTER
    content = {JSON: {"schema": ref(form)}}
    return {"description": ERRORS.get(status or 0, ""), "headers": headers, "content": content}


def _links(path: str) -> dict[str, Any]:
    """Describe the operations that take the id of a response."""
    one = re.sub("(/v1)?/(invocations|responses)$", "/v1/responses/{id}", path)
    names = (f"get {one}", f"delete {one}", f"post {one}/cancel", f"get {one}/input_items")
    parameters = {"id": "$response.body#/id"}
    return {
        re.sub(r"\W+", "_", name): {"operationId": name, "parameters": parameters} for name in names
    }


def _content(
    about: Operation, agents: Iterable[AgentRouter], components: dict[str, Schema]
) -> dict[str, Any]:
    """Describe a body by the protocol's schema and the annotations of the handlers."""
    schema = ref(about.body) if about.body else JSON_OBJECT
    wanted = [
        (f"{_escaped(agent.name)}.{mode}", handler)
        for agent in agents
        for mode, handler in agent.handlers.items()
        if mode in about.modes
    ]
    if not wanted or any(
        each.takes_any or each.input_type is ResponsesRequest for _, each in wanted
    ):
        return {"schema": schema, "examples": _examples(about, components)}
    options = []
    for name, handler in wanted:
        option, made = of_annotation(handler.input_type, name)
        components.update(made)
        options.append(option)
    return {"schema": {"allOf": [schema, {"anyOf": options}]}}


def _examples(about: Operation, components: Mapping[str, Schema]) -> dict[str, Any]:
    """Return an example for each kind of answer that a body may ask for."""
    examples = {"json": {"summary": "One answer", "value": about.example}}
    body = components.get(about.body, {}) if about.body else JSON_OBJECT
    if STREAM in about.answers and "stream" in body.get("properties", {}):
        value = about.example | {"stream": True}
        examples["stream"] = {"summary": "A stream of events", "value": value}
    return examples


def _escaped(name: str) -> str:
    """Return an agent's name as a unique part of a component's name."""
    return re.sub(r"[^A-Za-z0-9-]", lambda match: f"_{ord(match[0]):x}_", name)


def _require_model(content: dict[str, Any], agents: Iterable[AgentRouter]) -> None:
    """Require a body to name one of these agents, or any if there are none."""
    names = [each.name for each in agents]
    model = {"type": "string", "enum": names} if names else TEXT
    required = {"properties": {"model": model}, "required": ["model"]}
    content["schema"] = {"allOf": [content["schema"], required]}
    for example in content.get("examples", {}).values():
        example["value"] = {"model": names[0] if names else "agent"} | example["value"]
