"""Report how a run ended: its error, its metrics, and one line in the log."""

import logging
from time import perf_counter
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException

from .. import config
from ..agents.handler import PREPARE
from ..context import GIVEN_BACK
from ..errors import AgentError, AgentFailed, from_http
from ..events.lifecycle import Lifecycle
from ..observability.tracebacks import exc_info, summarize
from ..tracing.genai import Ending

if TYPE_CHECKING:
    from .run import Run

logger = logging.getLogger("agent_asgi")
run_logger = logging.getLogger("agent_asgi.runs")


def visible(run: "Run", error: BaseException) -> AgentError:
    """Return a handler's error as the client may see it; log an unexpected one."""
    if isinstance(error, AgentError):
        return error
    if isinstance(error, HTTPException):
        return from_http(error)
    name, hint = run.handler.name, _hint(run, error)
    shown = exc_info(error)
    logger.error("Handler %r of agent %r failed.%s", name, run.agent, hint, exc_info=shown)
    if not run.engine.debug:
        return AgentFailed()
    message = f"{type(error).__name__}: {error}"
    return AgentFailed(summarize(error) if config.development else message)


def _hint(run: "Run", error: BaseException) -> str:
    """Return where the handler is, if no frame shows it, or how to fix its parameter.

    Some handlers, such as MLflow's, expect another request than they get.
    """
    if exc_info(error)[2] is None and run.handler.place:
        return f" It is at {run.handler.place}."
    unannotated = run.handler.input_type is None
    if not (unannotated and isinstance(error, AttributeError) and error.obj is run.value):
        return ""
    return (
        " Its request parameter has no annotation, so the request is a dict. Annotate it with "
        "`ResponsesRequest`, or with MLflow's `ResponsesAgentRequest`."
    )


def ending_of(run: "Run", error: BaseException | None) -> Ending:
    """Return how a run ended, for its trace.

    Args:
        run: The run.
        error: What the handler raised, if it did.
    """
    return Ending(
        run.output.result,
        run.status,
        error if isinstance(error, Exception) else None,
        run.cause if run.error is None else run.error.code,
        run.output.usage,
        _finish_reason(run),
    )


def _finish_reason(run: "Run") -> str | None:
    output = run.output
    if not isinstance(output, Lifecycle):  # a "json" router's
        return None
    details = output.response.incomplete_details
    if details is not None:
        return "length" if details.reason == "max_output_tokens" else details.reason
    if run.status == "completed":
        last = output.output[-1]["type"] if output.output else None
        return "tool_calls" if last == "function_call" else "stop"
    return "error" if run.status == "failed" else run.status


def report(run: "Run") -> None:
    """Count a run that has ended, and log it at INFO, without its content; skip prepared ones."""
    if run.handler is PREPARE:
        return
    seconds = perf_counter() - run.began
    error = run.error.code if run.status == "failed" and run.error is not None else None
    if run.status != GIVEN_BACK:
        run.engine.tracer.measure(run.agent, seconds, error)
    metrics, output = run.engine.metrics, run.output
    if metrics is not None:
        first = None if run.first_at is None else run.first_at - run.began
        agent = metrics.agents[run.agent]
        agent.run_ended(run.mode, run.status, seconds, first, output.events, output.usage, error)
    if run_logger.isEnabledFor(logging.INFO):
        _log(run, seconds)


def _log(run: "Run", seconds: float) -> None:
    status, usage = run.status, run.output.usage
    first = None if run.first_at is None or run.mode == "json" else run.first_at - run.began
    milliseconds = _milliseconds(seconds)
    fields = {
        "request_id": run.request_id or "-",
        "response_id": run.response_id,
        "trace_id": run.trace_id,
        "principal": run.owner or None,
        "agent": run.agent,
        "mode": run.mode,
        "status": status,
        "cause": None if status in ("completed", "incomplete") else run.cancelled.cause,
        "error": None if run.error is None else run.error.code,
        "milliseconds": milliseconds,
        "first_event_milliseconds": None if first is None else _milliseconds(first),
        "events": run.output.events,
        "input_tokens": None if usage is None else usage.input_tokens,
        "output_tokens": None if usage is None else usage.output_tokens,
    }
    run_logger.info(_sentence(fields), extra=fields)


def _sentence(fields: dict[str, Any]) -> str:
    """Return what a person wants to know of a run: how it ended, its time, its tokens, its ids."""
    agent, status, why = fields["agent"], fields["status"], fields["error"] or fields["cause"]
    parts = [f"{agent} {status} ({why})" if why else f"{agent} {status}"]
    parts[0] += f" in {fields['milliseconds'] / 1000:.3g} s"
    if fields["first_event_milliseconds"] is not None:
        parts.append(f"first token after {fields['first_event_milliseconds'] / 1000:.3g} s")
    if fields["input_tokens"] is not None:
        parts.append(f"{fields['input_tokens']} + {fields['output_tokens']} tokens")
    return ", ".join([*parts, fields["trace_id"] or "no trace", fields["response_id"]])


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)
