"""The slim `mlflow-tracing` distribution, with a tracking server and over OTLP."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Trace

from tests.support.tracked_process import Tracked
from tests.support.tracking import Collecting, Refusing, Unauthorized, tracking_server

ROOT = Path(__file__).parents[2]

SCRIPT = """
import asyncio, sys
import mlflow
from agent_asgi import AgentApp, AgentRouter, ResponsesRequest
from agent_asgi.testing import AgentClient

router = AgentRouter("slim", experiment=sys.argv[1] or None)

@router.stream
async def slim(request: ResponsesRequest):
    with mlflow.start_span("step") as span:
        span.set_inputs({"question": request.input_text})
        span.set_outputs("forty-two")
        yield "forty-two"
    if request.input_text == "fail":
        raise ValueError("oh")

async def main():
    app = AgentApp(router, playground=True)
    async with app.lifespan():
        client = AgentClient(app, {"x-session-id": "s-slim"})
        for text in ("what?", "fail"):
            body = {"input": text, "user": "ann", "stream": True}
            answer = await client.post("/responses", body)
            print(trace_id := answer.headers["x-mlflow-trace-id"])
            if sys.argv[2:] and text == "what?":
                said = {"trace_id": trace_id, "value": True, "comment": "Right."}
                said["response_id"] = answer.events()[0]["response"]["id"]
                kept = await client.post("/feedback", said)
                assert kept.status == 200, kept.body
                print((await client.get("/playground.json")).json()["agents"][0]["traces"])

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def slim() -> str:
    """Return the Python of an environment without the full mlflow, as built by `make test`."""
    python = ROOT / ".venv" / "slim" / "bin" / "python"
    if not python.exists():
        pytest.fail("`make slim` makes the environment of this test.")
    return str(python)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the URL of a real tracking server."""
    port = Refusing().port
    with tracking_server(tmp_path_factory.mktemp("server"), port):
        yield f"http://127.0.0.1:{port}"


def environment(**env: str) -> dict[str, str]:
    """Return the variables of this process, without those that say where traces and modules are."""
    left_out = {"MLFLOW_TRACKING_URI", "PYTHONPATH"}
    return {key: value for key, value in os.environ.items() if key not in left_out} | env


def serve_two(python: str, folder: Path, *args: str, **env: str) -> list[str]:
    done = subprocess.run(
        [python, "-c", SCRIPT, *args],
        cwd=folder,
        env=environment(**env),
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("experiment", ["", "made-by-slim"])
def test_tracking_server(slim: str, server: str, experiment: str, tmp_path: Path) -> None:
    ids = serve_two(slim, tmp_path, experiment, MLFLOW_TRACKING_URI=server)
    client = MlflowClient(server)
    good, failed = (client.get_trace(each) for each in ids)
    _assert_complete(good, failed)
    made = client.get_experiment(good.info.experiment_id)
    assert made.name == (experiment or "Default")


def test_feedback_and_the_traces_page(slim: str, server: str, tmp_path: Path) -> None:
    liked, page, other = serve_two(slim, tmp_path, "", "feedback", MLFLOW_TRACKING_URI=server)
    client = MlflowClient(server)
    info = client.get_trace(liked).info
    (kept,) = info.assessments
    assert (kept.name, kept.value, kept.rationale) == ("user_feedback", True, "Right.")
    assert client.get_trace(other).info.assessments == []
    where = f"{server}/#/experiments/{info.experiment_id}/traces?selectedEvaluationId="
    assert page == where


def test_otlp(slim: str, server: str, tmp_path: Path) -> None:
    ids = serve_two(
        slim,
        tmp_path,
        "",
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{server}/v1/traces",
        OTEL_EXPORTER_OTLP_TRACES_PROTOCOL="http/protobuf",
        OTEL_EXPORTER_OTLP_TRACES_HEADERS="x-mlflow-experiment-id=0",
    )
    client = MlflowClient(server)
    good, failed = (client.get_trace(each) for each in ids)
    _assert_complete(good, failed)


UNTRACED = """
import asyncio
from agent_asgi import AgentApp, AgentRouter, Timeouts
from agent_asgi.testing import AgentClient

router = AgentRouter("untraced")

@router.invoke
async def untraced() -> str:
    return "x"

async def main():
    app = AgentApp(router, timeouts=Timeouts(tracing=300))
    async with app.lifespan():
        client = AgentClient(app)
        while (await client.get("/ready")).status != 200:
            await asyncio.sleep(0.05)
        answer = await client.post("/responses", {"input": "x"})
        print(answer.status, "x-mlflow-trace-id" in answer.headers)

