"""The database of the SQL store: its schema's version, and its connections."""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any

from sqlalchemy import Float, bindparam, func
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection

from .base import StoreBusy, StoreUnavailable
from .engine import (
    CONTROL_POOL,
    MIGRATION_SECONDS,
    POOL,
    Operations,
    make_engine,
    may_pass,
    retry_while_locked,
    use_wal,
)
from .migrations import VERSION, migrate

logger = logging.getLogger("agent_asgi")
OWNER_ONLY = 0o600


class Database:
    """A SQLite file or a PostgreSQL database.

    Args:
        url: `sqlite:///responses.db` or `postgresql://user@host/name`.

    Attributes:
        plain_url: Its URL without the driver.
        version: The version of its schema, once it is open.
        operations: The operations in progress.
        backends: The ids of PostgreSQL's processes that serve this one.

    Raises:
        ImportError: The database's driver is not installed.
    """

    def __init__(self, url: str) -> None:
        self.url = make_url(url)
        self.postgres = self.url.get_backend_name() in ("postgresql", "postgres")
        self.plain_url = self.url.set(drivername="postgresql" if self.postgres else "sqlite")
        driver = "postgresql+psycopg" if self.postgres else "sqlite+aiosqlite"
        self.url = self.url.set(drivername=driver)
        self.backends: set[int] = set()
        self.engine = make_engine(self.url, POOL, POOL, self.backends, postgres=self.postgres)
        self.control = make_engine(self.url, CONTROL_POOL, 0, self.backends, postgres=self.postgres)
        self.insert = postgresql.insert if self.postgres else sqlite.insert
        self._clock: Any = bindparam(None, callable_=time.time, type_=Float)
        if self.postgres:
            self._clock = func.extract("epoch", func.clock_timestamp())
        self.version = VERSION
        self.operations = Operations()
        self._unavailable = False
        self._write_lock: AbstractAsyncContextManager[None] = nullcontext()

    async def open(self) -> None:
        """Create or migrate the schema."""
        if self.postgres:
            await self.migrate()
        else:
            _create_file(self.url.database)
            self._write_lock = asyncio.Lock()  # SQLite's lock is unfair: some would wait too long
            await use_wal(self.control)
            await retry_while_locked(self.migrate, MIGRATION_SECONDS)

    async def migrate(self) -> None:
        """Migrate the schema, unless older processes use it."""
        async with self.writing() as db:
            self.version = await db.run_sync(migrate)
        if self.version < VERSION:
            logger.warning(
                "The store stays at schema version %d while older processes use it.", self.version
            )

    async def close(self) -> None:
        """Wait for the operations in progress, and close the connections."""
        await self.operations.wait()
        await self.engine.dispose()
        await self.control.dispose()

    async def is_pooled(self) -> bool:
        """Return whether a pooler is in front of PostgreSQL, which shares sessions."""
        async with self.reading() as db:
            driver: Any = (await db.get_raw_connection()).driver_connection
            return driver.prepare_threshold is None

    def now(self) -> Any:
        """Return the time of a clock that all processes share: with PostgreSQL, the server's."""
        return self._clock

    @asynccontextmanager
    async def writing(
        self, since: int = 1, *, control: bool = False
    ) -> AsyncIterator[AsyncConnection]:
        """Yield a connection with a transaction.

        Args:
            since: The version of the schema that is needed. Default: any.
            control: Whether it is one of those for control, which data cannot exhaust. SQLite's
                transactions, one at a time, are all done with one of them.

        Raises:
            StoreBusy: All connections are in use.
            StoreUnavailable: The database does not answer, or its schema is still an older one.
        """
        self._check(since)
        engine = self.control if control or not self.postgres else self.engine
        async with self._write_lock, self._available(engine.begin()) as db:
            yield db

    def reading(
        self, since: int = 1, *, control: bool = False
    ) -> AbstractAsyncContextManager[AsyncConnection]:
        """Return a connection without a transaction; see `writing`."""
        self._check(since)
        engine = self.control if control else self.engine
        return self._available(engine.execution_options(isolation_level="AUTOCOMMIT").connect())

    def _check(self, since: int) -> None:
        if self.version < since:
            raise StoreUnavailable

    @asynccontextmanager
    async def _available(
        self, connection: AbstractAsyncContextManager[AsyncConnection]
    ) -> AsyncIterator[AsyncConnection]:
        """Yield a connection; raise `StoreUnavailable` for an error that may pass."""
        try:
            async with connection as db:
                yield db
        except PoolTimeout:
            raise StoreBusy from None
        except (SQLAlchemyError, OSError) as error:
            if not may_pass(error):
                raise
            if not self._unavailable:
                reason = str(error).partition("\n")[0]
                logger.warning("The store does not answer; operations are retried: %s", reason)
            self._unavailable = True
            raise StoreUnavailable from error
        if self._unavailable:
            logger.warning("The store answers again.")
        self._unavailable = False


def _create_file(path: str | None) -> None:
    """Create a SQLite file that only its owner can read; SQLite would follow the umask."""
    if path and path != ":memory:" and not path.startswith("file:"):
        with contextlib.suppress(OSError):  # the connection's own error names the file
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, OWNER_ONLY))
