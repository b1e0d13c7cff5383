"""Links a run to its caller's trace, or makes it a part of that trace."""

import contextlib
import re
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})"
)


def link_to(caller: re.Match[str]) -> Any:
    """Return a link to the span that a `traceparent` names."""
    from mlflow.entities import Link

    kind: Any = Link  # mypy takes it to be abstract
    return kind(trace_id=f"tr-{caller.group(1)}", span_id=caller.group(2))


def is_sampled(caller: re.Match[str]) -> bool:
    """Return whether the caller records the trace that its `traceparent` names."""
    return bool(int(caller.group(3), 16) & 1)


def manager() -> Any:
    """Return MLflow's store of the traces that are not yet exported."""
    from mlflow.tracing.trace_manager import InMemoryTraceManager

    return InMemoryTraceManager.get_instance()  # type: ignore[no-untyped-call]


_remotes: Counter[int] = Counter()
_remotes_lock = threading.Lock()


@contextlib.contextmanager
def continued(caller: re.Match[str]) -> Iterator[None]:
    """Make a caller's span the current one, as MLflow's own helper does.

    MLflow's helper drops the trace when the first of several runs that continue it ends.

    Args:
        caller: The match of its `traceparent`.
    """
    from mlflow.entities import TraceInfo, TraceState
    from mlflow.tracing.provider import get_context_api
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    traces, trace = manager(), int(caller.group(1), 16)
    with _remotes_lock:
        known = traces.get_mlflow_trace_id_from_otel_id(trace) is not None
        remote = not known or trace in _remotes  # else the caller is in this process
        _remotes.update([trace] * remote)
        if not known:
            info = TraceInfo(
                trace_id=f"tr-{trace:032x}",
                trace_location=None,  # type: ignore[arg-type]
                request_time=None,  # type: ignore[arg-type]
                state=TraceState.IN_PROGRESS,
            )
            traces.register_trace(trace, info, is_remote_trace=True)
    context = TraceContextTextMapPropagator().extract({"traceparent": caller.string})
    runtime = get_context_api()  # type: ignore[no-untyped-call]
    token = runtime.attach(context)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # the handler was ended in another task
            runtime.detach(token)
        with _remotes_lock:
            _remotes.subtract([trace] * remote)
            if remote and not _remotes[trace]:
                del _remotes[trace]
                traces.pop_trace(trace)
