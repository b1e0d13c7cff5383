"""`GET /metrics`: each run counts once by status, each refusal by code; workers are summed."""

import asyncio
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram
from websockets.sync.client import connect as connect_to

from agent_asgi import (
    AgentApp,
    AgentError,
    AgentRouter,
    BearerTokens,
    Limits,
    ResponsesRequest,
    Timeouts,
    Usage,
)
from agent_asgi.observability.metrics import BUCKETS, Metrics, _Durations
from agent_asgi.observability.multiprocess import FOLDER
from agent_asgi.testing import AgentClient
from tests.support.apps import started
from tests.support.asking import fetch
from tests.support.calling import QUICK, Serve, connect, ended, until
from tests.support.commands import ask_text, command, running
from tests.support.raw_http import leave
from tests.support.scrape import Samples, by, parse, scrape, value
from tests.support.servers import free_port
from tests.support.traces import traces


def obedient(name: str) -> AgentRouter:
    """Make an agent that does what the input says."""
    router = AgentRouter(name)

    @router.stream
    async def obey(request: ResponsesRequest) -> AsyncIterator[Any]:
        said = request.to_dict()["input"]
        yield "one "
        if said == "fail":
            raise ValueError("a secret")
        if said == "incomplete":
            yield {"type": "response.incomplete", "response": {}}
        if said == "hang":
            await asyncio.sleep(30)
        yield "two"
        yield Usage(input_tokens=3, output_tokens=2)

    @router.compact
    async def compact(request: ResponsesRequest) -> list[Any]:
        return [{"type": "compaction", "encrypted_content": "x"}, Usage(input_tokens=1)]

    return router


def test_each_run_counts_once_as_it_ended(serve: Serve) -> None:
    url = serve(AgentApp(obedient("counted"), timeouts=QUICK))
    dropped = value(scrape(url), "traces_dropped_total")  # of this process, including other tests
    with connect(url) as client:
        client.responses.create(input="x")
        client.responses.compact(model="counted", input="x")
        for said in ("x", "incomplete"):
            list(client.responses.create(input=said, stream=True))
        with pytest.raises(openai.InternalServerError):
            client.responses.create(input="fail")
        client.responses.create(input="x", extra_headers={"idempotency-key": "k"})
        client.responses.create(input="x", extra_headers={"idempotency-key": "k"})
        done = client.responses.create(input="x", background=True)
        assert ended(client, done.id).status == "completed"
        hung = client.responses.create(input="hang", background=True)
        until(lambda: by(scrape(url), "runs_in_flight", "agent")["counted"], lambda n: n == 1)
        client.responses.cancel(hung.id)
        assert ended(client, hung.id).status == "cancelled"
    leave(url, b'{"input": "hang", "stream": true}', b"one ")
    with connect_to(url.replace("http", "ws") + "/responses") as socket:
        for said in ("x", "fail"):
            socket.send(json.dumps({"type": "response.create", "input": said}))
            while b"response.completed" not in (got := _bytes(socket.recv(10))):
                if b'"status":500' in got.replace(b" ", b"") or b"response.failed" in got:
                    break
    samples = until(lambda: scrape(url), lambda found: not by(found, "runs_in_flight", "agent"))
    counted = by(samples, "runs_total", "mode", "status")
    assert counted == {
        ("json", "completed"): 3,  # the compaction, and the request with the key, once
        ("json", "failed"): 1,
        ("stream", "completed"): 1,
        ("stream", "incomplete"): 1,
        ("stream", "cancelled"): 1,
        ("websocket", "completed"): 1,
        ("websocket", "failed"): 1,
        ("background", "completed"): 1,
        ("background", "cancelled"): 1,
    }
    told = Counter(each.info.tags["agent_asgi.status"] for each in traces(agent="counted"))
    assert by(samples, "runs_total", "status") == told
    assert by(samples, "run_seconds_count", "mode") == by(samples, "runs_total", "mode")
    assert by(samples, "first_event_seconds_count", "mode") == {
        "stream": 3,
        "websocket": 2,
        "background": 2,
    }
    assert by(samples, "tokens_total", "direction") == {"input": 6 * 3 + 1, "output": 6 * 2}
    assert 0 < value(samples, "run_seconds_sum", agent="counted", mode="stream") < 30
    assert value(samples, "process_resident_memory_bytes") > 1 << 20
    assert value(samples, "traces_dropped_total") == dropped


