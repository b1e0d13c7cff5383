"""One MLflow root span a run.

MLflow is imported in a thread when the app starts, never on the event loop, and no call here that
may reach a database or a server runs on it.
"""

import asyncio
import contextlib
import functools
import gc
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import urlsplit

from ..context import Context
from ..errors import NotSupported, Unavailable
from . import exports, feedback
from .alone import alone
from .batches import keep_many_traces
from .callers import TRACEPARENT, continued, link_to
from .exports import flush, flush_when_process_ends, take_over
from .feedback import Feedback
from .quiet import hush, unreachable
from .trace import Trace, set_body

logger = logging.getLogger("agent_asgi.tracing")
RETRY_SECONDS = 30.0
OFF_SECONDS = 1.0
"""How long tracing that was found to be off is taken to be off."""


class Tracer:
    """Begins the traces of one app.

    Args:
        experiments: Names of the experiments that the routers ask for.
        continue_trace: Whether a caller's MLflow trace is continued.
    """

    def __init__(self, experiments: Iterable[str], *, continue_trace: bool = False) -> None:
        self._names = set(experiments)
        self._continue = continue_trace
        self._ids: dict[str | None, str | None] = {}
        self._ready = threading.Event()
        self._tried = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._off_until = 0.0

    async def start(self, seconds: float) -> None:
        """Set tracing up in a thread and wait for it, but no longer than `seconds`.

        A server that is down costs a warning; it is tried again until it answers. Where the
        environment switches tracing off, MLflow is not even imported.
        """
        with _collecting_later():
            if not _switched_off():
                await self._set_up_within(seconds)

    async def _set_up_within(self, seconds: float) -> None:
        self._thread = threading.Thread(
            target=self._set_up_until_done, name="agent-asgi-tracing", daemon=True
        )
        self._thread.start()
        first = time.monotonic() + seconds
        while not self._tried.is_set() and time.monotonic() < first:  # noqa: ASYNC110  a thread's
            await asyncio.sleep(0.01)
        if not self._tried.is_set():
            unreachable.warning(
                "MLflow has not answered within %g s; runs go untraced until it does.", seconds
            )

    async def stop(self) -> None:
        """Send what is still waiting; give up where nothing moves for some seconds."""
        self._stop.set()
        if self._ready.is_set() and not await asyncio.to_thread(flush):
            unreachable.warning("Traces were still waiting when the app stopped.")

    def backlog(self) -> tuple[int, int]:
        """Tell how many exports this process has waiting, and how many traces it gave up."""
        return (exports.waiting() if self._ready.is_set() else 0), exports.dropped

    def page(self, experiment: str | None) -> str | None:
        """Give the address of MLflow's page of a trace, but for the trace's id at its end.

        Args:
            experiment: The router's experiment; None for MLflow's own.

        Returns:
            The address, without credentials; None where traces go to no server of MLflow's.
        """
        id_ = self._ids.get(experiment) if self._ready.is_set() else None
        if id_ is None:
            return None
        from mlflow import get_tracking_uri

        uri = urlsplit(get_tracking_uri())
        if uri.scheme not in ("http", "https"):
            return None
        root = f"{uri.scheme}://{uri.netloc.rpartition('@')[2]}{uri.path.rstrip('/')}"
        return f"{root}/#/experiments/{id_}/traces?selectedEvaluationId="

    async def keep_feedback(self, given: Feedback) -> str | None:
        """Have MLflow keep what a person thinks of a run.

        Args:
            given: The opinion.

        Returns:
            The assessment's id; None where there is no such trace of that response.

        Raises:
            NotSupported: Tracing is off.
            Unavailable: MLflow has not answered yet, or does not.
        """
        if self._ready.is_set():
            return await feedback.keep(given)
        if _switched_off():
            raise NotSupported("trace_id: tracing is off, so no run has a trace.", "trace_id")
        raise Unavailable("MLflow has not answered yet; runs go untraced.")

    def begin(
        self,
        name: str,
        inputs: Callable[[], Any],
        context: Context,
        *,
        experiment: str | None = None,
        responses: bool = True,
    ) -> Trace | None:
        """Open the root span of a run, in the context of the calling task.

        Args:
            name: The span's name, the handler's.
            inputs: Gives the body as it came.
            context: The run's context; its `trace_id` is set.
            experiment: The router's experiment. Default: MLflow's own.
            responses: Whether inputs and outputs are OpenAI Responses. Default True.

        Returns:
            The trace, or None where tracing is off or not set up yet.
        """
        if not self._ready.is_set() or time.monotonic() < self._off_until:
            return None
        try:
            trace = self._begin(name, inputs, context, experiment, responses)
            if trace is None:
                self._look_whether_off()
        except Exception:  # tracing never fails a request
            logger.warning("A trace could not be begun.", exc_info=True)
            return None
        return trace

    def _look_whether_off(self) -> None:
        """Ask MLflow, once a second, where it traces nothing: else it has not sampled a run."""
        from mlflow.tracing.provider import is_tracing_enabled

        if not is_tracing_enabled():
            self._off_until = time.monotonic() + OFF_SECONDS

    def _begin(
        self,
        name: str,
        inputs: Callable[[], Any],
        context: Context,
        experiment: str | None,
        responses: bool,
    ) -> Trace | None:
        import mlflow
        from mlflow.tracing.provider import set_span_in_context

        take_over()
        traceparent = context.headers.get("traceparent", "")
        caller = TRACEPARENT.fullmatch(traceparent)
        tags = {"agent_asgi.agent": context.agent, "agent_asgi.response_id": context.response_id}
        if caller is not None:
            tags["agent_asgi.traceparent"] = traceparent
        with contextlib.ExitStack() as remote:
            parent = caller is not None and self._enter_remote(remote, traceparent, caller)
            span = mlflow.start_span_no_context(
                name,
                span_type="AGENT",
                attributes=_attributes(context, responses),
                tags=tags,
                metadata=_metadata(context),
                experiment_id=None if parent or _nested() else self._ids.get(experiment),
                links=None if caller is None or parent else [link_to(caller)],
            )
            if span.span_id is None or span.trace_id == "MLFLOW_NO_OP_SPAN_TRACE_ID":
                return None
            if (body := inputs()) is not None:
                set_body(span, "mlflow.spanInputs", body, span.set_inputs)
            context.trace_id = span.trace_id
            return Trace(span, set_span_in_context(span), remote.pop_all(), parent)

    def _enter_remote(
        self, remote: contextlib.ExitStack, traceparent: str, caller: re.Match[str]
    ) -> bool:
        if not self._continue or not int(caller.group(3), 16) & 1:
            return False
        remote.enter_context(continued(traceparent, int(caller.group(1), 16)))
        return True

    def _set_up_until_done(self) -> None:
        pause = 0.5
        while not self._stop.is_set():
            try:
                self._set_up()
            except Exception as error:  # noqa: BLE001  whatever it is, runs go on untraced
                if pause > 2:  # until then it may be another worker that makes the database too
                    unreachable.warning("Runs go untraced, MLflow cannot be reached: %s", error)
                    self._tried.set()
                self._stop.wait(pause)
                pause = min(2 * pause, RETRY_SECONDS)
            else:
                self._ready.set()
                self._tried.set()
                return

    def _set_up(self) -> None:
        hush()
        keep_many_traces()
        from mlflow.tracing.provider import is_tracing_enabled, provider
        from mlflow.tracing.utils.otlp import should_use_otlp_exporter
        from mlflow.tracking import get_tracking_uri, set_tracking_uri
        from mlflow.version import IS_TRACING_SDK_ONLY

        otlp = should_use_otlp_exporter()
        if IS_TRACING_SDK_ONLY and otlp and not os.environ.get("MLFLOW_TRACKING_URI"):
            set_tracking_uri("http://unused.invalid")  # to find the default takes the full mlflow
        with contextlib.suppress(ImportError):  # mlflow-tracing lacks it
            import mlflow.pyfunc.context  # noqa: F401  else the first span does, on the event loop
        with contextlib.nullcontext() if otlp else alone(get_tracking_uri()):
            provider.get_or_init_tracer(__name__)
            take_over()
            flush_when_process_ends()
            if is_tracing_enabled() and not otlp:
                for name in {None, *self._names}:
                    self._ids[name] = _experiment_id(name)


