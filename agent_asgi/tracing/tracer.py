"""Starts an MLflow root span for each run.

MLflow is imported in a thread after the app has started. No call that may reach a database or a
server runs on the event loop.
"""

import asyncio
import contextlib
import logging
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..context import Context
from ..errors import NotSupported, Unavailable
from . import feedback, reader, setup
from .export import pending
from .feedback import Feedback
from .genai import conversation_of, invocation_of
from .options import TraceOptions
from .propagation import TRACEPARENT, continued, is_sampled, link_to
from .span import Trace

if TYPE_CHECKING:
    from .run_spans import RunSpans

logger = logging.getLogger("agent_asgi.tracing")
LISTEN_SECONDS = 0.05
"""How long after the app's start MLflow is imported: the server opens its sockets first."""
JOIN_SECONDS = 5.0
DATABASE_SECONDS = 30.0
RETRY_SECONDS = 30.0
OFF_SECONDS = 1.0
"""How long to wait before asking MLflow again whether tracing is enabled."""


class Tracer:
    """Starts the traces of one app.

    Args:
        experiments: Names of the experiments that the routers ask for.
        options: How runs are traced.
        timeout: How long a run waits for MLflow's import, in seconds. Default 10.

    Attributes:
        off: Whether there is nothing to begin: the environment switches tracing off, or a package
            that it needs is missing.
        passes_baggage: Whether a caller's baggage is passed on to the services behind the handler.
    """

    def __init__(
        self, experiments: Iterable[str], options: TraceOptions, *, timeout: float = 10.0
    ) -> None:
        self.off = False
        self._names = set(experiments)
        self._options = options
        self._captures = options.captures_content()
        self._duration: Any = None
        self.passes_baggage = options.continue_trace
        self._timeout = timeout
        self._ids: dict[str | None, str] = {}
        self._ready = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._settled = asyncio.Event()
        self._off_until = 0.0

    def start(self) -> None:
        """Set tracing up in a thread, a moment later; call it on the event loop.

        If the environment switches tracing off, MLflow is not even imported.
        """
        if setup.switched_off():
            self.off = True
            self._settled.set()
            return
        loop = asyncio.get_running_loop()
        loop.call_later(0 if "mlflow" in sys.modules else LISTEN_SECONDS, self._start, loop)
        loop.call_later(0 if setup.reloads else self._timeout, self._settled.set)

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._stop.is_set():
            return
        self._thread = threading.Thread(
            target=self._set_up_until_done, args=(loop,), name="agent-asgi-tracing", daemon=True
        )
        self._thread.start()

    @property
    def settled(self) -> bool:
        """Whether runs are traced, or go untraced, without waiting."""
        return self._settled.is_set()

    async def wait(self) -> None:
        """Wait until runs are traced, at most `Timeouts.tracing` from the start."""
        await self._settled.wait()

    async def stop(self, seconds: float) -> None:
        """Export what waits, and log how many traces could not be exported in time.

        Args:
            seconds: The time limit, at least 1; it ends earlier if nothing can be exported. With
                `setup.reloads` it is 1.
        """
        self._stop.set()
        if self._thread is not None:
            await asyncio.to_thread(self._leave_setup, self._thread)
        if not self._ready.is_set():
            return
        from .processors import flush

        seconds = 1.0 if setup.reloads else max(1.0, seconds)
        if not await asyncio.to_thread(flush, seconds):
            pending.lose(pending.traces, "Traces still waited when the app stopped")

    def _leave_setup(self, thread: threading.Thread) -> None:
        if not setup.reloads:  # such a process ends at once; another may crash during an import
            thread.join(JOIN_SECONDS)
        if setup.database.acquire(timeout=DATABASE_SECONDS):
            setup.database.release()

    def backlog(self) -> tuple[int, int]:
        """Return how many traces wait in this process, and how many it has lost."""
        return pending.traces, pending.lost

    def page(self, experiment: str | None) -> str | None:
        """Return the address of MLflow's page of a trace, without the trace's id at its end.

        Args:
            experiment: The router's experiment; None for MLflow's own.

        Returns:
            The address, without credentials; None if traces go to no server of MLflow's.
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

    def viewer(self) -> str | None:
        """Return the command that shows traces in a database; None if they go elsewhere."""
        uri = setup.destination() if self._ready.is_set() else None
        return None if uri is None else setup.viewer(uri)

    async def keep_feedback(self, opinion: Feedback) -> str | None:
        """Store a person's feedback on a run in MLflow.

        Args:
            opinion: The feedback.

        Returns:
            The assessment's id; None if the response has no such trace.

        Raises:
            NotSupported: Tracing is off, or nothing takes feedback.
            Unavailable: MLflow has not answered yet, or does not.
        """
        if self._ready.is_set():
            kept = opinion if self._captures else replace(opinion, comment=None)
            return await feedback.keep(kept)
        if self.off:
            raise NotSupported("trace_id: tracing is off, so no run has a trace.", "trace_id")
        raise Unavailable("MLflow has not answered yet; runs are not traced.")

    def attach_baggage(self, context: Context) -> None:
        """Pass a caller's baggage on to the services that instrumented clients call from here.

        Call it in the context of the run's handler, if `passes_baggage` is True.

        Args:
            context: The run's context.
        """
        from opentelemetry import baggage
        from opentelemetry.context import attach, get_current

        otel = get_current()
        for name, value in context.baggage.items():
            otel = baggage.set_baggage(name, value, otel)
        attach(otel)  # never detached: the handler's context ends with it

    def measure(self, agent: str, seconds: float, error: str | None) -> None:
        """Record a run's duration with OpenTelemetry, if the process exports its metrics.

        Args:
            agent: The router's name.
            seconds: The duration.
            error: The code that the run failed with; None if it did not fail.
        """
        if self._duration is not None:
            labels = {"gen_ai.agent.name": agent}
            if error is not None:
                labels["error.type"] = error
            self._duration.record(seconds, labels)

    async def read(
        self, response_id: str, experiment: str | None, hidden: Collection[str] | None
    ) -> reader.TraceTree | None:
        """Read the trace of a response from MLflow.

        Args:
            response_id: The response.
            experiment: The router's experiment; None for MLflow's own.
            hidden: Names of tools that the client must not see; None if nothing is hidden.

        Returns:
            The trace; None if there is none, or if traces do not go to MLflow.

        Raises:
            Unavailable: MLflow fails, or does not answer in time.
        """
        id_ = self._ids.get(experiment) if self._ready.is_set() else None
        return None if id_ is None else await reader.read(response_id, id_, hidden)

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
            inputs: Returns the body as received.
            context: The run's context; its `trace_id` is set.
            experiment: The router's experiment. Default: MLflow's own.
            responses: Whether inputs and outputs are OpenAI Responses. Default True.

        Returns:
            The trace, or None if tracing is off or not set up yet.
        """
        if not self._ready.is_set() or time.monotonic() < self._off_until:
            if not self._ready.is_set() and not setup.reloads:  # its line says "no trace"
                pending.complain("Runs go untraced until MLflow has been imported and answers.")
            return None
        try:
            trace = self._begin(name, inputs, context, experiment, responses)
            if trace is None:
                self._look_whether_off()
        except Exception:  # tracing never fails a request
            logger.warning("A trace could not be started.", exc_info=True)
            return None
        return trace

    def _look_whether_off(self) -> None:
        """Ask MLflow whether tracing is disabled; otherwise the run was just not sampled."""
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

        from .processors import take_over

        spans = self._spans(context, take_over())
        caller = TRACEPARENT.fullmatch(context.headers.get("traceparent", ""))
        tags = {"agent_asgi.agent": context.agent, "agent_asgi.response_id": context.response_id}
        if caller is not None:
            tags["agent_asgi.traceparent"] = caller.string
        metadata = {"mlflow.trace.session": context.session_id, "mlflow.trace.user": context.user}
        with contextlib.ExitStack() as remote:
            parent = caller is not None and self._options.continue_trace and is_sampled(caller)
            if caller is not None and parent:
                remote.enter_context(continued(caller))
            nested = parent or mlflow.get_current_active_span() is not None
            span = mlflow.start_span_no_context(
                name,
                span_type="AGENT",
                tags=tags,
                metadata={name: text for name, text in metadata.items() if text is not None},
                experiment_id=None if nested else self._ids.get(experiment),
                links=None if caller is None or parent else [link_to(caller)],
            )
            if span.span_id is None or span.trace_id == "MLFLOW_NO_OP_SPAN_TRACE_ID":
                return None
            token = set_span_in_context(span)
            trace = Trace(span, token, remote.pop_all(), parent, spans)
        trace.set_attributes(
            {
                "mlflow.message.format": '"openai"' if responses else None,  # MLflow's, as JSON
                "session.id": context.session_id,
                "user.id": context.user,
            }
        )
        if self._captures and (body := inputs()) is not None:
            trace.set_inputs(body)
        context.trace_id = trace.id
        return trace

    def _spans(self, context: Context, named: bool) -> "RunSpans | None":
        """Return what all spans of a run have in common; None if that is nothing.

        Args:
            context: The run's context.
            named: Whether the spans have OpenTelemetry's names.
        """
        copied = self._options.span_baggage
        if self._captures and not copied and not named:
            return None
        from .run_spans import RunSpans

        baggage = context.baggage if copied else {}
        attributes = {name: baggage[name] for name in copied if name in baggage}
        for name, value in (("session.id", context.session_id), ("user.id", context.user)):
            if name in attributes and value is not None:  # the caller's claim does not count
                attributes[name] = value
        if not named:
            return RunSpans(attributes, {}, self._captures, named)
        attributes |= conversation_of(context)
        return RunSpans(attributes, invocation_of(context), self._captures, named)

    def _check_content(self) -> None:
        """Switch tracing off if the content of spans is to be left out and cannot be."""
        from opentelemetry.sdk.trace import SpanProcessor

        if not self._captures and not hasattr(SpanProcessor, "_on_ending"):
            self.off = True
            logger.error(
                "Runs go untraced: `capture_content=False` needs opentelemetry-sdk 1.40 or later. "
                "Update it: pip install -U opentelemetry-sdk"
            )

    def _set_up_until_done(self, loop: asyncio.AbstractEventLoop) -> None:
        pause = 0.5
        while not self._stop.is_set():
            try:
                with setup.collecting_later():
                    self._ids.update(setup.set_up(self._names, self._stop))
                self._check_content()
            except ModuleNotFoundError as error:  # no retry would install it
                self.off = True
                logger.error(
                    "Runs go untraced until this is corrected and the server restarted: %s.", error
                )
                break
            except Exception as error:  # noqa: BLE001  runs continue untraced
                if pause > 2:  # until then it may be another worker that makes the database too
                    pending.complain("Runs go untraced, MLflow cannot be reached: %s", error)
                self._stop.wait(pause)
                pause = min(2 * pause, RETRY_SECONDS)
            else:
                self._duration = setup.duration_histogram()
                self._ready.set()
                break
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(self._settled.set)
