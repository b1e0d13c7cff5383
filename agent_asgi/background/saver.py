"""`Saver`: stores the responses of attached runs when they end."""

import asyncio
import logging
import time

from ..events.lifecycle import Lifecycle
from ..runs.record import addition_of, item_ids_of, record_of
from ..runs.run import Run
from ..store.base import Record, Store, StoreUnavailable
from ..store.conversation_store import Addition
from .locks import Locks

logger = logging.getLogger("agent_asgi")

SAVE_SECONDS = 5.0
"""How long to retry to save a response if the store does not answer."""
SAVE_RETRY_SECONDS = 0.1


class Saver:
    """Stores the responses of attached runs when they end.

    Args:
        store: Where responses are stored.
        locks: The conversations that the runs have locked.
    """

    def __init__(self, store: Store, locks: Locks) -> None:
        self._store = store
        self._locks = locks

    async def finish(self, run: Run) -> None:
        """Save a response that has ended, add it to its conversation and unlock that.

        The response's `store` then says whether it was saved. The client learns of the end only
        afterwards.
        """
        lifecycle = run.output
        if not isinstance(lifecycle, Lifecycle):
            return
        response, saved, record, addition = lifecycle.response, False, None, None
        has_lock = run.response_id in self._locks.ids
        try:
            if run.request.keeps(lifecycle.output):
                record = record_of(run, response, lifecycle.encode())
                addition = addition_of(run, record)
            if not self._store.durable:  # the memory store always answers
                if record is not None:
                    await self._store.save(record, addition)
                    saved = True
                if has_lock:
                    await self._locks.unlock(run.response_id)
            elif record is not None or has_lock:
                if record is not None:
                    record.item_ids = item_ids_of(run, response)
                saved = await self._finish_shielded(run, record, addition)
        except Exception:
            logger.exception("%s could not be stored.", run.response_id)
        if saved != response.store:
            response.store = saved
            lifecycle.encoded = None

    async def _finish_shielded(
        self, run: Run, record: Record | None, addition: Addition | None
    ) -> bool:
        """Save a record and unlock the conversation, even if this task is cancelled meanwhile."""

        async def finish() -> bool:
            saved = record is not None and await self._save(record, addition)
            await self._locks.unlock(run.response_id)
            return saved

        task = asyncio.create_task(finish())
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError as error:
                run.keep_cancellation(error)
        return task.result()

    async def _save(self, record: Record, addition: Addition | None) -> bool:
        """Save a response; if the store does not answer, retry for `SAVE_SECONDS`."""
        until = time.monotonic() + SAVE_SECONDS
        while True:
            try:
                async with asyncio.timeout(SAVE_SECONDS):
                    await self._store.save(record, addition)
            except (StoreUnavailable, TimeoutError):
                if time.monotonic() >= until:
                    logger.error("%s could not be stored: the store does not answer.", record.id)
                    return False
                await asyncio.sleep(SAVE_RETRY_SECONDS)
            else:
                return True
