"""A chain is read in time that grows with its length, also from a database without statistics."""

import asyncio
import json

import psycopg
from sqlalchemy.dialects import postgresql

from agent_asgi.store import open_store
from agent_asgi.store.queries import chain_query, turns_query
from tests.store.test_store import make

TURNS = 800
RESPONSE = b"x" * 1000
"""With rows of this size PostgreSQL once read all responses of the owner for each turn."""


def test_a_turn_costs_postgresql_some_blocks(postgres: str) -> None:
    async def fill() -> None:
        store = open_store(postgres)
        await store.open()
        try:
            for number in range(TURNS):
                previous = f"r{number - 1}" if number else None
                await store.save(make(f"r{number}", previous_id=previous, response=RESPONSE))
        finally:
            await store.close()

    asyncio.run(fill())
    last = f"r{TURNS - 1}"
    for query in (chain_query(last, "ann"), turns_query(last, "ann", TURNS)):
        dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy has no type
        statement = query.compile(dialect=dialect, compile_kwargs={"literal_binds": True})
        with psycopg.connect(postgres) as connection:
            explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}"
            ((found,),) = connection.execute(explain.encode()).fetchall()
        (plan,) = json.loads(found) if isinstance(found, str) else found
        blocks = plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"]
        assert blocks < 20 * TURNS
