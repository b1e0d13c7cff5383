"""Runs that end their processes: tried again, later each time, so that the server stays up."""

import asyncio
import contextlib
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from agent_asgi.store import Store, queries
from tests.store.test_store import group, make, run
from tests.support.commands import ask_text, command, running
from tests.support.servers import free_port

LEASE = 0.05
LIGHT = {"OTEL_SDK_DISABLED": "true"}


async def died(store: Store, holder: str) -> Any:
    """Claim a run in a process that dies at once; return what it claimed."""
    record = await store.claim("r", holder, LEASE)
    await asyncio.sleep(2 * LEASE)
    return record


def test_a_run_waits_longer_after_each_death(
    durable_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "WAITS", (0.5, 1.5))

    async def waited(store: Store, holder: str) -> float:
        begun = time.monotonic()
        async with asyncio.timeout(20):
            while await died(store, holder) is None:
                pass
        return time.monotonic() - begun

    async def main(store: Store) -> None:
        await store.accept(make("r", status="queued"), group(1), "p0", LEASE)
        assert (await died(store, "p0")).attempt == 1
        assert (await died(store, "p1")).attempt == 2  # the first death
        assert await store.claim("r", "p2", LEASE) is None  # the second
        assert not await store.abandoned(["tutor"])
        assert await waited(store, "p3") >= 0.3
        assert await waited(store, "p4") >= 1.3
        assert await waited(store, "p5") >= 1.3  # the longest, from now on

    run(durable_url, main)


def test_giving_back_is_no_death(durable_url: str) -> None:
    async def main(store: Store) -> None:
        await store.accept(make("r", status="queued"), group(1), "p0", LEASE)
        for number in range(5):
            record = await store.claim("r", f"p{number}", 60)
            assert record is not None
            assert record.attempt == number + 1
            await store.release(f"p{number}")

    run(durable_url, main)


def test_a_run_that_waits_can_be_cancelled(durable_url: str) -> None:
    async def main(store: Store) -> None:
        await store.accept(make("r", status="queued"), group(1), "p0", LEASE)
        for number in range(2):
            assert await died(store, f"p{number}")
        assert await store.claim("r", "p2", LEASE) is None
        await store.want_cancel("r", "ann")
        assert [record.id for record in await store.abandoned(["tutor"])] == ["r"]
        record = await store.claim("r", "p3", LEASE)
        assert record is not None
        assert record.cancel_wanted

    run(durable_url, main)


APP = """
import os
from agent_asgi import AgentApp, AgentRouter, ResponsesRequest, Timeouts

router = AgentRouter("poison")

@router.invoke
async def reply(request: ResponsesRequest) -> str:
    if request.input_text == "die":
        with open("deaths", "a") as file:
            file.write("x")
        os._exit(7)
    return "alive"

timeouts = Timeouts(heartbeat=0.2, stalled=1, poll=0.2)
app = AgentApp(router, store="sqlite:///r.db", timeouts=timeouts, single_user=True)
"""


def test_a_server_stays_up_beside_a_run_that_ends_it(tmp_path: Path) -> None:
    (tmp_path / "served.py").write_text(APP)
    port = free_port()
    argv = command("serve", "served:app", "--port", str(port))
    with running(argv, tmp_path, port) as first:
        with contextlib.suppress(httpx.HTTPError):
            body = {"input": "die", "background": True}
            httpx.post(f"http://127.0.0.1:{port}/responses", json=body)
        assert first.wait(20) == 7
    second = subprocess.run(argv, cwd=tmp_path, env=os.environ | LIGHT, timeout=60)
    assert second.returncode == 7
    with running(argv, tmp_path, port) as third:
        for _ in range(20):
            assert ask_text(port) == "alive"
            time.sleep(0.1)
        assert (tmp_path / "deaths").read_text() == "xx"
        assert third.wait(30) == 7  # it was tried again
