"""`AppConfig` and `Runtime`: an app's settings, and what it shares in one event loop."""

import asyncio
import contextlib
import contextvars
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from starlette.types import Scope

from .agents.router import AgentRouter
from .background.deliverer import Deliverer, Notify, Receiver
from .background.executor import Executor, Queue
from .background.locks import Locks
from .background.log_reader import LogReader
from .background.memory_queue import MemoryQueue
from .background.recovery import Recovery
from .background.saver import Saver
from .background.webhooks import Webhook
from .config import Limits, Quota, Timeouts
from .context import request_id
from .errors import InvalidRequest, NotFound, Unavailable
from .observability import create_metrics
from .observability.tracebacks import exc_info
from .runs.admission import Admission, Stage
from .runs.engine import Engine
from .runs.quotas import Quotas
from .runs.watchdog import Watchdog
from .server.shutdown import on_stage
from .store.base import SchemaMismatch, Store, StoreUnavailable
from .store.timed import timed
from .tracing.options import TraceOptions
from .tracing.tracer import Tracer

logger = logging.getLogger("agent_asgi")

Lifespan = Callable[[Any], AbstractAsyncContextManager[Mapping[str, Any] | None]]
METRICS_SECONDS = 1.0
"""How often the metrics are updated if other processes expose them too."""
_FAILED = "The server could not start. Its log has the reason."
CANCEL_SECONDS = 1.0
"""How long cancelled runs may take to end, beyond `Timeouts.cleanup`."""


class Runtime:
    """What an app shares in one event loop: runs, threads, traces, the store.

    Args:
        config: The app's settings.

    Attributes:
        admission: The runs in flight, and the stage of the server.
        state: What the app's lifespan passes on to handlers.
        started: Done when the start has succeeded or failed; a failure is its exception.
    """

    def __init__(self, config: "AppConfig") -> None:
        self.loop = asyncio.get_running_loop()
        self.admission = Admission()
        self.state: dict[str, Any] = {}
        self.tracer = Tracer(
            (router.experiment for router in config.routers if router.experiment),
            config.traces,
            timeout=config.timeouts.tracing,
        )
        self.store = config.store
        if config.metrics is not None:
            self.store = timed(config.store, config.metrics.store_timer)
        self.reader = LogReader(self.store, self.admission)
        self.locks = Locks(self.store, config.timeouts.stalled)
        self.engine = Engine(
            config.routers,
            self.admission,
            self.tracer,
            config.metrics,
            config.limits,
            config.timeouts,
            Saver(self.store, self.locks).finish,
            None if config.quota is None else Quotas(config.quota, self.store),
            single_user=config.single_user,
            debug=config.debug,
        )
        self.recovery = Recovery(config.routers, self.engine, self.store, self.state)
        self.deliverer = Deliverer(self.store, config.webhooks, config.receivers, config.notify)
        self.executor = Executor(
            self.store,
            _queue(config),
            self.recovery,
            [router.name for router in config.routers],
            config.timeouts,
            self.admission,
            self.locks,
            self.deliverer,
            queues=config.queues,
        )
        self.started: asyncio.Future[None] = self.loop.create_future()
        self._stop = asyncio.Event()
        context = contextvars.copy_context()
        context.run(request_id.set, "")  # it outlives the request that starts it
        self._task = asyncio.create_task(self._live(config), context=context)

    @property
    def ready(self) -> bool:
        """Whether runs are accepted, and will be for some time."""
        return self.admission.stage is Stage.SERVING and self.tracer.settled

    @property
    def has_ended(self) -> bool:
        """Whether the runtime has ended, and cannot accept runs any more."""
        return self._task.done()

    def state_for(self, scope: Scope) -> dict[str, Any]:
        """Return what the lifespan, middleware and authentication pass on to a handler."""
        own = scope.get("state")
        return {**self.state, **own} if own else {**self.state}

    async def end(self) -> None:
        """Let the runs end in time, export the traces, leave the lifespan."""
        self._reach(Stage.ENDING)
        self._stop.set()
        await asyncio.shield(self._task)  # it continues if the caller stops waiting

    async def _live(self, config: "AppConfig") -> None:
        try:
            for router in config.routers:
                router.require_handler()
            async with self._running(config):
                with on_stage(self._reach, config.timeouts):
                    self._reach(Stage.SERVING)
                    self.started.set_result(None)
                    await self.admission.reached(Stage.ENDING)
                    await self._end_runs(config.timeouts)
                await self._stop.wait()
        except Exception as error:
            if self.started.done():
                raise
            logger.error("The app could not start.", exc_info=exc_info(error))
            self.started.set_exception(error)
            self.started.exception()  # marks it as retrieved; each request raises its own error

    def _reach(self, stage: Stage) -> None:
        self.admission.reach(stage)
        if stage >= Stage.ENDING:
            self.store.signals.notify_all()
            self.reader.release()

    async def _end_runs(self, timeouts: Timeouts) -> None:
        """Let runs end in time, then cancel them."""
        ended = asyncio.create_task(self._ended())
        cut = asyncio.create_task(self.admission.reached(Stage.CUT))
        await asyncio.wait((ended, cut), timeout=timeouts.drain, return_when="FIRST_COMPLETED")
        self.admission.reach(Stage.CUT)
        self.admission.cancel()
        _, late = await asyncio.wait([ended], timeout=timeouts.cleanup + CANCEL_SECONDS)
        if late:
            logger.error(
                "%d runs did not end after their cancellation. The server stops without them.",
                len(self.admission.runs),
            )
        for task in (ended, cut):
            task.cancel()

    async def _ended(self) -> None:
        await self.executor.close()
        await self.admission.idle()

    @contextlib.asynccontextmanager
    async def _running(self, config: "AppConfig") -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            for lifespan in config.lifespans:
                state = await stack.enter_async_context(lifespan(config.app))
                if not isinstance(state, Mapping | None):
                    raise TypeError(f"AgentApp: lifespan must yield a mapping, not {state!r}.")
                self.state.update(state or {})
            await stack.enter_async_context(_sharing_metrics(config))
            self.tracer.start()
            stack.push_async_callback(self.tracer.stop, config.timeouts.drain)
            stack.push_async_callback(self.store.close)
            await self.store.open()
            if self.engine.quotas is not None:
                stack.push_async_callback(self.engine.quotas.close)
            self.reader.start()
            stack.push_async_callback(self.reader.stop)
            self.deliverer.start()
            stack.push_async_callback(self.deliverer.stop)
            await self.executor.start()
            stack.push_async_callback(self.executor.stop)
            stack.enter_context(Watchdog())
            yield


