"""`agent-asgi dev`: what it serves and prints, its reloads, its errors, its end."""

import json
import os
import signal
import time
from pathlib import Path
from statistics import median
from typing import Any

import openai
import psutil
import pytest

from tests.support.calling import until
from tests.support.developing import developing

HANDLER = """
import logging
from collections.abc import AsyncIterator
from agent_asgi import ResponsesRequest

async def tutor(request: ResponsesRequest) -> AsyncIterator[str]:
    logging.info("asked %s", request.input_text)
    if request.input_text == "fail":
        raise ValueError("no such thing")
    yield "VERSION 1"
    while request.input_text == "hold":
        import asyncio
        await asyncio.sleep(0.05)
        yield "."
"""
APP = """
from agent_asgi import AgentApp, AgentRouter, ResponsesRequest

router = AgentRouter("named")

@router.invoke
async def named(request: ResponsesRequest) -> str:
    return "named"

async def front(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"my front end"})

app = AgentApp(router, OPTIONS)
"""


def write(folder: Path, text: str, name: str = "agent.py") -> None:
    """Write a file, at once as editors do."""
    (folder / "new").write_text(text)
    (folder / "new").rename(folder / name)


def edit(folder: Path, version: int) -> None:
    write(folder, HANDLER.replace("VERSION 1", f"VERSION {version}"))


def test_a_file_with_a_handler_is_served_with_a_playground_and_a_banner(tmp_path: Path) -> None:
    edit(tmp_path, 1)
    with developing(tmp_path, "agent.py", env={"MLFLOW_TRACKING_URI": ""}) as dev:
        assert dev.ask() == "VERSION 1"
        assert "<title>" in dev.get("/")[1]
        assert dev.get("/docs")[0] == 200
        agents = json.loads(dev.get("/agent/info")[1])
        assert {each["name"] for each in agents["protocols"]} >= {"ChatCompletions", "MCP", "A2A"}
        assert json.loads(dev.get("/v1/conversations")[1])["object"] == "list"
        banner = dev.log.split("\n\n")[0].strip("\n").splitlines()
    labels = [line.split()[0] for line in banner]
    assert labels == ["Playground", "API", "Docs", "Agents", "Store", "Traces"]
    assert f"{dev.url}/v1/responses" in banner[1]
    assert banner[3].endswith(" tutor")
    assert "memory://" in banner[4]
    assert "mlflow ui --backend-store-uri sqlite:///mlflow.db" in banner[5]


def test_a_handler_s_error_shows_the_user_s_line_to_client_and_log(tmp_path: Path) -> None:
    edit(tmp_path, 1)
    with developing(tmp_path, "agent.py") as dev:
        with pytest.raises(openai.InternalServerError) as raised:
            dev.client.responses.create(input="fail")
        log = dev.says("ValueError: no such thing")
    body: Any = raised.value.body
    assert body["message"].count("no such thing") == 2  # the line, and what it says
    for text in (str(raised.value), log):
        assert "agent.py" in text
        assert "line 9, in tutor" in text
        assert "stepper.py" not in text
    request_id = raised.value.response.headers["x-request-id"]
    assert f"[{request_id}] asked fail" in log
    assert f"[{request_id}] tutor failed (agent_error) in " in log
    assert log.count(f"[{request_id}]") == 3  # the user's, the error, the run; no access line


def test_an_edit_is_served_also_while_a_stream_is_open(tmp_path: Path) -> None:
    edit(tmp_path, 1)
    with developing(tmp_path, "agent") as dev:
        with dev.client.responses.create(input="hold", stream=True) as stream:
            next(each for each in stream if each.type == "response.output_text.delta")
            edit(tmp_path, 2)
            dev.says("Reloaded in ")
        assert dev.ask() == "VERSION 2"
        assert dev.log.count("Playground") == 1


@pytest.mark.parametrize(
    ("broken", "shown"),
    [
        ("def f(:\n", ["line 1", "SyntaxError"]),
        ("x = 1\nimport no_such_module\n", ["line 2, in <module>", "No module named"]),
        ("from agent_asgi import AgentApp\nAgentApp(3)\n", ["line 2, in <module>", "an agent is"]),
        ("x = 1\nprint(unknown)\n", ["line 2, in <module>", "NameError: name 'unknown'"]),
        ("x = 1\n", ["has no app and no agent", "app = AgentApp(...)"]),
        (
            "from agent_asgi import AgentRouter\nrouter = AgentRouter('idle')\n",
            ["'agent:router' cannot be served: Router 'idle' has no handler."],
        ),
        ("def agent(request): ...\n", ["has no app and no agent"]),
    ],
)
def test_a_broken_module_is_shown_and_waits_for_the_edit(
    tmp_path: Path, broken: str, shown: list[str]
) -> None:
    write(tmp_path, broken)
    with developing(tmp_path, "agent.py", ready="agent-asgi: ") as dev:
        log = until(lambda: dev.log, lambda log: all(each in log for each in shown))
        assert "importlib" not in log
        assert "agent_asgi/" not in log
        assert "target.py" not in log
        dev.says("agent-asgi: Waiting for an edit.")
        status, told = dev.get("/v1/responses/resp_1")
        assert status == 503
        told = json.loads(told)["error"]["message"]
        assert all(each in told for each in shown)
        status, page = dev.get("/", "text/html")
        assert status == 503
        assert told == page
        edit(tmp_path, 2)
        assert dev.ask() == "VERSION 2"
        assert "  Playground " in dev.log  # the banner comes with the first app that starts


