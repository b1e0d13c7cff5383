"""What blocks the event loop is reported by name; what merely waits is not."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

import agent_asgi
from agent_asgi import AgentApp, AgentRouter, ResponsesRequest
from agent_asgi.testing import AgentClient
from tests.support.apps import started
from tests.support.calling import Serve, connect

pytestmark = pytest.mark.alone

Loop = Callable[[], asyncio.AbstractEventLoop]
LOOPS = pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
FIRST = r"Handler '(\w+)' of agent '(\w+)' has blocked the event loop for \d\.\d s, at (.+):(\d+)\."
LAST = r"Handler '(\w+)' of agent '(\w+)' blocked the event loop for (\d\.\d) s\."


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        each.getMessage() for each in caplog.records if "blocked the event loop" in each.message
    ]


def test_a_warning_names_the_handler_and_the_line(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    router = AgentRouter("blocking")

    @router.stream
    async def rests(request: ResponsesRequest) -> AsyncIterator[str]:
        yield "before"
        time.sleep(3)  # noqa: ASYNC251  the mistake under test
        yield "after"

    with connect(serve(AgentApp(router))) as client:
        name = {"x-request-id": "req_blocking"}
        client.responses.create(input="x", extra_headers=name)
        time.sleep(0.6)
    first, last = warnings(caplog)
    begun = re.match(FIRST, first)
    assert begun is not None, first
    handler, agent, file, line = begun.groups()
    assert (handler, agent, file) == ("rests", "blocking", __file__)
    code = router.stream_handler
    assert code is not None
    assert int(line) == code.__code__.co_firstlineno + 3
    over = re.fullmatch(LAST, last)
    assert over is not None, last
    assert float(over[3]) > 2.7
    told = [each for each in caplog.records if "blocked the event loop" in each.message]
    assert [(vars(each).get("request_id"), each.levelname) for each in told] == [
        ("req_blocking", "WARNING"),
        ("req_blocking", "WARNING"),
    ]


def test_what_never_lets_threads_go_on_is_seen_too(caplog: pytest.LogCaptureFixture) -> None:
    router = AgentRouter("hungry")
    begun = time.thread_time()
    sum(range(10_000_000))
    many = int(3.0 / (time.thread_time() - begun) * 10_000_000)

    @router.invoke
    async def holds(request: ResponsesRequest) -> str:
        return str(sum(range(many)))  # one call that holds the interpreter's lock

    async def main() -> None:
        async with started(AgentApp(router)) as app:
            for _ in range(5):  # on a busy machine the loop may go on before the watchdog looks
                await AgentClient(app).post("/responses", {"input": "x"})
                await asyncio.sleep(0.6)
                if warnings(caplog):
                    return

    asyncio.run(main())
    told = warnings(caplog)
    assert len(told) == 2
    assert all(each.startswith("Handler 'holds' of agent 'hungry'") for each in told)


@LOOPS
def test_a_loop_that_waits_is_no_loop_that_is_held(
    loop: Loop, caplog: pytest.LogCaptureFixture
) -> None:
    router = AgentRouter("patient")

    @router.invoke
    def waits(request: ResponsesRequest) -> str:
        time.sleep(1.5)  # in a worker thread
        return "done"

    async def main() -> None:
        async with started(AgentApp(router)) as app:
            await AgentClient(app).post("/responses", {"input": "x"})
            assert _watchdogs()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main())
    assert not warnings(caplog)
    assert not _watchdogs()


def _watchdogs() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "agent-asgi-watchdog"]


def test_what_is_no_run_is_named_by_its_function(caplog: pytest.LogCaptureFixture) -> None:
    async def careless() -> None:
        time.sleep(1.6)  # noqa: ASYNC251

    async def main() -> None:
        router = AgentRouter("innocent")
        router.invoke(lambda: "x")
        async with started(AgentApp(router)):
            await asyncio.sleep(0.6)
            await careless()
            await asyncio.sleep(0.6)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
    first, _ = warnings(caplog)
    assert first.startswith("'careless' has blocked the event loop for")
    assert f"at {__file__}:" in first


STOPPED = """
import asyncio, logging, sys
from agent_asgi.runs.watchdog import Watchdog

logging.basicConfig()

async def main():
    with Watchdog():
        print("up", flush=True)
        await asyncio.sleep(4)

asyncio.run(main())
"""


def test_a_machine_that_slept_is_no_loop_that_is_held() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", STOPPED], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        time.sleep(0.5)
        for _ in range(2):
            os.kill(process.pid, signal.SIGSTOP)
            time.sleep(1.3)
            os.kill(process.pid, signal.SIGCONT)
            time.sleep(0.3)
        _, told = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait(5)
    assert told == ""


def test_the_place_is_the_handlers_own_line_not_an_adapters(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    adapter = Path(agent_asgi.__file__).parent / "adapters" / "slow.py"
    names: dict[str, Any] = {}
    exec(compile("import time\ndef hold(): time.sleep(2)", str(adapter), "exec"), names)
    router = AgentRouter("adapted")

    @router.invoke
    async def holds(request: ResponsesRequest) -> str:
        names["hold"]()
        return "x"

    with connect(serve(AgentApp(router))) as client:
        client.responses.create(input="x")
    first = re.match(FIRST, warnings(caplog)[0])
    assert first is not None
    assert first[3] == __file__
