"""How many servers a number of streams needs, and what is saturated first, by arithmetic."""

import math

from tests.tools.scale.costs import Costs
from tests.tools.scale.simulation import WRITE_SECONDS, Deployment
from tests.tools.scale.traffic import Profile

SERVER_USE = 0.6
"""The share of a server's core that may be used: what is left keeps delays short."""
USE = 0.8
"""The share of any other resource from which on it counts as saturated."""
HEARD_USE = 0.9 * SERVER_USE
"""The share of a server's core that the notifications of all servers may take."""


def expected_use(deployment: Deployment, costs: Costs, profile: Profile) -> dict[str, float]:
    """Return the share of each resource that is used, as `simulate` does, without delays."""
    streams, servers = deployment.streams, deployment.processes
    begins = streams / profile.seconds
    tokens = streams * profile.mean_rate
    if deployment.kind == "background":
        rows = tokens / profile.rate * costs.run_rows
        writes = servers / WRITE_SECONDS
        heard = rows * costs.notification
        server = begins * costs.run + tokens * (costs.log_token + costs.follow_token)
        database = begins * costs.run_database + rows * costs.row_database
        commits = begins * costs.run_commits + writes
    else:
        stored = deployment.kind == "stored"
        heard = writes = 0.0
        server = begins * (costs.begin_and_end + stored * costs.stored) + tokens * costs.token
        database = begins * stored * costs.stored_database
        commits = begins * stored
    return {
        "server CPU": (server / servers + heard) / 1e6,
        "notifications": heard / 1e6,
        "PostgreSQL CPU": database / 1e6 / deployment.database_cores,
        "commits": commits / costs.commits,
        "notifying commits": writes / costs.notifying_commits,
    }


def fit(kind: str, streams: int, costs: Costs, profile: Profile, cores: int) -> Deployment:
    """Return the deployment with so many servers that each is used to `SERVER_USE`.

    What each server hears of all others leaves less for its own streams, but at least a tenth.
    """
    used = expected_use(Deployment(kind, streams, 1, cores), costs, profile)
    alone = used["server CPU"] - used["notifications"]
    left = SERVER_USE - min(used["notifications"], HEARD_USE)
    return Deployment(kind, streams, max(1, math.ceil(alone / left)), cores)


def saturated(deployment: Deployment, costs: Costs, profile: Profile) -> str:
    """Return the resource that is saturated however many servers there are; "" if none is."""
    used = expected_use(deployment, costs, profile)
    limits = {"server CPU": math.inf, "notifications": HEARD_USE}
    over = {name: use for name, use in used.items() if use > limits.get(name, USE)}
    return max(over, key=lambda name: over[name]) if over else ""


def bend(kind: str, costs: Costs, profile: Profile, cores: int, most: int) -> Deployment | None:
    """Return the smallest deployment, to a hundredth, in which something is saturated.

    Each number of streams has the servers that it needs, so it is something that more servers do
    not help. None: nothing is, up to `most` streams.
    """
    enough, over = 1, most
    if not saturated(fit(kind, most, costs, profile, cores), costs, profile):
        return None
    while over > enough * 1.01 + 1:
        middle = (enough + over) // 2
        if saturated(fit(kind, middle, costs, profile, cores), costs, profile):
            over = middle
        else:
            enough = middle
    return fit(kind, over, costs, profile, cores)
