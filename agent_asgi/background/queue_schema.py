"""procrastinate's tables, in a separate schema of PostgreSQL."""

import re
from pathlib import Path
from typing import Any

from procrastinate.schema import SchemaManager
from psycopg import sql

from ..store.base import SchemaMismatch

SCHEMA_LOCK = 0x6167656E75  # "agent" + 1


def _name() -> str:
    """Return a name with the version of procrastinate's tables: that of its last migration.

    So each release finds what fits it, also while processes of another one use the database. Runs
    that wait in the tables of another release are queued again by the next sweep.
    """
    last = max(path.name for path in Path(SchemaManager.get_migrations_path()).glob("*.sql"))
    return "agent_asgi_queue_" + "_".join(re.findall(r"\d+", last)[:4])


SCHEMA = _name()
"""The schema's name."""
USE_SCHEMA = sql.SQL("SET LOCAL search_path TO {}").format(sql.Identifier(SCHEMA))
_NEEDED = set(re.findall(r"CREATE (?:TABLE|FUNCTION) (\w+)", SchemaManager.get_schema()))
_FOUND = (
    "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(%(schema)s)"
    " UNION SELECT proname FROM pg_proc WHERE pronamespace = to_regnamespace(%(schema)s)"
)


async def create_schema(db: Any) -> None:
    """Create the schema and its tables if they do not exist; processes take turns.

    Args:
        db: A connection with a transaction that uses the schema.

    Raises:
        SchemaMismatch: The schema lacks some of the tables or functions.
    """
    await db.execute("SELECT pg_advisory_xact_lock(%s)", (SCHEMA_LOCK,))
    row = await (await db.execute("SELECT to_regnamespace(%s)", (SCHEMA,))).fetchone()
    if row[0] is None:
        await db.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(SCHEMA)))
    found = await _found(db)
    if not found:
        await db.execute(SchemaManager.get_schema())
        found = await _found(db)
    if missing := _NEEDED - found:
        raise SchemaMismatch(
            f"The database's schema {SCHEMA} lacks {', '.join(sorted(missing))}. Drop the schema "
            "and restart; waiting runs are then queued again."
        )


async def _found(db: Any) -> set[str]:
    rows = await (await db.execute(_FOUND, {"schema": SCHEMA})).fetchall()
    return {row[0] for row in rows}
