"""Holds the spans of traces that go on: most come again with their traces, so need not be sent.

MLflow writes a trace much faster whose spans it has not seen before.
"""

import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from .sink import SpansFrame

HOLD_SECONDS = 5.0
"""MLflow, too, sends few spans only after so long."""


class Held:
    """Holds the spans of traces that go on, for `HOLD_SECONDS` at most.

    Args:
        send: Called, in a thread, with those whose trace has not ended by then.
    """

    def __init__(self, send: Callable[[SpansFrame], None]) -> None:
        self._send = send
        self._forget()
        os.register_at_fork(after_in_child=self._forget)

    def __len__(self) -> int:
        return len(self._spans)

    def hold(self, experiment: str, spans: Sequence[Any], workspace: str | None) -> None:
        """Hold spans.

        Args:
            experiment: Their experiment's id.
            spans: MLflow's `Span`s.
            workspace: The workspace they were made in.
        """
        with self._lock:
            due = time.monotonic() + HOLD_SECONDS
            for each in spans:
                self._spans[each.trace_id].append((due, experiment, workspace, each))
            if spans and self._timer is None:
                self._wait()

    def drop(self, trace_id: str) -> None:
        """Forget the spans of a trace that has ended; they come with it."""
        with self._lock:
            self._spans.pop(trace_id, None)

    def release(self, *, every: bool = True) -> None:
        """Send spans; those only whose time is over where not `every`."""
        frames: dict[tuple[str, str | None], list[Any]] = defaultdict(list)
        with self._lock:
            now = time.monotonic()
            for trace_id, spans in list(self._spans.items()):
                if every or spans[0][0] <= now:
                    del self._spans[trace_id]
                    for _, experiment, workspace, span in spans:
                        frames[experiment, workspace].append(span.to_immutable_span())
        for (experiment, workspace), spans_of_one in frames.items():
            self._send(SpansFrame(experiment, spans_of_one, workspace))

    def _forget(self) -> None:
        self._spans: dict[str, list[tuple[float, str, str | None, Any]]] = defaultdict(list)
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def _wait(self) -> None:
        self._timer = threading.Timer(1.0, self._look)
        self._timer.daemon = True
        self._timer.name = "agent-asgi-traces-timer"
        self._timer.start()

    def _look(self) -> None:
        self.release(every=False)
        with self._lock:
            self._timer = None
            if self._spans:
                self._wait()
