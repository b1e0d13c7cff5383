"""Tests the package with the lowest versions that pyproject.toml allows; `make lower` runs it.

It installs the lowest allowed release of each direct dependency, including those of the extras.
Transitive dependencies and the test tools are the latest releases.
"""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
UV = str(Path(sys.executable).parent / "uv")
EXTRAS = (
    "sqlite",
    "postgres",
    "jwt",
    "metrics",
    "docs",
    "proxy",
    "webhooks",
    "openai-agents",
    "langgraph",
    "pydantic-ai",
)
TESTS = (
    "adapters/test_chat_completions.py",
    "adapters/test_langgraph.py",
    "adapters/test_mlflow.py",
    "adapters/test_openai_agents.py",
    "adapters/test_pydantic_ai.py",
    "agents/test_handler.py",
    "app/test_smoke.py",
    "background/test_background.py",
    "background/test_webhooks.py",
    "docs/test_deployment.py",
    "endpoints/test_feedback.py",
    "http/test_auth.py",
    "http/test_body.py",
    "http/test_sse.py",
    "observability/test_metrics.py",
    "protocols/chat_completions/test_clients.py",
    "protocols/chat_completions/test_encoder.py",
    "protocols/chat_completions/test_request.py",
    "protocols/responses/test_errors.py",
    "protocols/responses/test_openai_client.py",
    "protocols/responses/test_websocket.py",
    "proxy/test_paths.py",
    "proxy/test_reverse.py",
    "proxy/test_websocket.py",
    "runs/test_admission.py",
    "runs/test_deadline.py",
    "runs/test_output_bounds.py",
    "schema/test_codec.py",
    "server/test_cli.py",
    "store/test_store.py",
    "tracing/test_mlflow_exporter.py",
    "tracing/test_span.py",
)
"""Tests of what depends on versions: wire, stores, traces, adapters, proxy, command line."""
SETTINGS = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "cert": "SSL_CERT_FILE",
}
"""uv's variables for the settings of pip, since uv does not read pip's files."""
SETTING = re.compile(r"^(?::env:|global|install)\.([a-z-]+)='(.*)'$", re.MULTILINE)
"""A line of `pip config list`, which lists the environment first; the first value wins."""


def main(folder: str) -> None:
    """Install the dependencies, check their versions, and run the tests.

    Args:
        folder: Where to create the environment; cleared first.

    Raises:
        SystemExit: An installed version is not the lowest allowed one.
        subprocess.CalledProcessError: The installation or a test failed.
    """
    env = _settings() | os.environ | {"VIRTUAL_ENV": folder, "PYTHONPATH": str(ROOT)}
    _run(env, sys.executable, "-m", "venv", "--clear", "--without-pip", folder)
    install = (UV, "pip", "install", "--quiet")
    _run(env, *install, "--resolution=lowest-direct", "--editable", f".[{','.join(EXTRAS)}]")
    pins = _run(env, UV, "pip", "freeze", "--exclude-editable")
    _check(dict(line.split("==") for line in pins.splitlines()))
    file = Path(folder, "pins.txt")
    file.write_text(pins)
    _run(env, *install, "--constraint", str(file), "--editable", ".[test]")
    old = "ignore::DeprecationWarning"  # from dependencies that are newer
    files = [f"tests/{each}" for each in TESTS]
    pytest = (f"{folder}/bin/python", "-m", "pytest", "-n2", "--dist=worksteal")
    subprocess.run([*pytest, "-W", old, *files], cwd=ROOT, env=env, check=True)


def _settings() -> dict[str, str]:
    """Return the settings of pip on this machine as uv's variables."""
    env = {"UV_INDEX_STRATEGY": "unsafe-best-match"}  # as pip treats several indexes
    listed = _run(None, sys.executable, "-m", "pip", "config", "list")
    for name, value in SETTING.findall(listed):
        if name in SETTINGS:
            env.setdefault(SETTINGS[name], value)
    return env


def _run(env: Mapping[str, str] | None, *command: str) -> str:
    """Run a command; return its output."""
    done = subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def _check(installed: Mapping[str, str]) -> None:
    """Print the versions of the dependencies; exit if one is not the lowest."""
    wrong = []
    for bound in _bounds():
        name = canonicalize_name(bound.name)
        print(f"{bound}: {installed[name]}")  # noqa: T201
        (lowest,) = bound.specifier
        if Version(installed[name]) != Version(lowest.version):
            wrong.append(f"{bound} installs {installed[name]}: name that version.")
    if wrong:
        sys.exit("\n".join(wrong))


def _bounds() -> Iterator[Requirement]:
    """Yield the dependencies in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for text in (*project["dependencies"], *chain(*(extras[each] for each in EXTRAS))):
        yield Requirement(text)


if __name__ == "__main__":
    main(str(Path(sys.argv[1]).absolute()))
