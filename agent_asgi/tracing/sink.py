"""Writes traces by MLflow's own client, several at a time."""

import contextlib
import pickle
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

from .transaction import one_transaction

PATIENCE_SECONDS = 60.0
"""How long a database that is down is tried again."""
PAUSE_SECONDS = 0.5


@dataclass(frozen=True)
class Target:
    """Where traces go.

    Args:
        tracking: MLflow's tracking URI, a database.
        registry: MLflow's registry URI.
    """

    tracking: str
    registry: str


@dataclass(frozen=True)
class TraceFrame:
    """A trace that has ended, with all its spans; the arguments of MLflow's own exporter.

    Args:
        trace: MLflow's `Trace`.
        prompts: The versions of prompts to be linked to it.
        workspace: The workspace it was made in.
    """

    trace: Any
    prompts: Sequence[Any]
    workspace: str | None

    @property
    def attachments(self) -> dict[str, Any]:
        """MLflow's attachments, by their ids."""
        spans = self.trace.data.spans
        return {key: value for each in spans for key, value in each._attachments.items()}

    @property
    def is_plain(self) -> bool:
        """Whether it is all in the database's tables of traces."""
        return not self.prompts and not self.attachments


@dataclass(frozen=True)
class SpansFrame:
    """Spans that have ended of traces that have not; the arguments of MLflow's own exporter.

    Args:
        experiment: The experiment's id.
        spans: MLflow's `Span`s.
        workspace: The workspace they were made in.
    """

    experiment: str
    spans: Sequence[Any]
    workspace: str | None


@dataclass
class Batch:
    """What is written together.

    Args:
        traces: Those that have ended.
        spans: All spans, theirs included, by experiment and workspace.
    """

    traces: list[TraceFrame] = field(default_factory=list)
    spans: dict[tuple[str, str | None], list[Any]] = field(
        default_factory=lambda: defaultdict(list)
    )

    @classmethod
    def of(cls, frames: Sequence[TraceFrame | SpansFrame]) -> "Batch":
        """Sort frames; spans that come with their trace need not be written before it."""
        batch = cls([each for each in frames if isinstance(each, TraceFrame)])
        whole = {each.trace.info.trace_id for each in batch.traces}
        for each in frames:
            if isinstance(each, SpansFrame):
                rest = [span for span in each.spans if span.trace_id not in whole]
                batch.spans[each.experiment, each.workspace] += rest
        for trace in batch.traces:
            key = trace.trace.info.experiment_id, trace.workspace
            batch.spans[key] += trace.trace.data.spans
        return batch


class DatabaseSink:
    """Writes traces by MLflow's own client.

    Args:
        target: Where they go.
        alone: Whether nobody else in this process uses MLflow's store. Default False.
    """

    def __init__(self, target: Target, *, alone: bool = False) -> None:
        self._target = target
        self._alone = alone
        self._down_since: float | None = None

    @cached_property
    def _client(self) -> Any:
        from mlflow.tracing.client import TracingClient

        return TracingClient(self._target.tracking)

    def write(self, payloads: Sequence[bytes]) -> list[str]:
        """Write frames.

        Args:
            payloads: The frames.

        Returns:
            What went wrong, for each trace that could not be written.
        """
        failed: list[str] = []
        frames: list[Any] = []
        for each in payloads:
            self._try(partial(_unpack, each, frames), failed)
        batch = Batch.of(frames)
        if self._write_at_once(batch):
            return failed
        for trace in batch.traces:
            self._try(partial(self._start, trace), failed)
        for (experiment, workspace), spans in batch.spans.items():
            self._log(experiment, workspace, spans, failed)
        return failed

    def _write_at_once(self, batch: Batch) -> bool:
        """Write all in one transaction; tell whether that has been done."""
        if not self._alone or not all(each.is_plain for each in batch.traces):
            return False
        try:
            with one_transaction(self._client.store):
                for trace in batch.traces:
                    self._start(trace)
                for (experiment, workspace), spans in batch.spans.items():
                    self._log_spans(experiment, workspace, spans)
        except Exception:  # noqa: BLE001  one by one, what is wrong with one is told
            return False
        return True

    def _start(self, frame: TraceFrame) -> None:
        from mlflow.tracing.export.utils import try_link_prompts_to_trace
        from mlflow.tracing.utils import add_size_stats_to_trace_metadata

        with _workspace(frame.workspace):
            add_size_stats_to_trace_metadata(frame.trace)
            info = self._client.start_trace(frame.trace.info)
            if frame.attachments:
                self._client._upload_attachments(info, frame.attachments)
            try_link_prompts_to_trace(self._client, frame.trace.info.trace_id, frame.prompts)

    def _log(
        self, experiment: str, workspace: str | None, spans: list[Any], failed: list[str]
    ) -> None:
        """Write spans at once; one trace's after the other where that fails."""
        log = partial(self._log_spans, experiment, workspace)
        at_once: list[str] = []
        self._try(partial(log, spans), at_once)
        if not at_once:
            return
        by_trace = defaultdict(list)
        for span in spans:
            by_trace[span.trace_id].append(span)
        for some in by_trace.values():
            self._try(partial(log, some), failed)

    def _log_spans(self, experiment: str, workspace: str | None, spans: list[Any]) -> None:
        with _workspace(workspace):
            self._client.log_spans(experiment, spans)

    def _try(self, action: Callable[[], object], failed: list[str]) -> None:
        while True:
            try:
                action()
            except Exception as error:  # noqa: BLE001  whatever it is, the other traces are written
                if not self._waits(error):
                    failed.append(f"{type(error).__name__}: {error}"[:500])
                    return
                time.sleep(PAUSE_SECONDS)
            else:
                self._down_since = None
                return

    def _waits(self, error: Exception) -> bool:
        """Tell whether to try again: the database is down or locked, and not for long."""
        now = time.monotonic()
        self._down_since = self._down_since or now
        down = getattr(error, "error_code", "") == "TEMPORARILY_UNAVAILABLE"
        return down and now - self._down_since < PATIENCE_SECONDS


def _unpack(payload: bytes, frames: list[Any]) -> None:
    frames.append(pickle.loads(payload))  # noqa: S301  from the process that serves


def _workspace(name: str | None) -> contextlib.AbstractContextManager[Any]:
    if not name:
        return contextlib.nullcontext()
    from mlflow.utils.workspace_context import ServerWorkspaceContext

    context: contextlib.AbstractContextManager[Any] = ServerWorkspaceContext(name)
    return context
