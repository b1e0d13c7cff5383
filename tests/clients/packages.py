"""The packages of the clients: the pinned ones, and those that are installed."""

import json
import re
import subprocess
from pathlib import Path

from tests.support.pages import ROOT

Packages = dict[str, dict[str, str]]
"""By language, "name version" of each package by the name that a client's program imports."""
FOLDER = Path(__file__).parent
PYTHON = ROOT / ".venv" / "clients" / "bin" / "python"
NODE = ROOT / ".venv" / "bin" / "node"
PIN = re.compile(r"^([\w.-]+)(?:\[\w+\])?==(\S+)$", re.MULTILINE)


def pinned() -> Packages:
    """Return the packages as they are pinned."""
    python = PIN.findall((FOLDER / "python" / "requirements.txt").read_text())
    node = json.loads((FOLDER / "node" / "package.json").read_text())["dependencies"]
    return {
        "python": {name: f"{name} {version}" for name, version in python},
        "node": {name: _aliased(name, version) for name, version in node.items()},
    }


def _aliased(name: str, version: str) -> str:
    """Return the package that a dependency like `"ai7": "npm:ai@7.0.173"` names."""
    if version.startswith("npm:"):
        name, version = version.removeprefix("npm:").rsplit("@", 1)
    return f"{name} {version}"


def installed() -> Packages:
    """Return the packages as they are installed."""
    command = [str(PYTHON), "-m", "pip", "list", "--format", "json", "--disable-pip-version-check"]
    listed = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    python = {package["name"]: package["version"] for package in listed}
    return {
        "python": {name: f"{name} {python.get(name)}" for name in pinned()["python"]},
        "node": {name: _npm(name) for name in pinned()["node"]},
    }


def _npm(name: str) -> str:
    package = json.loads((FOLDER / "node" / "node_modules" / name / "package.json").read_text())
    return f"{package['name']} {package['version']}"
