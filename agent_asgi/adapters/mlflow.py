"""An MLflow `ResponsesAgent`, logged or at hand, as a router."""

import contextlib
import re
from collections.abc import Iterator
from typing import Any

from ..context import Context
from ..router import AgentRouter
from ..tracing.callers import manager

try:
    import mlflow.pyfunc
    from mlflow.pyfunc.model import ResponsesAgent
    from mlflow.types.responses import ResponsesAgentRequest
except ImportError as error:
    raise ImportError(
        "agent_asgi.adapters.mlflow needs the models of the full mlflow, which mlflow-tracing is "
        "not: pip uninstall mlflow-tracing; pip install mlflow"
    ) from error

_REGISTERED = re.compile(r"models:/([^/@]+)[/@]")


def router_from_model(
    model: str | ResponsesAgent, *, name: str | None = None, **options: Any
) -> AgentRouter:
    """Make a router of an MLflow `ResponsesAgent`.

    Its `predict` answers requests that want JSON, its `predict_stream` streams; where it has no
    `predict_stream`, `predict` serves both. They run in the router's threads, several at once on
    the one agent. The spans that MLflow opens for them are nested below the run's own.

    Args:
        model: The agent, or the URI of one that was logged, such as "models:/shop/1",
            "models:/shop@champion" or "runs:/RUN/shop". It is loaded at once, so that the app does
            not start without it.
        name: The router's name. Default: the one that a "models:" URI has, else the class's.
        **options: Further ones of `AgentRouter`: `description`, `experiment`, `max_threads`,
            `recover`, `keep_headers`.

    Raises:
        TypeError: The model is no `ResponsesAgent`.
        ValueError: The name is no path segment.
        mlflow.exceptions.MlflowException: There is no such model, or it cannot be loaded.
    """
    agent, model_id = _load(model) if isinstance(model, str) else (model, None)
    if not isinstance(agent, ResponsesAgent):
        raise TypeError(
            f"{model if isinstance(model, str) else type(agent).__name__} is no "
            "mlflow.pyfunc.ResponsesAgent; what else MLflow serves (ChatAgent, ChatModel, "
            "PythonModel) is wrapped in one, or called in a handler."
        )
    if name is None:
        named = _REGISTERED.match(model) if isinstance(model, str) else None
        name = named.group(1) if named else type(agent).__name__
    router = AgentRouter(name, **options)
    _register(router, agent, model_id)
    return router


def _load(uri: str) -> tuple[object, str | None]:
    loaded = mlflow.pyfunc.load_model(uri)
    try:
        return loaded.get_raw_model(), loaded.model_id
    except NotImplementedError:  # a flavour that has nothing to unwrap
        return loaded, None


def _register(router: AgentRouter, agent: ResponsesAgent, model_id: str | None) -> None:
    @router.invoke
    def predict(request: ResponsesAgentRequest, context: Context) -> Any:
        _link(context, model_id)
        return agent.predict(request)

    if type(agent).predict_stream is ResponsesAgent.predict_stream:
        return

    @router.stream
    def predict_stream(request: ResponsesAgentRequest, context: Context) -> Iterator[Any]:
        _link(context, model_id)
        try:
            with contextlib.closing(agent.predict_stream(request)) as events:
                for event in events:
                    yield event
                    yield from _custom(event)
        finally:
            _end_spans(context)


def _link(context: Context, model_id: str | None) -> None:
    """Have MLflow show the trace with the model."""
    if model_id is not None and context.trace_id is not None:
        mlflow.update_current_trace(model_id=model_id)


def _custom(event: Any) -> Iterator[dict[str, Any]]:
    """Give the custom outputs of an event as those of the response."""
    given = event if isinstance(event, dict) else vars(event)
    if given.get("custom_outputs") is not None:
        yield {"output": [], "custom_outputs": given["custom_outputs"]}


def _end_spans(context: Context) -> None:
    """End the span that MLflow leaves open, and so loses, where its generator is closed."""
    root = mlflow.get_current_active_span()
    if root is None or context.trace_id is None:
        return
    with manager().get_trace(context.trace_id) as trace:
        spans = [] if trace is None else list(trace.span_dict.values())
    for span in spans:
        if span.parent_id == root.span_id and span.end_time_ns is None:
            span.end()
