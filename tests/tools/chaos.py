"""Kills processes during background runs, and checks that no event is lost or duplicated.

make chaos        full size: PostgreSQL with two servers and a worker, then SQLite with one server

Clients follow their runs through any server that answers, and reconnect with `starting_after`.
Some handlers exit or panic half-way. At the end every run has ended as its handler has, every
client has received every event exactly once, no log mixes the events of two attempts, and no run
is executed after its end.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2 as httpx

from agent_asgi.testing import parse_frame
from tests.support.openresponses_schema import validate_event
from tests.support.postgres import postgres_running
from tests.support.servers import free_port
from tests.support.stream_rules import check_stream

HERE = Path(__file__).parent
Event = dict[str, Any]


@dataclass
class Size:
    """The amount of chaos."""

    runs: int = 50
    steps: int = 200
    pause: float = 0.01
    kills: int = 20
    between: float = 1.0
    patience: float = 180.0


ENDS = ("response.completed", "response.failed")
ASKED = ("count", "count", "count", "exit", "panic")
"""What runs are asked for, in turn."""
QUIET_SECONDS = 5.0
"""How long no run may be executed after all have ended: longer than a lease."""


class Process:
    """A server or a worker that is killed and restarted."""

    def __init__(self, store: str, folder: Path, size: Size, port: int | None) -> None:
        self.port = port
        self._folder = folder
        self._env = os.environ | {
            "AGENT_ASGI_STORE": store,
            "CHAOS_STEPS": str(size.steps),
            "CHAOS_PAUSE": str(size.pause),
            "CHAOS_BEGUN": str(begun_in(folder)),
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL of the server, if it is one."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the process."""
        what = ["worker"] if self.port is None else ["serve", "--port", str(self.port)]
        command = [
            sys.executable,
            "-m",
            "agent_asgi.server.cli",
            what[0],
            "chaos_agent:app",
            *what[1:],
        ]
        with (self._folder / f"{self.port or 'worker'}.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, env=self._env, cwd=HERE, stdout=log, stderr=log, start_new_session=True
            )

    def kill(self) -> None:
        """Kill the process with SIGKILL."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(10)


def begun_in(folder: Path) -> Path:
    """Return the file with a line for each time that a run was begun."""
    return folder / "begun"


@dataclass
class Follower:
    """A client that starts one background run and follows it to its end."""

    servers: list[Process]
    client: httpx.AsyncClient
    asked: str = "count"
    events: list[Event] = field(default_factory=list)
    id: str = ""
    connections: int = 0

    async def follow(self) -> None:
        """Start the run and read every event, however often the connection breaks."""
        await self._begin()
        while not (self.events and self.events[-1]["type"] in ENDS):
            with contextlib.suppress(httpx.HTTPError):
                self.connections += 1
                async for event in self._tail():
                    self.events.append(event)
            await asyncio.sleep(0.1)

    async def _begin(self) -> None:
        key = {"idempotency-key": uuid.uuid4().hex}
        body = {"input": self.asked, "background": True, "stream": True}
        while not self.id:
            url = f"{random.choice(self.servers).url}/v1/responses"
            with contextlib.suppress(httpx.HTTPError):
                async with self.client.stream("POST", url, json=body, headers=key) as answer:
                    if answer.status_code == 200:
                        async for event in _events(answer):
                            self.events.append(event)
                            self.id = event["response"]["id"]
                            break
            await asyncio.sleep(0.1)

    async def _tail(self) -> AsyncIterator[Event]:
        url = f"{random.choice(self.servers).url}/v1/responses/{self.id}"
        query = {"stream": "true", "starting_after": self.events[-1]["sequence_number"]}
        async with self.client.stream("GET", url, params=query) as answer:
            if answer.status_code == 200:
                async for event in _events(answer):
                    yield event

    def check(self, size: Size) -> None:
        """Check that its events are one complete, valid stream with each number once."""
        numbers = [event["sequence_number"] for event in self.events]
        if numbers != list(range(len(numbers))):
            raise AssertionError(f"{self.id}: events lost or seen twice: {numbers}")
        for event in self.events:
            validate_event(event)
        final = check_stream(self.events)
        if final["status"] != ("completed" if self.asked == "count" else "failed"):
            raise AssertionError(f"{self.id}: {self.asked} is {final['status']}")
        steps = size.steps if self.asked == "count" else size.steps // 2
        deltas = [each["delta"] for each in self.events if each["type"].endswith("text.delta")]
        said = [delta.strip().split(":") for delta in deltas]
        if [int(number) for _, number in said] != list(range(steps)):
            raise AssertionError(f"{self.id}: numbers lost or said twice: {deltas}")
        attempts = [int(attempt) for attempt, _ in said]
        if attempts != sorted(attempts):
            raise AssertionError(f"{self.id}: the attempts' events are mixed: {deltas}")

    @property
    def attempts(self) -> int:
        """The number of attempts that the run took."""
        deltas = [each["delta"] for each in self.events if each["type"].endswith("text.delta")]
        return len({delta.split(":")[0] for delta in deltas})


async def _events(answer: httpx.Response) -> AsyncIterator[Event]:
    rest = b""
    async for chunk in answer.aiter_bytes():
        *frames, rest = (rest + chunk).split(b"\n\n")
        for frame in frames:
            event = parse_frame(frame)
            if event is not None:
                yield event


async def kill_some(processes: list[Process], size: Size) -> None:
    """Repeatedly kill and restart a random process."""
    for _ in range(size.kills):
        await asyncio.sleep(size.between)
        victim = random.choice(processes)
        await asyncio.to_thread(victim.kill)
        victim.start()


async def rage(servers: list[Process], workers: list[Process], size: Size) -> list[Follower]:
    """Follow the runs while processes are killed; return the followers."""
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(timeout=httpx.Timeout(10), limits=limits) as client:
        await _answering(servers, client)
        followers = [
            Follower(servers, client, asked)
            for asked in itertools.islice(itertools.cycle(ASKED), size.runs)
        ]
        async with asyncio.timeout(size.patience):
            await asyncio.gather(
                kill_some([*servers, *workers], size), *(each.follow() for each in followers)
            )
        for follower in followers:
            follower.check(size)
    return followers


async def _answering(servers: list[Process], client: httpx.AsyncClient) -> None:
    until = time.monotonic() + 60
    for server in servers:
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if (await client.get(f"{server.url}/ready")).status_code == 200:
                    break
            if time.monotonic() > until:
                raise TimeoutError(f"{server.url} does not answer")
            await asyncio.sleep(0.1)


def chaos(store: str, folder: Path, size: Size, *, servers: int, workers: int) -> list[Follower]:
    """Start processes on one store, kill some repeatedly, and check what the clients received."""
    ports = [free_port() for _ in range(servers)]
    serving = [Process(store, folder, size, port) for port in ports]
    working = [Process(store, folder, size, None) for _ in range(workers)]
    try:
        for process in [*serving, *working]:
            process.start()
        followers = asyncio.run(rage(serving, working, size))
        begun = begun_in(folder).read_text()
        time.sleep(QUIET_SECONDS)
        if begun_in(folder).read_text() != begun:
            raise AssertionError("a run was executed after its end")
        return followers
    finally:
        for process in [*serving, *working]:
            process.kill()


def main() -> None:
    """Run chaos of the size in the arguments, and print the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    for name, default in vars(Size()).items():
        parser.add_argument(f"--{name}", type=type(default), default=default)
    size = Size(**vars(parser.parse_args()))
    with tempfile.TemporaryDirectory() as folder, postgres_running() as server:
        for store, servers, workers in (
            (server.get_uri(), 2, 1),
            (f"sqlite:///{folder}/responses.db", 1, 0),
        ):
            began = time.monotonic()
            followers = chaos(store, Path(folder), size, servers=servers, workers=workers)
            report = {
                "store": store.partition(":")[0],
                "ended": f"{len(followers)} of {size.runs}",
                "events": sum(len(each.events) for each in followers),
                "attempts": sum(each.attempts for each in followers),
                "connections": sum(each.connections for each in followers),
                "kills": size.kills,
                "seconds": round(time.monotonic() - began, 1),
            }
            sys.stdout.write(json.dumps(report) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
