"""Agents of other frameworks, and plain functions, as routers."""

import functools
import inspect
from importlib import import_module
from typing import Any, get_type_hints

from ..context import Context
from ..schema.requests import ResponsesRequest
from .router import AgentRouter, valid_name

ADAPTERS = {
    ("langgraph", "Pregel"): "langgraph",
    ("agents", "Agent"): "openai_agents",
    ("pydantic_ai", "AbstractAgent"): "pydantic_ai",
    ("mlflow", "ResponsesAgent"): "mlflow",
}
"""The adapters by the package and the name of the class that they serve. Importing a framework to
compare classes would take seconds."""
ACCEPTED = (
    "an AgentRouter, a compiled LangGraph graph, an Agent of the OpenAI Agents SDK or of Pydantic "
    "AI, an MLflow ResponsesAgent, or a handler function"
)


def router_of(agent: Any) -> AgentRouter:
    """Return a router that serves an agent.

    Args:
        agent: A router, an agent that an adapter serves, or a handler function.

    Raises:
        TypeError: It is none of these, or it cannot be served as it is.
        ImportError: The adapter's framework is not installed.
    """
    if isinstance(agent, AgentRouter):
        return agent
    adapter = adapter_of(agent)
    if adapter is not None:  # imported by its name, since adapters build on upper layers
        router: AgentRouter = import_module(f"agent_asgi.adapters.{adapter}").router(agent)
        return router
    if inspect.isroutine(agent) or isinstance(agent, functools.partial):
        return _router_of_function(agent)
    raise TypeError(f"AgentApp: an agent is {ACCEPTED}, not {_mend(agent)}")


def adapter_of(agent: object) -> str | None:
    """Return the name of the adapter that serves an object; None if there is none."""
    for kind in type(agent).__mro__:
        adapter = ADAPTERS.get((str(kind.__module__).partition(".")[0], kind.__name__))
        if adapter is not None:
            return adapter
    return None


def is_agent(value: object) -> bool:
    """Return whether an object is a router, or an agent that an adapter serves."""
    return isinstance(value, AgentRouter) or adapter_of(value) is not None


def is_handler(value: object) -> bool:
    """Return whether a function takes a `ResponsesRequest` or a `Context`, as handlers do."""
    if not inspect.isroutine(value):
        return False
    try:
        hints = get_type_hints(value)
    except (NameError, TypeError):
        return False
    hints.pop("return", None)
    return ResponsesRequest in hints.values() or Context in hints.values()


def _router_of_function(function: Any) -> AgentRouter:
    inner = function.func if isinstance(function, functools.partial) else function
    router = AgentRouter(valid_name(getattr(inner, "__name__", "")))
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        router.stream(function)
    else:
        router.invoke(function)
    return router


def _mend(agent: object) -> str:
    """Name an object that is no agent, and say what to pass in its place."""
    kind = type(agent).__name__
    if isinstance(agent, list | tuple):
        return f"a {kind}. Pass each agent as a separate argument: AgentApp(*agents)."
    if isinstance(agent, type):
        return f"the class {agent.__name__}. Pass an instance of it."
    if kind == "StateGraph":
        return "a StateGraph. Compile it first: AgentApp(graph.compile())."
    if kind == "AgentApp":
        return "an AgentApp. Pass its agents: AgentApp(*app.routers)."
    return f"{agent!r:.200}. Call other agents in a handler function."
