"""MLflow: a `ResponsesAgent`, logged or in the process, as a router."""

import contextlib
import re
from collections.abc import Iterator
from typing import Any

from ..agents.router import AgentRouter
from ..context import Context

try:
    import mlflow.pyfunc
    from mlflow.pyfunc.model import ResponsesAgent
    from mlflow.types.responses import ResponsesAgentRequest
except ImportError as error:
    raise ImportError(
        "agent_asgi.adapters.mlflow needs the full mlflow, not mlflow-tracing: "
        "pip uninstall mlflow-tracing; pip install mlflow"
    ) from error

_REGISTERED = re.compile(r"models:/([^/@]+)[/@]")


def router(
    model: str | ResponsesAgent, name: str | None = None, **options: Any
) -> AgentRouter:
    """Return a router that serves an MLflow `ResponsesAgent`.

    `predict` answers requests for JSON, `predict_stream` requests for a stream; without
    `predict_stream`, `predict` serves both. They run in the router's threads, concurrently on the
    same agent. MLflow's own spans are nested below the run's span.

    Args:
        model: The agent, or the URI of a logged one, such as "models:/shop/1",
            "models:/shop@champion" or "runs:/RUN/shop", which is loaded at once.
        name: The router's name. Default: the name in a "models:" URI, else that of the class.
        **options: Options of `AgentRouter`: `description`, `experiment`, `max_threads`,
            `recover`, `keep_headers`.

    Raises:
        TypeError: The model is not a `ResponsesAgent`.
        ValueError: The name is not a path segment.
        mlflow.exceptions.MlflowException: There is no such model, or it cannot be loaded.
    """
    agent, model_id = _load(model) if isinstance(model, str) else (model, None)
    if not isinstance(agent, ResponsesAgent):
        raise TypeError(
            f"{model if isinstance(model, str) else type(agent).__name__} is not an "
            "mlflow.pyfunc.ResponsesAgent. Wrap other models (ChatAgent, ChatModel, PythonModel) "
            "in one, or call them in a handler."
        )
    if name is None:
        match = _REGISTERED.match(model) if isinstance(model, str) else None
        name = match[1] if match else type(agent).__name__
    router = AgentRouter(name, **options)
    _register(router, agent, model_id)
    return router


def _load(uri: str) -> tuple[object, str | None]:
    loaded = mlflow.pyfunc.load_model(uri)
    try:
        return loaded.get_raw_model(), loaded.model_id
    except NotImplementedError:  # the flavour has no raw model
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
        with contextlib.closing(agent.predict_stream(request)) as events:
            for event in events:
                yield event
                yield from _custom(event)


def _link(context: Context, model_id: str | None) -> None:
    """Link the trace to the model in MLflow."""
    if model_id is not None and context.trace_id is not None:
        mlflow.update_current_trace(model_id=model_id)


def _custom(event: Any) -> Iterator[dict[str, Any]]:
    """Yield the custom outputs of an event as a response's."""
    fields = event if isinstance(event, dict) else vars(event)
    if fields.get("custom_outputs") is not None:
        yield {"output": [], "custom_outputs": fields["custom_outputs"]}
