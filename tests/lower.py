"""Tests the package with the lowest versions that pyproject.toml allows; `make lower` runs it.

Of each dependency of the package and of its extras the lowest release is installed; what these
need in turn, and the tools of the tests, are the latest.
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

ROOT = Path(__file__).parents[1]
UV = str(Path(sys.executable).parent / "uv")
EXTRAS = (
    "sqlite",
    "postgres",
    "metrics",
    "proxy",
    "openai-agents",
    "langgraph",
    "pydantic-ai",
)
TESTS = (
    "adapter_chat_completions",
    "adapter_langgraph",
    "adapter_mlflow",
    "adapter_openai_agents",
    "adapter_pydantic_ai",
    "auth",
    "background",
    "bounds",
    "chat",
    "chat_bodies",
    "chat_clients",
    "cli",
    "codec",
    "deployment",
    "errors_on_the_wire",
    "feedback",
    "handlers",
    "metrics",
    "openai_client",
    "proxy",
    "proxy_paths",
    "proxy_websocket",
    "smoke",
    "sse",
    "store",
    "timeouts",
    "tracing",
    "tracing_sink",
    "websocket",
)
"""What depends on the dependencies' versions: wire, stores, traces, adapters, proxy, command."""
SETTINGS = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "cert": "SSL_CERT_FILE",
}
"""What uv calls the settings of pip, whose files it does not read."""
SETTING = re.compile(r"^(?::env:|global|install)\.([a-z-]+)='(.*)'$", re.MULTILINE)
"""A line of `pip config list`, which puts the environment's first; they count."""


def main(folder: str) -> None:
    """Install, look at the versions, run the tests.

    Args:
        folder: Where the environment is made, anew.

    Raises:
        SystemExit: A version is not the lowest that is allowed.
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
    old = "ignore::DeprecationWarning"  # of what is newer than they are
    files = [f"tests/test_{each}.py" for each in TESTS]
    pytest = (f"{folder}/bin/python", "-m", "pytest", "--no-cov", "-n2", "--dist=worksteal")
    subprocess.run([*pytest, "-W", old, *files], cwd=ROOT, env=env, check=True)


def _settings() -> dict[str, str]:
    """Give the settings of pip on this machine as uv's variables."""
    env = {"UV_INDEX_STRATEGY": "unsafe-best-match"}  # as pip looks at several indexes
    listed = _run(None, sys.executable, "-m", "pip", "config", "list")
    for name, value in SETTING.findall(listed):
        if name in SETTINGS:
            env.setdefault(SETTINGS[name], value)
    return env


def _run(env: Mapping[str, str] | None, *command: str) -> str:
    """Run a command; give what it writes."""
    done = subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def _check(installed: Mapping[str, str]) -> None:
    """Print the versions of the dependencies; end where one is not the lowest."""
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
    """Give the dependencies that pyproject.toml names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for text in (*project["dependencies"], *chain(*(extras[each] for each in EXTRAS))):
        yield Requirement(text)


if __name__ == "__main__":
    main(str(Path(sys.argv[1]).absolute()))