asyncio.run(main())
"""


UNTIL = "Runs go untraced until this is corrected and the server restarted"
NEEDED = "mlflow-tracing needs a tracking server. Set MLFLOW_TRACKING_URI, or install mlflow"


@pytest.mark.parametrize("uri", ["", "sqlite:///mlflow.db"])
def test_without_a_tracking_server(slim: str, uri: str, tmp_path: Path) -> None:
    line = why_untraced(slim, uri, tmp_path)
    assert line == f"{UNTIL}: {NEEDED}."


def test_without_a_driver(tmp_path: Path) -> None:
    line = why_untraced(sys.executable, "mysql://ann@127.0.0.1:1/traces", tmp_path)
    assert line == f"{UNTIL}: No module named 'MySQLdb'."


CHECKED = """
import sys
import mlflow
from agent_asgi.tracing.setup import _check_server_is_named
for uri in sys.argv[1:]:
    mlflow.set_tracking_uri(uri)
    try:
        _check_server_is_named()
    except ModuleNotFoundError:
        print(uri)
"""


def test_what_is_a_tracking_server(slim: str, tmp_path: Path) -> None:
    servers = [
        "http://127.0.0.1:5000",
        "https://mlflow.example.com",
        "databricks",
        "databricks://p",
    ]
    others = ["sqlite:///x.db", "postgresql+psycopg://ann@db/x", f"{tmp_path}/mlruns"]
    done = subprocess.run(
        [slim, "-c", CHECKED, *servers, *others], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) == len(others), done.stdout


def why_untraced(python: str, uri: str, folder: Path) -> str:
    """Return what the log says about a run that is not traced."""
    done = subprocess.run(
        [python, "-c", UNTRACED],
        cwd=folder,
        env=environment(**({"MLFLOW_TRACKING_URI": uri} if uri else {})),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.split() == ["200", "False"], done.stderr
    (line,) = [each for each in done.stderr.splitlines() if each.startswith("Runs go untraced")]
    return line


BURST = """
import asyncio
from agent_asgi import AgentApp, AgentRouter
from agent_asgi.tracing.export import pending
from agent_asgi.testing import AgentClient

router = AgentRouter("burst")

@router.invoke
async def burst() -> str:
    return "x"

async def main():
    client = AgentClient(app := AgentApp(router))
    left = iter(range(6000))

    async def ask():
        for _ in left:
            assert (await client.post("/responses", {"input": "x"})).status == 200

    async with app.lifespan():
        await asyncio.gather(*(ask() for _ in range(32)))
    print(pending.lost)

asyncio.run(main())
"""


def test_burst_that_a_slow_collector_bears(slim: str, tmp_path: Path) -> None:
    collector = Collecting(0.1)
    try:
        done = subprocess.run(
            [slim, "-c", BURST],
            cwd=tmp_path,
            env={
                **{key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"},
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"http://127.0.0.1:{collector.port}/v1/traces",
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
            },
            capture_output=True,
            text=True,
            timeout=120,
        )
    finally:
        collector.stop()
    assert (done.stdout.split(), done.returncode) == (["0"], 0), done.stderr
    assert len(collector.spans) == 6000


def test_dead_collector(slim: str, tmp_path: Path) -> None:
    env = {
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"http://127.0.0.1:{Refusing().port}/v1/traces",
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
    }
    with Tracked(tmp_path, "", python=slim, WAIT="30", **env) as tracked:
        result, warned, seconds = tracked.result()
    assert result["traced"] == 6
    assert result["dropped"] == 6
    ours = [each for each in warned if "agent_asgi" in each]  # OpenTelemetry logs its own
    assert len(ours) == 1, warned
    assert "6 traces lost" in ours[0]
    assert seconds < 45


def test_refusing_collector(slim: str, tmp_path: Path) -> None:
    collector = Unauthorized()
    env = {
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"http://127.0.0.1:{collector.port}/v1/traces",
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
    }
    try:
        with Tracked(tmp_path, "", python=slim, WAIT="30", **env) as tracked:
            result, warned, _ = tracked.result()
    finally:
        collector.stop()
    assert (result["traced"], result["dropped"]) == (6, 6)
    assert any("6 traces lost" in each for each in warned), warned


def _assert_complete(good: Trace, failed: Trace) -> None:
    assert (good.info.state.value, failed.info.state.value) == ("OK", "ERROR")
    for trace in (good, failed):
        root = next(each for each in trace.data.spans if each.parent_id is None)
        step = next(each for each in trace.data.spans if each.name == "step")
        assert (root.name, root.span_type) == ("slim", "AGENT")
        assert step.parent_id == root.span_id
        assert (step.inputs["question"], step.outputs) == (root.inputs["input"], "forty-two")
        assert root.attributes["mlflow.message.format"] == "openai"
        assert root.outputs["output"][0]["content"][0]["text"] == "forty-two"
        assert trace.info.trace_metadata["mlflow.trace.session"] == "s-slim"
        assert trace.info.trace_metadata["mlflow.trace.user"] == "ann"
        assert trace.info.tags["agent_asgi.agent"] == "slim"
        assert trace.info.tags["agent_asgi.response_id"] == root.outputs["id"]
        assert trace.info.tags["agent_asgi.status"] == root.outputs["status"]
        assert trace.info.request_preview
        assert trace.info.response_preview
    (event,) = [each for span in failed.data.spans if not span.parent_id for each in span.events]
    assert event.name == "exception"