def _switched_off() -> bool:
    """Tell whether OpenTelemetry's own variable says so; MLflow goes by it too."""
    return os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


@contextlib.contextmanager
def _collecting_later() -> Iterator[None]:
    """Rest the garbage collector during the start, then have it pass over all that is there.

    MLflow's import makes 400 000 objects that stay. To look through them as they come is a sixth of
    the start; to do so later, again and again, holds the event loop for a tenth of a second.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        _freeze()
        if enabled:
            gc.enable()


_freeze = functools.cache(gc.freeze)
"""Once in a process, since what is garbage at that moment is kept for ever (2 MB of MLflow's)."""


def _experiment_id(name: str | None) -> str | None:
    from mlflow.tracking._tracking_service.utils import _get_store
    from mlflow.tracking.fluent import _get_experiment_id

    store = _get_store()  # type: ignore[no-untyped-call]
    if name is None:
        try:
            default = _get_experiment_id()
        except NameError:  # mlflow-tracing lacks the registry that it asks where none is set
            default = "0"
        store.get_experiment(default)  # makes the database, or finds the server
        return default
    found = store.get_experiment_by_name(name)
    created: str = store.create_experiment(name) if found is None else found.experiment_id
    return created


def _nested() -> bool:
    import mlflow

    return mlflow.get_current_active_span() is not None


def _metadata(context: Context) -> dict[str, str]:
    known = {"mlflow.trace.session": context.session_id, "mlflow.trace.user": context.user}
    return {key: value for key, value in known.items() if value is not None}


def _attributes(context: Context, responses: bool) -> dict[str, Any]:
    known = {
        "mlflow.message.format": "openai" if responses else None,
        "session.id": context.session_id,
        "user.id": context.user,
    }
    return {key: value for key, value in known.items() if value is not None}
