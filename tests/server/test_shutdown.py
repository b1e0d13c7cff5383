"""Shutdown: real processes are told to end, and what is in flight ends cleanly."""

import asyncio
import contextlib
import http.client
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2 as httpx
import psycopg
import pytest

from agent_asgi import AgentApp, AgentRouter, ResponsesRequest, Timeouts
from agent_asgi.testing import AgentClient
from tests.support.apps import started
from tests.support.calling import events_of, until
from tests.support.stream_rules import check_stream
from tests.support.websocket_client import CLOSING, connect, ended, read, send
from tests.tools.drain import HERE, Server, Size, run_round, serve, serving

LIGHT = {"OTEL_SDK_DISABLED": "true"}
"""Without tracing a process starts at once."""
WAIT = 20


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Yield threads in which to wait for answers."""
    with ThreadPoolExecutor(8) as pool:
        yield pool


def post(server: Server, input: str, model: str = "counter", **body: Any) -> httpx.Response:
    """Send a request to an agent."""
    sent = {"input": input, "model": model, **body}
    return httpx.post(f"{server.url}/responses", json=sent, timeout=60)


def in_flight(server: Server) -> bool:
    """Return whether runs are in flight."""
    answer = httpx.get(f"{server.url}/ping")
    return bool(answer.json()["status"] == "HealthyBusy")


def begun(pool: ThreadPoolExecutor, server: Server, *args: str, **body: Any) -> Any:
    """Call an agent in a thread, and wait until its run is in flight."""
    asked = pool.submit(post, server, *args, **body)
    time.sleep(0.3)
    until(lambda: in_flight(server))
    return asked


def cut(asked: "Future[httpx.Response]") -> None:
    """Check that a stream was cancelled by the shutdown."""
    response = check_stream(events_of(asked.result(WAIT).content), cancelled=True)
    assert response["incomplete_details"] is None


def refused(answer: httpx.Response, code: str = "cancelled") -> None:
    """Check that a run was refused and may be retried elsewhere."""
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["error"]["code"] == code


def text_of(response: Any) -> list[str]:
    """Return the texts of a response."""
    return [each["content"][0]["text"] for each in response["output"]]


@pytest.mark.parametrize(("workers", "lead"), [(1, 0.0), (2, 2.0)])
def test_streams_in_flight(tracking_uri: str, workers: int, lead: float) -> None:
    size = Size(streams=20, longest=30.0, drain=1.0, lead=lead)
    found = run_round(tracking_uri, size, workers)
    assert set(found.ended.values()) == {"completed", "cancelled"}


def test_what_goes_on_after_the_drain_is_cancelled(pool: ThreadPoolExecutor) -> None:
    with serving(*serve(), DRAIN_TIMES={"drain": 0.5}, **LIGHT) as server:
        asked = [begun(pool, server, "9", stream=stream) for stream in (True, False)]
        with httpx.Client(base_url=server.url) as kept, httpx.Client(base_url=server.url) as probe:
            assert kept.get("/health").status_code == probe.get("/ready").status_code == 200
            server.tell()
            until(lambda: probe.get("/ready").status_code == 503)
            refused(kept.post("/responses", json={"input": "1", "model": "counter"}), "unavailable")
        assert server.process.wait(WAIT) == 0
        cut(asked[0])
        refused(asked[1].result(WAIT))


def test_a_host_serves_on_for_the_lead(pool: ThreadPoolExecutor) -> None:
    argv = serve("--drain-lead", "3", app="host")
    with serving(*argv, DRAIN_TIMES={"drain": 60}, **LIGHT) as server:
        ticks = pool.submit(httpx.get, f"{server.url}/ticks", timeout=60)
        with connect(server.url) as idle, connect(server.url) as busy:
            server.tell()
            until(lambda: httpx.get(f"{server.url}/ready").status_code == 503)
            assert httpx.get(f"{server.url}/ready").json() == {"status": "draining"}
            assert post(server, "0.05").status_code == 200
            send(busy, "2", model="counter")
            answer = begun(pool, server, "2", stream=True)
            until(lambda: pool.submit(is_refused, server).result())
            assert check_stream(read(busy))["status"] == "completed"
            for each in (idle, busy):
                ended(each, CLOSING)
        assert check_stream(events_of(answer.result(WAIT).content))["status"] == "completed"
        assert server.process.wait(WAIT) == 0
        with pytest.raises(httpx.RemoteProtocolError):  # how sse_starlette ends a stream
            ticks.result(WAIT)


def test_a_kept_connection_is_closed_in_the_lead() -> None:
    """Else a client's next request would not go through the load balancer again."""
    with serving(*serve("--drain-lead", "60"), DRAIN_TIMES={"drain": 1}, **LIGHT) as server:
        kept = http.client.HTTPConnection("127.0.0.1", server.port, timeout=WAIT)
        with contextlib.closing(kept):
            assert head_of(kept).will_close is False
            server.tell()
            until(lambda: httpx.get(f"{server.url}/ready").status_code == 503)
            assert head_of(kept).will_close is True


