"""The start: without MLflow where tracing is switched off, and with the collector at rest."""

import asyncio
import gc
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from agent_asgi import tracing
from agent_asgi.tracing.tracer import Tracer

SCRIPT = """
import asyncio, gc, json, sys
from agent_asgi import AgentApp, AgentRouter
from agent_asgi.testing import AgentClient

router = AgentRouter("off")

@router.stream
async def off():
    yield "x"

async def main():
    app = AgentApp(router)
    async with app.lifespan():
        client = AgentClient(app)
        bodies = [{"input": "x"}, {"input": "x", "stream": True}]
        answers = [await client.post("/responses", body) for body in bodies]
    print(json.dumps({
        "statuses": [each.status for each in answers],
        "traced": ["x-mlflow-trace-id" in each.headers for each in answers],
        "heavy": sorted(sys.modules.keys() & {"mlflow", "opentelemetry", "sqlalchemy"}),
        "frozen": gc.get_freeze_count(),
        "enabled": gc.isenabled(),
        "switch": sys.getswitchinterval(),
    }))

asyncio.run(main())
"""
SPAN = """
import mlflow
with mlflow.start_span("own") as span:
    print(span.trace_id)
"""


def run(script: str, folder: Path, **env: str) -> str:
    """Run a script in a process of its own; give what it prints."""
    root = Path(tracing.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(root), **env},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_switched_off_serves_without_mlflow(tmp_path: Path) -> None:
    told = json.loads(run(SCRIPT, tmp_path, OTEL_SDK_DISABLED="true", AGENT_ASGI_STORE="memory://"))
    assert told["statuses"] == [200, 200]
    assert told["traced"] == [False, False]
    assert told["heavy"] == []
    assert told["frozen"] > 1000
    assert told["enabled"]
    assert told["switch"] <= 0.0005
    assert list(tmp_path.iterdir()) == []


def test_the_variable_holds_for_mlflow_too(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    printed = run(SPAN, tmp_path, OTEL_SDK_DISABLED="true", MLFLOW_TRACKING_URI=uri)
    assert printed.strip() == "MLFLOW_NO_OP_SPAN_TRACE_ID"


@pytest.mark.parametrize(
    ("value", "off"), [("true", True), (" TRUE ", True), ("", False), ("1", False), ("no", False)]
)
def test_only_true_switches_off(monkeypatch: pytest.MonkeyPatch, value: str, off: bool) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", value)
    seen = begin(monkeypatch, lambda: None)
    assert (seen == []) is off


def test_collector_rests_while_tracing_is_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    assert begin(monkeypatch, lambda: None) == [False]
    assert gc.isenabled()


def test_collector_works_again_where_mlflow_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert begin(monkeypatch, lambda: time.sleep(0.3)) == [False]
    assert gc.isenabled()


def test_collector_that_was_off_stays_off(monkeypatch: pytest.MonkeyPatch) -> None:
    gc.disable()
    try:
        begin(monkeypatch, lambda: None)
        assert not gc.isenabled()
    finally:
        gc.enable()


def begin(monkeypatch: pytest.MonkeyPatch, takes: Any) -> list[bool]:
    """Start a tracer whose set-up is `takes`; give whether the collector was on in it."""
    seen = []

    def set_up(_: Tracer) -> None:
        seen.append(gc.isenabled())
        takes()

    monkeypatch.setattr(Tracer, "_set_up", set_up)
    asyncio.run(Tracer([]).start(0.1))
    return seen