def test_durations_by_the_name_of_the_conventions(serve: Serve) -> None:
    router = AgentRouter("named")

    @router.invoke
    async def obey(request: ResponsesRequest) -> str:
        if request.input_text == "own":
            raise AgentError("Your own.", 400, "a_code_of_ones_own")
        if request.input_text == "fail":
            raise ValueError("a secret")
        return "x"

    url = serve(AgentApp(router))
    for said in ("x", "x", "own", "own", "fail"):
        fetch(url, "POST", "/responses", None, {"input": said})
    name = "gen_ai_invoke_agent_duration_seconds"
    samples = scrape(url)
    assert by(samples, f"{name}_count", "gen_ai_agent_name", "error_type") == {
        ("named", ""): 2,
        ("named", "_OTHER"): 2,
        ("named", "agent_error"): 1,
    }
    ended = {"gen_ai_agent_name": "named", "error_type": ""}
    assert value(samples, f"{name}_bucket", **ended, le="0.1") <= 2
    assert value(samples, f"{name}_bucket", **ended, le="409.6") == 2
    assert 0 < value(samples, f"{name}_sum", **ended) < 30


def _bytes(message: str | bytes) -> bytes:
    return message.encode() if isinstance(message, str) else message


def test_events_are_those_of_the_streams(serve: Serve) -> None:
    url = serve(AgentApp(obedient("streamed")))
    with connect(url) as client:
        sent = list(client.responses.create(input="x", stream=True))
        client.responses.create(input="x")
    assert by(scrape(url), "events_total", "agent") == {"streamed": len(sent)}


def test_refusals_count_by_their_code(serve: Serve) -> None:
    class Picky:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http" and scope["path"] == "/teapot":
                await send({"type": "http.response.start", "status": 418, "headers": []})
                await send({"type": "http.response.body", "body": b""})
                return
            await self.app(scope, receive, send)

    from starlette.middleware import Middleware

    router = obedient("picky")

    @router.invoke
    async def own_error(request: ResponsesRequest) -> str:
        raise AgentError("a handler's own", 400, "started")

    app = AgentApp(router, limits=Limits(max_body_bytes=999), middleware=[Middleware(Picky)])
    url = serve(app)
    port = int(url.rsplit(":", 1)[1])
    for path, body in (
        *[("/responses", b"{"), ("/responses", b"[1]"), ("/responses", b"x" * 1000)],
        *[("/responses", b'{"input": "x"}'), ("/nowhere", b""), ("/teapot", b"")],
        ("/responses", b'{"previous_response_id": "resp_none", "input": "x"}'),
    ):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("POST", path, body)
        answer = connection.getresponse()
        assert answer.status >= 400
        assert answer.getheader("x-request-id")
        connection.close()
    with connect_to(url.replace("http", "ws") + "/responses") as socket:
        socket.send("nothing")
        assert "invalid_json" in str(socket.recv(10))
    samples = scrape(url)
    assert by(samples, "refused_total", "why") == {
        "invalid_json": 2,
        "invalid_request": 1,
        "request_too_large": 1,
        "not_found": 1,
        "other": 1,
        "previous_response_not_found": 1,
    }
    assert by(samples, "runs_total", "status") == {"failed": 1}


async def shake(app: AgentApp, extensions: dict[str, Any], **headers: str) -> dict[str, Any]:
    """Start a WebSocket handshake; return the first message of the answer."""
    scope = {
        "type": "websocket",
        "path": "/responses",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "extensions": extensions,
    }
    inbox, sent = asyncio.Queue[Any](), list[Any]()
    inbox.put_nowait({"type": "websocket.connect"})
    inbox.put_nowait({"type": "websocket.disconnect", "code": 1001})

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, inbox.get, send)
    first: dict[str, Any] = sent[0]
    return first


@pytest.mark.parametrize("extensions", [{"websocket.http.response": {}}, {}])
def test_a_refused_handshake_counts_once(extensions: dict[str, Any]) -> None:
    kind = "websocket.http.response.start" if extensions else "websocket.close"
    known = {"authorization": "Bearer token"}

    @asynccontextmanager
    async def broken(app: AgentApp) -> AsyncIterator[None]:
        raise OSError("no database")
        yield

    async def main() -> None:
        tokens = BearerTokens({"token": "ann"})
        full = AgentApp(obedient("full"), authenticate=tokens, limits=Limits(max_streams=1))
        async with started(full):
            runtime = await full._config.running()
            assert (await shake(full, extensions, **known))["type"] == "websocket.accept"
            with runtime.engine.streams:
                for headers in ({}, known, {**known, "origin": "https://evil.example.com"}):
                    answer = await shake(full, extensions, **headers)
                    assert answer["type"] == kind
                    assert answer.keys() <= {"type", "status", "headers", "code", "reason"}
            samples = await metrics(AgentClient(full, known))
        assert by(samples, "refused_total", "why") == {
            "unauthenticated": 1,
            "too_many_streams": 1,
            "origin_not_allowed": 1,
        }
        failed = AgentApp(obedient("failed"), lifespan=broken)
        assert (await shake(failed, extensions))["type"] == kind
        samples = await metrics(AgentClient(failed))
        assert by(samples, "refused_total", "why") == {"unavailable": 1}

    asyncio.run(main())


