"""What all endpoints of one app share: its routers, its bounds, its start and end."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio

from .drain import Drain
from .errors import InvalidRequest, NotFound, Unavailable
from .limits import Limits, Timeouts
from .router import AgentRouter
from .tracing import Tracer

logger = logging.getLogger("agent_asgi")

Lifespan = Callable[[Any], AbstractAsyncContextManager[Mapping[str, Any] | None]]


class Live:
    """What lives as long as one event loop does: threads, traces, the host's lifespan."""

    def __init__(self, service: "Service") -> None:
        self.loop = asyncio.get_running_loop()
        self.drain = Drain()
        self.tracer = Tracer(
            (each.experiment for each in service.routers if each.experiment),
            continue_trace=service.continue_trace,
        )
        self.limiters = {
            each.name: anyio.CapacityLimiter(each.max_threads) for each in service.routers
        }
        self.state: dict[str, Any] = {}
        self.started: asyncio.Future[None] = self.loop.create_future()
        self._stop = asyncio.Event()
        self._task = asyncio.create_task(self._live(service))

    @property
    def ready(self) -> bool:
        """Whether runs are taken."""
        started = self.started.done() and self.started.exception() is None
        return started and not self.drain.closed

    async def end(self) -> None:
        """Let the runs end, send the traces, leave the lifespan."""
        self._stop.set()
        await self._task

    async def _live(self, service: "Service") -> None:
        try:
            async with self._running(service):
                self.started.set_result(None)
                await self._stop.wait()
        except Exception as error:
            if self.started.done():
                raise
            logger.exception("The app could not start.")
            self.started.set_exception(error)
            self.started.exception()  # seen; each request is told anew

    @contextlib.asynccontextmanager
    async def _running(self, service: "Service") -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            if service.lifespan is not None:
                given = await stack.enter_async_context(service.lifespan(service.app))
                self.state.update(given or {})
            await self.tracer.start(service.timeouts.tracing)
            stack.push_async_callback(self.tracer.stop)
            stack.push_async_callback(self.drain.close)
            yield


class Service:
    """The routers of one app and how it serves them.

    Args:
        app: The app, for the lifespan.
        routers: The agents.
        limits: Bounds on what comes in.
        timeouts: Bounds on time.
        lifespan: Entered at start, left at the end. Default None.
        continue_trace: Whether an MLflow caller's trace is continued.
        debug: Whether errors tell of exceptions.

    Raises:
        ValueError: No router, two of one name, or one that is named like an endpoint.
    """

    def __init__(
        self,
        app: Any,
        routers: Sequence[AgentRouter],
        *,
        limits: Limits,
        timeouts: Timeouts,
        lifespan: Lifespan | None,
        continue_trace: bool,
        debug: bool,
    ) -> None:
        if not routers:
            raise ValueError("AgentApp needs a router: AgentApp(AgentRouter(...)).")
        names = [each.name for each in routers]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"AgentApp: two routers are named {name!r}.")
            if len(names) > 1 and name in _ENDPOINTS:
                raise ValueError(f"AgentApp: {name!r} is an endpoint; name the router otherwise.")
        self.app = app
        self.routers = tuple(routers)
        self.limits = limits
        self.timeouts = timeouts
        self.lifespan = lifespan
        self.continue_trace = continue_trace
        self.debug = debug
        self._live: Live | None = None

    def begin(self) -> Live:
        """Start what is not started, without waiting for it."""
        live = self._live
        failed = live is not None and live.started.done() and live.started.exception() is not None
        if live is None or failed or live.loop is not asyncio.get_running_loop():
            live = self._live = Live(self)
        return live

    async def live(self) -> Live:
        """Give what is started, having waited for it.

        Raises:
            Unavailable: The start failed; the log has the reason.
        """
        live = self.begin()
        if not live.started.done():
            await asyncio.wait([live.started])
        if live.started.exception() is not None:
            raise Unavailable("The server could not start. Its log has the reason.")
        return live

    async def end(self) -> None:
        """Take no more runs, let those in flight end, send the traces."""
        if self._live is not None:
            await self._live.end()

    def by_model(self, model: str | None) -> AgentRouter:
        """Pick the router that a request's `model` names.

        Raises:
            NotFound: No router has that name.
            InvalidRequest: Several routers, and no model.
        """
        agents = [each for each in self.routers if each.protocol == "responses"]
        if len(self.routers) == 1 and agents:
            return agents[0]
        known = ", ".join(repr(each.name) for each in agents) or "none"
        if model is None:
            raise InvalidRequest(f"model: name the agent, one of {known}.", "model")
        for agent in agents:
            if agent.name == model:
                return agent
        raise NotFound(
            f"The model {model!r} does not exist; there are {known}.", "model_not_found", "model"
        )


_ENDPOINTS = frozenset(
    {"agent", "health", "invocations", "models", "ping", "ready", "responses", "v1"}
)