def head_of(kept: http.client.HTTPConnection) -> http.client.HTTPResponse:
    """Send a request over a connection that is kept; return the head of its answer."""
    kept.request("GET", "/health")
    answer = kept.getresponse()
    answer.read()
    return answer


def is_refused(server: Server) -> bool:
    """Return whether new connections are refused."""
    try:
        httpx.get(f"{server.url}/health")
    except httpx.ConnectError:
        return True
    return False


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_background_runs_are_taken_over(
    store: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path}/r.db"
    if store == "postgres":
        url = request.getfixturevalue("postgres")
    options: dict[str, Any] = {**LIGHT, "AGENT_ASGI_STORE": url, "DRAIN_TIMES": {"drain": 0.2}}
    with serving(*serve(), **options) as server:
        id_ = post(server, "first attempt", background=True).json()["id"]
        until(lambda: in_flight(server))
        time.sleep(0.5)
        server.tell()
        assert server.process.wait(WAIT) == 0
    with serving(*serve(), **options) as server:
        assert until(lambda: completed(server, id_)) == ["attempt 1", "attempt 2"]


def completed(server: Server, id: str) -> list[str]:
    """Return the texts of a response, or none until it has completed."""
    response = httpx.get(f"{server.url}/responses/{id}").json()
    return text_of(response) if response["status"] == "completed" else []


def test_a_worker_that_is_cut_short(postgres: str) -> None:
    env = {**LIGHT, "AGENT_ASGI_STORE": postgres}
    with serving(*serve(), DRAIN_TIMES={"drain": 0}, **env) as server:
        post(server, "3600", background=True)
        until(lambda: attempts(postgres) == 1)
        server.tell()
        assert server.process.wait(WAIT) == 0
    command = [sys.executable, "-m", "agent_asgi.server.cli", "worker", "drain_agent:app"]
    worker = subprocess.Popen(command, cwd=HERE, env={**os.environ, **env})
    try:
        until(lambda: attempts(postgres) == 2)
        for _ in range(2):
            worker.send_signal(signal.SIGTERM)
            time.sleep(0.3)
        assert worker.wait(WAIT) == 0
    finally:
        if worker.poll() is None:
            worker.kill()
            worker.wait(5)


def attempts(url: str) -> int:
    """Return how often the only run in a database has been started."""
    with psycopg.connect(url) as database:
        row = database.execute("SELECT attempt FROM agent_asgi_responses").fetchone()
    return int(row[0]) if row else 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_second_signal_cuts_short(pool: ThreadPoolExecutor, workers: str) -> None:
    argv = serve("--workers", workers, "--drain-lead", "60")
    with serving(*argv, DRAIN_TIMES={"drain": 60}, **LIGHT) as server:
        asked = pool.submit(post, server, "60", stream=True)
        time.sleep(0.5)
        server.tell()
        until(lambda: httpx.get(f"{server.url}/ready").status_code == 503)
        time.sleep(0.3)
        assert not asked.done()
        server.tell()
        assert server.process.wait(WAIT) == 0
        cut(asked)


def test_a_third_signal_ends_at_once(pool: ThreadPoolExecutor) -> None:
    with serving(*serve(), DRAIN_TIMES={"drain": 60, "cleanup": 60}, **LIGHT) as server:
        asked = begun(pool, server, "stubborn")
        for _ in range(3):
            server.tell()
            time.sleep(0.2)
        assert server.process.wait(WAIT) == 1
        with pytest.raises(httpx.HTTPError):
            asked.result(WAIT)


def test_ctrl_c_is_one_signal(pool: ThreadPoolExecutor) -> None:
    with serving(*serve("--workers", "2"), DRAIN_TIMES={"drain": 60}, **LIGHT) as server:
        asked = pool.submit(post, server, "2.5", stream=True)
        time.sleep(0.5)
        os.killpg(server.process.pid, signal.SIGINT)
        assert server.process.wait(WAIT) == 0
        assert check_stream(events_of(asked.result(WAIT).content))["status"] == "completed"


def test_reload_waits_for_no_run(pool: ThreadPoolExecutor) -> None:
    with serving(*serve("--reload"), DRAIN_TIMES={"drain": 60}, **LIGHT) as server:
        asked = pool.submit(post, server, "999", stream=True)
        time.sleep(0.5)
        os.killpg(server.process.pid, signal.SIGINT)
        assert server.process.wait(WAIT) == 0
        cut(asked)


