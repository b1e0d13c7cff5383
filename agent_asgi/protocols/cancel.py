"""Cancel a detached run, whichever process executes it."""

import asyncio

from ..errors import NotFound
from ..runtime import Runtime
from ..store.base import Record

CANCEL_SECONDS = 2.0
"""How long to wait for the run to end."""


async def cancelled(runtime: Runtime, record: Record) -> Record:
    """Cancel a run in any process and return its record, after `CANCEL_SECONDS` at the latest."""
    with runtime.store.signals.watch(record.id) as watcher:
        await runtime.store.want_cancel(record.id, record.owner)
        if not runtime.executor.cancel(record.id, "client_cancelled"):
            runtime.executor.submit(record.id)  # if no process runs it, claim and end it
        loop = asyncio.get_running_loop()
        until = loop.time() + CANCEL_SECONDS
        while record.active and loop.time() < until:
            await watcher.wait(min(runtime.store.poll_seconds, CANCEL_SECONDS))
            latest = await runtime.store.get(record.id, record.owner)
            if latest is None:
                raise NotFound(f"There is no response {record.id!r}.", "response_not_found")
            record = latest
    return record