def test_ready_refuses_nothing() -> None:
    async def main() -> None:
        app = AgentApp(obedient("unready"))
        client = AgentClient(app)
        assert (await client.get("/ready")).status == 503  # starting
        async with started(app):
            pass
        assert (await client.get("/ready")).status == 503  # stopped
        assert not by(await metrics(client), "refused_total", "why")
        assert (await client.post("/responses", {"input": "x"})).status == 503
        assert by(await metrics(client), "refused_total", "why") == {"unavailable": 1}

    asyncio.run(main())


def workers() -> set[threading.Thread]:
    """Return the threads that run blocking calls."""
    return {each for each in threading.enumerate() if each.name.startswith("AnyIO worker")}


def test_scrapes_at_once_take_one_thread() -> None:
    app = AgentApp(obedient("scraped"))

    async def main() -> int:
        before = workers()
        seen: set[threading.Thread] = set()
        tasks = [asyncio.create_task(AgentClient(app).get("/metrics")) for _ in range(100)]
        while not all(each.done() for each in tasks):
            seen |= workers() - before
            await asyncio.sleep(0)
        assert [(await each).status for each in tasks] == [200] * 100
        return len(seen)

    for _ in range(2):  # two event loops
        assert asyncio.run(main()) == 1


def test_codes_of_an_app_s_own_are_other() -> None:
    metrics = Metrics(["agent"])
    for number in range(1000):
        metrics.refused(f"user_{number}")
    samples = parse(metrics.exposition("")[0].decode())
    assert by(samples, "refused_total", "why") == {"other": 1000}


def test_an_attempt_that_is_given_back_is_no_end(tmp_path: Path) -> None:
    router = AgentRouter("given-back")
    ids: list[str] = []
    free = False

    @router.stream
    async def slow(request: ResponsesRequest) -> AsyncIterator[str]:
        yield "begun"
        if not free:
            await asyncio.sleep(30)

    timeouts = Timeouts(drain=0.1, heartbeat=0.2, stalled=1, rescue=0.2)
    app = AgentApp(router, store=f"sqlite:///{tmp_path}/r.db", timeouts=timeouts)

    async def begin() -> Counter[Any]:
        async with started(app):
            client = AgentClient(app, {"x-request-id": "first"})
            body = {"input": "x", "background": True}
            ids.append((await client.post("/responses", body)).json()["id"])
            while not by(await metrics(client), "runs_in_flight", "agent"):
                await asyncio.sleep(0.02)
        return by(await metrics(client), "runs_total", "status")

    async def end() -> dict[str, Any]:
        async with started(app):
            client = AgentClient(app)
            for _ in range(500):
                found: dict[str, Any] = (await client.get(f"/responses/{ids[0]}")).json()
                samples = await metrics(client)
                if found["status"] == "completed" and not by(samples, "runs_in_flight", "agent"):
                    break
                await asyncio.sleep(0.02)
            assert by(samples, "runs_total", "status") == {"given_back": 1, "completed": 1}
            assert by(samples, "run_seconds_count", "mode") == {"background": 1}
            assert by(samples, "store_seconds_count", "operation")["accept"] == 1
            assert by(samples, "store_seconds_count", "operation")["claim"] == 2
        return found

    assert asyncio.run(begin()) == {"given_back": 1}
    free = True
    assert asyncio.run(end())["status"] == "completed"


async def metrics(client: AgentClient) -> Any:
    answer = await client.get("/metrics")
    assert answer.status == 200
    return parse(answer.body.decode())


def test_two_apps_in_one_process_share_nothing() -> None:
    async def main() -> None:
        async with (
            started(AgentApp(obedient("one"))) as one,
            started(AgentApp(obedient("two"))) as two,
        ):
            await AgentClient(one).post("/responses", {"input": "x"})
            await AgentClient(two).post("/responses", b"{")
            ones, twos = await metrics(AgentClient(one)), await metrics(AgentClient(two))
        assert by(ones, "runs_total", "agent") == {"one": 1}
        assert not by(ones, "refused_total", "why")
        assert by(twos, "refused_total", "why") == {"invalid_json": 1}
        assert not by(twos, "runs_total", "agent")

    asyncio.run(main())


