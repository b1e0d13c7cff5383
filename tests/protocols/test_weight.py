"""What a protocol that is not switched on costs: nothing is imported."""

import json
import subprocess
import sys

import pytest

from agent_asgi import protocols

FOLDERS = {
    "A2A": "a2a",
    "AGUI": "agui",
    "AgentBricks": "agentbricks",
    "MCP": "mcp",
    "UIStream": "ui_stream",
}
APP = """
import json, sys
from agent_asgi import AgentApp, AgentRouter
from agent_asgi.protocols import ChatCompletions
router = AgentRouter("agent")
router.invoke(lambda request: "x")
protocols = [ChatCompletions()]
{more}
AgentApp(router, protocols=protocols)
print(json.dumps(sorted(sys.modules)))
"""


def modules(more: str = "") -> list[str]:
    """Return the modules that are loaded once an app is made."""
    done = subprocess.run(
        [sys.executable, "-c", APP.format(more=more)], capture_output=True, check=True, timeout=60
    )
    found: list[str] = json.loads(done.stdout)
    return found


def folders(loaded: list[str]) -> set[str]:
    """Return the folders of protocols of which something is loaded."""
    inner = (name.split(".")[2] for name in loaded if name.startswith("agent_asgi.protocols."))
    return set(inner) & set(FOLDERS.values())


def test_a_plain_app_loads_no_other_protocol() -> None:
    loaded = modules()
    assert folders(loaded) == set()
    heavy = {"mcp", "pydantic", "httpcore2", "httpx2", "sqlalchemy", "mlflow"}
    assert heavy.isdisjoint(loaded)


@pytest.mark.parametrize("name", FOLDERS)
def test_each_protocol_loads_its_own_folder(name: str) -> None:
    more = f"from agent_asgi.protocols import {name}; protocols.append({name}())"
    assert folders(modules(more)) == {FOLDERS[name]}


def test_every_protocol_can_be_imported_by_name() -> None:
    assert {*FOLDERS, "ChatCompletions"} <= set(protocols.__all__)
    for name in protocols.__all__:
        assert getattr(protocols, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'Telex'"):
        _ = protocols.Telex
