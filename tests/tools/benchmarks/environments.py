"""The Python environments of the peers: installed by pip on first use, in .venv/bench-*."""

import functools
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
OTLP = "opentelemetry-exporter-otlp-proto-http"
SERVER = ("uvicorn", "uvloop", "httptools", "starlette")
"""Packages that all servers have in the same version."""


class CannotInstall(Exception):
    """pip could not install an environment; the message is the last line of its output."""


@functools.cache
def interpreter(name: str) -> Path:
    """Return the Python of an environment, which is created if it is missing or out of date.

    Args:
        name: "ours", "mlflow" or "agentcore".

    Raises:
        CannotInstall: pip failed.
    """
    wanted = requirements(name)
    folder = ROOT / ".venv" / f"bench-{name}"
    python = folder / "bin" / "python"
    marker = folder / "installed"
    stamp = "\n".join([*wanted, *(_dependencies() if name == "ours" else ())])
    if not marker.is_file() or marker.read_text() != stamp:
        _say(f"installing {folder.name} ...")
        _run([sys.executable, "-m", "venv", str(folder)])
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _run([*pip, *wanted])
        marker.write_text(stamp)
    return python


def requirements(name: str) -> list[str]:
    """Return what to install, with servers and MLflow in the same versions as here."""
    server = [f"{each}=={version(each)}" for each in SERVER]
    mlflow = f"mlflow=={version('mlflow')}"
    if name == "ours":
        return [*server, mlflow, OTLP, "--editable", f"{ROOT}[postgres]"]
    if name == "mlflow":
        return [*server, mlflow, OTLP, f"fastapi=={version('fastapi')}", "httpx"]
    return [*server, "bedrock-agentcore"]


def installed(name: str, package: str) -> str:
    """Return a package's version in an environment."""
    code = f"from importlib.metadata import version; print(version({package!r}))"
    return _run([str(interpreter(name)), "-c", code]).strip()


def _dependencies() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [*project["dependencies"], *project["optional-dependencies"]["postgres"]]


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200)
    if done.returncode:
        raise CannotInstall((done.stderr.strip() or done.stdout.strip()).splitlines()[-1])
    return done.stdout


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
