"""The tables of the SQL store, and how they are made and brought up to date."""

from collections.abc import Callable

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Dialect,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    TypeDecorator,
    func,
    inspect,
    select,
    text,
)


class Text(TypeDecorator[str]):
    """A text; PostgreSQL's hold no null character, so it becomes U+FFFD in every database."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Give the text as the database has it."""
        return None if value is None else value.replace("\0", "\ufffd")


metadata = MetaData()

responses = Table(
    "agent_asgi_responses",
    metadata,
    Column("id", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("created_at", Float(53), nullable=False),
    Column("expires_at", Float(53), nullable=False),
    Column("previous_id", Text),
    Column("background", Boolean, nullable=False),
    Column("visible", Boolean, nullable=False),
    Column("request", LargeBinary, nullable=False),
    Column("response", LargeBinary, nullable=False),
    Column("caller", LargeBinary, nullable=False),
    Column("key", Text),
    Column("digest", Text),
    Column("failure", LargeBinary),
    Column("attempt", Integer, nullable=False),
    Column("logged", Boolean, nullable=False),
    Column("cancel_wanted", Boolean, nullable=False),
    Column("holder", Text, nullable=False),
    Column("lease_until", Float(53), nullable=False),
)
active = text("agent_asgi_responses.status IN ('queued', 'in_progress')")
"""Holds for runs that have not ended; literal, so that the index of these is used."""
ended = text("agent_asgi_responses.status NOT IN ('queued', 'in_progress')")
Index("agent_asgi_responses_key", responses.c.owner, responses.c.key, unique=True)
Index("agent_asgi_responses_expiry", responses.c.expires_at)
Index(
    "agent_asgi_responses_active",
    responses.c.lease_until,
    sqlite_where=text("status IN ('queued', 'in_progress')"),
    postgresql_where=text("status IN ('queued', 'in_progress')"),
)

items = Table(
    "agent_asgi_items",
    metadata,
    Column("response_id", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("owner", Text, nullable=False),
)
Index("agent_asgi_items_id", items.c.id)

events = Table(
    "agent_asgi_events",
    metadata,
    Column("response_id", Text, primary_key=True),
    Column("last", Integer, primary_key=True),
    Column("count", Integer, nullable=False),
    Column("frames", LargeBinary, nullable=False),
)
"""A log's events, those of one write in one row: a reader that resumes reads only its tail."""

locks = Table(
    "agent_asgi_locks",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("conversation", Text, primary_key=True),
    Column("response_id", Text, nullable=False),
    Column("until", Float(53), nullable=False),
)
Index("agent_asgi_locks_response", locks.c.response_id)

versions = Table("agent_asgi_schema", MetaData(), Column("version", Integer, primary_key=True))

ADVISORY_LOCK = 0x6167656E74  # "agent"


def _first(connection: Connection) -> None:
    metadata.create_all(connection)


MIGRATIONS: tuple[Callable[[Connection], None], ...] = (_first,)
"""What brings the schema from each version to the next; a released one is never changed."""


def migrate(connection: Connection) -> None:
    """Bring the schema up to date, in a transaction that keeps other processes waiting.

    Args:
        connection: With a transaction begun; one that locks the whole database on SQLite.

    Raises:
        RuntimeError: The schema is newer than this version of the package.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(ADVISORY_LOCK)))
    known = 0
    if inspect(connection).has_table(versions.name):
        known = connection.scalar(select(func.max(versions.c.version))) or 0
    else:
        versions.create(connection)
    if known > len(MIGRATIONS):
        raise RuntimeError(
            f"The store has schema version {known}, this agent_asgi knows {len(MIGRATIONS)}: "
            "install a newer agent_asgi."
        )
    for number, step in enumerate(MIGRATIONS[known:], known + 1):
        step(connection)
        connection.execute(versions.insert().values(version=number))
