"""Stops servers with SIGTERM while streams are in flight, and checks that nothing is lost.

make drain        full size: 200 streams, 20 rounds, with and without a lead, 1 and 2 workers

Every stream ends with a terminal event and `[DONE]`, and is cancelled if it takes longer than the
drain. Every accepted run has a trace with the status that its client saw. The exit code is 0. No
connection is refused until `/ready` has returned 503 for the duration of the lead.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import httpx2 as httpx

from agent_asgi.testing import parse_frame
from tests.support.servers import free_port
from tests.support.stream_rules import check_stream

HERE = Path(__file__).parent
DONE = b"data: [DONE]\n\n"
CLOSE = {"connection": "close"}
LOOK_SECONDS = 0.05
TRACE_SECONDS = 90.0
"""Timeout for the process that writes traces, which outlives the server by up to a minute."""


@dataclass
class Size:
    """The size of a run of this tool."""

    streams: int = 200
    rounds: int = 20
    longest: float = 8.0
    drain: float = 4.0
    lead: float = 1.0

    def seconds(self) -> list[float]:
        """Return the duration of each stream: from one second to `longest`."""
        step = (self.longest - 1) / self.streams
        return [1 + step * (number + 1) for number in range(self.streams)]


class Server(NamedTuple):
    """A process that serves `drain_agent`."""

    process: subprocess.Popen[bytes]
    port: int

    @property
    def url(self) -> str:
        """The URL of the server."""
        return f"http://127.0.0.1:{self.port}"

    def tell(self, number: signal.Signals = signal.SIGTERM) -> float:
        """Send a signal; return the time."""
        now = time.monotonic()
        self.process.send_signal(number)
        return now


@contextlib.contextmanager
def serving(*argv: str, ready: str = "/ready", **env: Any) -> Iterator[Server]:
    """Run a server until the block ends; wait until it is ready.

    Args:
        *argv: The arguments for Python, without the port.
        ready: The path that answers 200 when it is ready. Default "/ready".
        **env: Environment variables; values other than strings are encoded as JSON.
    """
    port = free_port()
    command = [sys.executable, *argv, "--port", str(port)]
    texts = {
        name: each if isinstance(each, str) else json.dumps(each) for name, each in env.items()
    }
    process = subprocess.Popen(
        command, cwd=HERE, env={**os.environ, **texts}, start_new_session=True
    )
    try:
        server = Server(process, port)
        _wait_until_ready(server, ready)
        yield server
    finally:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


def serve(*options: str, app: str = "app") -> tuple[str, ...]:
    """Return the arguments of `agent-asgi serve`."""
    return ("-m", "agent_asgi.server.cli", "serve", f"drain_agent:{app}", *options)


def _wait_until_ready(server: Server, path: str) -> None:
    until = time.monotonic() + 60
    while True:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{server.url}{path}").status_code == 200:
                return
        if time.monotonic() > until or server.process.poll() is not None:
            raise TimeoutError("the server does not start")
        time.sleep(0.05)


@dataclass
class Stream:
    """A client of one stream."""

    body: bytes = b""
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    async def read(self, client: httpx.AsyncClient, url: str, **body: Any) -> None:
        """Read a stream to its end."""
        async with client.stream(
            "POST", f"{url}/responses", json={"model": "counter", "stream": True, **body}
        ) as answer:
            async for chunk in answer.aiter_bytes():
                self.body += chunk
                self.begun.set()

    def response(self) -> Any:
        """Check that the stream ended correctly; return its last response."""
        assert self.body.endswith(DONE), self.body[-200:]
        events = [each for frame in self.body.split(b"\n\n") if (each := parse_frame(frame))]
        return check_stream(events, cancelled=events[-1]["type"] == "response.incomplete")


class Knock(NamedTuple):
    """One attempt to connect."""

    at: float
    answered: float
    status: int
    """0 if it was refused or closed without an answer."""
    id: str = ""
    reason: str = ""
    """What was said instead of an answer."""
    dropped: bool = False
    """Whether the connection was accepted and then closed without an answer."""


async def knock(client: httpx.AsyncClient, url: str, body: Any = None) -> list[Knock]:
    """Open one connection after another until one is refused."""
    seen: list[Knock] = []
    while not seen or seen[-1].status:
        at = time.monotonic()
        try:
            method = "GET" if body is None else "POST"
            answer = await client.request(method, url, json=body, headers=CLOSE)
        except httpx.HTTPError as error:
            dropped = not isinstance(error, httpx.ConnectError)
            seen.append(Knock(at, time.monotonic(), 0, reason=repr(error), dropped=dropped))
        else:
            told = answer.json()
            reason = "" if answer.is_success else answer.text
            now = time.monotonic()
            seen.append(Knock(at, now, answer.status_code, told.get("id", ""), reason))
        await asyncio.sleep(LOOK_SECONDS)
    return seen


class Round(NamedTuple):
    """The result of one shutdown."""

    ended: dict[str, str]
    """Statuses by id, as the clients saw them."""
    first_no: float
    """When `/ready` first returned 503, in seconds after the signal."""
    refused: float
    """When the first connection was refused, in seconds after the signal."""
    seconds: float
    """When the process had exited, in seconds after the signal."""


async def end(server: Server, size: Size) -> Round:
    """Stop the server with streams in flight, and check what the clients received."""
    streams = [Stream() for _ in range(size.streams)]
    async with clients() as (client, other):
        reading = [
            asyncio.create_task(each.read(client, server.url, input=str(seconds)))
            for each, seconds in zip(streams, size.seconds(), strict=True)
        ]
        await asyncio.gather(*(each.begun.wait() for each in streams))
        quick = {"model": "counter", "input": "0.05"}
        knocking = [
            asyncio.create_task(knock(other, f"{server.url}/ready")),
            asyncio.create_task(knock(other, f"{server.url}/responses", quick)),
        ]
        await asyncio.sleep(0.3)
        told = server.tell()
        looks, posts = await asyncio.gather(*knocking)
        await asyncio.gather(*reading)
    code = await asyncio.to_thread(server.process.wait, 60)
    assert code == 0, f"exit code {code}"
    ended = {each["id"]: str(each["status"]) for each in map(Stream.response, streams)}
    ended |= {each.id: "completed" for each in posts if each.status == 200}
    first_no = next((each.at for each in looks if each.status == 503), None)
    _check_knocks(told, first_no, looks, posts, size.lead)
    refused = min(each.at for each in (*looks, *posts) if not each.status)
    return Round(ended, (first_no or refused) - told, refused - told, time.monotonic() - told)


def _check_knocks(
    told: float, first_no: float | None, looks: list[Knock], posts: list[Knock], lead: float
) -> None:
    """Check that all are served until `/ready` has returned 503 for the duration of the lead."""
    if not lead:
        return
    assert first_no is not None, "/ready never said no"
    refused = [each for each in (*looks, *posts) if each.status not in (200, 503)]
    refused += [each for each in posts if each.status == 503]
    early = [each for each in refused if each.answered < told + lead]
    early += [each for each in refused if each.dropped and each.at < told + lead - 0.1]
    seconds = [(round(each.answered - told, 3), each.status, each.reason) for each in early]
    assert not early, f"refused after {seconds}, with a lead of {lead} s"
    assert min(each.at for each in refused) > first_no, (
        "a connection was refused before /ready said no"
    )


@contextlib.asynccontextmanager
async def clients() -> AsyncIterator[tuple[httpx.AsyncClient, httpx.AsyncClient]]:
    """Yield two clients without a limit on connections."""
    options: Any = {"limits": httpx.Limits(max_connections=None), "timeout": 60}
    async with httpx.AsyncClient(**options) as one, httpx.AsyncClient(**options) as other:
        yield one, other


def check_traces(database: str, ended: dict[str, str]) -> None:
    """Check that each run has exactly one trace, with its status."""
    until = time.monotonic() + TRACE_SECONDS
    while (found := _statuses(database, ended)) != ended:
        missing = len(ended.items() - found.items())
        assert time.monotonic() < until, f"{missing} of {len(ended)} traces are missing or differ"
        time.sleep(0.5)


def _statuses(database: str, ids: dict[str, str]) -> dict[str, str]:
    query = (
        "SELECT one.value, other.value FROM trace_tags one JOIN trace_tags other"
        " ON one.request_id = other.request_id WHERE one.key = 'agent_asgi.response_id'"
        " AND other.key = 'agent_asgi.status'"
    )
    path = database.removeprefix("sqlite:///")
    with contextlib.closing(sqlite3.connect(path, timeout=30)) as connection:
        rows = connection.execute(query).fetchall()
    counts = Counter(id_ for id_, _ in rows)
    return {id_: status for id_, status in rows if id_ in ids and counts[id_] == 1}


def run_round(database: str, size: Size, workers: int) -> Round:
    """Start a server, stop it, and check its streams and traces."""
    times = {"drain": size.drain, "drain_lead": size.lead, "cleanup": 5.0}
    argv = serve("--workers", str(workers))
    with serving(*argv, MLFLOW_TRACKING_URI=database, DRAIN_TIMES=times) as server:
        found = asyncio.run(end(server, size))
    check_traces(database, found.ended)
    return found


def main() -> None:
    """Run the rounds of the size in the arguments, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    for name, default in vars(Size()).items():
        parser.add_argument(f"--{name}", type=type(default), default=default)
    size = Size(**vars(parser.parse_args()))
    _print("workers", "lead", "rounds", "runs", "statuses", "refused after", "ended after")
    failures = 0
    for workers in (1, 2):
        for lead in (0.0, size.lead):
            failures += _print_rounds(Size(**{**vars(size), "lead": lead}), workers)
    if failures:
        sys.exit(f"{failures} rounds failed")


