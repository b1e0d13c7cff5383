"""Tasks of handlers that raise what ends an event loop."""

import asyncio
import gc
from pathlib import Path

import httpx2 as httpx
import pytest

from agent_asgi.context import Context, current
from agent_asgi.server.tasks import TaskExit, contain
from tests.support.commands import ask_text, command, running
from tests.support.servers import free_port

APP = """
import asyncio
import sys
from agent_asgi import AgentApp, AgentRouter, ResponsesRequest, Timeouts

router = AgentRouter("tools")

async def tool():
    await asyncio.sleep(0)
    sys.exit(3)

async def group():
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(tool())

async def gather():
    await asyncio.gather(tool(), asyncio.sleep(1))

async def alone():
    await asyncio.create_task(tool())

async def forgotten():
    asyncio.create_task(tool())
    await asyncio.sleep(0.05)

async def threaded():
    await asyncio.create_task(asyncio.to_thread(sys.exit, 3))

@router.stream
async def tools(request: ResponsesRequest):
    yield "alive"
    if request.input_text != "x":
        await globals()[request.input_text]()
    yield "."

timeouts = Timeouts(heartbeat=0.2, stalled=1, rescue=0.3, poll=0.2)
app = AgentApp(router, store="sqlite:///r.db", timeouts=timeouts)
"""
WAYS = ("group", "gather", "alone", "forgotten", "threaded")


def test_the_server_lives(tmp_path: Path) -> None:
    (tmp_path / "served.py").write_text(APP)
    port = free_port()
    url = f"http://127.0.0.1:{port}/responses"
    with running(command("serve", "served:app", "--port", str(port)), tmp_path, port) as server:
        for way in WAYS:
            fails = way != "forgotten"  # nobody waits for it
            answer = httpx.post(url, json={"input": way}, timeout=20)
            assert answer.status_code == (500 if fails else 200), way
            assert "exit" not in answer.text
            stream = httpx.post(url, json={"input": way, "stream": True}, timeout=20).text
            assert ("response.failed" in stream) is fails
            begun = httpx.post(url, json={"input": way, "background": True}, timeout=20).json()
            log = httpx.get(f"{url}/{begun['id']}?stream=true", timeout=20).text
            assert ("response.failed" in log) is fails
            stored = httpx.get(f"{url}/{begun['id']}", timeout=20).json()
            assert stored["status"] == ("failed" if fails else "completed")
        assert ask_text(port) == "alive."
        assert server.poll() is None


async def leave(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_only_tasks_of_runs_are_contained(error: BaseException) -> None:
    async def main() -> None:
        contain(asyncio.get_running_loop())
        token = current.set(Context("resp_1", "tutor"))
        with pytest.raises(TaskExit, match="A task of the handler raised"):
            await asyncio.create_task(leave(error))
        current.reset(token)
        await asyncio.create_task(leave(error))

    with pytest.raises(type(error)):
        asyncio.run(main())


def test_a_task_that_never_began_leaves_nothing() -> None:
    async def main() -> None:
        contain(asyncio.get_running_loop())
        token = current.set(Context("resp_1", "tutor"))
        task = asyncio.create_task(leave(SystemExit(3)))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        current.reset(token)

    asyncio.run(main())
    gc.collect()  # a warning of a coroutine that was never awaited would be an error


def test_a_factory_of_the_users_stays() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        made: list[str] = []

        def factory(loop: asyncio.AbstractEventLoop, body: object, **options: object) -> object:
            made.append("one")
            return asyncio.Task(body, loop=loop, **options)  # type: ignore[arg-type]  # as a user's

        loop.set_task_factory(factory)  # type: ignore[arg-type]  # as a user's
        contain(loop)
        await asyncio.create_task(asyncio.sleep(0))
        assert made == ["one"]

    asyncio.run(main())
