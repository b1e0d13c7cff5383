"""Kills a replica of docs/examples/ray_agent.py on a local Ray cluster; nothing may be lost.

make ray

There are two replicas and one PostgreSQL. The real `openai` client starts 100 streams and 20
background runs; then a replica's process is killed with SIGKILL. Half of the streams are background
runs, whose clients reconnect with `starting_after`; the others have an `Idempotency-Key`, and their
clients retry. Every stream must be valid and have each event once, and every run must have each
number once and a trace. Then Serve adds a replica under load, and removes both during streams.
"""

import asyncio
import contextlib
import json
import os
import secrets
import signal
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2 as httpx
import openai
import psutil
from openai.types.responses import Response

from tests.support.postgres import postgres_running
from tests.support.servers import free_port
from tests.support.stream_rules import check_stream
from tests.support.traces import traces

Event = dict[str, Any]
EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
STREAMS, RUNS, STEPS = 100, 20, 160
LOST = (openai.APIError, httpx.HTTPError)
REPLICA = "ray::ServeReplica"
PATIENCE = 240.0
"""Timeout for each part, in seconds."""


@dataclass
class Follower:
    """A client of one stream that reconnects when the stream breaks."""

    client: openai.AsyncOpenAI
    background: bool
    key: str = field(default_factory=lambda: uuid.uuid4().hex)
    events: list[Event] = field(default_factory=list)
    connections: int = 0

    async def follow(self) -> None:
        """Read the stream to its end, however often it breaks."""
        while self.goes_on:
            self.connections += 1
            with contextlib.suppress(*LOST):
                async for event in self._connect():
                    self._take(event)
            await asyncio.sleep(0.2)

    async def _connect(self) -> AsyncIterator[Event]:
        responses = self.client.responses.with_streaming_response
        if self.background and self.events:
            last = self.events[-1]["sequence_number"]
            asked: Any = responses.retrieve(self.id, stream=True, starting_after=last)
        else:
            asked = responses.create(
                input=str(STEPS),
                stream=True,
                background=self.background,
                extra_headers={"Idempotency-Key": self.key},
            )
        async with asked as answer:
            async for line in answer.iter_lines():
                if line.startswith("data: {"):
                    yield json.loads(line.removeprefix("data: "))

    def _take(self, event: Event) -> None:
        """Keep an event; if it is repeated, it must be the same."""
        number = event["sequence_number"]
        seen = self.events[number : number + 1]
        if not seen and number == len(self.events):
            self.events.append(event)
        elif seen != [event] or self.background:
            raise AssertionError(f"{self.id}: event {number} after {len(self.events)} events")

    @property
    def goes_on(self) -> bool:
        """Whether the stream has not ended yet."""
        return not self.events or bool(self.events[-1]["type"] != "response.completed")

    @property
    def id(self) -> str:
        """The response's id."""
        id_: str = self.events[0]["response"]["id"]
        return id_

    def check(self) -> None:
        """Check that it received one complete, valid stream with each number once."""
        check_stream(self.events)
        said = [each["delta"] for each in self.events if each["type"].endswith("text.delta")]
        complete(self.id, "".join(said))


async def polled(client: openai.AsyncOpenAI) -> Response:
    """Start a background run and poll it until it has ended."""
    key = {"Idempotency-Key": uuid.uuid4().hex}
    run: Response | None = None
    while run is None or run.status in ("queued", "in_progress"):
        with contextlib.suppress(*LOST):
            if run is None:
                run = await client.responses.create(
                    input=str(STEPS), background=True, extra_headers=key
                )
            else:
                run = await client.responses.retrieve(run.id)
        await asyncio.sleep(0.3)
    complete(run.id, run.output_text)
    return run


def complete(id_: str, text: str) -> None:
    """Check that a text contains each number once, in order."""
    if text.split() != [str(number) for number in range(STEPS)]:
        raise AssertionError(f"{id_} is not complete: {text}")


def replicas() -> list[psutil.Process]:
    """Return the processes of the replicas, which are descendants of this process."""
    mine = psutil.Process().children(recursive=True)
    found = []
    for each in mine:
        with contextlib.suppress(psutil.NoSuchProcess):
            if " ".join(each.cmdline()).startswith(REPLICA):
                found.append(each)
    return found


