"""Run every code block of README and docs/.

A comment before a Python block says how: `<!-- app -->` defines `app`, which must answer a request
(`at PATH`: mounted there; `json`: at /invocations; `fails`: with an error);
`<!-- client -->` talks to the example agent, `<!-- client of NAME -->` to that of examples/NAME.py,
in Python or in JavaScript, with the clients' packages if it imports A2A's SDK;
`<!-- script -->` runs by itself, `<!-- script on -->` after the script before it.
`<!-- before -->` is code to migrate from, whose packages are not installed: it is only compiled.
`<!-- file PATH -->` before a block of any kind means that the file in docs/ contains it verbatim.
`<!-- tutorial: ... -->` is for test_tutorial.py. Lines of `sh` blocks are run too, as far as each
command allows. `yaml` configures an app, which is started; `json` must parse; `http` was captured
(test_wire.py); `text` is a drawing.
"""

import asyncio
import importlib
import importlib.metadata
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import calculator
import psycopg
import pytest
import yaml

from agent_asgi.background.queue_schema import SCHEMA
from agent_asgi.testing import AgentClient
from tests.clients.packages import FOLDER, NODE, PYTHON
from tests.support.pages import FENCE, ROOT
from tests.support.servers import free_port

BIN = Path(sys.executable).parent
SHORT = [["chat"], ["new"], ["routes"], ["--version"]]
"""The commands of `agent-asgi` that are no servers."""
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


class Block(NamedTuple):
    """A code block and how to run it."""

    page: str
    how: str
    kind: str
    code: str


def blocks() -> Iterator[Any]:
    """Return every code block of every page."""
    for page in PAGES:
        text = page.read_text()
        assert "\n\n    " not in re.sub(FENCE, "", text), f"{page} has a block without a fence"
        before = ""
        for number, found in enumerate(FENCE.finditer(text)):
            if (found["how"] or "").startswith("tutorial: "):
                continue
            block = Block(page.name, found["how"] or "", found["kind"], found["code"])
            if block.how == "script on":
                block = block._replace(how="script", code=before + block.code)
            before = block.code
            yield pytest.param(block, id=f"{page.name}-{number}-{block.kind}")


