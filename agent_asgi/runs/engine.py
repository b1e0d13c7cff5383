"""`Engine`: what all runs of an app in one event loop share."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import anyio

from ..agents.router import AgentRouter
from ..config import Limits, Timeouts
from ..events.own_calls import OwnTools
from ..tracing.tracer import Tracer
from .admission import Admission, Limiter
from .quotas import Quotas

if TYPE_CHECKING:
    from ..observability.metrics import Metrics
    from .run import Run


class Engine:
    """What all runs of an app in one event loop share.

    Args:
        routers: The agents; each has its own threads and its own limit.
        admission: The runs in flight.
        tracer: Begins their traces.
        metrics: Counts them; None without the `metrics` extra.
        limits: Bounds on how much a run may take and return.
        timeouts: Bounds on time.
        finish: Saves a response that has ended, before the client learns of its end.
        quotas: What each user may use; None if there is no quota.
        single_user: Whether all clients are one user.
        debug: Whether errors name the handler's exception to the client.

    Attributes:
        warned_of_names: Whether it was logged that the names of conversations do not remember.
    """

    def __init__(
        self,
        routers: Sequence[AgentRouter],
        admission: Admission,
        tracer: Tracer,
        metrics: "Metrics | None",
        limits: Limits,
        timeouts: Timeouts,
        finish: Callable[["Run"], Awaitable[None]],
        quotas: Quotas | None,
        *,
        single_user: bool,
        debug: bool,
    ) -> None:
        self.admission = admission
        self.tracer = tracer
        self.metrics = metrics
        self.limits = limits
        self.timeouts = timeouts
        self.finish = finish
        self.quotas = quotas
        self.debug = debug
        self.warned_of_names = False
        self._single_user = single_user
        self.threads = {
            router.name: anyio.CapacityLimiter(router.max_threads) for router in routers
        }
        self.limiters = {
            router.name: Limiter(limits.max_runs, "runs", timeouts.room) for router in routers
        }
        self.own_tools = {
            router.name: OwnTools(router.name, router.own_tools) for router in routers
        }
        self.streams = Limiter(limits.max_streams, "streams")

    async def enter(self, run: "Run") -> None:
        """Admit a run, if necessary after waiting for room; call `leave` afterwards.

        Raises:
            AgentError: The user's quota is used up, or there is no room.
        """
        if self.quotas is not None:
            await self.quotas.admit(run)
        try:
            await self.limiters[run.agent].enter(run.owner)
        except BaseException:
            if self.quotas is not None:
                self.quotas.leave(run)
            raise

    def leave(self, run: "Run") -> None:
        """Make room after a run, which has ended or has not begun."""
        self.limiters[run.agent].leave()
        if self.quotas is not None:
            self.quotas.leave(run)

    def knows_user(self, owner: str) -> bool:
        """Return whether a client is a known user: authenticated, or the only one there is."""
        return self._single_user or owner != ""