async def kill_one(followers: list[Follower]) -> int:
    """Kill the busiest replica once all streams are well under way; return its process id."""
    async with asyncio.timeout(PATIENCE):
        while any(len(each.events) < STEPS // 4 for each in followers):
            await asyncio.sleep(0.05)
    busiest = max(replicas(), key=lambda each: sum(each.cpu_times()[:2]))
    os.kill(busiest.pid, signal.SIGKILL)
    tell(killed=busiest.pid, in_flight=sum(each.goes_on for each in followers))
    return busiest.pid


def _attempts(response: dict[str, Any]) -> int:
    return len(response["output"])  # an interrupted attempt leaves its message behind


async def lose_a_replica(url: str) -> list[str]:
    """Follow streams and runs while a replica is killed; return the ids of all."""
    async with openai.AsyncOpenAI(
        base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=30
    ) as client:
        followers = [Follower(client, bool(number % 2)) for number in range(STREAMS)]
        began = time.monotonic()
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
            runs = [group.create_task(polled(client)) for _ in range(RUNS)]
            for each in followers:
                group.create_task(each.follow())
            group.create_task(kill_one(followers))
    for each in followers:
        each.check()
    seen = {
        "streams": f"{len(followers)} of {STREAMS} complete",
        "background_runs": f"{len(runs)} of {RUNS} complete",
        "events": sum(len(each.events) for each in followers),
        "streams_that_broke": sum(each.connections > 1 for each in followers),
        "streams_taken_over": sum(_attempts(each.events[-1]["response"]) > 1 for each in followers),
        "runs_taken_over": sum(_attempts(each.result().to_dict()) > 1 for each in runs),
        "seconds": round(time.monotonic() - began, 1),
    }
    tell(**seen)
    if not (seen["streams_that_broke"] and seen["streams_taken_over"]):
        raise AssertionError("the replica that was killed had nothing to lose")
    return [*(each.id for each in followers), *(run.result().id for run in runs)]


async def scale_and_leave(url: str, remove: Callable[[], None]) -> None:
    """Let Serve add a replica under load, and remove all of them during streams."""
    async with openai.AsyncOpenAI(
        base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=60
    ) as client:
        before = len(replicas())
        followers = [Follower(client, background=False) for _ in range(20)]
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
            for each in followers:
                group.create_task(each.follow())
            while len(replicas()) == before:
                await asyncio.sleep(0.1)
            in_flight = sum(each.goes_on for each in followers)
            more = [Follower(client, background=False) for _ in range(20)]
            for each in more:
                group.create_task(each.follow())
            while not all(each.events for each in more):
                await asyncio.sleep(0.05)
            at_the_end = sum(each.goes_on for each in (*followers, *more))
            await asyncio.to_thread(remove)
    for each in (*followers, *more):
        each.check()
        if each.connections > 1:
            raise AssertionError(f"{each.id} broke in a graceful end")
    tell(
        replicas=f"{before}, then {before + 1} for {in_flight} streams",
        removed_while=f"{at_the_end} streams went on",
        streams=f"{len(followers) + len(more)} of {len(followers) + len(more)} complete",
    )


def check_traces(ids: list[str]) -> None:
    """Check that each accepted run has a trace of its completion."""
    until = time.monotonic() + 90
    while True:
        states = {
            trace.info.tags["agent_asgi.response_id"]: str(trace.info.state)
            for trace in traces(status="completed")
        }
        missing = [each for each in ids if "OK" not in states.get(each, "")]
        if not missing:
            break
        if time.monotonic() > until:
            raise AssertionError(f"{len(missing)} runs have no trace: {missing[:5]}")
        time.sleep(1)
    tell(traces=f"{len(ids)} of {len(ids)} runs")


def tell(**seen: object) -> None:
    """Print observations as a line of JSON."""
    sys.stdout.write(json.dumps(seen) + "\n")
    sys.stdout.flush()


@contextlib.contextmanager
def cluster(folder: str, store: str) -> Iterator[None]:
    """Run a Ray cluster on this machine that other machines cannot reach."""
    os.environ.update(
        AGENT_ASGI_STORE=store,
        MLFLOW_TRACKING_URI=f"sqlite:///{folder}/mlflow.db",
        PYTHONPATH=os.pathsep.join((str(EXAMPLES), os.environ.get("PYTHONPATH", ""))),
        RAY_AUTH_MODE="token",
        RAY_AUTH_TOKEN=secrets.token_hex(32),
        RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0",  # 127.0.0.1 only, as on a laptop
        RAY_USAGE_STATS_ENABLED="0",
    )
    sys.path.insert(0, str(EXAMPLES))
    import ray
    from ray import serve

    ray.init(
        num_cpus=4,  # one per replica; they share the real ones
        include_dashboard=False,
        object_store_memory=100 << 20,
        log_to_driver=False,
        _node_ip_address="127.0.0.1",
        _temp_dir=f"{folder}/ray",
    )
    try:
        yield
        serve.shutdown()
    finally:
        ray.shutdown()
        _, alive = psutil.wait_procs(list(_started(store)), timeout=70)
        for each in alive:
            each.kill()
    if alive:
        raise AssertionError(f"processes that did not end: {alive}")


def _started(store: str) -> Iterator[psutil.Process]:
    """Yield the processes of this cluster, whose environment names its store.

    Those that write traces outlive a killed replica by up to a minute.
    """
    for each in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if each.environ().get("AGENT_ASGI_STORE") == store:
                yield each


def main() -> None:
    """Run both parts."""
    with tempfile.TemporaryDirectory(prefix="ra") as folder, postgres_running() as server:
        store = server.get_uri()
        with cluster(folder, store):
            from ray import serve
            from ray_agent import deployment

            port = free_port()
            url = f"http://127.0.0.1:{port}"
            serve.start(http_options={"host": "127.0.0.1", "port": port})
            two = deployment.options(num_replicas=2, autoscaling_config=None)
            serve.run(two.bind())
            ids = asyncio.run(lose_a_replica(url))
            scaled = {"min_replicas": 1, "max_replicas": 2, "target_ongoing_requests": 5}
            quick = {"upscale_delay_s": 1, "metrics_interval_s": 0.5, "look_back_period_s": 2}
            serve.delete("default")
            serve.run(deployment.options(autoscaling_config=scaled | quick).bind())
            asyncio.run(scale_and_leave(url, lambda: serve.delete("default")))
        check_traces(ids)


if __name__ == "__main__":
    main()
