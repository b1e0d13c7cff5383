"""What all endpoints of one app share: its routers, its bounds, its store, its start and end."""

import asyncio
import contextlib
import contextvars
import itertools
import logging
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from .background import Executor, Queue
from .context import request_id
from .counts import Counts, total
from .drain import Drain
from .errors import InvalidRequest, NotFound, Unavailable
from .gate import Gate
from .limits import Limits, Timeouts
from .local_queue import LocalQueue
from .resume import Resumption
from .router import AgentRouter
from .runner import Runner
from .shutdown import Stage, heard
from .spool import FOLDER, Spool
from .store.base import Record, Store, StoreUnavailable
from .store.timed import timed
from .tracing.tracer import Tracer
from .watchdog import Watchdog

logger = logging.getLogger("agent_asgi")

Lifespan = Callable[[Any], AbstractAsyncContextManager[Mapping[str, Any] | None]]
SWITCH_SECONDS = 0.0005
"""How long a thread may keep the event loop from going on. Python's own 5 ms are too long: a thread
that sends traces gets its turn with each of the loop's system calls, and runs became four times as
slow as their work."""
SAVE_SECONDS = 2.0
"""How long a store that does not answer is asked to keep a response."""
SAVE_PAUSE = 0.1
CANCEL_SECONDS = 1.0
"""How long runs that are cancelled may take beyond `Timeouts.cleanup` to be closed."""


class Live:
    """What lives as long as one event loop does: threads, traces, the store, detached runs."""

    def __init__(self, service: "Service") -> None:
        self.loop = asyncio.get_running_loop()
        self.drain = Drain()
        self.stage = Stage.SERVING
        self.closing = asyncio.Event()
        """Set where the server ends: who only follows a log, or waits, is let go."""
        self.tracer = Tracer(
            (each.experiment for each in service.routers if each.experiment),
            continue_trace=service.continue_trace,
        )
        self.runner = Runner(
            service.routers,
            self.tracer,
            self.drain,
            service.counts,
            service.limits,
            service.timeouts,
            debug=service.debug,
        )
        room = service.limits.max_runs, "runs", service.timeouts.room
        self.gates = {each.name: Gate(*room) for each in service.routers}
        self.streams = Gate(service.limits.max_streams, "streams")
        self.state: dict[str, Any] = {}
        self.store = timed(service.store, service.counts.add_store)
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
        self._cut = asyncio.Event()
        self._stop = asyncio.Event()
        context = contextvars.copy_context()
        context.run(request_id.set, "")  # what lives on is not of the request that starts it
        self._task = asyncio.create_task(self._live(service), context=context)

    @property
    def ready(self) -> bool:
        """Whether runs are taken, and will be."""
        return self.up and self.stage is Stage.SERVING

    async def end(self) -> None:
        """Let the runs end in their time, send the traces, leave the lifespan."""
        self._hear(Stage.ENDING)
        self._stop.set()
        await asyncio.shield(self._task)  # it goes on where who waits gives up

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
                with heard(self._hear, service.timeouts):
                    self.up = True
                    self.started.set_result(None)
                    await self.closing.wait()
                    await self._end_runs(service.timeouts)
                await self._stop.wait()
        except Exception as error:
            if self.started.done():
                raise
            logger.exception("The app could not start.")
            self.started.set_exception(error)
            self.started.exception()  # seen; each request is told anew

    def _hear(self, stage: Stage) -> None:
        """Take in how far the server has come on its way to its end."""
        self.stage = max(self.stage, stage)
        if stage >= Stage.ENDING:
            self.drain.closed = True
            self.closing.set()
            self.store.signals.notify_all()
        if stage is Stage.CUT:
            self._cut.set()

    async def _end_runs(self, timeouts: Timeouts) -> None:
        """Let runs end in their time; cancel them once that is over or cut short."""
        ended = asyncio.create_task(self._ended())
        cut = asyncio.create_task(self._cut.wait())
        await asyncio.wait((ended, cut), timeout=timeouts.drain, return_when="FIRST_COMPLETED")
        self.executor.give_up()
        self.drain.cancel()
        _, late = await asyncio.wait([ended], timeout=timeouts.cleanup + CANCEL_SECONDS)
        if late:
            logger.error("%d runs do not end; they are left.", len(self.drain.runs))
        for each in (ended, cut):
            each.cancel()

    async def _ended(self) -> None:
        await self.executor.close()
        await self.drain.idle()

    @contextlib.asynccontextmanager
    async def _running(self, service: "Service") -> AsyncIterator[None]:
        sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH_SECONDS))
        async with contextlib.AsyncExitStack() as stack:
            for lifespan in service.lifespans:
                given = await stack.enter_async_context(lifespan(service.app))
                self.state.update(given or {})
            await stack.enter_async_context(_sharing(service))
            await self.tracer.start(service.timeouts.tracing)
            stack.push_async_callback(self.tracer.stop)
            stack.push_async_callback(self.store.close)
            await self.store.open()
            await self.executor.start()
            stack.push_async_callback(self.executor.stop)
            stack.enter_context(Watchdog())
            yield


@contextlib.asynccontextmanager
async def _sharing(service: "Service") -> AsyncIterator[None]:
    """Have the app's counts where its other processes find them, up to the last."""
    if service.spool is None:
        yield
        return
    task = asyncio.create_task(service.spool.keep(service.own_counts))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        service.spool.write(service.own_counts())


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
        lifespans: Entered at start, left at the end.
        continue_trace: Whether an MLflow caller's trace is continued.
        authenticated: Whether who asks must say who it is.
        debug: Whether errors tell of exceptions.
        chat_completions: Whether agents are served by Chat Completions too.

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
        lifespans: Sequence[Lifespan],
        continue_trace: bool,
        authenticated: bool,
        debug: bool,
        chat_completions: bool,
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
        self.lifespans = lifespans
        self.continue_trace = continue_trace
        self.authenticated = authenticated
        self.debug = debug
        self.chat_completions = chat_completions
        self.counts = Counts.of(names)
        folder, number = os.environ.get(FOLDER), next(_numbers)
        self.spool = Spool(folder, number) if folder else None
        self._live: Live | None = None

    def own_counts(self) -> Counts:
        """Give what this process has counted, brought up to date."""
        if self._live is not None:
            waiting, dropped = self._live.tracer.backlog()
            self.counts.traces_waiting, self.counts.traces_dropped = waiting, dropped
        return self.counts

    def total_counts(self) -> tuple[Counts, bool]:
        """Give what all processes have counted, and tell whether this is the only one."""
        others = [] if self.spool is None else self.spool.others()
        return total([self.own_counts(), *others]), self.spool is None

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
        """Take no more runs, let those in flight end in their time, send the traces."""
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
    {"agent", "chat", "docs", "feedback", "health", "invocations", "metrics", "models"}
    | {"openapi.json", "ping", "playground", "ready", "responses", "v1"}
)
_numbers = itertools.count()
"""Tell the apps of a process apart; they come in the same order in each process."""
