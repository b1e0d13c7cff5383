"""Measure what a turn of a long conversation costs: `make long-conversations`.

    python -m tests.tools.long_conversations [--stores memory,sqlite,postgres] [--turns 10,100]

A real `agent-asgi serve` answers the turns of a chain of responses and of a named conversation, by
an agent that does not look at its history and by one that reads all of it. For each length the
report has medians of some turns: the CPU of the event loop's thread, the longest time in which it
served nothing else (in CPU time, so that other processes do not count), and the whole latency; then
the process's memory. The turns in between are written to the store as the server writes them.
"""

import argparse
import contextlib
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.commands import command
from tests.support.postgres import postgres_running
from tests.support.servers import free_port

TURNS = 15
"""How many turns are measured of each length."""
KINDS = ("chain", "conversation")
AGENTS = ("deaf", "reader")


class Turn(NamedTuple):
    """What a turn took, in milliseconds."""

    cpu: float
    longest: float
    latency: float


class Client:
    """A client of the server, with one connection."""

    def __init__(self, port: int) -> None:
        self._http = http.client.HTTPConnection("127.0.0.1", port, timeout=600)

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> bytes:
        """Send a request; return the body of the answer.

        Raises:
            RuntimeError: The status is not 200.
        """
        data = None if body is None else json.dumps(body).encode()
        self._http.request(method, path, data, {"content-type": "application/json"})
        answer = self._http.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {content[:500]!r}")
        return content

    def look(self, watch: str = "") -> dict[str, float]:
        """Return what the event loop has used."""
        state: dict[str, float] = json.loads(self.call("GET", f"/loop{watch}"))
        return state


class Conversation:
    """A conversation that grows.

    Args:
        client: Talks to the server.
        kind: Whether it is a chain of responses or has a name.
        agent: The agent.
    """

    def __init__(self, client: Client, kind: str, agent: str) -> None:
        self._client, self._kind, self._agent = client, kind, agent
        self._of = f"{kind}-{agent}"
        self._length = 0
        if kind == "chain":
            self._of = ""
        self.say()

    def say(self) -> None:
        """Send a turn."""
        body: dict[str, Any] = {"input": "And what comes after that?", "model": self._agent}
        if self._kind == "conversation":
            body["conversation"] = self._of
        elif self._of:
            body["previous_response_id"] = self._of
        answer = json.loads(self._client.call("POST", "/responses", body))
        if self._kind == "chain":
            self._of = answer["id"]
        self._length += 1

    def lengthen(self, length: int) -> None:
        """Fill it up to a number of turns."""
        turns = length - self._length
        if turns > 0:
            path = f"/{self._kind}?of={self._of}&turns={turns}"
            self._of = self._client.call("GET", path).decode()
            self._length = length

    def measure(self) -> Turn:
        """Return the medians of some turns."""
        self.say()
        spent: list[float] = []
        longest: list[float] = []
        latencies: list[float] = []
        idle = self._cpu(lambda: None)
        for _ in range(TURNS):
            began = time.perf_counter()
            spent.append(self._cpu(self.say) - idle)
            latencies.append(time.perf_counter() - began)
            self._client.look("?watch")
            self.say()
            longest.append(self._client.look()["longest"])
        medians = [statistics.median(each) * 1000 for each in (spent, longest, latencies)]
        return Turn(*medians)

    def _cpu(self, work: Any) -> float:
        """Return the CPU that the event loop's thread uses for some work, and for looking."""
        before = self._client.look()["cpu"]
        work()
        return self._client.look()["cpu"] - before


@contextlib.contextmanager
def served(store: str) -> Iterator[Client]:
    """Serve the agents in a process."""
    port = free_port()
    env = os.environ | {"OTEL_SDK_DISABLED": "true", "AGENT_ASGI_STORE": store}
    argv = command("serve", "long_agent:app", "--port", str(port), "--log-level", "warning")
    process = subprocess.Popen(argv, cwd=Path(__file__).parent, env=env)
    try:
        yield until_ready(port, process)
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def until_ready(port: int, process: subprocess.Popen[bytes]) -> Client:
    """Wait until a run is answered; return a client."""
    until = time.monotonic() + 60
    while True:
        client = Client(port)
        try:
            client.call("POST", "/responses", {"input": "hi", "model": "deaf"})
            client.look()
            return client
        except OSError:
            if time.monotonic() > until or process.poll() is not None:
                raise
            time.sleep(0.1)


@contextlib.contextmanager
def opened(store: str) -> Iterator[str]:
    """Open a store; yield its URL."""
    with contextlib.ExitStack() as stack:
        if store == "postgres":
            yield stack.enter_context(postgres_running()).get_uri()
        elif store == "sqlite":
            yield f"sqlite:///{stack.enter_context(tempfile.TemporaryDirectory())}/long.db"
        else:
            yield "memory://"


def measure(store: str, lengths: list[int]) -> None:
    """Print what the turns cost with a store."""
    with opened(store) as url, served(url) as client:
        for kind in KINDS:
            for agent in AGENTS:
                conversation = Conversation(client, kind, agent)
                for length in lengths:
                    conversation.lengthen(length)
                    turn = conversation.measure()
                    memory = client.look()["memory"] / (1 << 20)
                    name = f"{store:8} {kind:12} {agent:6} {length:6}"
                    figures = f"{turn.cpu:8.2f} {turn.longest:8.2f} {turn.latency:8.1f}"
                    say(f"{name} {figures} {memory:6.0f}")


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    """Measure with each store."""
    parser = argparse.ArgumentParser(description="Measure long conversations.")
    parser.add_argument("--stores", default="memory,sqlite,postgres")
    parser.add_argument("--turns", default="10,100,1000,10000")
    options = parser.parse_args()
    say("store    kind         agent   turns   CPU ms  at once  latency    MiB")
    for store in options.stores.split(","):
        measure(store, [int(each) for each in options.turns.split(",")])


if __name__ == "__main__":
    main()
