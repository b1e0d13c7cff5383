"""The version of the database schema, and the migrations from older versions.

An older process cannot read what a newer one writes, and servers are replaced one by one. A
PostgreSQL database is therefore migrated only when no older process uses it. Each process that uses
it listens for notifications, and its `LISTEN` statement names the version that it knows. Until the
last older process has ended, newer ones write the older form, and check again at each sweep. Who
uses a SQLite file is unknown: it is migrated at once, so older processes must end first
(docs/scaling.md).
"""

from collections.abc import Callable, Mapping

import msgspec
from sqlalchemy import Column, Connection, Integer, MetaData, Table, func, inspect, select, text

from ..schema import codec
from .base import SchemaMismatch
from .tables import metadata

VERSION = 3
"""The version of the schema that this package creates and uses."""
CHANNEL = "agent_asgi"
LISTEN = f"LISTEN {CHANNEL} /* schema {VERSION} */"
"""Executed by each process that uses a PostgreSQL database; version 1 named no version."""
ADVISORY_LOCK = 0x6167656E74  # "agent"
MIGRATION_ROWS = 500
"""How many rows of logs are converted at once."""

versions = Table("agent_asgi_schema", MetaData(), Column("version", Integer, primary_key=True))


def migrate(connection: Connection) -> int:
    """Create or migrate the schema; other processes that start meanwhile wait.

    Args:
        connection: A connection with a transaction, which on SQLite holds the write lock.

    Returns:
        The database's version; an older one if older processes still use it.

    Raises:
        SchemaMismatch: The schema is newer than this package.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(ADVISORY_LOCK)))
    if not inspect(connection).has_table(versions.name):
        metadata.create_all(connection)
        versions.create(connection)
        connection.execute(versions.insert().values(version=VERSION))
        return VERSION
    version: int = connection.execute(select(func.max(versions.c.version))).scalar_one()
    if version > VERSION:
        raise SchemaMismatch(
            f"The store has schema version {version}, but this agent_asgi supports versions "
            f"up to {VERSION}: install a newer agent_asgi."
        )
    metadata.create_all(connection)  # tables that older processes do not need to know
    if version == VERSION or _oldest_process(connection) < VERSION:
        return version
    if connection.dialect.name == "postgresql":  # as others, before any other table
        connection.execute(text("LOCK TABLE agent_asgi_responses IN ACCESS EXCLUSIVE MODE"))
    for following in range(version + 1, VERSION + 1):
        _MIGRATIONS[following](connection)
        connection.execute(versions.insert().values(version=following))
    return VERSION


def lines_of(log: bytes) -> bytes:
    """Return a part of a log as lines of JSON, converted from version 1's frames if necessary.

    Version 2 reads both: a process may still write frames just after another one has migrated the
    database. The next version's migration converts them.
    """
    if not log.startswith(b"event: "):
        return log
    return b"".join(_line(frame) for frame in log.split(b"\n\n") if frame)


def frames_of(lines: bytes) -> bytes:
    """Return lines of JSON in version 1's form: server-sent events."""
    return b"".join(
        b"event: %b\ndata: %b\n\n" % (codec.event_type(line), line)
        for line in codec.split_lines(lines)
    )


def _oldest_process(connection: Connection) -> int:
    if connection.dialect.name != "postgresql":
        return VERSION
    oldest: int | None = connection.execute(_OLDEST, {"listen": f"LISTEN {CHANNEL}%"}).scalar()
    return VERSION if oldest is None else oldest


_OLDEST = text(
    "SELECT min(coalesce(CAST(substring(query FROM 'schema ([0-9]+)') AS int), 1))"
    " FROM pg_stat_activity WHERE datname = current_database() AND query LIKE :listen"
)


def _line(frame: bytes) -> bytes:
    event = frame.partition(b"\ndata: ")[2]
    if not event.startswith(b'{"type":'):  # a vendor event
        fields = msgspec.json.decode(event)
        event = msgspec.json.encode({"type": fields["type"]} | fields)
    return event + b"\n"


def _log_as_lines(connection: Connection) -> None:
    """Migrate to version 2: convert logs from server-sent events to lines of JSON."""
    key = {"id": "", "last": -1}
    while rows := connection.execute(_LOGS, {**key, "rows": MIGRATION_ROWS}).all():
        changed = [
            {"id": row.response_id, "last": row.last, "lines": lines_of(bytes(row.frames))}
            for row in rows
            if bytes(row.frames).startswith(b"event: ")
        ]
        if changed:
            connection.execute(_CONVERT, changed)
        key = {"id": rows[-1].response_id, "last": rows[-1].last}


_LOGS = text(
    "SELECT response_id, last, frames FROM agent_asgi_events"
    " WHERE (response_id, last) > (:id, :last) ORDER BY response_id, last LIMIT :rows"
)
_CONVERT = text(
    "UPDATE agent_asgi_events SET frames = :lines WHERE response_id = :id AND last = :last"
)


def _with_conversations(connection: Connection) -> None:
    """Migrate to version 3: add conversations, the root of each chain, and the count of deaths."""
    blob = "BYTEA" if connection.dialect.name == "postgresql" else "BLOB"
    for statement in _CONVERSATIONS.format(blob=blob).split(";"):
        connection.execute(text(statement))
    previous: dict[str, str] = {row.id: row.previous_id for row in connection.execute(_CONTINUED)}
    roots: dict[str, str] = {}
    for id_ in previous:
        path = [id_]
        while (last := path[-1]) in previous and last not in roots:
            path.append(previous[last])
        root = roots.get(path[-1], path[-1])
        roots |= dict.fromkeys(path[:-1], root)
    if roots:
        rows = [{"id": id_, "root": root} for id_, root in roots.items()]
        connection.execute(_SET_ROOT, rows)


_CONVERSATIONS = """
CREATE TABLE IF NOT EXISTS agent_asgi_conversations (
    owner VARCHAR NOT NULL,
    id VARCHAR NOT NULL,
    created_at FLOAT(53) NOT NULL,
    expires_at FLOAT(53) NOT NULL,
    metadata {blob} NOT NULL,
    PRIMARY KEY (owner, id)
);
CREATE INDEX IF NOT EXISTS agent_asgi_conversations_expiry ON agent_asgi_conversations (expires_at);
CREATE TABLE IF NOT EXISTS agent_asgi_conversation_items (
    owner VARCHAR NOT NULL,
    conversation VARCHAR NOT NULL,
    position INTEGER NOT NULL,
    id VARCHAR NOT NULL,
    data {blob} NOT NULL,
    PRIMARY KEY (owner, conversation, position)
);
CREATE UNIQUE INDEX IF NOT EXISTS agent_asgi_conversation_items_id
    ON agent_asgi_conversation_items (owner, conversation, id);
CREATE INDEX IF NOT EXISTS agent_asgi_responses_created ON agent_asgi_responses (owner, created_at);
ALTER TABLE agent_asgi_responses ADD COLUMN root_id VARCHAR;
ALTER TABLE agent_asgi_responses ADD COLUMN deaths INTEGER DEFAULT 0 NOT NULL;
CREATE INDEX agent_asgi_responses_root ON agent_asgi_responses (root_id)
"""
_CONTINUED = text("SELECT id, previous_id FROM agent_asgi_responses WHERE previous_id IS NOT NULL")
_SET_ROOT = text("UPDATE agent_asgi_responses SET root_id = :root WHERE id = :id")

_MIGRATIONS: Mapping[int, Callable[[Connection], None]] = {2: _log_as_lines, 3: _with_conversations}
"""The migration to each version from the one before. A released one is never changed."""
