"""A run that one protocol began, followed by others on another server, while the first one dies."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.protocols.every.readers import Seen, data_of, read_a2a, read_responses, read_ui
from tests.support.asking import fetch
from tests.support.commands import command, running
from tests.support.servers import free_port

CHAT = "chat-0123456789abcdef"
STEPS = 30
WHOLE = "".join(f"{number} " for number in range(STEPS))
APP = """
import asyncio
from agent_asgi import AgentApp, AgentRouter, Context, ResponsesRequest, Timeouts
from agent_asgi.protocols import A2A, UIStream

router = AgentRouter("counter")

@router.stream
async def count(request: ResponsesRequest, context: Context):
    if request.input_text == "x":
        yield "ready"
        return
    done = [e for e in context.previous_events if e["type"] == "response.output_text.delta"]
    for number in range(len(done), {steps}):
        yield f"{{number}} "
        await asyncio.sleep(0.1)

timeouts = Timeouts(heartbeat=0.2, stalled=1, rescue=0.5, poll=0.2)
app = AgentApp(
    router,
    store={store!r},
    protocols=[UIStream(resume=True), A2A()],
    timeouts=timeouts,
    single_user=True,
)
"""


def follow(into: dict[str, bytes], name: str, ask: Callable[[], Any]) -> threading.Thread:
    """Follow a run in a thread, into a dict."""

    def run() -> None:
        into[name] = ask().body

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def subscribe(id: str) -> dict[str, Any]:
    """Return the body with which a client of A2A follows a task."""
    call = {"jsonrpc": "2.0", "id": 1, "method": "SubscribeToTask"}
    return {**call, "params": {"id": id}}


def test_others_follow_a_run_whose_server_dies(tmp_path: Path, postgres: str) -> None:
    (tmp_path / "served.py").write_text(APP.format(steps=STEPS, store=postgres))
    ports = free_port(), free_port()
    first, second = (command("serve", "served:app", "--port", str(port)) for port in ports)
    one, two = (f"http://127.0.0.1:{port}" for port in ports)
    with running(first, tmp_path, ports[0]) as dying, running(second, tmp_path, ports[1]):
        body = {"input": "count", "background": True, "conversation": CHAT}
        id_ = json.loads(fetch(one, "POST", "/responses", body=body).body)["id"]
        until = time.monotonic() + 20
        while json.loads(fetch(two, "GET", f"/responses/{id_}").body)["status"] == "queued":
            assert time.monotonic() < until
            time.sleep(0.05)
        seen: dict[str, bytes] = {}
        followers = [
            follow(seen, "AI SDK", lambda: fetch(two, "GET", f"/api/chat/{CHAT}/stream")),
            follow(
                seen,
                "A2A",
                lambda: fetch(
                    two, "POST", "/a2a", body=subscribe(id_), headers={"a2a-version": "1.0"}
                ),
            ),
            follow(seen, "Responses", lambda: fetch(two, "GET", f"/responses/{id_}?stream=true")),
        ]
        time.sleep(1)
        os.killpg(dying.pid, signal.SIGKILL)
        dying.wait(10)
        for each in followers:
            each.join(60)
        assert seen.keys() == {"AI SDK", "A2A", "Responses"}
        done = Seen(WHOLE)
        assert read_responses(data_of(seen["Responses"])) == done
        assert read_ui(data_of(seen["AI SDK"])) == done
        assert read_a2a(data_of(seen["A2A"])) == done
        assert fetch(two, "GET", f"/api/chat/{CHAT}/stream").status == 204


@pytest.mark.parametrize("path", ["/api/chat/{id}/stop"])
def test_another_protocol_stops_it(tmp_path: Path, path: str) -> None:
    source = APP.format(steps=STEPS, store="memory://")
    (tmp_path / "served.py").write_text(source)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with running(command("serve", "served:app", "--port", str(port)), tmp_path, port):
        body = {"input": "count", "background": True, "conversation": CHAT}
        id_ = json.loads(fetch(url, "POST", "/responses", body=body).body)["id"]
        assert fetch(url, "POST", path.format(id=CHAT)).status == 204
        until = time.monotonic() + 20
        while json.loads(fetch(url, "GET", f"/responses/{id_}").body)["status"] != "cancelled":
            assert time.monotonic() < until
            time.sleep(0.05)