LIFESPAN = """
from contextlib import asynccontextmanager
from agent_asgi import AgentApp, ResponsesRequest

async def named(request: ResponsesRequest) -> str:
    return "started"

@asynccontextmanager
async def lifespan(app):
    raise OSError("no such model")
    yield

app = AgentApp(named, lifespan=lifespan)
"""


def test_an_app_that_cannot_start_says_so_and_waits_for_the_edit(tmp_path: Path) -> None:
    write(tmp_path, LIFESPAN)
    with developing(tmp_path, "agent.py", ready="Waiting for an edit.") as dev:
        assert "OSError: no such model" in dev.log
        assert dev.get("/v1/models")[0] == 503
        write(tmp_path, LIFESPAN.replace("    raise", "    # raise"))
        assert dev.ask() == "started"


def test_a_reload_of_a_broken_module_is_told_to_clients(tmp_path: Path) -> None:
    edit(tmp_path, 1)
    with developing(tmp_path, "agent.py") as dev:
        assert dev.ask() == "VERSION 1"
        write(tmp_path, "def f(:\n")
        dev.says("Waiting for an edit.")
        assert "SyntaxError" in dev.get("/playground.json")[1]
        assert "[Errno" not in dev.log
        edit(tmp_path, 2)
        assert dev.ask() == "VERSION 2"
        assert dev.log.count("Playground") == 1


@pytest.mark.parametrize("seconds", [0, 0.2, 0.5])
def test_an_early_ctrl_c_prints_no_traceback(tmp_path: Path, seconds: float) -> None:
    edit(tmp_path, 1)
    with developing(tmp_path, "agent.py", ready="") as dev:
        until(psutil.Process(dev.process.pid).children)  # the command is imported
        time.sleep(seconds)
        os.killpg(dev.process.pid, signal.SIGINT)
        dev.process.wait(20)
        assert "Traceback" not in dev.log


STARTER = """
import subprocess, sys

code = "import signal; print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))"
blocked = subprocess.check_output([sys.executable, "-c", code], text=True)
"""


def test_what_the_module_starts_can_be_interrupted(tmp_path: Path) -> None:
    write(tmp_path, STARTER + HANDLER.replace('"VERSION 1"', "blocked"))
    with developing(tmp_path, "agent.py:tutor") as dev:
        assert dev.ask() == "False\n"


def test_a_target_that_is_not_there_ends_it(tmp_path: Path) -> None:
    with developing(tmp_path, "nowhere.py", ready="agent-asgi: There is no file") as dev:
        assert dev.process.wait(20) == 1


@pytest.mark.parametrize(
    ("options", "page"),
    [("", "<title>"), ("fallback=front", "my front end"), ("protocols=()", "<title>")],
)
def test_an_app_keeps_what_it_chooses(tmp_path: Path, options: str, page: str) -> None:
    write(tmp_path, APP.replace("OPTIONS", options))
    with developing(tmp_path, "agent:app") as dev:
        assert dev.ask() == "named"
        assert page in dev.get("/", "text/html")[1]
        speaks_more = options != "protocols=()"
        assert ("agent-card" in dev.get("/openapi.json")[1]) is speaks_more
        assert ("`serve` needs" in dev.log) is speaks_more


def test_a_host_of_an_app_is_served_as_it_is(tmp_path: Path) -> None:
    write(tmp_path, APP.replace("OPTIONS", "") + "app = front\n")
    with developing(tmp_path, "agent:app", ready="  App ") as dev:
        assert dev.get("/") == (200, "my front end")


def test_a_package_s_module_is_found_from_its_file(tmp_path: Path) -> None:
    folder = tmp_path / "shop" / "agents"
    folder.mkdir(parents=True)
    (tmp_path / "shop" / "__init__.py").touch()
    (folder / "__init__.py").write_text('WORD = "relative"\n')
    code = "from . import WORD\n" + HANDLER.replace('"VERSION 1"', "WORD")
    (folder / "sells.py").write_text(code)
    with developing(tmp_path, "shop/agents/sells.py:tutor") as dev:
        assert dev.ask() == "relative"


@pytest.mark.alone
def test_ctrl_c_ends_within_a_second_also_while_a_stream_is_open(tmp_path: Path) -> None:
    edit(tmp_path, 1)
    with (
        developing(tmp_path, "agent.py") as dev,
        dev.client.responses.create(input="hold", stream=True) as stream,
    ):
        next(each for each in stream if each.type == "response.output_text.delta")
        began = time.monotonic()
        os.killpg(dev.process.pid, signal.SIGINT)
        assert dev.process.wait(20) == 0
        assert time.monotonic() - began < 2
        assert "Traceback" not in dev.log


@pytest.mark.alone
def test_an_edit_is_answered_within_seconds_with_traces_on(tmp_path: Path) -> None:
    edit(tmp_path, 1)
    env = {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db"}
    took: list[float] = []
    with developing(tmp_path, "agent.py", env=env) as dev:
        for version in range(2, 7):
            edit(tmp_path, version)
            began = time.monotonic()
            until(dev.ask, f"VERSION {version}".__eq__, seconds=30)
            took.append(time.monotonic() - began)
    assert median(took) < 3
