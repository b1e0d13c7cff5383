"""The clients of a roll: streams that must not break, and followers of background runs."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx2 as httpx

from agent_asgi.testing import parse_frame

Event = dict[str, Any]
ENDS = ("response.completed", "response.failed", "response.incomplete")


@dataclass
class Seen:
    """What the clients of a roll saw.

    Attributes:
        runs: The numbers of each run's text, by its id.
        statuses: How each run ended, by its id.
        attempts: How many attempts each run took, by its id.
        faults: What no client should see: errors, refusals, events missing or seen twice.
        broken: Connections that broke.
        resumed: How often a follower came back with `starting_after`.
        repeated: How many requests were sent again after a 503 with `retry-after`.
        longest: The longest silence of a follower, in seconds.
        slowest: The run that it followed.
    """

    runs: dict[str, list[int]] = field(default_factory=dict)
    statuses: dict[str, str] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    resumed: int = 0
    repeated: int = 0
    longest: float = 0.0
    slowest: str = ""

    async def accepted(self, kind: str, answer: httpx.Response) -> bool:
        """Return whether a request was accepted; if not, wait as long as the answer asks for.

        A client that sends its next request over a connection that it has kept may still reach a
        server that ends.
        """
        if answer.status_code == 503 and "retry-after" in answer.headers:
            self.repeated += 1
            await asyncio.sleep(float(answer.headers["retry-after"]))
        elif answer.status_code != 200:
            self.faults.append(f"a {kind} was answered with {answer.status_code}")
        return answer.status_code == 200

    def keep(self, kind: str, events: Sequence[Event]) -> None:
        """Keep the events of a run that has ended, and check their numbers."""
        numbers = [event["sequence_number"] for event in events]
        id_ = events[0]["response"]["id"]
        if numbers != list(range(len(numbers))):
            self.faults.append(f"{kind} {id_}: events are missing or came twice: {numbers}")
        said = [each["delta"] for each in events if each["type"].endswith("text.delta")]
        self.runs[id_] = [int(text.split(":")[1]) for text in said]
        self.attempts[id_] = len({text.split(":")[0] for text in said})
        self.statuses[id_] = events[-1]["response"]["status"]


async def stream(client: httpx.AsyncClient, seen: Seen, until: asyncio.Event) -> None:
    """Read one stream after another until the roll is over; none may break."""
    while not until.is_set():
        events: list[Event] = []
        try:
            body = {"input": "count", "stream": True}
            async with client.stream("POST", "/responses", json=body) as answer:
                if not await seen.accepted("stream", answer):
                    continue
                await read(answer, events.append)
        except httpx.HTTPError as error:
            seen.broken.append(f"a stream broke after {len(events)} events: {error!r}")
        if events and events[-1]["type"] in ENDS:
            seen.keep("stream", events)
        elif events:
            seen.faults.append(f"a stream ended after {len(events)} events")


async def follow(client: httpx.AsyncClient, seen: Seen) -> None:
    """Start a background run and follow it to its end, however often the server lets go."""
    body = {"input": "count", "background": True}
    made = await client.post("/responses", json=body)
    while not await seen.accepted("run", made):
        made = await client.post("/responses", json=body)
    path = f"/responses/{made.json()['id']}"
    loop = asyncio.get_running_loop()
    events: list[Event] = []
    last = loop.time()

    def take(event: Event) -> None:
        nonlocal last
        events.append(event)
        if loop.time() - last > seen.longest:
            seen.longest, seen.slowest = loop.time() - last, events[0]["response"]["id"]
        last = loop.time()

    while not (events and events[-1]["type"] in ENDS):
        query = {"stream": "true"}
        if events:
            query["starting_after"] = str(events[-1]["sequence_number"])
            seen.resumed += 1
        try:
            async with client.stream("GET", path, params=query) as answer:
                if not await seen.accepted("follower", answer):
                    continue
                await read(answer, take)
        except httpx.HTTPError as error:
            seen.broken.append(f"a follower's connection broke: {error!r}")
    seen.keep("run", events)


async def read(answer: httpx.Response, take: Callable[[Event], None]) -> None:
    """Read the events of a stream as they arrive."""
    rest = b""
    async for chunk in answer.aiter_bytes():
        *frames, rest = (rest + chunk).split(b"\n\n")
        for frame in frames:
            event = parse_frame(frame)
            if event is not None:
                take(event)
