"""Projects that `agent-asgi new` creates: they run, and their tests pass without a key."""

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from agent_asgi.server.new.command import FRAMEWORKS
from tests.support.calling import until
from tests.support.commands import command
from tests.support.pages import ROOT
from tests.support.servers import free_port

BIN = Path(sys.executable).parent
FILES = {".env.example", ".gitignore", "README.md", "agent.py", "pyproject.toml", "tests"}
DOCKER = {".dockerignore", "Dockerfile"}
ENV = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")}


def run(folder: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, without a key and off the network."""
    env = ENV | {"PYTHONPATH": str(ROOT), "no_proxy": "*"}
    return subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, timeout=120)


def created(folder: Path, *arguments: str) -> Path:
    """Create the project `tutor` and return its folder."""
    done = run(folder, *command("new", "tutor", *arguments))
    assert done.returncode == 0, done.stderr
    assert "cd tutor" in done.stdout
    return folder / "tutor"


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_its_tests_pass(tmp_path: Path, framework: str) -> None:
    project = created(tmp_path, "--framework", framework)
    assert {path.name for path in project.iterdir()} == FILES
    done = run(project, sys.executable, "-m", "pytest", "-q", "-W", "ignore")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout
    texts = [path.read_text() for path in project.rglob("*") if path.suffix in (".py", ".toml")]
    assert not [text for text in texts if "my-agent" in text]
    assert any('"tutor"' in text for text in texts)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_dev_serves_it(tmp_path: Path, framework: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key, its log and its first answer say what is missing."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    project, port = created(tmp_path, "--framework", framework), free_port()
    url = f"http://127.0.0.1:{port}"
    argv = command("dev", "agent.py", "--port", str(port))
    with started(argv, project) as process:
        until(lambda: answers(url), seconds=60)
        assert "playground" in httpx2.get(url, headers={"accept": "text/html"}).text
        answer = httpx2.post(f"{url}/v1/responses", json={"input": "Hi"}, timeout=60).json()
        process.terminate()
        log = process.communicate(timeout=30)[1]
    missing = "OPENAI_API_KEY"
    assert ("Ask me" in str(answer["output"])) if framework == "plain" else missing in str(answer)
    assert (f"{missing} is not set. Copy .env.example" in log) is (framework != "plain")


@contextmanager
def started(argv: list[str], folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a server until the block ends."""
    env = os.environ | {"OTEL_SDK_DISABLED": "true"}
    process = subprocess.Popen(argv, cwd=folder, env=env, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=30)


def answers(url: str) -> bool:
    """Return whether a server listens."""
    try:
        return httpx2.get(f"{url}/health").status_code == 200
    except httpx2.TransportError:
        return False


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_it_is_clean(tmp_path: Path, framework: str) -> None:
    project = created(tmp_path, "--framework", framework)
    for argv in (("ruff", "check", "."), ("ruff", "format", "--check", ".")):
        done = run(project, str(BIN / argv[0]), *argv[1:])
        assert done.returncode == 0, done.stdout + done.stderr


def test_its_requirements_are_those_of_this_package(tmp_path: Path) -> None:
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for framework in FRAMEWORKS:
        (tmp_path / framework).mkdir()
        project = created(tmp_path / framework, "--framework", framework)
        made = tomllib.loads((project / "pyproject.toml").read_text())["project"]
        assert made["name"] == "tutor"
        assert made["requires-python"] == known["requires-python"]
        extra = f"agent-asgi[{framework}]"
        expected = extra if framework in known["optional-dependencies"] else "agent-asgi"
        assert made["dependencies"][0] == expected


def test_docker(tmp_path: Path) -> None:
    project = created(tmp_path, "--docker")
    assert {path.name for path in project.iterdir()} == FILES | DOCKER
    done = run(project, str(BIN / "hadolint"), "Dockerfile")
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_overwrites_nothing(tmp_path: Path) -> None:
    project = created(tmp_path)
    (project / "agent.py").write_text("mine")
    done = run(tmp_path, *command("new", "tutor"))
    assert (done.returncode, done.stderr) == (
        1,
        "agent-asgi: Cannot create 'tutor': File exists.\n",
    )
    assert (project / "agent.py").read_text() == "mine"


@pytest.mark.parametrize("name", ["../up", "a b", "-x", "a--b", "", "é"])
def test_names_that_no_project_can_have(tmp_path: Path, name: str) -> None:
    done = run(tmp_path, *command("new", "--", name))
    assert done.returncode == 1
    assert "must be letters, digits" in done.stderr
    assert not list(tmp_path.iterdir())