@pytest.mark.parametrize("block", list(blocks()))
def test_block(
    block: Block, serve: Callable[[Any], str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if block.how.startswith("file "):
        assert block.code in (ROOT / "docs" / block.how.split()[1]).read_text()
    elif block.kind == "python" and block.how.startswith("app"):
        run_app(block)
    elif block.how == "before":
        compile(block.code, block.page, "exec")
    elif block.kind == "js":
        run_js(block, serve)
    elif block.kind == "python":
        assert block.how.startswith(("client", "script")), "say how to run it"
        url = serve(app_of(block)) if block.how.startswith("client") else ""
        python = str(PYTHON) if "from a2a." in block.code else sys.executable
        run_script(block.code.replace("http://127.0.0.1:8000", url), tmp_path, python)
    elif block.kind == "sh":
        postgres = request.getfixturevalue("postgres") if "postgresql://" in block.code else ""
        run_lines(block.code, serve, tmp_path, postgres)
    elif block.kind == "yaml":
        run_app_yaml(block.code, tmp_path)
    elif block.kind == "json":
        json.loads(block.code)
    else:
        assert block.kind in ("text", "http"), f"nobody runs {block.kind!r}"


def run_app(block: Block) -> None:
    """Run a block that defines `app`, and send the app a request."""
    names: dict[str, Any] = {"__name__": "block"}
    exec(compile(block.code, block.page, "exec"), names)  # code from the docs
    path = "/invocations" if "json" in block.how else "/v1/responses"
    prefix = block.how.partition(" at ")[2]
    body = {"input": [{"role": "user", "content": "hello"}]}
    ask = AgentClient(names["app"]).post(prefix + path, body)
    answer = asyncio.run(ask)
    assert (answer.status == 200) is ("fails" not in block.how), answer.body
    assert answer.json()


def run_script(code: str, folder: Path, python: str = sys.executable) -> None:
    """Run a block by itself, in a separate folder."""
    env = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}
    done = subprocess.run(
        [python, "-c", code],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


def app_of(block: Block) -> Any:
    """Return the app of docs/examples that a client talks to."""
    name = block.how.partition(" of ")[2] or "calculator"
    return importlib.import_module(name).app


def run_js(block: Block, serve: Callable[[Any], str]) -> None:
    """Run a block as a module of Node, with the clients' packages."""
    code = block.code.replace("http://127.0.0.1:8000", serve(app_of(block)))
    done = subprocess.run(
        [str(NODE), "--input-type=module", "--eval", code],
        cwd=FOLDER / "node",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def run_lines(code: str, serve: Callable[[Any], str], folder: Path, postgres: str) -> None:
    """Run the commands of a shell block."""
    port, env = free_port(), dict(os.environ)
    have_agents(folder, env)
    for line in code.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if not words or (words[0] in ("cd", "echo", "git") and "|" not in words):
            continue
        program = words[0].rpartition("/")[2]
        if "|" in words or words[1:2] in SHORT:
            run_to_its_end(line, folder, env)
        elif program == "curl":
            run_curl(words, serve(calculator.app))
        elif program == "make":
            subprocess.run(["make", "--dry-run", *words[1:]], cwd=ROOT, check=True)
        elif program in ("pip", "uv"):
            check_installed(words[words.index("install") + 1 :])
        elif program == "export":
            set_variable(words[1], port, folder, env, postgres)
        elif program in ("docker", "kubectl", "serve"):
            check_named(words[1:])
        elif words[1] == "worker":
            run_worker(words[1:], folder, env)
        else:
            run_server(program, words[1:], port, folder, env)


def run_to_its_end(line: str, folder: Path, env: dict[str, str]) -> None:
    """Run a command that ends by itself or with its input."""
    env = env | {"PATH": f"{BIN}:{env['PATH']}", "OTEL_SDK_DISABLED": "true"}
    subprocess.run(
        ["bash", "-c", line], cwd=folder, env=env, stdin=subprocess.DEVNULL, timeout=60, check=True
    )


def have_agents(folder: Path, env: dict[str, str]) -> None:
    """Create the modules that pages name: the example agent, under each of its names."""
    for name in ("tutor", "agent"):
        (folder / f"{name}.py").write_text("from calculator import app\n")
    paths = (folder, ROOT, ROOT / "docs" / "examples")
    env["PYTHONPATH"] = os.pathsep.join(map(str, paths))


def run_app_yaml(code: str, folder: Path) -> None:
    """Run the command in the `app.yaml` of a Databricks app, without exporting traces."""
    app, port = yaml.safe_load(code), free_port()
    program, *words = app["command"]
    given = {each["name"]: each.get("value", "") for each in app["env"]}
    env = {**os.environ, **given, "OTEL_SDK_DISABLED": "true"}
    have_agents(folder, env)
    assert words[words.index("--port") + 1] == "$DATABRICKS_APP_PORT"
    run_server(program, words, port, folder, env)


def check_named(words: list[str]) -> None:
    """Check that the files, modules or image named by a command for another machine exist."""
    known = [*(ROOT / "docs" / "deploy").iterdir(), *(ROOT / "docs" / "examples").iterdir()]
    files = [word for word in words if "=" not in word]  # no variables
    named = [word for word in files if "/" in word or word.endswith((":served", ".yaml"))]
    for word in named:
        name = Path(word).name.partition(":")
        file = f"{name[0]}.py" if name[1] else name[0]
        assert file in {each.name for each in known}, word


def run_curl(words: list[str], url: str) -> None:
    """Run curl against the example agent."""
    words = [each.replace("http://127.0.0.1:8000", url) for each in words]
    done = subprocess.run(
        [*words, "-sS", "--fail"], capture_output=True, text=True, timeout=60, check=True
    )
    assert "The answer is" in done.stdout or "[DONE]" in done.stdout


def check_installed(words: list[str]) -> None:
    """Check that the packages `pip install` names are the ones the tests run with."""
    slim = ROOT / ".venv" / "slim"
    for word in words:
        name = re.split(r"[\[>=]", word)[0]
        if name in (".", "./agent_asgi", "agent-asgi") or name.startswith("-") or ".txt" in name:
            continue
        folder = name.replace("-", "_")
        if not list(slim.glob(f"lib/python*/site-packages/{folder}-*.dist-info")):
            importlib.metadata.version(name)


def set_variable(pair: str, port: int, folder: Path, env: dict[str, str], postgres: str) -> None:
    """Set a variable for the rest of the block, with the test's files and ports."""
    import mlflow.environment_variables as known

    name, _, value = pair.partition("=")
    ours = name.startswith(("OTEL_EXPORTER_OTLP_TRACES_", "AGENT_ASGI_"))
    assert ours or hasattr(known, name)
    value = postgres if value.startswith("postgresql://") else value
    env[name] = value.replace("sqlite:///", f"sqlite:///{folder}/").replace(":5000", f":{port}")


def run_server(
    program: str, words: list[str], port: int, folder: Path, env: dict[str, str]
) -> None:
    """Start a server, wait until it is ready, and stop it.

    A server that is ready has set MLflow's database up: stopped earlier, it may leave half of one.
    """
    argv = [str(BIN / program), *(each.replace(":///", f":///{folder}/") for each in words)]
    if "--port" in argv:
        argv[argv.index("--port") + 1] = str(port)
        argv = [each.replace("0.0.0.0", "127.0.0.1") for each in argv]
    else:
        argv += ["--port", str(port)]
    if program == "mlflow":  # otherwise it starts four processes
        argv += ["--workers", "1"]
    probe = "health" if program == "mlflow" else "ready"
    with running(argv, folder, env) as process:
        until = time.monotonic() + 90
        while True:
            try:
                with urllib.request.urlopen(
                    f"http://127.0.0.1:{port}/{probe}", timeout=5
                ) as answer:
                    assert answer.status == 200
                return
            except OSError:
                assert process.poll() is None, f"{program} has ended"
                assert time.monotonic() < until, f"{program} does not answer"
                time.sleep(0.2)


def run_worker(words: list[str], folder: Path, env: dict[str, str]) -> None:
    """Start a worker, wait until the database shows it, and stop it."""
    with (
        psycopg.connect(env["AGENT_ASGI_STORE"], autocommit=True) as db,
        running([str(BIN / "agent-asgi"), *words], folder, env) as process,
    ):
        db.execute(f"SET search_path TO {SCHEMA}".encode())
        db.execute("DELETE FROM procrastinate_workers")  # left by the server
        until = time.monotonic() + 90
        while not db.execute("SELECT 1 FROM procrastinate_workers").fetchone():
            assert process.poll() is None, "the worker has ended"
            assert time.monotonic() < until, "the worker does not work"
            time.sleep(0.2)


@contextmanager
def running(
    argv: list[str], folder: Path, env: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process and its children until the block ends."""
    process = subprocess.Popen(argv, cwd=folder, env=env, start_new_session=True)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(5)
