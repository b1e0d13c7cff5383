"""MCP: the conformance runner of the protocol's authors, on an app with the tools that it names."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agent_asgi import AgentApp, AgentError, AgentRouter
from agent_asgi.protocols import MCP
from tests.clients.node_driver import seen
from tests.clients.packages import FOLDER, NODE
from tests.protocols.mcp.test_client import FAILED, PIXEL
from tests.protocols.mcp.test_client import app as app_of_tools
from tests.support.calling import Serve

RUNNER = (
    FOLDER / "node" / "node_modules" / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
)
IMAGE = {"type": "output_image", "image_url": f"data:image/png;base64,{PIXEL}"}
FILE = {"type": "output_file", "filename": "a.txt", "file_data": "some text"}
RESULTS: dict[str, Any] = {
    "test_simple_text": "This is a simple text response for testing.",
    "test_image_content": IMAGE,
    "test_audio_content": {"type": "output_audio", "data": "UklGRg==", "format": "wav"},
    "test_embedded_resource": FILE,
    "test_multiple_content_types": [{"type": "output_text", "text": "Several:"}, IMAGE, FILE],
}
SCENARIOS = (
    "server-initialize",
    "ping",
    "tools-list",
    "tools-call-simple-text",
    "tools-call-image",
    "tools-call-audio",
    "tools-call-embedded-resource",
    "tools-call-mixed-content",
    "tools-call-error",
    "tools-call-with-progress",
)


def tool(name: str, result: Any) -> AgentRouter:
    """Return an agent with a fixed result."""
    router = AgentRouter(name, protocol="json", description="A tool of the runner.")

    @router.invoke
    async def call(body: dict[str, Any]) -> Any:
        return result

    return router


def failing() -> AgentRouter:
    router = AgentRouter("test_error_handling", protocol="json", description="Fails.")

    @router.invoke
    async def fail(body: dict[str, Any]) -> Any:
        raise AgentError("This tool intentionally returns an error for testing")

    return router


def slow() -> AgentRouter:
    router = AgentRouter("test_tool_with_progress", protocol="json", description="Takes time.")

    @router.stream
    async def count(body: dict[str, Any]) -> AsyncIterator[str]:
        for step in ("begun", "half", "done"):
            yield step
            await asyncio.sleep(0.05)

    return router


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_runner_finds_no_failure(serve: Serve, scenario: str) -> None:
    tools = [*(tool(name, result) for name, result in RESULTS.items()), failing(), slow()]
    url = serve(AgentApp(*tools, protocols=[MCP()]))
    command = [str(NODE), str(RUNNER), "server", "--url", f"{url}/mcp", "--scenario", scenario]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "SUCCESS" in done.stdout + done.stderr or "1/1" in done.stdout + done.stderr


def test_the_javascript_client(serve: Serve) -> None:
    wanted = {
        "list": ["speaker", "worker", "adder", "counter", "painter", "breaker", "eraser"],
        "text": {
            "content": [{"type": "text", "text": "You said: hello (0 before)"}],
            "text": "You said: hello (0 before)",
        },
        "progress": {
            "content": [{"type": "text", "text": "Three."}],
            "steps": [[1, "Thinking"], [2, "Calling look"], [3, "Writing"]],
        },
        "structured": {"total": 3},
        "failed": {"content": [{"type": "text", "text": FAILED}], "isError": True},
        "unknown": {"code": -32602},
    }
    assert seen("mcp:client", serve(app_of_tools()), *wanted) == wanted