@pytest.mark.parametrize("options", [(), ("--reload",)])
def test_a_database_that_is_being_made_is_finished(
    options: tuple[str, ...], tmp_path: Path
) -> None:
    database = tmp_path / "mlflow.db"
    code = "from agent_asgi.tracing import tracer; tracer.JOIN_SECONDS = 0; "
    code += "from agent_asgi.server import cli; cli.main()"
    argv = ("-c", code, "serve", "drain_agent:app", *options)
    with serving(*argv, MLFLOW_TRACKING_URI=f"sqlite:///{database}", ready="/health") as server:
        until(database.exists)
        os.killpg(server.process.pid, signal.SIGINT)
        assert server.process.wait(60) == 0
    with contextlib.closing(sqlite3.connect(database)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
        assert ("alembic_version",) in tables
        assert len(connection.execute("SELECT * FROM alembic_version").fetchall()) == 1
        assert len(tables) > 50


def test_handlers_that_do_not_end(pool: ThreadPoolExecutor) -> None:
    with serving(*serve(), DRAIN_TIMES={"drain": 0.2}, **LIGHT) as server:
        asked = [
            begun(pool, server, "x", "threads"),
            begun(pool, server, "stubborn"),
            begun(pool, server, "stubborn", stream=True),
        ]
        server.tell()
        assert server.process.wait(10) == 0
        for each in asked[:2]:
            refused(each.result(WAIT))
        cut(asked[2])


def test_a_handler_that_blocks_the_loop(pool: ThreadPoolExecutor) -> None:
    code = "from agent_asgi.server import cli, shutdown; shutdown.LAST_SECONDS = 0.5; cli.main()"
    argv = ("-c", code, "serve", "drain_agent:app")
    with serving(*argv, DRAIN_TIMES={"drain": 0.2}, **LIGHT) as server:
        asked = pool.submit(post, server, "block")
        time.sleep(0.5)
        server.tell()
        assert server.process.wait(10) == 1
        with pytest.raises(httpx.HTTPError):
            asked.result(WAIT)


@pytest.mark.parametrize(
    "argv",
    [
        ("-m", "uvicorn", "drain_agent:app"),
        ("-m", "uvicorn", "drain_agent:app", "--workers=2"),
        ("-m", "granian", "--interface=asgi", "drain_agent:app"),
        ("-m", "granian", "--interface=asgi", "drain_agent:app", "--workers=2"),
    ],
    ids=["uvicorn", "uvicorn workers", "granian", "granian workers"],
)
def test_other_servers(pool: ThreadPoolExecutor, argv: tuple[str, ...]) -> None:
    with serving(*argv, DRAIN_TIMES={"drain": 2.5}, **LIGHT) as server:
        asked = [begun(pool, server, "9", stream=stream) for stream in (True, False)]
        done = begun(pool, server, "1", stream=True)
        followed = begun(pool, server, "9", background=True, stream=True)
        time.sleep(0.2)
        server.tell()
        assert b"[DONE]" not in followed.result(WAIT).content
        assert not asked[0].done(), "the signal is heard, not the app's end"
        assert check_stream(events_of(done.result(WAIT).content))["status"] == "completed"
        cut(asked[0])
        refused(asked[1].result(WAIT))
        assert server.process.wait(WAIT) in (0, -signal.SIGTERM)


def test_a_host_that_drains() -> None:
    router = AgentRouter()

    @router.stream
    async def on_and_on(request: ResponsesRequest) -> Any:
        while True:
            yield "on and "
            await asyncio.sleep(0.05)

    app = AgentApp(router, timeouts=Timeouts(drain=0.3, cleanup=0.5))

    async def main() -> None:
        async with started(app):
            client = AgentClient(app)
            stream = asyncio.create_task(client.post("/responses", {"input": "x", "stream": True}))
            kept = (await client.post("/responses", {"input": "x", "background": True})).json()
            await asyncio.sleep(0.2)
            async with asyncio.timeout(WAIT):
                await app.drain()
            response = check_stream((await stream).events(), cancelled=True)
            assert response["incomplete_details"] is None
            there = (await client.get(f"/responses/{kept['id']}")).json()
            assert there["status"] == "cancelled"

    asyncio.run(main())


@pytest.mark.parametrize("name", ["drain", "drain_lead"])
@pytest.mark.parametrize("seconds", [-1.0, float("nan")])
def test_no_time_is_negative(name: str, seconds: float) -> None:
    with pytest.raises(ValueError, match=f"{name} must not be negative"):
        Timeouts(**{name: seconds})


@pytest.mark.parametrize("name", ["heartbeat", "rescue", "poll"])
def test_no_interval_is_zero(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be above 0"):
        Timeouts(**{name: 0.0})
