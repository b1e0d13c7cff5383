"""The process that writes traces: none is lost or doubled, whatever ends first."""

import asyncio
import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from agent_asgi import tracing
from agent_asgi.tracing.backlog import ROOM_BYTES, Backlog
from agent_asgi.tracing.frames import receive, send
from agent_asgi.tracing.process import MOST, paced
from agent_asgi.tracing.queues import is_database
from agent_asgi.tracing.room import Room

T = TypeVar("T")

SCRIPT = """
import asyncio, os, sys
import mlflow
from agent_asgi import AgentApp, AgentRouter, Context
from agent_asgi.tracing import exports, queues
from agent_asgi.testing import AgentClient

router = AgentRouter("written")
kind, runs = sys.argv[1], int(sys.argv[2])

@router.invoke
async def written(context: Context) -> str:
    with mlflow.start_span("inner"):
        return "x" * 100

async def main():
    if kind == "code":
        mlflow.set_tracking_uri(sys.argv[3])
    if kind == "broken":
        sys.executable = "/bin/false"
    app = AgentApp(router)
    client = AgentClient(app)
    left = iter(range(runs))

    async def ask():
        for _ in left:
            assert (await client.post("/responses", {"input": "x"})).status == 200

    async with app.lifespan():
        await asyncio.gather(*(ask() for _ in range(32)))
        if kind == "hold":
            exports.hand_over()
            (writer,) = queues.writers.values()
            print("HELD", flush=True)
            await asyncio.to_thread(sys.stdin.readline)
            left = iter(range(runs))
            await asyncio.gather(*(ask() for _ in range(32)))

asyncio.run(main())
if kind == "fork":
    child = os.fork()
    asyncio.run(main())
    assert not child or os.waitpid(child, 0)[1] == 0
print("DROPPED", exports.dropped, flush=True)
"""


class Serving:
    """A process that serves runs and traces into a database."""

    def __init__(self, folder: Path, kind: str, runs: int, *words: str, **env: str) -> None:
        self.database = folder / "traces.db"
        given = {"MLFLOW_TRACKING_URI": f"sqlite:///{self.database}", **env}
        self.process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, kind, str(runs), *words],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(Path(tracing.__file__).parents[2]), **given},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def held(self) -> int:
        """Wait until the first runs have ended; give the id of the process that writes."""
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "HELD\n"
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return until(lambda: next((each for each in self._children(path)), 0))

    def _children(self, path: Path) -> Iterator[int]:
        for task in path.parents[1].iterdir():
            yield from map(int, (task / "children").read_text().split())

    def __enter__(self) -> "Serving":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def ended(self, line: str = "go\n") -> str:
        """Wait until it has ended; give what it wrote to its log."""
        out, log = self.process.communicate(line, timeout=150)
        assert self.process.returncode == 0, log
        assert out.splitlines()[-1] == "DROPPED 0", log
        return log

    def found(self) -> tuple[int, int]:
        """Count the traces that are whole, and the spans."""
        with contextlib.closing(sqlite3.connect(self.database, timeout=30)) as connection:
            whole = connection.execute(
                "SELECT count(*) FROM trace_info WHERE status = 'OK' AND request_id IN"
                " (SELECT trace_id FROM spans WHERE parent_span_id IS NULL)"
                " AND request_id IN (SELECT request_id FROM trace_tags"
                " WHERE key = 'agent_asgi.status' AND value = 'completed')"
            ).fetchone()[0]
            return whole, connection.execute("SELECT count(*) FROM spans").fetchone()[0]


