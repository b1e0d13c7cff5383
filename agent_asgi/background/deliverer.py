"""`Deliverer`: reports the ends of background runs to webhooks, until each has accepted it."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..store.base import Record, Store, StoreUnavailable
from ..store.delivery_store import Delivery
from .webhooks import Webhook, delivery_of

if TYPE_CHECKING:
    from .outgoing import Outgoing

logger = logging.getLogger("agent_asgi")

ROOM = 20
"""How many attempts are made at once."""
LEASE_SECONDS = 60.0
"""When an attempt is repeated whose process died; longer than one takes."""
POLL_SECONDS = 5.0
"""How often deliveries of other processes, and those that are due again, are looked for."""
WAITS = (5.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 50400.0, 72000.0, 86400.0)
"""The times before the next attempts, in seconds, as Standard Webhooks recommends; some 3 days."""
GONE = 410
"""The status with which a receiver refuses all further attempts."""


class Deliverer:
    """Delivers what the store keeps for webhooks, whichever process executed the run.

    Args:
        store: The store, which is open.
        webhooks: The webhooks.
    """

    def __init__(self, store: Store, webhooks: Sequence[Webhook]) -> None:
        self._store = store
        self._webhooks = {each.url: each for each in webhooks}
        self._clients: dict[bool, Outgoing] = {}
        self._due = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to deliver, if there are webhooks.

        Raises:
            ImportError: httpx2 is not installed.
        """
        if self._webhooks:
            from .outgoing import Outgoing  # an extra

            private = {each.allow_private for each in self._webhooks.values()}
            self._clients = {each: Outgoing(allow_private=each) for each in private}
            self._task = asyncio.create_task(self._deliver())

    async def stop(self) -> None:
        """End the attempts; another process, or the next start, repeats them."""
        tasks = [*self._tasks, *([] if self._task is None else [self._task])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for client in self._clients.values():
            await client.close()

    def deliveries(self, record: Record, status: str) -> list[Delivery]:
        """Return what reports the end of a run; nothing for a run whose client waits for it."""
        if not record.background:
            return []
        made = [delivery_of(each, record, status, time.time()) for each in self._webhooks.values()]
        return [each for each in made if each is not None]

    def notify(self) -> None:
        """Look for deliveries now."""
        self._due.set()

    async def _deliver(self) -> None:
        while True:
            self._due.clear()
            taken: Sequence[Delivery] = ()
            room = ROOM - len(self._tasks)
            try:
                if room:
                    taken = await self._store.deliveries.take(self._webhooks, room, LEASE_SECONDS)
            except StoreUnavailable:
                logger.debug("The store does not answer; webhooks are called later.")
            except Exception:
                logger.exception("The deliveries could not be read; they are read again later.")
            for delivery in taken:
                task = asyncio.create_task(self._attempt(delivery))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
                task.add_done_callback(lambda _: self._due.set())
            if not taken:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(POLL_SECONDS):
                        await self._due.wait()

    async def _attempt(self, delivery: Delivery) -> None:
        webhook = self._webhooks[delivery.url]
        headers = webhook.headers(delivery, int(time.time()))
        client = self._clients[webhook.allow_private]
        try:
            status = await client.post(webhook.url, headers, delivery.body)
            problem = "" if 200 <= status < 300 else f"status {status}"
        except OSError as error:
            status, problem = 0, str(error)
        with contextlib.suppress(StoreUnavailable):  # then it is attempted once more
            await self._settle(delivery, status, problem)

    async def _settle(self, delivery: Delivery, status: int, problem: str) -> None:
        store, attempt = self._store.deliveries, delivery.attempt
        if not problem:
            await store.remove(delivery.id)
        elif status == GONE or attempt > len(WAITS):
            logger.error("%s is given up: %s answered with %s.", delivery.id, delivery.url, problem)
            await store.remove(delivery.id)
        else:
            seconds = WAITS[attempt - 1]
            message = "%s: attempt %d to call %s failed (%s); the next one is in %d s."
            logger.warning(message, delivery.id, attempt, delivery.url, problem, seconds)
            await store.postpone(delivery.id, seconds)
