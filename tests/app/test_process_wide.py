"""Mounting an app leaves the host process unchanged."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BY_MLFLOW = {
    "logger alembic": "gets a handler and the level WARNING when MLflow is imported",
    "logger opentelemetry.context": "gets a filter of MLflow's with its first trace",
    "logger opentelemetry.sdk.trace": "gets a filter of MLflow's with its first trace",
    "logger urllib3.connectionpool": "gets a filter of MLflow's for secrets in URLs",
}
"""What MLflow itself changes in a traced host."""
IN_IMPORT = {"logger mlflow.types.type_hints"}
"""What MLflow changes while it is imported, in a thread, and then restores."""
STATE = """
import asyncio, gc, json, logging, os, signal, sys
import alembic, anyio, opentelemetry.sdk.trace, prometheus_client, sqlalchemy
import starlette.applications, urllib3.connectionpool, uvicorn, websockets

class Recorded(logging.LogRecord):
    pass

logging.basicConfig(level="WARNING")
logging.setLogRecordFactory(Recorded)
logging.getLogger("uvicorn.error").addFilter(lambda record: True)
logging.getLogger("sqlalchemy").setLevel("ERROR")
logging.getLogger("agent_asgi.runs").setLevel("ERROR")

def state():
    found = {
        "switch interval": sys.getswitchinterval(),
        "frozen": gc.get_freeze_count(),
        "collector": [gc.isenabled(), gc.get_threshold()],
        "record factory": id(logging.getLogRecordFactory()),
        "disabled": logging.root.manager.disable,
        "environment": dict(os.environ),
        "handle_exit": id(uvicorn.Server.handle_exit),
    }
    for number in signal.Signals:
        found["signal " + number.name] = id(signal.getsignal(number))
    for name in NAMES:
        logger = logging.getLogger(name)
        found["logger " + name] = [
            logger.level, logger.propagate, logger.disabled,
            [*map(id, logger.filters)], [*map(id, logger.handlers)],
        ]
    return json.loads(json.dumps(found))

def compare(before):
    after = state()
    return sorted(name for name in before if before[name] != after[name])
"""
HOST = (
    STATE
    + """
for module in sys.argv[1:]:
    __import__(module)
served = bool(os.environ.get("SERVED"))  # otherwise nobody handles it, not even coverage
signal.signal(signal.SIGTERM, (lambda *_: None) if served else signal.SIG_DFL)
NAMES = ["root", *logging.root.manager.loggerDict]
changed = {}

async def main():
    before = state()
    from agent_asgi import AgentApp, AgentRouter, ResponsesRequest, Timeouts
    from agent_asgi.testing import AgentClient
    from starlette.routing import Mount

    router = AgentRouter("mounted")

    @router.stream
    async def answer(request: ResponsesRequest):
        yield "x"

    app = AgentApp(router, timeouts=Timeouts(tracing=60))
    routes = [Mount("/agents", app)]
    host = starlette.applications.Starlette(routes=routes, lifespan=app.lifespan)
    changed["mounted"] = compare(before)
    async with host.router.lifespan_context(host):
        changed["started"] = compare(before)
        client = AgentClient(host)
        for path in ("/responses", "/nowhere"):
            for stream in (False, True):
                reply = await client.post("/agents" + path, {"input": "x", "stream": stream})
                answers.append([reply.status, "x-mlflow-trace-id" in reply.headers])
        changed["asked"] = compare(before)
    changed["ended"] = compare(before)

answers = []
outside = state()
asyncio.run(main())
changed["left"] = compare(outside)
print(json.dumps([answers, changed]))
"""
)
CHANGES = (
    STATE
    + """
NAMES = ["root", "filtered", "leveled", "handled", "silenced", "untouched"]
before = state()
sys.setswitchinterval(0.001)
gc.freeze()
gc.disable()
signal.signal(signal.SIGTERM, lambda *_: None)
logging.getLogger().setLevel("DEBUG")
logging.getLogger("filtered").addFilter(lambda record: True)
logging.getLogger("leveled").setLevel("INFO")
logging.getLogger("handled").addHandler(logging.NullHandler())
logging.getLogger("silenced").propagate = False
logging.setLogRecordFactory(logging.LogRecord)
logging.disable("DEBUG")
os.environ["NEW"] = "x"
import sse_starlette
print(json.dumps(compare(before)))
"""
)


def run(script: str, folder: Path, *words: str, **env: str) -> Any:
    """Run a script in a separate process; return the JSON value it prints."""
    variables = {
        **os.environ,
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
        "AGENT_ASGI_STORE": f"sqlite:///{folder}/responses.db",
        **env,
    }
    done = subprocess.run(
        [sys.executable, "-c", script, *words],
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("imported", [[], ["mlflow", "sse_starlette"]])
@pytest.mark.parametrize("traced", [True, False])
def test_a_mounted_app_changes_nothing_of_its_host(
    traced: bool, imported: list[str], tmp_path: Path
) -> None:
    env = {"OTEL_SDK_DISABLED": "" if traced else "true"}
    answers, changed = run(HOST, tmp_path, *imported, **env)
    assert answers == [[200, traced], [200, traced], [404, False], [404, False]]
    assert changed.keys() == {"mounted", "started", "asked", "ended", "left"}
    for when, names in changed.items():
        allowed = BY_MLFLOW.keys() | (IN_IMPORT if when == "started" else set())
        assert set(names) <= (allowed if traced else set()), changed
    if traced and not imported:
        assert set(changed["left"]) == BY_MLFLOW.keys()  # the list has no superfluous names


def test_signals_that_a_server_has_taken_are_its_own_again_at_the_end(tmp_path: Path) -> None:
    """Until then the app listens for them too, to end its runs in time."""
    _, changed = run(HOST, tmp_path, OTEL_SDK_DISABLED="true", SERVED="1")
    listening = ["signal SIGINT", "signal SIGTERM"]
    assert changed == {
        "mounted": [],
        "started": listening,
        "asked": listening,
        "ended": [],
        "left": [],
    }


def test_each_of_these_changes_would_be_noticed(tmp_path: Path) -> None:
    assert run(CHANGES, tmp_path) == [
        "collector",
        "disabled",
        "environment",
        "frozen",
        "handle_exit",
        "logger filtered",
        "logger handled",
        "logger leveled",
        "logger root",
        "logger silenced",
        "record factory",
        "signal SIGTERM",
        "switch interval",
    ]
