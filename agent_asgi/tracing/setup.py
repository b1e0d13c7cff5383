"""Sets MLflow up, in a thread: its import, its database or server, its experiments."""

import contextlib
import gc
import logging
import os
import re
import shlex
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from ..observability import GENAI_BUCKETS
from .propagation import manager

try:
    import fcntl
except ImportError:  # Windows, where only the first start of several workers is at risk
    fcntl = None  # type: ignore[assignment]  # mypy runs on a Unix

logger = logging.getLogger("agent_asgi.tracing")
MAX_OPEN_TRACES = 100_000
DEFAULT_URI = "sqlite:///mlflow.db"
"""MLflow's own, in a folder without files of its older versions."""
LOCK_SUFFIX = ".agent_asgi.lock"
_PASSWORD = re.compile(r"(?<=[?&])password=[^&]*&?")
DATABASES = frozenset({"file", "sqlite", "postgresql", "mysql", "mssql"})
"""The schemes of what MLflow writes itself, without a server."""
UNUSED = "http://unused.invalid"
"""A tracking URI where none is needed."""

reloads = False
"""Whether nothing may wait for MLflow, neither a run for its import nor the end of the process for
more than a second; `agent-asgi serve --reload` sets this to True."""
owns_process = False
"""Whether the process serves only this app, so that its garbage collector may rest during the
import and need not look at MLflow's objects afterwards; `agent-asgi serve` sets this to True."""


database = threading.Lock()
"""Held while MLflow may be creating its tables: a process that ended meanwhile would leave half of
them, and MLflow could not start with that database again."""


def set_up(names: Iterable[str], stop: threading.Event) -> dict[str | None, str]:
    """Import MLflow, reach what it traces to, and put this package's bounds on it.

    Args:
        names: Names of experiments; those that are not there are created.
        stop: Set when the process ends. Then the database is left alone.

    Returns:
        The ids of these and, for None, of MLflow's own; empty if traces go to none of them.

    Raises:
        ModuleNotFoundError: A package is missing, for example a database's driver.
        Exception: Whatever MLflow raises if a database or server does not answer.
    """
    from mlflow.tracing.provider import is_tracing_enabled, provider
    from mlflow.tracing.utils.otlp import should_use_otlp_exporter
    from mlflow.tracking import get_tracking_uri, set_tracking_uri
    from mlflow.version import IS_TRACING_SDK_ONLY

    from .mlflow_exporter import check_server
    from .processors import take_over

    otlp = should_use_otlp_exporter()
    if IS_TRACING_SDK_ONLY and not otlp:
        _check_server_is_named()
    elif IS_TRACING_SDK_ONLY and not os.environ.get("MLFLOW_TRACKING_URI"):
        set_tracking_uri(UNUSED)  # to find the default takes the full mlflow
    with contextlib.suppress(ImportError):  # mlflow-tracing lacks it
        import mlflow.pyfunc.context  # noqa: F401  else the first span does, on the event loop
    _keep_many_traces()
    uri = get_tracking_uri()
    if not otlp and urlsplit(uri).scheme in ("http", "https"):
        check_server(uri)
    with contextlib.nullcontext() if otlp else only_process(uri), database:
        if stop.is_set():
            return {}
        provider.get_or_init_tracer(__name__)
        take_over()
        if is_tracing_enabled() and not otlp:
            return {name: _experiment_id(uri, name) for name in (None, *names)}
    return {}


def _check_server_is_named() -> None:
    """Refuse to trace to files or a database with `mlflow-tracing`, which only knows servers."""
    from mlflow.tracking import get_tracking_uri

    uri = ""
    with contextlib.suppress(ModuleNotFoundError):  # of the full mlflow, to find the default
        uri = get_tracking_uri()
    is_path = not urlsplit(uri).scheme and uri != "databricks"
    if is_path or _is_database(uri):
        raise ModuleNotFoundError(
            "mlflow-tracing needs a tracking server. Set MLFLOW_TRACKING_URI, or install mlflow"
        )


