"""PostgreSQL's notifications: which response has changed."""

import asyncio
import logging
from collections.abc import Container, Iterable
from typing import Any

import psycopg
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import array

from .migrations import CHANNEL, LISTEN
from .watch import Signals

logger = logging.getLogger("agent_asgi")
RECONNECT_SECONDS = 1.0


class Listener:
    """Passes the notifications of other processes on to this process's watchers.

    Reconnects when the connection is lost; readers poll meanwhile.

    Args:
        conninfo: libpq's connection string.
        signals: Notified of each change.
        backends: PostgreSQL's processes that serve this one, which has notified itself already.
    """

    def __init__(self, conninfo: str, signals: Signals, backends: Container[int]) -> None:
        self._conninfo = conninfo
        self._signals = signals
        self._backends = backends
        self._task: asyncio.Task[None] | None = None

    def notification(self, ids: Iterable[str]) -> Any:
        """Return the statement that notifies of changes when its transaction is committed."""
        return select(func.pg_notify(CHANNEL, func.unnest(array(list(ids)))))

    def start(self) -> None:
        """Start to listen."""
        self._task = asyncio.create_task(self._listen())

    async def stop(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _listen(self) -> None:
        while True:
            try:
                connection = await psycopg.AsyncConnection.connect(
                    self._conninfo, autocommit=True, connect_timeout=5
                )
                async with connection:
                    await connection.execute(LISTEN)
                    self._signals.notify_all()
                    async for notification in connection.notifies():
                        if notification.pid not in self._backends:
                            self._signals.notify(notification.payload)
            except (psycopg.Error, OSError) as error:
                logger.debug("Lost the database's notifications; reconnecting: %s", error)
            await asyncio.sleep(RECONNECT_SECONDS)
