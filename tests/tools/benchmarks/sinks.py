"""Destinations of traces, SQLite files and a local MLflow server, and how many arrived."""

import atexit
import functools
import shutil
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests.support.servers import free_port
from tests.tools.benchmarks.environments import interpreter
from tests.tools.benchmarks.peer import Peer
from tests.tools.benchmarks.servers import Server, clean_environment, started

FOUND = """
SELECT count(*) FROM trace_info WHERE status = 'OK' AND EXISTS (
    SELECT 1 FROM spans WHERE trace_id = request_id AND parent_span_id IS NULL AND status = 'OK')
"""
MAKE = "import mlflow; mlflow.search_experiments(); mlflow.search_traces(max_results=1)"
COLLECTOR = Peer("MLflow's tracking server", "", "mlflow")
STILL_SECONDS = 5.0
"""The exporter counts as idle after this many seconds without a new trace."""
SETTLE_SECONDS = 180.0


def new_database(folder: Path) -> Path:
    """Copy an empty MLflow database, which is created only once; return the path of the copy."""
    path = folder / "mlflow.db"
    shutil.copyfile(made() / "mlflow.db", path)
    return path


@functools.cache
def made() -> Path:
    """Return the folder of the database to copy; it is removed when this process exits."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    given = clean_environment({"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"})
    command = [str(interpreter("ours")), "-c", MAKE]
    subprocess.run(command, env=given, cwd=folder, check=True, timeout=300, capture_output=True)
    return folder


def to_sqlite(database: Path) -> dict[str, str]:
    """Return the variables that send traces to a SQLite file."""
    return {"MLFLOW_TRACKING_URI": f"sqlite:///{database}"}


def by_otlp(port: int) -> dict[str, str]:
    """Return the variables that send traces over OTLP to an MLflow server."""
    return {
        "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"http://127.0.0.1:{port}/v1/traces",
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "x-mlflow-experiment-id=0",
    }


@contextmanager
def collector(database: Path) -> Iterator[Server]:
    """Run `mlflow server` over a SQLite file while the block runs."""
    port = free_port()
    command = [str(interpreter("mlflow")), "-m", "mlflow", "server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--backend-store-uri", f"sqlite:///{database}"]
    command += ["--workers", "1"]
    with started(COLLECTOR, command, {}, port, pinned=False) as server:
        server.wait_until_up("/health")
        server.wait_until_idle()  # its job processes only start now
        yield server


def found(database: Path) -> int:
    """Count the complete traces in a database."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=60)) as connection:
        count: int = connection.execute(FOUND).fetchone()[0]
        return count


def settled(database: Path, expected: int) -> int:
    """Wait until all expected traces have arrived, or no more do; return their number."""
    begun = moved = time.monotonic()
    count = found(database)
    while count < expected and time.monotonic() < min(
        moved + STILL_SECONDS, begun + SETTLE_SECONDS
    ):
        time.sleep(0.25)
        before, count = count, found(database)
        if count > before:
            moved = time.monotonic()
    return count