def _print_rounds(size: Size, workers: int) -> int:
    rounds: list[Round] = []
    with tempfile.TemporaryDirectory() as folder:
        database = f"sqlite:///{folder}/mlflow.db"
        with serving(*serve(), MLFLOW_TRACKING_URI=database):
            pass  # one process creates the database: MLflow does not support several at once
        for _ in range(size.rounds):
            try:
                rounds.append(run_round(database, size, workers))
            except (AssertionError, httpx.HTTPError, TimeoutError) as error:
                sys.stdout.write(f"FAILED: {type(error).__name__}: {error}\n")
    statuses = Counter(status for each in rounds for status in each.ended.values())
    runs = sum(statuses.values())
    told = " ".join(f"{count} {status}" for status, count in sorted(statuses.items()))
    refused = _span([each.refused for each in rounds])
    seconds = _span([each.seconds for each in rounds])
    done = f"{len(rounds)} of {size.rounds}"
    _print(str(workers), f"{size.lead:g}", done, str(runs), told, refused, seconds)
    return size.rounds - len(rounds)


def _span(seconds: list[float]) -> str:
    return f"{min(seconds):.2f} to {max(seconds):.2f} s" if seconds else "-"


def _print(*cells: str) -> None:
    sys.stdout.write("| " + " | ".join(cells) + " |\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
