"""The folder in which the processes of a server share their metrics."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable with the folder's path, read by prometheus_client when it is imported.
Without it, a process reports only its own metrics."""


@contextmanager
def shared_folder() -> Iterator[None]:
    """Set `FOLDER` to a temporary folder within the block, unless it is set."""
    if FOLDER in os.environ:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="agent-asgi-metrics-") as folder:
        os.environ[FOLDER] = folder
        try:
            yield
        finally:
            del os.environ[FOLDER]


def mark_process_dead(pid: int) -> None:
    """Delete the gauges of a process that has ended; its counters and histograms stay."""
    try:
        from prometheus_client import multiprocess
    except ImportError:  # the extra `metrics` is not installed
        return
    multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]
