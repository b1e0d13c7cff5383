"""A real run beside what the simulation predicts for it."""

import asyncio
import sys

from tests.tools.benchmarks.client import run
from tests.tools.benchmarks.load import percentile
from tests.tools.benchmarks.servers import Server
from tests.tools.scale.clients import streams
from tests.tools.scale.costs import Costs
from tests.tools.scale.servers import serving
from tests.tools.scale.simulation import Deployment, simulate
from tests.tools.scale.traffic import Profile, arrivals

SECONDS = 20.0
"""How long new streams begin, once as many are open as is asked for."""


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
    """Return the server's use of its core while `count` streams speak, and the delays.

    The use is that of all streams, per token, so a load that falls behind does not change it.
    """
    before = server.cpu()

    async def stream(number: int, begin: float) -> list[float]:
        await asyncio.sleep(begin + profile.seconds)
        return await streams(server, [str(number + 1)], 0)

    async with asyncio.TaskGroup() as group:
        begins = enumerate(arrivals(profile, count, SECONDS, seed=1))
        reading = [group.create_task(stream(number, begin)) for number, begin in begins]
    delays = [delay for task in reading for delay in task.result()]
    return (server.cpu() - before) / len(delays) * count * profile.mean_rate, delays
