"""A separate process that serves runs and traces them."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from agent_asgi import tracing

SCRIPT = """
import asyncio, json, logging, os, sys, time
logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
from agent_asgi import AgentApp, AgentRouter, Timeouts
from agent_asgi.tracing.export import pending
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
        if os.environ["LATER"] == "1":
            while (await client.get("/ready")).status != 200:
                await asyncio.sleep(0.05)
            print("UP", flush=True)
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
                      "traced": traced, "dropped": pending.lost}), flush=True)

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
        """Return what it printed, its warnings, and how long it took to exit afterwards."""
        begun = time.monotonic()
        out, err = self.process.communicate(line, timeout=60)
        assert self.process.returncode == 0, err
        result: dict[str, Any] = json.loads(out.splitlines()[-1])
        assert set(result["statuses"]) == {200}, err
        assert result["gap"] < 2, result
        warned = [each for each in err.splitlines() if re.match(r".*\b(WARNING|ERROR)\b", each)]
        return result, warned, time.monotonic() - begun
