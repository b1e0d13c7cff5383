"""Measure the event log of background runs: transactions, rows and reads from the middle.

python -m tests.tools.benchmarks.log [--runs 1000] [--events 500] [--pause 0.001]

One app in this process executes the runs, first on SQLite and then on a real PostgreSQL.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from typing import Any

import mlflow
from sqlalchemy import event, func, select, text

from agent_asgi import AgentApp, AgentRouter, Limits, ResponsesRequest
from agent_asgi.store.queries import log_query
from agent_asgi.store.sql import SqlStore
from agent_asgi.store.tables import events
from agent_asgi.testing import AgentClient
from tests.support.postgres import postgres_running


def counting(steps: int, pause: float) -> AgentRouter:
    """Create an agent that streams one word at a time."""
    router = AgentRouter("counter")

    @router.stream
    async def count(request: ResponsesRequest) -> AsyncIterator[str]:
        for number in range(steps):
            yield f"word {number} "
            await asyncio.sleep(pause)

    return router


async def measure(url: str, runs: int, steps: int, pause: float) -> dict[str, Any]:
    """Execute runs in the background and measure the cost of the log."""
    store = SqlStore(url)
    commits = 0

    def count(_: object) -> None:
        nonlocal commits
        commits += 1

    for engine in (store._database.engine, store._database.control):
        event.listen(engine.sync_engine, "commit", count)
    router = counting(steps, pause)
    app = AgentApp(router, store=store, limits=Limits(worker_concurrency=50))
    async with app.lifespan():
        client = AgentClient(app)
        began = time.monotonic()
        body = {"input": "x", "background": True}
        ids = [(await client.post("/responses", body)).json()["id"] for _ in range(runs)]
        for id_ in ids:
            while (await client.get(f"/responses/{id_}")).json()["status"] != "completed":
                await asyncio.sleep(0.1)
        seconds = time.monotonic() - began
        async with store._database.reading() as db:
            rows, logged = (await db.execute(select(func.count(), func.sum(events.c.count)))).one()
            plan = await explain(db, store, ids[0], steps // 2)
    return {
        "store": store._database.url.get_backend_name(),
        "runs": runs,
        "events": logged,
        "rows": rows,
        "transactions": commits,
        "transactions per 100 events": round(100 * commits / logged, 2),
        "seconds": round(seconds, 1),
        "plan of reading from the middle": plan,
    }


async def explain(db: Any, store: SqlStore, id: str, after: int) -> list[str]:
    """Return the query plan for reading a log from an event on."""
    dialect = store._database.engine.dialect
    options = {"literal_binds": True}
    query = log_query(id, after).compile(dialect=dialect, compile_kwargs=options)
    if store._database.postgres:
        await db.execute(text("ANALYZE agent_asgi_events"))
    explained = "EXPLAIN (ANALYZE, COSTS OFF)" if store._database.postgres else "EXPLAIN QUERY PLAN"
    return [str(row[-1]) for row in await db.execute(text(f"{explained} {query}"))]


def main() -> None:
    """Measure both databases and print a JSON object for each."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--events", type=int, default=500)
    parser.add_argument("--pause", type=float, default=0.001)
    options = parser.parse_args()
    mlflow.tracing.disable()
    with tempfile.TemporaryDirectory() as folder, postgres_running() as server:
        for url in (f"sqlite:///{folder}/responses.db", server.get_uri()):
            found = asyncio.run(measure(url, options.runs, options.events, options.pause))
            sys.stdout.write(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