def test_openmetrics_is_given_where_it_is_asked_for() -> None:
    async def main() -> None:
        app = AgentApp(obedient("open"))
        answer = await AgentClient(app).get(
            "/metrics", {"accept": "application/openmetrics-text; version=1.0.0"}
        )
        assert answer.headers["content-type"].startswith("application/openmetrics-text")
        assert answer.body.endswith(b"# EOF\n")

    asyncio.run(main())


def test_without_the_extra_it_serves_and_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delitem(sys.modules, "agent_asgi.observability.metrics", raising=False)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)

    async def main() -> None:
        app = AgentApp(obedient("bare"), store=f"sqlite:///{tmp_path}/r.db")
        async with started(app):
            client = AgentClient(app)
            assert (await client.post("/responses", {"input": "x"})).status == 200
            assert (await client.post("/responses", b"{")).status == 400
            answer = await client.get("/metrics")
        assert answer.status == 404
        assert "agent-asgi[metrics]" in answer.json()["error"]["message"]

    asyncio.run(main())


durations = st.floats(min_value=0, max_value=1000)


@given(st.lists(st.lists(durations)))
def test_a_histogram_has_what_observing_each_duration_makes(rounds: list[list[float]]) -> None:
    registry = CollectorRegistry()
    by_observe = Histogram("one", "", registry=registry, buckets=BUCKETS)
    by_flush = Histogram("other", "", registry=registry, buckets=BUCKETS)
    durations = _Durations(by_flush)
    for flushed_together in rounds:
        for seconds in flushed_together:
            by_observe.observe(seconds)
            durations.add(seconds)
        durations.flush()
    observed, flushed = (
        {each.labels["le"]: each.value for each in family.samples if each.name.endswith("_bucket")}
        for family in registry.collect()
    )
    assert observed == flushed
    total = sum(map(sum, rounds))
    assert registry.get_sample_value("other_sum") == pytest.approx(total)


def test_tokens_that_are_no_count_are_left_out() -> None:
    metrics = Metrics(["agent"])
    for tokens in (-5, 10**400, 7):
        usage = Usage(input_tokens=tokens, output_tokens=0)
        metrics.agents["agent"].run_ended("json", "completed", 0.1, None, 0, usage, None)
    metrics.update({}, 0, 0)
    samples = parse(metrics.exposition("")[0].decode())
    assert by(samples, "tokens_total", "direction") == {"input": 7}
    assert by(samples, "runs_total", "status") == {"completed": 3}


MULTIPROCESS = """
import asyncio, os, shutil, sys
from prometheus_client import CollectorRegistry, Counter, generate_latest, multiprocess
from agent_asgi import AgentApp, AgentRouter, ResponsesRequest
from agent_asgi.testing import AgentClient

def app():
    router = AgentRouter("same")

    @router.invoke
    async def answer(request: ResponsesRequest) -> str:
        return "x"

    return AgentApp(router)

async def ask(app, times):
    for _ in range(times):
        await AgentClient(app).post("/responses", {"input": "x"})

async def show(app):
    answer = await AgentClient(app).get("/metrics")
    assert answer.status == 200
    print(answer.body.decode(), end="---\\n")
"""


def in_process(folder: Path, code: str) -> list[Samples]:
    """Run code in a process with a shared folder of metrics; return the scrapes it printed."""
    env = os.environ | {FOLDER: str(folder), "OTEL_SDK_DISABLED": "true"}
    argv = [sys.executable, "-c", MULTIPROCESS + code]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return [parse(text) for text in done.stdout.split("---\n")[:-1]]


TWO_APPS = """
Counter("own", "The host's own.").inc()
first, second = app(), app()

async def main():
    async with first.lifespan(), second.lifespan():
        await ask(first, 2)
        await ask(second, 3)
        await AgentClient(second).post("/responses", b"{")
        await show(first)
        await show(second)

asyncio.run(main())
registry = CollectorRegistry()
multiprocess.MultiProcessCollector(registry)
print(generate_latest(registry).decode(), end="---\\n")
"""


