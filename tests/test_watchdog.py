"""What holds the event loop up is warned of, with its name; what merely waits is not."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable

import pytest
import uvloop
from calling import Serve, connect
from conftest import started

from agent_asgi import AgentApp, AgentRouter, ResponsesRequest
from agent_asgi.testing import AgentClient

pytestmark = pytest.mark.alone

Loop = Callable[[], asyncio.AbstractEventLoop]
LOOPS = pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
FIRST = r"Handler '(\w+)' of agent '(\w+)' has held the event loop for 1\.\d s, at (.+):(\d+)\. "
LAST = r"Handler '(\w+)' of agent '(\w+)' held the event loop for (\d\.\d) s\."


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if "held the event loop" in each.message]


def test_a_warning_names_the_handler_and_the_line(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    router = AgentRouter("blocking")

    @router.stream
    async def rests(request: ResponsesRequest) -> AsyncIterator[str]:
        yield "before"
        time.sleep(3)  # noqa: ASYNC251  the mistake that this is about
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
    assert 2.7 < float(over[3]) < 3.6
    told = [each for each in caplog.records if "has held" in each.message]
    assert [(vars(each)["request_id"], each.levelname) for each in told] == [
        ("req_blocking", "WARNING")
    ]


def test_what_never_lets_threads_go_on_is_seen_too(caplog: pytest.LogCaptureFixture) -> None:
    router = AgentRouter("hungry")
    begun = time.perf_counter()
    sum(range(10_000_000))
    many = int(2.0 / (time.perf_counter() - begun) * 10_000_000)

    @router.invoke
    async def counts(request: ResponsesRequest) -> str:
        return str(sum(range(many)))  # one call that keeps the interpreter's lock

    async def main() -> None:
        async with started(AgentApp(router)) as app:
            await AgentClient(app).post("/responses", {"input": "x"})
            await asyncio.sleep(0.6)

    asyncio.run(main())
    told = warnings(caplog)
    assert len(told) == 2
    assert all(each.startswith("Handler 'counts' of agent 'hungry'") for each in told)


@LOOPS
def test_a_loop_that_waits_is_no_loop_that_is_held(
    loop: Loop, caplog: pytest.LogCaptureFixture
) -> None:
    router = AgentRouter("patient")

    @router.invoke
    def waits(request: ResponsesRequest) -> str:
        time.sleep(1.5)  # in a thread of its own
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
    assert first.startswith("'careless' has held the event loop for")
    assert f"at {__file__}:" in first


STOPPED = """
import asyncio, logging, sys
from agent_asgi.watchdog import Watchdog

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
