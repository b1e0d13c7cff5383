"""Follow a log: past its end, through silence, after its response is deleted, to the end."""

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from agent_asgi import AgentApp, AgentRouter, ResponsesRequest, Timeouts
from agent_asgi.testing import AgentClient
from tests.support.apps import started
from tests.support.commands import command, running
from tests.support.servers import free_port

BODY = {"input": "x", "background": True}
APP = """
import asyncio
import json
from agent_asgi import AgentApp, AgentRouter, ResponsesRequest, Timeouts

router = AgentRouter("echo")

@router.stream
async def count(request: ResponsesRequest):
    for number in range(10 if request.input_text == "count" else 1):
        yield f"{number} "
        await asyncio.sleep(0.3)

app = AgentApp(router, timeouts=Timeouts(drain=20))
"""


def waiting(seconds: float) -> AgentRouter:
    """Make an agent that says a word, then stays silent for a while."""
    router = AgentRouter()

    @router.stream
    async def wait(request: ResponsesRequest) -> AsyncIterator[str]:
        yield "well"
        await asyncio.sleep(seconds)

    return router


@pytest.mark.parametrize("past", [0, 1, 1000])
def test_beyond_the_last_event_there_is_nothing_but_the_end(store_url: str, past: int) -> None:
    async def main() -> None:
        async with asyncio.timeout(20), started(AgentApp(waiting(0), store=store_url)) as app:
            client = AgentClient(app)
            id_ = (await client.post("/responses", BODY)).json()["id"]
            whole = (await client.get(f"/responses/{id_}?stream=true")).events()
            after = whole[-1]["sequence_number"] + past
            rest = await client.get(f"/responses/{id_}?stream=true&starting_after={after}")
            assert rest.body == b"data: [DONE]\n\n"

    asyncio.run(main())


def test_pings_in_silence(store_url: str) -> None:
    async def main() -> bytes:
        app = AgentApp(waiting(1), store=store_url, timeouts=Timeouts(ping=0.2))
        async with asyncio.timeout(20), started(app):
            client = AgentClient(app)
            id_ = (await client.post("/responses", BODY)).json()["id"]
            return (await client.get(f"/responses/{id_}?stream=true")).body

    assert asyncio.run(main()).count(b": ping\n\n") >= 2


def test_a_response_that_is_deleted_ends_its_streams(store_url: str) -> None:
    async def main() -> None:
        async with asyncio.timeout(20), started(AgentApp(waiting(60), store=store_url)) as app:
            client = AgentClient(app)
            id_ = (await client.post("/responses", BODY)).json()["id"]
            async with client.stream(f"/responses/{id_}?stream=true", None, method="GET") as tail:
                async for event in tail.each_event():
                    if event["type"] == "response.output_text.delta":
                        path = f"/responses/{id_}"
                        async with client.stream(path, None, method="DELETE") as gone:
                            async for _ in gone.bodies():
                                pass
            assert tail.body.endswith(b"data: [DONE]\n\n")

    asyncio.run(main())


def test_a_server_that_ends_lets_its_followers_go_at_once(tmp_path: Path) -> None:
    (tmp_path / "served.py").write_text(APP)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with running(command("serve", "served:app", "--port", str(port)), tmp_path, port) as process:
        id_ = httpx2.post(f"{url}/responses", json={**BODY, "input": "count"}).json()["id"]
        query: dict[str, Any] = {"stream": "true"}
        with httpx2.stream("GET", f"{url}/responses/{id_}", params=query, timeout=30) as answer:
            chunks = answer.iter_bytes()
            body = next(chunks)
            os.killpg(process.pid, signal.SIGTERM)
            body += b"".join(chunks)
        assert process.poll() is None, "it is let go before the run ends"
        assert b"[DONE]" not in body
        try:
            assert process.wait(25) == 0
        except subprocess.TimeoutExpired:
            pytest.fail("the server does not end")


def test_a_detached_run_in_mlflows_dialect(store_url: str) -> None:
    async def main() -> None:
        async with asyncio.timeout(30), started(AgentApp(waiting(0), store=store_url)) as app:
            client = AgentClient(app)
            asked = {**BODY, "databricks_options": {"return_trace": True}}
            answer = await client.post("/invocations", {**asked, "stream": True})
            assert b"event:" not in answer.body
            *events, traced = answer.events()
            assert traced == {"trace_id": events[-1]["trace_id"]}
            assert answer.body.endswith(b"data: [DONE]\n\n")
            queued = (await client.post("/invocations", BODY)).json()
            assert queued["status"] == "queued"
            assert "temperature" not in queued
            keyed = await client.post(
                "/invocations", {"input": "x"}, headers={"idempotency-key": "k"}
            )
            assert keyed.json()["status"] == "completed"
            assert "temperature" not in keyed.json()

    asyncio.run(main())


def test_the_log_has_a_line_of_json_for_each_event(store_url: str) -> None:
    router = AgentRouter()
    vendor = {"n": 1, "type": 'response."acme"', "text": "a\n\nevent: x\ndata: \x85\u2028"}

    @router.stream
    async def say(request: ResponsesRequest) -> AsyncIterator[Any]:
        yield vendor
        yield "a\n\nevent: response.completed\ndata: {}\n\n\x85\u2028"

    async def main() -> None:
        async with asyncio.timeout(30), started(AgentApp(router, store=store_url)) as app:
            client = AgentClient(app)
            live = await client.post("/responses", {**BODY, "stream": True})
            id_ = live.events()[0]["response"]["id"]
            replayed = await client.get(f"/responses/{id_}?stream=true")
            assert replayed.body == live.body
            plain = await client.post("/invocations", {**BODY, "stream": True})
            assert [each["type"] for each in plain.events()] == [
                each["type"] for each in live.events()
            ]
            log = b""
            while groups := await app.store.events(id_, log.count(b"\n") - 1):
                log += b"".join(each.data for each in groups)
            lines = log.splitlines()
            assert [json.loads(line) for line in lines] == live.events()
            assert all(line.startswith(b'{"type":"response.') for line in lines)
            names = [frame.partition(b"\n")[0] for frame in live.body.split(b"\n\n")[:-2]]
            assert names == [b"event: " + each["type"].encode() for each in live.events()]

    asyncio.run(main())
