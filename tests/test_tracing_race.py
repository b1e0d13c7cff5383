"""Processes that start at the same time on a database that is not there yet."""

import os
import subprocess
import sys
from pathlib import Path

ASK = """
import asyncio
from agent_asgi import AgentApp, AgentRouter, ResponsesRequest
from agent_asgi.testing import AgentClient

router = AgentRouter()

@router.invoke
async def say(request: ResponsesRequest) -> str:
    return "x"

app = AgentApp(router)

async def main() -> None:
    async with app.lifespan():
        answer = await AgentClient(app).post("/responses", {"input": "x"})
    print(answer.headers.get("x-mlflow-trace-id", "untraced"))

asyncio.run(main())
"""


def test_all_of_them_trace(tmp_path: Path) -> None:
    """MLflow's migrations, run twice at once, broke the database in four of six tries."""
    env = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db"}
    processes = [
        subprocess.Popen([sys.executable, "-c", ASK], env=env, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    try:
        said = [each.communicate(timeout=120)[0].split()[-1] for each in processes]
    finally:
        for each in processes:
            each.kill()
    assert all(each.startswith("tr-") for each in said), said
