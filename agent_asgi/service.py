"""What all endpoints of one app share: its routers, its bounds, its store, its start and end."""

import asyncio
import contextlib
import logging
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from .background import Executor, LocalQueue, Queue
from .drain import Drain
from .errors import InvalidRequest, NotFound, Unavailable
from .limits import Limits, Timeouts
from .resume import Resumption
from .router import AgentRouter
from .runner import Runner
from .sse import server_ends
from .store.base import Record, Store, StoreUnavailable
from .tracing.tracer import Tracer

logger = logging.getLogger("agent_asgi")

Lifespan = Callable[[Any], AbstractAsyncContextManager[Mapping[str, Any] | None]]
SWITCH_SECONDS = 0.0005
"""How long a thread may keep the event loop from going on. Python's own 5 ms are too long: a thread
that sends traces gets its turn with each of the loop's system calls, and runs became four times as
slow as their work."""
SAVE_SECONDS = 2.0
"""How long a store that does not answer is asked to keep a response."""
SAVE_PAUSE = 0.1
LOOK_SECONDS = 0.1
"""How often it is looked whether the server is to end."""


class Live:
    """What lives as long as one event loop does: threads, traces, the store, detached runs."""

    def __init__(self, service: "Service") -> None:
        self.loop = asyncio.get_running_loop()
        self.drain = Drain()
        self.closing = asyncio.Event()
        self.tracer = Tracer(
            (each.experiment for each in service.routers if each.experiment),
            continue_trace=service.continue_trace,
        )
        self.runner = Runner(
            service.routers, self.tracer, self.drain, service.timeouts, debug=service.debug
        )
        self.state: dict[str, Any] = {}
        self.store = service.store
        self.resumption = Resumption(
            service.routers, self.runner, self.store, service.limits.max_attempts, self.state
        )
        self.executor = Executor(
            self.store,
            _queue(service),
            self.resumption,
            [each.name for each in service.routers],
            service.timeouts,
        )
        self.started: asyncio.Future[None] = self.loop.create_future()
        self.up = False
        """Whether the start has been done, and well."""
        self._stop = asyncio.Event()
        self._task = asyncio.create_task(self._live(service))

    @property
    def ready(self) -> bool:
        """Whether runs are taken."""
        return self.up and not self.drain.closed

    async def end(self) -> None:
        """Let the runs end, send the traces, leave the lifespan."""
        self._stop.set()
        await self._task

    async def conclude(self, response_id: str, record: Record | None) -> bool:
        """Keep a response that has ended, and free its conversation, before the client hears of it.

        Args:
            response_id: The response.
            record: What is to be kept; None for nothing.

        Returns:
            Whether it is kept.
        """
        if record is None and not self.executor.has_locked(response_id):
            return False
        concluding = self._conclude(response_id, record)
        if not self.store.durable:
            return await concluding
        task = asyncio.create_task(concluding)
        while not task.done():
            with contextlib.suppress(asyncio.CancelledError):  # the run ends, and says so itself
                await asyncio.wait([task])
        return task.result()

    async def _conclude(self, response_id: str, record: Record | None) -> bool:
        kept = record is not None and await self._save(record)
        await self.executor.unlock(response_id)
        return kept

    async def _save(self, record: Record) -> bool:
        """Keep a response; where the store does not answer, try for a moment."""
        if not self.store.durable:  # it always answers
            await self.store.save(record)
            return True
        until = time.monotonic() + SAVE_SECONDS
        while True:
            try:
                async with asyncio.timeout(SAVE_SECONDS):
                    await self.store.save(record)
            except (StoreUnavailable, TimeoutError):
                if time.monotonic() >= until:
                    logger.error("%s is not stored: the store does not answer.", record.id)
                    return False
                await asyncio.sleep(SAVE_PAUSE)
            else:
                return True

    async def _live(self, service: "Service") -> None:
        try:
            async with self._running(service):
                self.up = True
                self.started.set_result(None)
                await self._wait_for_end()
                self.drain.closed = True
                self.closing.set()
                self.store.signals.notify_all()
                await self._stop.wait()
        except Exception as error:
            if self.started.done():
                raise
            logger.exception("The app could not start.")
            self.started.set_exception(error)
            self.started.exception()  # seen; each request is told anew

    async def _wait_for_end(self) -> None:
        """Wait until the app is ended, or uvicorn has been told to end.

        uvicorn waits for its connections before it ends the app, so those that follow a log must
        hear of it from the signal.
        """
        ending_before = server_ends()  # a server that ran before in this process
        while ending_before or not server_ends():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._stop.wait()
                    return

    @contextlib.asynccontextmanager
    async def _running(self, service: "Service") -> AsyncIterator[None]:
        sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH_SECONDS))
        async with contextlib.AsyncExitStack() as stack:
            if service.lifespan is not None:
                given = await stack.enter_async_context(service.lifespan(service.app))
                self.state.update(given or {})
            await self.tracer.start(service.timeouts.tracing)
            stack.push_async_callback(self.tracer.stop)
            stack.push_async_callback(self.store.close)
            await self.store.open()
            stack.push_async_callback(self.drain.close)
            await self.executor.start()
            stack.push_async_callback(self.executor.stop)
            yield


def _queue(service: "Service") -> Queue:
    if service.store.conninfo is None:
        return LocalQueue(service.limits.worker_concurrency)
    from .queue import JobQueue  # an extra

    agents = [each.name for each in service.routers]
    return JobQueue(service.store.conninfo, agents, service.limits, service.timeouts)


class Service:
    """The routers of one app and how it serves them.

    Args:
        app: The app, for the lifespan.
        routers: The agents.
        limits: Bounds on what comes in.
        timeouts: Bounds on time.
        store: Keeps responses.
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
        store: Store,
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
        if not limits.worker_concurrency and store.conninfo is None:
            raise ValueError("Limits: worker_concurrency may be 0 only with a PostgreSQL store.")
        self.app = app
        self.routers = tuple(routers)
        self.limits = limits
        self.timeouts = timeouts
        self.store = store
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

    def started(self) -> Live | None:
        """Give what has started in this event loop; None where that is still to come."""
        live = self._live
        if live is None or not live.up or live.loop is not asyncio.get_running_loop():
            return None
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

    def by_name(self, name: str) -> AgentRouter | None:
        """Give the router of a name."""
        return next((each for each in self.routers if each.name == name), None)

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
    {"agent", "docs", "health", "invocations", "models", "openapi.json", "ping", "ready"}
    | {"responses", "v1"}
)
