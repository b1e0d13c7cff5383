"""The database engine of the SQL store."""

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, InterfaceError, InvalidatePoolError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from .base import StoreUnavailable

POOL = 10
"""Connections per process for data; up to twice as many under load."""
CONTROL_POOL = 3
"""Connections per process for heartbeats, claims and locks."""
POOL_SECONDS = 5.0
"""How long an operation waits for a connection."""
IDLE_SECONDS = 1.0
"""After this time without use a connection is checked before it is used again."""
BUSY_SECONDS = 10.0
"""How long SQLite waits for its lock."""
WAL_SECONDS = 10.0
"""How long to wait for SQLite's lock when the write-ahead log is switched on."""
MIGRATION_SECONDS = 600.0
"""How long to wait for another process that migrates a SQLite file."""
ANSWER_SECONDS = 15.0
"""How long to wait for an operation, which may still succeed later."""

_PASSING_STATES = ("08", "53", "57P0", "40001", "40P01")
"""How the SQLSTATEs of errors begin that a retry may not meet again: the connection, the server's
resources, its start and its end, conflicts of transactions."""
_PASSING_CODES = frozenset({5, 6, 10, 13, 14, 15})
"""SQLite's codes of such errors: busy, locked, input and output, full, cannot open, protocol."""

F = TypeVar("F", bound=Callable[..., Coroutine[Any, Any, Any]])
T = TypeVar("T")


class Operations:
    """The database operations in progress, which run to their end even if a caller is cancelled.

    A cancelled operation leaves its connection in an unknown state, and SQLAlchemy then drops the
    connection when it is garbage-collected, with a warning.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(self, operation: Coroutine[Any, Any, T]) -> T:
        """Run an operation and return its result.

        Raises:
            StoreUnavailable: It takes longer than `ANSWER_SECONDS`.
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
        """Wait until all operations have ended, for at most `ANSWER_SECONDS`."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=ANSWER_SECONDS)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # mark it as retrieved: the caller may be gone


def may_pass(error: Exception) -> bool:
    """Return whether an operation that failed with an error may succeed if it is repeated."""
    if not isinstance(error, DBAPIError):
        return isinstance(error, OSError)
    state: str | None = getattr(error.orig, "sqlstate", None)
    code: int | None = getattr(error.orig, "sqlite_errorcode", None)
    if state is not None:
        return state.startswith(_PASSING_STATES)
    if code is not None:
        return code & 0xFF in _PASSING_CODES  # the rest is the extended code
    return error.connection_invalidated or isinstance(error, OperationalError | InterfaceError)


def shielded(method: F) -> F:
    """Return a method that runs in the `_operations` of its object."""

    @functools.wraps(method)
    async def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        return await self._operations.run(method(self, *args, **kwargs))

    return cast("F", run)


def make_engine(
    url: URL, size: int, overflow: int, backends: set[int], *, postgres: bool
) -> AsyncEngine:
    """Return the engine of a database.

    Args:
        url: The database, with its driver.
        size: How many connections it keeps.
        overflow: How many more it opens under load.
        backends: Holds the ids of PostgreSQL's processes that serve its connections.
        postgres: Whether it is PostgreSQL; otherwise it is SQLite.
    """
    pool: dict[str, Any] = {
        "pool_size": size,
        "max_overflow": overflow,
        "pool_timeout": POOL_SECONDS,
        "hide_parameters": True,
    }
    if postgres:
        arguments = {"connect_timeout": 5, "tcp_user_timeout": 15000}
        engine = create_async_engine(url, **pool, connect_args=arguments)
        event.listen(engine.sync_engine, "connect", partial(_set_up_postgres, backends))
        event.listen(engine.sync_engine, "close", partial(_forget_postgres, backends))
        _check_idle(engine)
        return engine
    engine = create_async_engine(url, **pool, connect_args={"timeout": BUSY_SECONDS})
    event.listen(engine.sync_engine, "connect", _set_up_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _check_idle(engine: AsyncEngine) -> None:
    """Replace an idle connection that is broken, and with it those that are older than the error.

    `pool_pre_ping` would check each time, which is a further transaction.
    """
    dialect = engine.dialect

    def check_in(_: object, record: Any) -> None:
        record.info["idle_since"] = time.monotonic()

    def check_out(connection: Any, record: Any, _: object) -> None:
        now = time.monotonic()
        if now - record.info.get("idle_since", now) <= IDLE_SECONDS:
            return
        try:
            dialect.do_ping(connection)
        except dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError from error

    event.listen(engine.sync_engine, "checkin", check_in)
    event.listen(engine.sync_engine, "checkout", check_out)


async def use_wal(engine: AsyncEngine) -> None:
    """Switch on SQLite's write-ahead log, so that readers do not wait for a writer."""

    async def switch() -> None:
        connection = engine.execution_options(isolation_level="AUTOCOMMIT").connect()
        async with connection as db:
            await db.exec_driver_sql("PRAGMA journal_mode=WAL")

    await retry_while_locked(switch, WAL_SECONDS)  # here SQLite does not wait by itself


async def retry_while_locked(operation: Callable[[], Awaitable[None]], seconds: float) -> None:
    """Repeat an operation while another process holds SQLite's lock.

    Args:
        operation: The operation.
        seconds: After this time the operation's error is raised.
    """
    until = time.monotonic() + seconds
    while True:
        try:
            return await operation()
        except (OperationalError, StoreUnavailable):
            if time.monotonic() > until:
                raise
            await asyncio.sleep(0.01)


def _set_up_postgres(backends: set[int], connection: Any, record: ConnectionPoolEntry) -> None:
    """Prepare no statements behind a pooler, which executes them in any session.

    A pooler, PgBouncer for example, makes up the process id that it tells a client.
    """
    cursor = connection.cursor()
    cursor.execute("SELECT pg_backend_pid()")
    (pid,) = cursor.fetchone()
    cursor.close()
    connection.rollback()
    backends.add(pid)
    record.info["backend"] = pid
    if pid != connection.driver_connection.info.backend_pid:
        connection.driver_connection.prepare_threshold = None


def _forget_postgres(backends: set[int], _: object, record: ConnectionPoolEntry) -> None:
    backends.discard(record.info.get("backend", 0))


def _set_up_sqlite(connection: Any, _: object) -> None:
    connection.isolation_level = None  # `_begin_sqlite` begins transactions
    connection.execute("PRAGMA synchronous=NORMAL")


def _begin_sqlite(connection: Connection) -> None:
    """Take the write lock at once; a transaction that takes it later fails instead of waiting."""
    if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
