"""Send each agent, before and after its migration, the same requests; print the answers as JSON.

Runs in a separate process, since MLflow's AgentServer keeps its handlers in globals.
"""

import asyncio
import importlib
import json
import os
from pathlib import Path
from typing import Any

import mlflow
from mlflow.genai.agent_server import server

from agent_asgi import AgentApp
from agent_asgi.testing import AgentClient, Answer
from tests.support.servers import Server

Json = dict[str, Any]
HERE = Path(__file__).parent
AGENTS = sorted(each.stem for each in HERE.glob("before/[!_]*.py"))
HEADERS = {"x-mlflow-return-trace-id": "true", "x-forwarded-access-token": "token-of-ann"}
BODY: Json = {
    "model": "shop",
    "input": [
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "yes?"},
        {"role": "user", "content": "pens"},
    ],
    "context": {"conversation_id": "c-9", "user_id": "ann"},
    "custom_inputs": {"language": "en"},
    "databricks_options": {"return_trace": True},
    "numbers": [1, 2, 3],
}
"""As Databricks' chat client sends it, plus `numbers` for the agent that takes any JSON."""
WRONG: Json = {"input": [{"role": "robot", "content": "x"}]}


async def play() -> Json:
    """Ask every agent, before and after."""
    seen: Json = {}
    for name in AGENTS:
        for side in ("before", "after"):
            server._invoke_function = server._stream_function = None
            app = importlib.import_module(f"tests.docs.migrating.{side}.{name}").app
            seen.setdefault(name, {})[side] = await ask_all_ways(app)
            if isinstance(app, AgentApp):
                await app.drain()
    return seen


async def ask_all_ways(app: Any) -> Json:
    """Send one agent a JSON request, a streaming request, and one that it must refuse."""
    client = AgentClient(app, HEADERS)
    return {
        "json": told(await client.post("/invocations", BODY)),
        "stream": told(await client.post("/invocations", {**BODY, "stream": True})),
        "wrong": told(await client.post("/invocations", WRONG)),
    }


def told(answer: Answer) -> Json:
    """Return what a client sees of an answer."""
    streamed = answer.headers["content-type"].startswith("text/event-stream")
    return {
        "status": answer.status,
        "type": answer.headers["content-type"].partition(";")[0],
        "events": answer.events() if streamed else [answer.json()],
        "done": answer.body.endswith(b"data: [DONE]\n\n"),
    }


def sessions(seen: Json) -> Json:
    """Return the sessions of the traces that the agent "session" names in its streams."""
    mlflow.flush_trace_async_logging()
    found = {}
    for side, answers in seen["session"].items():
        trace = mlflow.get_trace(answers["stream"]["events"][-1]["trace_id"])
        found[side] = trace and trace.info.trace_metadata.get("mlflow.trace.session")
    return found


if __name__ == "__main__":
    from tests.docs.migrating.models import upstream_app

    model = Server(upstream_app)
    os.environ |= {"OPENAI_BASE_URL": f"{model.url}/v1", "OPENAI_API_KEY": "none"}
    try:
        answers = asyncio.run(play())
    finally:
        model.stop()
    print(json.dumps({"answers": answers, "sessions": sessions(answers)}))
