"""Start and call apps in the test process."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

from starlette.types import ASGIApp

from agent_asgi import AgentApp
from agent_asgi.runs.admission import Stage
from agent_asgi.testing import AgentClient, Answer


@contextlib.asynccontextmanager
async def started(app: AgentApp) -> AsyncIterator[AgentApp]:
    """Run an app's lifespan around a block, so that its traces are sent at the end."""
    async with app.lifespan():
        async with asyncio.timeout(60):
            while sets_tracing_up(app):
                await asyncio.sleep(0.01)
        yield app


def sets_tracing_up(app: ASGIApp) -> bool:
    """Return whether MLflow is still being set up; a busy machine may outlast a run's wait."""
    runtime = app._config._runtime if isinstance(app, AgentApp) else None
    if runtime is None or runtime.admission.stage is not Stage.SERVING or runtime.tracer.off:
        return False
    tracer = runtime.tracer
    return not tracer.settled or (tracer._thread is not None and not tracer._ready.is_set())


def ask(app: AgentApp, path: str, body: Any, headers: Mapping[str, str] | None = None) -> Answer:
    """Start an app, send it one request, and stop it; return the whole answer."""

    async def main() -> Answer:
        async with started(app):
            return await AgentClient(app).post(path, body, headers=headers)

    return asyncio.run(main())


def ask_unstarted(
    app: ASGIApp, path: str, body: Any, headers: Mapping[str, str] | None = None
) -> Answer:
    """Send one request to an app that is not started; return the whole answer."""
    return asyncio.run(AgentClient(app).post(path, body, headers=headers))


async def nothing_is_left(app: AgentApp) -> None:
    """Check that all counters are back at zero and no task of a run is left."""
    runtime = app._config.started()
    assert runtime is not None
    executor, engine = runtime.executor, runtime.engine
    end = time.monotonic() + 5
    while executor._tasks or executor._runs:
        assert time.monotonic() < end
        await asyncio.sleep(0.01)
    assert not runtime.admission.runs
    assert {each.free for each in engine.limiters.values()} == {app.limits.max_runs}
    assert engine.streams.free == app.limits.max_streams
    tasks = [getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()]
    at_work = ("Run.", "Watch.", "EventStreamResponse.", "AgentClient.", "Executor._execute")
    assert not [each for each in tasks if each.startswith(at_work)]
