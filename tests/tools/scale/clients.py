"""The clients of real runs: streams, and followers of background runs."""

import asyncio
import re
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from tests.tools.benchmarks.client import Answer, connect
from tests.tools.benchmarks.load import Stamps
from tests.tools.benchmarks.peer import OURS, WrongAnswer, get, post
from tests.tools.benchmarks.servers import Server

BOUND_SECONDS = 600.0


async def streams(
    server: Server, inputs: Sequence[str], spread: float, **body: bool
) -> list[float]:
    """Read one stream for each input; return the delays of all tokens, in seconds.

    Args:
        server: The server.
        inputs: The inputs.
        spread: The seconds over which the streams begin.
        **body: More members of the requests.
    """

    async def stream(input: str, wait: float) -> list[float]:
        await asyncio.sleep(wait)
        request = {"input": input, "stream": True, **body}
        return await _read(server, post("/responses", request), timed=input.isdigit())

    return await _all([stream(each, n * spread / len(inputs)) for n, each in enumerate(inputs)])


async def followers(server: Server, inputs: Sequence[str], spread: float) -> list[float]:
    """Start one background run for each input and follow it; return the delays of all tokens."""

    async def follow(input: str, wait: float) -> list[float]:
        await asyncio.sleep(wait)
        made = await _ask(server, post("/responses", {"input": input, "background": True}))
        found = re.search(rb'"id":"(resp_[^"]+)"', made.body)
        if found is None:
            raise WrongAnswer(f"{made.status}: {made.body[:300]!r}")
        path = f"/responses/{found[1].decode()}?stream=true"
        return await _read(server, get(path), timed=input.isdigit())

    return await _all([follow(each, n * spread / len(inputs)) for n, each in enumerate(inputs)])


async def _read(server: Server, request: bytes, *, timed: bool) -> list[float]:
    stamps = Stamps()
    answer = await _ask(server, request, stamps.take if timed else lambda _: None)
    if answer.status != 200 or OURS.end not in answer.body:
        raise WrongAnswer(f"{answer.status}: {answer.body[-300:]!r}")
    return stamps.delays


async def _ask(
    server: Server, request: bytes, sink: Callable[[bytes], None] | None = None
) -> Answer:
    """Send a request over a new connection, again if the server is too busy."""
    while True:
        connection = await connect(server.port)
        connection.sink = sink
        answer = await connection.ask(request)
        connection.close()
        if answer.status != 503:
            return answer
        await asyncio.sleep(1)


async def _all(reading: Sequence[Coroutine[Any, Any, list[float]]]) -> list[float]:
    async with asyncio.timeout(BOUND_SECONDS), asyncio.TaskGroup() as group:
        tasks = [group.create_task(each) for each in reading]
    return [delay for task in tasks for delay in task.result()]
