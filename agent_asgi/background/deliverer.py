"""`Deliverer`: reports the ends of background runs, until each receiver has accepted it."""

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from ..store.base import Ending, Record, Store, StoreUnavailable
from ..store.delivery_store import Delivery, Notice
from .webhooks import Webhook, delivery_of

if TYPE_CHECKING:
    from .outgoing import Outgoing

logger = logging.getLogger("agent_asgi")

ROOM = 20
"""How many attempts are made at once."""
ROOM_EACH = 4
"""How many of them call one receiver, which may not answer."""
LEASE_SECONDS = 60.0
"""When an attempt is repeated whose process died; longer than one takes."""
POLL_SECONDS = 5.0
"""How often deliveries of other processes, and those that are due again, are looked for."""
WAITS = (5.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 50400.0, 72000.0, 86400.0)
"""The times before the next attempts, in seconds, as Standard Webhooks recommends; about 3 days."""
GONE = 410
"""The status with which a receiver refuses all further attempts."""


class Receiver(Protocol):
    """To whom a process delivers."""

    @property
    def name(self) -> str:
        """The name in the deliveries."""

    @property
    def allow_private(self) -> bool:
        """Whether private addresses may be called."""

    def headers(self, delivery: Delivery, timestamp: int) -> dict[str, str]:
        """Return the headers of an attempt.

        Args:
            delivery: The delivery.
            timestamp: The time, in seconds since 1970.
        """


Notify = Callable[[Record, Ending], Notice]
"""Returns what the subscribers of a task are sent when a run of it has ended."""


class Deliverer:
    """Delivers what the store keeps for receivers, whichever process executed the run.

    Args:
        store: The store, which is open.
        webhooks: The webhooks.
        receivers: Further receivers.
        notify: What makes the notices of subscribers.
    """

    def __init__(
        self,
        store: Store,
        webhooks: Sequence[Webhook],
        receivers: Sequence[Receiver],
        notify: Sequence[Notify],
    ) -> None:
        self._store = store
        self._webhooks = webhooks
        self._receivers: dict[str, Receiver] = {each.name: each for each in (*webhooks, *receivers)}
        self._notify = notify
        self._clients: dict[bool, Outgoing] = {}
        self._due = asyncio.Event()
        self._tasks: dict[asyncio.Task[None], str] = {}  # the attempts, with their receivers
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to deliver, if there are receivers.

        Raises:
            ImportError: httpcore2 is not installed.
        """
        if self._receivers:
            from .outgoing import Outgoing  # an extra

            private = {each.allow_private for each in self._receivers.values()}
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

    def report(self, record: Record, ending: Ending) -> None:
        """Add what reports the end of a run; nothing for a run whose client waits for it."""
        if not record.background:
            return
        now = time.time()
        made = [delivery_of(each, record, ending.status, now) for each in self._webhooks]
        ending.deliveries = [each for each in made if each is not None]
        try:
            ending.notices = [notify(record, ending) for notify in self._notify]
        except Exception:
            logger.exception("%s: its end is stored, but subscribers are not notified.", record.id)

    def notify(self) -> None:
        """Look for deliveries now."""
        self._due.set()

    async def _deliver(self) -> None:
        while True:
            self._due.clear()
            taken: Sequence[Delivery] = ()
            limit, busy = ROOM - len(self._tasks), Counter(self._tasks.values())
            room = {name: ROOM_EACH - busy[name] for name in self._receivers}
            room = {name: left for name, left in room.items() if left}
            try:
                if limit and room:
                    taken = await self._store.deliveries.take(room, limit, LEASE_SECONDS)
            except StoreUnavailable:
                logger.debug("The store does not answer; receivers are called later.")
            except Exception:
                logger.exception("The deliveries could not be read; they are read again later.")
            for delivery in taken:
                task = asyncio.create_task(self._attempt(delivery))
                self._tasks[task] = delivery.receiver
                task.add_done_callback(self._ended)
            if not taken:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(POLL_SECONDS):
                        await self._due.wait()

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._tasks[task]
        self._due.set()

    async def _attempt(self, delivery: Delivery) -> None:
        receiver = self._receivers[delivery.receiver]
        headers = receiver.headers(delivery, int(time.time()))
        client = self._clients[receiver.allow_private]
        try:
            status = await client.post(delivery.url, headers, delivery.body)
            problem = "" if 200 <= status < 300 else f"status {status}"
        except OSError as error:
            status, problem = 0, str(error)
        except Exception:
            logger.exception("%s: %s cannot be called.", delivery.id, delivery.receiver)
            status, problem = 0, "an error, see above"
        with contextlib.suppress(StoreUnavailable):  # then it is attempted once more
            await self._settle(delivery, status, problem)

    async def _settle(self, delivery: Delivery, status: int, problem: str) -> None:
        store, attempt = self._store.deliveries, delivery.attempt
        if not problem:
            await store.remove(delivery.id)
        elif status == GONE or attempt > len(WAITS):
            message = "%s is given up: %s answered with %s."
            logger.error(message, delivery.id, delivery.receiver, problem)
            await store.remove(delivery.id)
        else:
            seconds = WAITS[attempt - 1]
            message = "%s: attempt %d to call %s failed (%s); the next one is in %d s."
            logger.warning(message, delivery.id, attempt, delivery.receiver, problem, seconds)
            await store.postpone(delivery.id, seconds)
