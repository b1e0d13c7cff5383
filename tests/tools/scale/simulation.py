"""A discrete-event simulation of servers on one PostgreSQL, fed with measured costs.

One server is simulated token by token. The other servers do the same work, so they appear as what
they do to PostgreSQL and as the notifications that they send. A server's event loop and each of
PostgreSQL's cores do one thing after another; what comes meanwhile waits.
"""

import heapq
import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from tests.tools.scale.costs import Costs
from tests.tools.scale.traffic import Profile, arrivals, token_times

KINDS = ("streams", "stored", "background")
WRITE_SECONDS = 0.1
"""The pause of the log, `SqlStore.write_seconds`."""
WARM_SECONDS = 1.0
"""What comes before is simulated, but not counted."""


@dataclass(frozen=True)
class Deployment:
    """What is simulated.

    Args:
        kind: "streams" keep nothing, "stored" ones keep their responses, "background" runs are
            followed on another server than the one that executes them.
        streams: How many are open at once, in all servers.
        processes: The number of servers, each with a core.
        database_cores: The cores of PostgreSQL.
    """

    kind: str
    streams: int
    processes: int
    database_cores: int = 8


class Result(NamedTuple):
    """What a simulation has found."""

    use: dict[str, float]
    """The share of each resource that is used; above 1, more is asked of it than it can do."""
    p50: float
    """Delay of a token from the agent to the client, in seconds."""
    p99: float
    memory: float
    """Bytes of all servers."""
    network: float
    """Bytes per second to the clients."""

    @property
    def tightest(self) -> str:
        """The resource of which most is used."""
        return max(self.use, key=lambda name: self.use[name])


class Core:
    """Does one thing after another."""

    def __init__(self, number: int = 1) -> None:
        self.busy = 0.0
        self._free = [0.0] * number

    def do(self, now: float, microseconds: float) -> float:
        """Do something as soon as possible; return when it is done."""
        seconds = microseconds / 1e6
        done = max(now, heapq.heappop(self._free)) + seconds
        heapq.heappush(self._free, done)
        if now >= WARM_SECONDS:
            self.busy += seconds
        return done


def simulate(
    deployment: Deployment, costs: Costs, profile: Profile, seconds: float = 6.0, seed: int = 1
) -> Result:
    """Simulate some seconds of a deployment."""
    run = _Simulation(deployment, costs, profile, seed)
    for at, kind in run.events(seconds + WARM_SECONDS):
        run.happen(at, kind)
    return run.result(seconds)


class _Simulation:
    def __init__(self, deployment: Deployment, costs: Costs, profile: Profile, seed: int) -> None:
        self._deployment = deployment
        self._costs = costs
        self._profile = profile
        self._seed = seed
        self._loop = Core()
        self._database = Core(deployment.database_cores)
        self._delays: list[float] = []
        self._waiting: list[float] = []  # when the tokens came that are in no log yet
        self._commits = 0.0
        self._notifying = 0.0
        self._heard = 0.0
        self._own = deployment.streams / deployment.processes
        self._chance = random.Random(seed)

    def events(self, until: float) -> Iterator[tuple[float, str]]:
        """Yield what happens on the simulated server, in the order of time."""
        calendar: list[tuple[float, int, Iterator[float], str]] = []
        order = itertools.count()
        begins = arrivals(self._profile, self._own, until, self._seed)
        for number, begin in enumerate(begins):
            times = token_times(self._profile, self._seed + number)
            heapq.heappush(calendar, (begin, next(order), _shifted(begin, times), "begin"))
        if self._deployment.kind == "background":
            ticks = itertools.count(0.0, WRITE_SECONDS)
            heapq.heappush(calendar, (0.0, next(order), ticks, "write"))
        while calendar and calendar[0][0] < until:
            at, _, rest, kind = heapq.heappop(calendar)
            if at >= 0:
                yield at, kind
            following = next(rest, None)
            if following is not None:
                kind = "write" if kind == "write" else "token"
                heapq.heappush(calendar, (following, next(order), rest, kind))

    def happen(self, at: float, kind: str) -> None:
        """Let one thing happen."""
        if kind == "begin":
            self._begin(at)
        elif kind == "write":
            self._write(at)
        elif self._deployment.kind == "background":
            self._loop.do(at, self._costs.log_token)
            self._waiting.append(at)
        else:
            done = self._loop.do(at, self._costs.token)
            if at >= WARM_SECONDS:
                self._delays.append(done - at)

    def _begin(self, at: float) -> None:
        """A stream begins here and another one ends; so it is on the other servers."""
        costs, kind = self._costs, self._deployment.kind
        everywhere = self._deployment.processes
        if kind == "background":
            self._loop.do(at, costs.run)
            self._transactions(at, costs.run_database * everywhere, costs.run_commits * everywhere)
        else:
            self._loop.do(at, costs.begin_and_end + (costs.stored if kind == "stored" else 0))
            if kind == "stored":
                self._transactions(at, costs.stored_database * everywhere, everywhere)

    def _transactions(self, at: float, microseconds: float, commits: float) -> None:
        """Do in PostgreSQL what all servers ask of it, one after the other over a moment."""
        parts = max(1, self._deployment.processes)
        for _ in range(parts):
            self._database.do(at, microseconds / parts)
        self._commits += commits * (at >= WARM_SECONDS)

    def _write(self, at: float) -> None:
        """Write what has waited, on each server; the followers on the others read it."""
        costs, everywhere = self._costs, self._deployment.processes
        tokens, self._waiting = self._waiting, []
        speaking = self._own * self._profile.mean_rate / self._profile.rate
        rows = min(len(tokens), speaking * costs.run_rows * WRITE_SECONDS)
        if not rows:
            return
        done = at
        for _ in range(everywhere):
            done = self._database.do(at, rows * costs.row_database)
        self._commits += everywhere * (at >= WARM_SECONDS)
        self._notifying += everywhere * (at >= WARM_SECONDS)
        hearing = rows * everywhere * costs.notification
        self._heard += hearing * (at >= WARM_SECONDS)
        heard = self._loop.do(done, hearing)
        for came in tokens:  # as many as the followers here read, of runs on other servers
            sent = self._loop.do(heard, costs.follow_token)
            if came >= WARM_SECONDS:
                self._delays.append(sent - came)

    def result(self, seconds: float) -> Result:
        """Return what has been found."""
        costs, deployment = self._costs, self._deployment
        use = {
            "server CPU": self._loop.busy / seconds,
            "notifications": self._heard / 1e6 / seconds,
            "PostgreSQL CPU": self._database.busy / seconds / deployment.database_cores,
            "commits": self._commits / seconds / costs.commits,
            "notifying commits": self._notifying / seconds / costs.notifying_commits,
        }
        delays = sorted(self._delays) or [0.0]
        memory = deployment.processes * costs.process_bytes
        return Result(
            use,
            delays[len(delays) // 2],
            delays[int(len(delays) * 0.99)],
            memory + deployment.streams * costs.stream_bytes,
            deployment.streams * self._profile.mean_rate * costs.frame_bytes,
        )


def _shifted(begin: float, times: Iterator[float]) -> Iterator[float]:
    return (begin + at for at in times)
