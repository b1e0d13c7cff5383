"""What PostgreSQL reads for a chain grows with its length, also before the first statistics."""

import asyncio
import json

import psycopg
import pytest
from sqlalchemy import Select, select
from sqlalchemy.dialects import postgresql

from agent_asgi.store import Store, open_store
from agent_asgi.store.queries import RECORD, chain_query, owned_by, turns_query
from agent_asgi.store.tables import responses
from tests.store.test_store import make

TURNS = 800
RESPONSE = b"x" * 1000
"""With rows of this size, PostgreSQL once read all responses of the owner for each turn."""
LAST = f"r{TURNS - 1}"
QUERIES: dict[str, tuple[Select[*tuple[object, ...]], int]] = {
    "chain": (chain_query(LAST, "ann"), 20 * TURNS),
    "turns": (turns_query(LAST, "ann", TURNS), 20 * TURNS),
    "response": (select(*RECORD).where(responses.c.id == LAST, owned_by("ann")), 20),
}
"""The queries, and how many blocks each may read."""


@pytest.mark.parametrize("few", [1, 20, TURNS])
def test_a_query_reads_few_blocks(postgres: str, few: int) -> None:
    """Even if it was planned when the table had few rows, as prepared statements are."""
    asyncio.run(fill(postgres, 0, few))
    with psycopg.connect(postgres, autocommit=True) as connection:
        for name, (query, _) in QUERIES.items():
            dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # it has no type
            statement = query.compile(dialect=dialect, compile_kwargs={"literal_binds": True})
            connection.execute(f"PREPARE {name} AS {statement}".encode())
            connection.execute(f"EXECUTE {name}".encode())
        asyncio.run(fill(postgres, few, TURNS))
        for name, (_, most) in QUERIES.items():
            explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE {name}"
            ((found,),) = connection.execute(explain.encode()).fetchall()
            plan = found[0]["Plan"]
            blocks = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
            assert plan["Actual Rows"]
            assert blocks < most, json.dumps(plan, indent=1)


async def fill(url: str, begin: int, end: int) -> None:
    """Save turns of a chain."""
    store: Store = open_store(url)
    await store.open()
    try:
        for number in range(begin, end):
            previous = f"r{number - 1}" if number else None
            await store.save(make(f"r{number}", previous_id=previous, response=RESPONSE))
    finally:
        await store.close()
