"""Tracking servers that are down: runs go on, the log says so once, processes end."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tracking import Failing, Hanging, Refusing, taking_over, tracking_server

from agent_asgi import tracing

pytestmark = pytest.mark.alone

SCRIPT = """
import asyncio, json, logging, os, sys, time
logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
from agent_asgi import AgentApp, AgentRouter, Timeouts
from agent_asgi.tracing import exports
from agent_asgi.testing import AgentClient

router = AgentRouter("fault")

@router.stream
async def fault():
    for _ in range(3):
        yield "x"
        await asyncio.sleep(0.002)

gaps = [0.0]

async def tick():
    last = time.monotonic()
    while True:
        await asyncio.sleep(0.005)
        now = time.monotonic()
        gaps[0] = max(gaps[0], now - last)
        last = now

async def main():
    ticker = asyncio.create_task(tick())
    app = AgentApp(router, timeouts=Timeouts(tracing=float(os.environ["WAIT"])))
    client = AgentClient(app)
    statuses, slowest, traced = [], 0.0, 0
    begun = time.monotonic()
    async with app.lifespan():
        up = time.monotonic() - begun
        print("UP", flush=True)
        if os.environ["LATER"] == "1":
            sys.stdin.readline()
        for number in range(int(os.environ["RUNS"])):
            begun = time.monotonic()
            stream = number % 2 == 1
            answer = await client.post("/responses", {"input": "x", "stream": stream})
            statuses.append(answer.status)
            slowest = max(slowest, time.monotonic() - begun)
            traced += "x-mlflow-trace-id" in answer.headers
    ticker.cancel()
    print(json.dumps({"statuses": statuses, "gap": gaps[0], "up": up, "slowest": slowest,
                      "traced": traced, "dropped": exports.dropped}), flush=True)

asyncio.run(main())
"""


class Tracked:
    """A process that serves runs and traces to `uri`."""

    def __init__(self, folder: Path, uri: str, *, python: str = sys.executable, **env: str) -> None:
        root = Path(tracing.__file__).parents[2]
        given = {"WAIT": "1", "RUNS": "6", "LATER": "0", "MLFLOW_TRACKING_URI": uri, **env}
        self.process = subprocess.Popen(
            [python, "-c", SCRIPT],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(root), **given},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> "Tracked":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def result(self, line: str = "") -> tuple[dict[str, Any], list[str], float]:
        """Give what it printed, its warnings, and how long it took to end after that."""
        begun = time.monotonic()
        out, err = self.process.communicate(line, timeout=60)
        assert self.process.returncode == 0, err
        result: dict[str, Any] = json.loads(out.splitlines()[-1])
        assert set(result["statuses"]) == {200}, err
        assert result["gap"] < 0.5, result
        warned = [each for each in err.splitlines() if re.match(r".*\b(WARNING|ERROR)\b", each)]
        return result, warned, time.monotonic() - begun


@pytest.mark.parametrize("kind", [Refusing, Hanging, Failing])
def test_server_down_at_start(kind: type[Any], tmp_path: Path) -> None:
    server = kind()
    try:
        with Tracked(tmp_path, f"http://127.0.0.1:{server.port}") as tracked:
            result, warned, seconds = tracked.result()
    finally:
        server.stop()
    assert result["up"] < 2
    assert result["slowest"] < 0.5
    assert result["traced"] == 0
    assert len(warned) == 1, warned
    assert seconds < 30


@pytest.mark.parametrize("kind", [Refusing, Hanging, Failing])
def test_server_that_dies_later(kind: type[Any], tmp_path: Path) -> None:
    port = Refusing().port
    fast = {"MLFLOW_ASYNC_TRACE_LOGGING_MAX_INTERVAL_MILLIS": "100"}
    uri = f"http://127.0.0.1:{port}"
    with (
        tracking_server(tmp_path, port) as server,
        Tracked(tmp_path, uri, LATER="1", WAIT="60", **fast) as tracked,
    ):
        assert tracked.process.stdout is not None
        assert tracked.process.stdout.readline() == "UP\n"
        os.killpg(server.pid, 9)
        server.wait(30)
        dead = taking_over(kind, port) if kind is not Refusing else None
        try:
            result, warned, seconds = tracked.result("go\n")
        finally:
            if dead is not None:
                dead.stop()
    assert result["traced"] == 6
    assert result["slowest"] < 0.6
    assert len(warned) == 1, warned
    assert seconds < 30