def duration_histogram() -> Any:
    """Return OpenTelemetry's histogram of the durations of runs.

    It records nothing unless the process has a meter provider: a host's, or the one that MLflow
    sets if `OTEL_EXPORTER_OTLP_METRICS_ENDPOINT` is set.
    """
    from opentelemetry.metrics import get_meter

    return get_meter("agent_asgi").create_histogram(
        "gen_ai.invoke_agent.duration",
        "s",
        "Time of a run.",
        explicit_bucket_boundaries_advisory=GENAI_BUCKETS,
    )


def switched_off() -> bool:
    """Return whether OpenTelemetry's own variable says so; MLflow goes by it too."""
    return os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def destination() -> str | None:
    """Return where traces will go, without importing MLflow; None if nowhere.

    Credentials are left out.
    """
    if switched_off():
        return None
    uri = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    if not uri and "mlflow" in sys.modules:  # imported by the user's module
        from mlflow import get_tracking_uri

        uri = get_tracking_uri()
    uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI
    scheme, colon, rest = uri.partition("://")
    if scheme == "sqlite":
        return uri
    return scheme + colon + _PASSWORD.sub("", rest.rpartition("@")[2])


def viewer(uri: str) -> str | None:
    """Return the command that shows the traces of a database; None if the URI is no database's."""
    return f"mlflow ui --backend-store-uri {shlex.quote(uri)}" if _is_database(uri) else None


def _is_database(uri: str) -> bool:
    return urlsplit(uri).scheme.partition("+")[0] in DATABASES


@contextlib.contextmanager
def collecting_later() -> Iterator[None]:
    """Pause the garbage collector in a process that only serves this app, then freeze all objects.

    MLflow's import makes 400,000 objects that stay. Collecting during the import takes a sixth of
    its time; each full collection afterwards would hold the event loop for a tenth of a second.
    """
    if not owns_process or "mlflow" in sys.modules:
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _keep_many_traces() -> None:
    """Raise MLflow's limit of 1,000 traces in flight, unless the user has set one."""
    traces = manager()
    with traces.get_trace(""):  # its lock
        known = traces._traces
        if "MLFLOW_TRACE_BUFFER_MAX_SIZE" in os.environ or known.maxsize >= MAX_OPEN_TRACES:
            return
        if hasattr(known, "ttl"):  # else a timeout is set, and the kind is MLflow's own
            traces._traces = type(known)(MAX_OPEN_TRACES, known.ttl)
            traces._traces.update(known)


@contextlib.contextmanager
def only_process(uri: str) -> Iterator[None]:
    """Keep other processes of this package from setting up a SQLite database until the block ends.

    Otherwise two workers that start on a new file run MLflow's migrations at the same time and may
    leave a partial table behind, so that nothing can be traced. The lock is an empty file next to
    the database. It is not removed: that would let two processes in.

    Args:
        uri: The tracking URI.
    """
    scheme, _, rest = uri.partition(":///")
    path = unquote(rest.partition("?")[0])
    with contextlib.ExitStack() as stack:
        is_file = scheme.partition("+")[0] == "sqlite" and path not in ("", ":memory:")
        if is_file and fcntl is not None:
            try:
                Path(path).parent.mkdir(parents=True, exist_ok=True)  # as MLflow does, later
                file = stack.enter_context(Path(path + LOCK_SUFFIX).open("a"))
                fcntl.flock(file, fcntl.LOCK_EX)  # released when the file is closed
            except OSError as error:
                logger.warning("MLflow's database is set up without a lock: %s", error)
        yield


def _experiment_id(uri: str, name: str | None) -> str:
    from mlflow.tracing.client import TracingClient
    from mlflow.tracking.fluent import _get_experiment_id

    store: Any = TracingClient(uri).store
    if name is None:
        try:
            default = _get_experiment_id()
        except NameError:  # mlflow-tracing lacks the registry that it asks if none is set
            default = "0"
        store.get_experiment(default)  # makes the database, or finds the server
        return str(default)
    found = store.get_experiment_by_name(name)
    return str(store.create_experiment(name) if found is None else found.experiment_id)
