"""PostgreSQL's notifications of a change: which response has one."""

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from typing import Any

import psycopg
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import array

from .signals import Signals

logger = logging.getLogger("agent_asgi")
CHANNEL = "agent_asgi"
RETRY_SECONDS = 1.0


class Listener:
    """Passes notifications of all processes on to those who watch in this one.

    Where the connection is lost it is made anew; readers look by themselves meanwhile.

    Args:
        conninfo: The database, as libpq has it.
        signals: Told of each change.
    """

    def __init__(self, conninfo: str, signals: Signals) -> None:
        self._conninfo = conninfo
        self._signals = signals
        self._task: asyncio.Task[None] | None = None

    def notification(self, ids: Iterable[str]) -> Any:
        """Make the statement that tells of changes, once its transaction is done."""
        return select(func.pg_notify(CHANNEL, func.unnest(array(list(ids)))))

    def start(self) -> None:
        """Listen from now on."""
        self._task = asyncio.create_task(self._listen())

    async def stop(self) -> None:
        """Listen no more."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _listen(self) -> None:
        while True:
            try:
                connection = await psycopg.AsyncConnection.connect(
                    self._conninfo, autocommit=True, connect_timeout=5
                )
                async with connection:
                    await connection.execute(f"LISTEN {CHANNEL}")
                    self._signals.notify_all()
                    async for notification in connection.notifies():
                        self._signals.notify(notification.payload)
            except (psycopg.Error, OSError) as error:
                logger.debug("Notifications are interrupted: %s", error)
            await asyncio.sleep(RETRY_SECONDS)
