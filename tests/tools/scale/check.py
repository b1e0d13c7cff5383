"""A real run beside what the simulation predicts for it."""

import asyncio
import sys
import time

from tests.tools.benchmarks.client import run
from tests.tools.benchmarks.load import percentile
from tests.tools.benchmarks.servers import Server
from tests.tools.scale.clients import streams
from tests.tools.scale.costs import Costs
from tests.tools.scale.servers import serving
from tests.tools.scale.simulation import Deployment, simulate
from tests.tools.scale.traffic import Profile, arrivals

SECONDS = 20.0
"""How long CPU and delays are measured, once as many streams are open as is asked for."""


def check(costs: Costs, profile: Profile, count: int) -> None:
    """Serve so many streams by one server on one core; print what was predicted and measured."""
    predicted = simulate(Deployment("streams", count, 1), costs, profile, SECONDS)
    with serving(pinned=True) as server:
        used, delays = run(_measured(server, profile, count))
    rows = (
        ("CPU of the server, % of a core", 100 * predicted.use["server CPU"], 100 * used),
        ("p50 delay of a token, ms", 1e3 * predicted.p50, 1e3 * percentile(delays, 50)),
        ("p99 delay of a token, ms", 1e3 * predicted.p99, 1e3 * percentile(delays, 99)),
    )
    sys.stdout.write(f"| {count:,} streams, one server | predicted | measured |\n|---|---|---|\n")
    for name, one, other in rows:
        sys.stdout.write(f"| {name} | {one:.1f} | {other:.1f} |\n")


async def _measured(server: Server, profile: Profile, count: int) -> tuple[float, list[float]]:
    """Return the server's use of its core, and the delays, while `count` streams are open."""
    begins = list(arrivals(profile, count, SECONDS, seed=1))
    shift = profile.seconds
    window = (time.time() + shift, time.time() + shift + SECONDS)

    async def stream(number: int, begin: float) -> list[float]:
        await asyncio.sleep(begin + shift)
        found = await streams(server, [str(number + 1)], 0)
        return found if window[0] < time.time() and time.time() < window[1] + shift else []

    async def use() -> float:
        await asyncio.sleep(shift)
        before, began = server.cpu(), time.monotonic()
        await asyncio.sleep(SECONDS)
        return (server.cpu() - before) / (time.monotonic() - began)

    async with asyncio.TaskGroup() as group:
        using = group.create_task(use())
        reading = [group.create_task(stream(n, at)) for n, at in enumerate(begins)]
    return using.result(), [delay for task in reading for delay in task.result()]
