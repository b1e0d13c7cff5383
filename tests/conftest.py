"""Shared fixtures: traces in a database for the session, and a real uvicorn server."""

import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support.apps import sets_tracing_up
from tests.support.postgres import postgres_running
from tests.support.servers import Server

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["DO_NOT_TRACK"] = "true"
os.environ["MLFLOW_MODEL_CATALOG_URI"] = ""  # or MLflow asks GitHub for the prices of models
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")  # a slow machine is no failure
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as of what a shell starts with `&`
    signal.signal(signal.SIGINT, signal.default_int_handler)  # or its children ignore Ctrl-C too


@pytest.fixture(scope="session", autouse=True)
def tracking_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Send all traces of the session to one real SQLite file; return its URI."""
    folder: Path = tmp_path_factory.mktemp("mlflow")
    uri = f"sqlite:///{folder}/mlflow.db"
    os.environ["MLFLOW_TRACKING_URI"] = uri
    return uri


@pytest.fixture(autouse=True)
def clients_closed() -> Iterator[None]:
    """Close the clients a test made: sockets left to the garbage collector raise warnings."""
    from tests.support.calling import CLIENTS

    before = len(CLIENTS)
    yield
    for client in CLIENTS[before:]:
        client.close()
    del CLIENTS[before:]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Run a real PostgreSQL for the session; yield the URL of its first database."""
    with postgres_running() as server:
        yield server.get_uri()


@pytest.fixture
def postgres(postgres_server: str) -> str:
    """Return the URL of an empty database on a real PostgreSQL."""
    import psycopg

    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return postgres_server.replace("/postgres?", f"/{name}?")


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty store of each kind."""
    if request.param == "memory":
        return "memory://"
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/responses.db"
    url: str = request.getfixturevalue("postgres")
    return url


@pytest.fixture(params=["sqlite", "postgres"])
def durable_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty store that outlives a process, and that several can share."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/responses.db"
    url: str = request.getfixturevalue("postgres")
    return url


@pytest.fixture
def serve() -> Iterator[Callable[[Any], str]]:
    """Yield a function that serves an app with uvicorn and returns its URL."""
    servers: list[Server] = []

    def start(app: Any) -> str:
        servers.append(Server(app))
        until = time.monotonic() + 60
        while sets_tracing_up(app) and time.monotonic() < until:
            time.sleep(0.01)
        return servers[-1].url

    yield start
    for server in servers:
        server.stop()