def until(look: Callable[[], T], seconds: float = 60) -> T:
    end = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return seen


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Give a folder; end the processes that a test has left in it."""
    yield tmp_path
    for each in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (each / "cwd").readlink() == tmp_path:
                os.kill(int(each.name), signal.SIGKILL)


@pytest.mark.alone
def test_burst_of_5000_loses_none(folder: Path) -> None:
    with Serving(folder, "burst", 5000) as serving:
        serving.ended()
        until(lambda: serving.found() == (5000, 10_000), 90)


def test_writer_that_is_killed_loses_and_doubles_none(folder: Path) -> None:
    with Serving(folder, "hold", 600) as serving:
        writer = serving.held()
        until(lambda: serving.found()[0] >= 50)
        os.kill(writer, signal.SIGKILL)
        log = serving.ended()
        assert serving.found() == (1200, 2400)
        assert "Traceback" not in log


def test_writer_is_deaf_to_signals_meant_for_all(folder: Path) -> None:
    with Serving(folder, "hold", 50) as serving:
        writer = serving.held()
        until(lambda: serving.found() == (50, 100))  # it is up
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(writer, number)
        serving.ended()
        assert serving.found() == (100, 200)
        until(lambda: not Path(f"/proc/{writer}").exists())


def test_writer_ends_after_the_process_that_serves_was_killed(folder: Path) -> None:
    with Serving(folder, "hold", 300) as serving:
        writer = serving.held()
        time.sleep(0.5)
        serving.process.kill()
        serving.process.communicate(timeout=60)
        until(lambda: not Path(f"/proc/{writer}").exists())
        assert serving.found() == (300, 600)


def test_uri_that_the_code_sets(folder: Path) -> None:
    uri = f"sqlite:///{folder}/traces.db"
    with Serving(
        folder, "code", 20, uri, MLFLOW_TRACKING_URI=f"sqlite:///{folder}/other.db"
    ) as serving:
        serving.ended()
        assert serving.found() == (20, 40)


def test_without_a_writer_the_process_that_serves_writes(folder: Path) -> None:
    with Serving(folder, "broken", 20) as serving:
        assert "does not start" in serving.ended()
        assert serving.found() == (20, 40)


def test_forked_process_has_a_writer_of_its_own(folder: Path) -> None:
    with Serving(folder, "fork", 30) as serving:
        serving.ended()
        until(lambda: serving.found() == (90, 180))


def test_room_is_given_in_the_order_of_coming() -> None:
    async def main() -> list[int]:
        room, free, served = Room(), 0, list[int]()

        async def wait(number: int) -> None:
            nonlocal free
            if await room.wait(lambda: free == 0, 5):
                free -= 1
                served.append(number)

        tasks = [asyncio.create_task(wait(each)) for each in range(3)]
        for _ in range(3):
            await asyncio.sleep(0.01)
            free += 1
            await asyncio.to_thread(room.wake)
        await asyncio.gather(*tasks)
        assert not await room.wait(lambda: True, 0.01)
        return served

    assert asyncio.run(main()) == [0, 1, 2]


def test_backlog_is_bounded_by_its_bytes() -> None:
    dropped = []
    backlog = Backlog(lambda: dropped.append(1))
    frame = bytes(ROOM_BYTES // 2)
    for count in range(5):
        assert backlog.full() == (count >= 2)
        backlog.put(frame)
    assert (len(dropped), backlog.waiting) == (1, 4)
    assert backlog.take() is frame
    backlog.again()
    taken = [backlog.take() for _ in range(4)]
    assert backlog.take(lambda: False) is None
    backlog.done(len(taken))
    assert (backlog.waiting, backlog.full()) == (0, False)


def test_frames_that_are_cut_off() -> None:
    source, sink = os.pipe()
    with os.fdopen(source, "rb", 0) as reader, os.fdopen(sink, "wb", 0) as writer:
        send(writer, b"whole")
        writer.write(b"\0\0\0\x09cut")
        writer.close()
        assert receive(reader) == b"whole"
        assert receive(reader) is None
        assert receive(reader) is None


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("sqlite:////tmp/a.db", True),
        ("sqlite:///a.db", True),
        ("postgresql+psycopg://u:p@h/d", True),
        ("sqlite://", False),
        ("sqlite:///:memory:", False),
        ("sqlite:///file:x?mode=memory", False),
        ("http://127.0.0.1:5000", False),
        ("databricks", False),
        ("/tmp/mlruns", False),
    ],
)
def test_databases(uri: str, expected: bool) -> None:
    assert is_database(uri) is expected


def test_pace() -> None:
    assert paced(1, 0.001) == 2
    assert paced(MOST, 0.01) == MOST
    assert paced(50, 1.0) == 5
    assert paced(1, 9.0) == 1
