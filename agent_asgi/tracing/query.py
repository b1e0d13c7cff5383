"""Questions to MLflow on behalf of a client: bounded in number and in time."""

import asyncio
import concurrent.futures
import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from ..errors import AgentError, Unavailable
from .export import pending

T = TypeVar("T")
logger = logging.getLogger("agent_asgi.tracing")

RESPONSE = "agent_asgi.response_id"
"""The tag that names a trace's response."""
AT_ONCE = 4
"""How many are asked at the same time; each has a thread, which may hang as long as a server."""
TRACE_SECONDS = 20.0
"""How long to wait for a trace while this process still exports some."""
GRACE_SECONDS = 2.0
"""How long to wait for a trace that another process may be exporting."""
SECONDS = 30.0
"""How long a caller waits in all."""
PAUSE_SECONDS = 0.1
_slots = threading.BoundedSemaphore(AT_ONCE)


async def ask(work: Callable[[], T]) -> T:
    """Return what a function returns that asks MLflow, called in a thread.

    Args:
        work: The function.

    Raises:
        AgentError: The function raised it.
        Unavailable: MLflow fails, or does not answer in time.
    """
    if not _slots.acquire(blocking=False):
        raise Unavailable("MLflow is still busy with earlier requests.")
    done: concurrent.futures.Future[T] = concurrent.futures.Future()
    done.set_running_or_notify_cancel()  # it continues when nobody waits any more
    thread = threading.Thread(
        target=_work, args=(work, done), name="agent-asgi-mlflow", daemon=True
    )
    try:
        thread.start()
    except RuntimeError as error:  # the interpreter starts no more threads
        _slots.release()
        raise Unavailable("MLflow cannot be reached right now.") from error
    try:
        return await asyncio.wait_for(asyncio.wrap_future(done), SECONDS)
    except AgentError:
        raise
    except Exception as error:
        logger.warning("MLflow did not answer a request: %r", error)
        raise Unavailable("MLflow does not answer right now.") from error


def _work(work: Callable[[], T], done: concurrent.futures.Future[T]) -> None:
    try:
        done.set_result(work())
    except Exception as error:  # noqa: BLE001  raised again for whoever waits
        done.set_exception(error)
    finally:
        _slots.release()


def exported(find: Callable[[], T | None]) -> T | None:
    """Return MLflow's record of a trace once it has been exported; None if there is none.

    Args:
        find: Returns the record; None if MLflow does not have it yet.
    """
    from .processors import flush_processors

    threading.Thread(target=flush_processors, name="agent-asgi-flush", daemon=True).start()
    begun = moved = time.monotonic()
    while True:
        exporting = pending.spans  # read first: some may leave during the query
        info = find()
        if info is not None:
            return info
        now = time.monotonic()
        moved = now if exporting else moved
        if now > min(moved + GRACE_SECONDS, begun + TRACE_SECONDS):
            return None
        time.sleep(PAUSE_SECONDS)
