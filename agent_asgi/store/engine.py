"""The connections of the SQL store."""

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from .base import StoreUnavailable

POOL = 10
"""Connections of one process; twice as many for a moment."""
WAL_SECONDS = 10.0
ANSWER_SECONDS = 15.0
"""How long an operation is waited for; it may be done later all the same."""


F = TypeVar("F", bound=Callable[..., Coroutine[Any, Any, Any]])
T = TypeVar("T")


class Unbroken:
    """Runs database operations to their end, also where those who wait for them are cancelled.

    An operation that is cut short leaves its connection in no known state; SQLAlchemy then drops it
    when the garbage collector comes by, with a warning.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(self, operation: Coroutine[Any, Any, T]) -> T:
        """Run an operation and give its result.

        Raises:
            StoreUnavailable: It takes too long.
        """
        task = asyncio.create_task(operation)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await asyncio.shield(task)
        except TimeoutError:
            raise StoreUnavailable from None

    async def wait(self) -> None:
        """Wait until all have ended, for a moment at the most."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=ANSWER_SECONDS)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # seen: who waited for it has it, or nobody does


def unbroken(method: F) -> F:
    """Have a method of a store with `_unbroken` run to its end."""

    @functools.wraps(method)
    async def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        return await self._unbroken.run(method(self, *args, **kwargs))

    return cast("F", run)


def make_engine(url: URL, *, postgres: bool) -> AsyncEngine:
    """Make the engine of a store.

    Args:
        url: The database, with its driver.
        postgres: Whether it is PostgreSQL, else SQLite.
    """
    if postgres:
        return create_async_engine(
            url,
            pool_size=POOL,
            max_overflow=POOL,
            pool_timeout=5,
            pool_pre_ping=True,
            connect_args={"connect_timeout": 5, "tcp_user_timeout": 15000},
        )
    engine = create_async_engine(url, connect_args={"timeout": 10})
    event.listen(engine.sync_engine, "connect", _set_up_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


async def use_wal(engine: AsyncEngine) -> None:
    """Have a SQLite file keep a write-ahead log, so that readers and a writer go side by side.

    Where several processes begin at once, SQLite does not wait here by itself.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + WAL_SECONDS
    while True:
        try:
            async with engine.connect() as db:
                await db.exec_driver_sql("PRAGMA journal_mode=WAL")
                return
        except OperationalError:
            if loop.time() > until:
                raise
            await asyncio.sleep(0.01)


def _set_up_sqlite(connection: Any, _: object) -> None:
    connection.isolation_level = None  # SQLAlchemy begins transactions itself, see below
    connection.execute("PRAGMA synchronous=NORMAL")


def _begin_sqlite(connection: Connection) -> None:
    """Take the write lock at once: a transaction that takes it later fails instead of waiting."""
    if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