@contextlib.asynccontextmanager
async def _sharing_metrics(config: "AppConfig") -> AsyncIterator[None]:
    """Keep the metrics up to date in the files that other processes read."""
    if config.metrics is None or not config.metrics.is_multiprocess:
        yield
        return
    task = asyncio.create_task(_keep_metrics(config))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        config.update_metrics()


async def _keep_metrics(config: "AppConfig") -> None:
    while True:
        config.update_metrics()
        await asyncio.sleep(METRICS_SECONDS)


def _queue(config: "AppConfig") -> Queue:
    if config.store.conninfo is None:
        return MemoryQueue(config.limits.worker_concurrency)
    from .background.postgres_queue import PostgresQueue  # an extra

    agents = [router.name for router in config.routers]
    return PostgresQueue(config.store.conninfo, agents, config.limits, config.timeouts)


class AppConfig:
    """An app's routers and settings; it starts the `Runtime` of the running event loop.

    Args:
        app: The app, which the lifespans get.
        routers: The agents.
        reserved: Names that a router may not have if there are several.
        limits: Bounds on size and number.
        timeouts: Bounds on time.
        store: Keeps responses.
        webhooks: Receivers of the ends of background runs.
        receivers: To whom else the app delivers.
        notify: What makes the notices of subscribers.
        lifespans: Entered at the start, left at the end.
        queues: Whether runs wait for one another in a conversation.
        traces: How runs are traced.
        authenticated: Whether requests are authenticated.
        single_user: Whether all clients are one user.
        quota: What each user may use; None for no bound.
        debug: Whether errors name exceptions.

    Raises:
        ValueError: There is no agent, two have the same name, or one is named like an endpoint.
    """

    def __init__(
        self,
        app: Any,
        routers: Sequence[AgentRouter],
        *,
        reserved: frozenset[str],
        limits: Limits,
        timeouts: Timeouts,
        store: Store,
        webhooks: Sequence[Webhook],
        receivers: Sequence[Receiver],
        notify: Sequence[Notify],
        lifespans: Sequence[Lifespan],
        queues: bool,
        traces: TraceOptions,
        authenticated: bool,
        single_user: bool,
        quota: Quota | Callable[[str], Quota | None] | None,
        debug: bool,
    ) -> None:
        urls = [webhook.url for webhook in webhooks]
        for url in urls:
            if urls.count(url) > 1:
                raise ValueError(f"AgentApp: two webhooks have the URL {url!r}.")
        names = [router.name for router in routers]
        if not routers:
            raise ValueError("AgentApp needs an agent, for example AgentApp(AgentRouter(...)).")
        for name in names:
            if names.count(name) > 1:
                raise ValueError(
                    f"AgentApp: two agents are named {name!r}. Name them, for example "
                    "AgentRouter('tutor') or, of an adapter, router(agent, 'tutor')."
                )
            if len(names) > 1 and name in reserved:
                raise ValueError(f"AgentApp: router name {name!r} is reserved for an endpoint.")
        if not limits.worker_concurrency and store.conninfo is None:
            raise ValueError("Limits: worker_concurrency may be 0 only with a PostgreSQL store.")
        self.app = app
        self.routers = tuple(routers)
        self._agents = {each.name: each for each in routers if each.protocol == "responses"}
        self._only = routers[0] if len(routers) == 1 and self._agents else None
        self.limits = limits
        self.timeouts = timeouts
        self.store = store
        self.webhooks = webhooks
        self.receivers = receivers
        self.notify = notify
        self.lifespans = lifespans
        self.queues = queues
        self.traces = traces
        self.authenticated = authenticated
        self.single_user = single_user
        self.quota = quota
        self.debug = debug
        self.metrics = create_metrics(names)
        self._runtime: Runtime | None = None
        self._start_error: BaseException | None = None

    def refused(self, code: str) -> None:
        """Count a request that was refused before a handler started."""
        if self.metrics is not None:
            self.metrics.refused(code)

    def update_metrics(self) -> None:
        """Update the metrics with what has been counted since the last update."""
        if self.metrics is None:
            return
        if self._runtime is None:
            self.metrics.update({}, 0, 0)
        else:
            runs = Counter(run.agent for run in self._runtime.admission.runs)
            self.metrics.update(runs, *self._runtime.tracer.backlog())

    def begin(self) -> Runtime:
        """Start the runtime if necessary, without waiting for it."""
        runtime = self._runtime
        if (
            runtime is None
            or runtime.loop is not asyncio.get_running_loop()
            or (runtime.started.done() and runtime.started.exception() is not None)
        ):
            if runtime is not None and runtime.started.done():
                self._start_error = runtime.started.exception()
            runtime = self._runtime = Runtime(self)
        return runtime

    @property
    def start_failure(self) -> str | None:
        """Why the last start failed, for everybody to read; None if none has failed."""
        if self._start_error is None:
            return None
        if isinstance(self._start_error, SchemaMismatch | StoreUnavailable):
            return str(self._start_error)
        return _FAILED

    def started(self) -> Runtime | None:
        """Return the runtime of this event loop; None if it has not started."""
        runtime = self._runtime
        if runtime is None or runtime.admission.stage is Stage.STARTING:
            return None
        return runtime if runtime.loop is asyncio.get_running_loop() else None

    async def running(self) -> Runtime:
        """Return the runtime of this event loop, after starting it if necessary.

        Raises:
            Unavailable: The start failed; the log has the reason.
        """
        runtime = self.begin()
        if not runtime.started.done():
            await asyncio.wait([runtime.started])
        if runtime.started.exception() is not None:
            raise Unavailable(_FAILED)
        return runtime

    async def restart(self) -> Runtime:
        """Return the runtime of this event loop, after starting it, also if it has ended before.

        Raises:
            Unavailable: The start failed; the log has the reason.
        """
        if self._runtime is not None and self._runtime.has_ended:
            self._runtime = None
        return await self.running()

    async def end(self) -> None:
        """Accept no more runs, let those in flight end in time, export the traces."""
        if self._runtime is not None:
            await self._runtime.end()

    def by_name(self, name: str) -> AgentRouter | None:
        """Return the router with a name; None if there is none."""
        return next((router for router in self.routers if router.name == name), None)

    def by_model(self, model: str | None) -> AgentRouter:
        """Return the router that a request's `model` names.

        Raises:
            NotFound: No router has that name.
            InvalidRequest: There are several routers, but the request names none.
        """
        if self._only is not None:
            return self._only
        if model is not None and model in self._agents:
            return self._agents[model]
        known = ", ".join(map(repr, self._agents)) or "none"
        if model is None:
            raise InvalidRequest(f"model: must name an agent: {known}.", "model")
        raise NotFound(
            f"The model {model!r} does not exist. Available: {known}.", "model_not_found", "model"
        )