def test_two_apps_of_a_host_with_several_processes_are_told_apart(tmp_path: Path) -> None:
    in_process(tmp_path, TWO_APPS)
    first, second, host = in_process(tmp_path, TWO_APPS)  # includes the other process's metrics
    assert by(first, "runs_total", "agent") == {"same": 4}
    assert by(second, "runs_total", "agent") == {"same": 6}
    assert by(first, "run_seconds_count", "agent") == {"same": 4}
    named = "gen_ai_invoke_agent_duration_seconds_count"
    assert by(second, named, "gen_ai_agent_name") == {"same": 6}
    assert not by(first, "refused_total", "why")
    assert by(second, "refused_total", "why") == {"invalid_json": 2}
    assert ("own_total", ()) not in first
    assert not [name for name, _ in first if name.startswith("process_")]
    assert host["own_total", ()] == 2
    assert by(host, "runs_total", "app") == {"0": 4, "1": 6}


DIES = """
metrics = app()._config.metrics
metrics.agents["same"].run_ended("json", "completed", 0.1, None, 0, None, None)
metrics.update({"same": 2}, 4, 5)
os.kill(os.getpid(), 9)
"""


def test_of_a_dead_process_the_totals_stay_and_the_gauges_do_not(tmp_path: Path) -> None:
    env = os.environ | {FOLDER: str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", MULTIPROCESS + DIES], env=env) as process:
        pass
    assert process.returncode == -signal.SIGKILL
    shown = "asyncio.run(show(app()))"
    (before,) = in_process(tmp_path, shown)
    assert value(before, "runs_in_flight", agent="same") == 2
    assert value(before, "traces_waiting") == 4
    marked = (
        "from agent_asgi.observability.multiprocess import mark_process_dead",
        f"mark_process_dead({process.pid})",
    )
    (after,) = in_process(tmp_path, "\n".join((*marked, shown)))
    assert value(after, "runs_in_flight", agent="same") == 0
    assert value(after, "traces_waiting") == 0
    for samples in (before, after):
        assert value(samples, "traces_dropped_total") == 5
        assert by(samples, "runs_total", "status") == {"completed": 1}
        assert by(samples, "run_seconds_count", "mode") == {"json": 1}


GONE = """
app = app()

async def main():
    async with app.lifespan():
        await ask(app, 1)
        shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"])
        await asyncio.sleep(1.2)
        await ask(app, 1)
        await show(app)

asyncio.run(main())
"""


def test_a_folder_that_is_gone_ends_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "metrics"
    folder.mkdir()
    assert in_process(folder, GONE) == [{}]


def test_a_folder_that_is_not_there_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER, str(tmp_path / "none"))
    with pytest.raises(ValueError, match=FOLDER):
        AgentApp(obedient("folderless"))


WORKERS = """
import asyncio
import os
from agent_asgi import AgentApp, AgentRouter, ResponsesRequest

router = AgentRouter("echo")

@router.invoke
async def echo(request: ResponsesRequest) -> str:
    return str(os.getpid())

@router.stream
async def hang(request: ResponsesRequest):
    yield str(os.getpid())
    await asyncio.sleep(60)

app = AgentApp(router)
"""


def test_any_worker_tells_of_all_of_them(tmp_path: Path) -> None:
    (tmp_path / "served.py").write_text(WORKERS)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    argv = command("serve", "served:app", "--port", str(port), "--workers", "2")

    def runs() -> int:
        return by(scrape(url), "runs_total", "status")["completed"]

    def in_flight() -> int:
        return by(scrape(url), "runs_in_flight", "agent")["echo"]

    with running(argv, tmp_path, port) as process:
        pids = [ask_text(port)]  # `running` has already asked once
        end = time.monotonic() + 30
        while len(set(pids)) < 2:
            assert time.monotonic() < end
            time.sleep(0.05)
            pids.append(ask_text(port))
        asked = len(pids) + 1
        for _ in range(4):  # whichever worker answers
            until(runs, lambda found: found == asked)
        with connect(url) as client, client.responses.create(input="x", stream=True) as stream:
            hangs = next(e.delta for e in stream if e.type == "response.output_text.delta")
            for _ in range(4):
                until(in_flight, lambda found: found == 1)
            os.kill(int(hangs), signal.SIGKILL)
        until(lambda: _answers(port), seconds=30)
        until(in_flight, lambda found: found == 0)
        for _ in range(4):
            assert runs() == asked
        assert not [each for each in scrape(url) if each[0].startswith("process_")]
        alive = next(each for each in pids if each != hangs)
        folder = _environment(alive)[FOLDER]
        assert Path(folder).is_dir()
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        assert not Path(folder).exists()


def _answers(port: int) -> bool:
    try:
        scrape(f"http://127.0.0.1:{port}")
    except OSError:
        return False
    return True


def _environment(pid: str) -> dict[str, str]:
    text = Path(f"/proc/{pid}/environ").read_bytes().decode()
    return dict(each.split("=", 1) for each in text.split("\0") if "=" in each)
