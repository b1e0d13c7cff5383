"""Measure the costs on this machine: real servers, a real PostgreSQL, and their CPU."""

import asyncio
import os
import tempfile
import time
from pathlib import Path

import psycopg

from tests.support.postgres import postgres_running
from tests.tools.benchmarks.client import run
from tests.tools.benchmarks.peer import OURS
from tests.tools.scale.clients import followers, streams
from tests.tools.scale.costs import Costs
from tests.tools.scale.servers import Meter, machine, serving
from tests.tools.streams import memory
from tests.tools.streams import serving as serving_peer

SHORT = 1_000
"""Streams of one token, for what a stream costs without its tokens."""
RUNS = 300
"""Background runs of one token."""
LONG = 200
"""Streams and runs that speak as the profile says."""
CONNECTIONS = 16
COMMIT_SECONDS = 4.0
TRIES = 3
"""How often the rate of transactions is measured; the best counts, since others use the disk."""
NOTIFICATIONS = 200_000

Values = dict[str, float]


def measure() -> Costs:
    """Measure everything; takes some four minutes."""
    load = round(os.getloadavg()[0], 1)
    values = _open_streams() | _foreground()
    with postgres_running() as postgres:
        url = postgres.get_uri()
        values |= _stored(url, values) | _background(url, values) | _database(url)
    rounded = {name: float(f"{value:.3g}") for name, value in values.items()}
    return Costs(machine(), time.strftime("%Y-%m-%d"), load, **rounded)


def _open_streams() -> Values:
    with tempfile.TemporaryDirectory() as folder, serving_peer(OURS, Path(folder)) as server:
        process = server.memory()
        return {"process_bytes": process, "stream_bytes": memory(server, 2_000) * 1000}


def _foreground() -> Values:
    """Measure streams whose responses are kept in memory."""
    with serving(pinned=True) as server:
        run(streams(server, ["silent"] * 200, 1))  # warm
        meter = Meter([server])
        run(streams(server, ["silent"] * SHORT, 10))
        begin_and_end = meter.servers()[0] / SHORT
        meter = Meter([server])
        delays = run(streams(server, [str(seed) for seed in range(LONG)], 5))
        token = (meter.servers()[0] - LONG * begin_and_end) / len(delays)
    return {"token": token, "begin_and_end": begin_and_end, "frame_bytes": 250}


def _stored(url: str, known: Values) -> Values:
    with serving(url, pinned=True) as server:
        run(streams(server, ["silent"] * 100, 1))
        meter = Meter([server], url)
        run(streams(server, ["silent"] * SHORT, 10))
        stored = meter.servers()[0] / SHORT - known["begin_and_end"]
        return {"stored": max(0.0, stored), "stored_database": meter.database() / SHORT}


def _background(url: str, known: Values) -> Values:
    """Measure two servers: one executes the runs, the other accepts and follows them."""
    with serving(url, concurrency=0) as front, serving(url, concurrency=LONG) as worker:
        run(followers(front, ["silent"] * 50, 2))
        idle = Meter([front, worker], url).idle()
        meter = Meter([front, worker], url, idle)
        run(followers(front, ["silent"] * RUNS, 20))
        ends, ends_database = sum(meter.servers()) / RUNS, meter.database() / RUNS
        commits = meter.commits() / RUNS
        rows, size = _log_size(url)
        meter = Meter([front, worker], url, idle)
        delays = run(followers(front, [str(seed) for seed in range(LONG)], 5))
        used, database = meter.servers(), meter.database()
        more, larger = (
            now - before for now, before in zip(_log_size(url), (rows, size), strict=True)
        )
    share = LONG * ends / 2
    rows_database = max(0.0, database - LONG * ends_database) / max(1, more)
    return {
        "run": ends,
        "run_database": ends_database,
        "run_commits": commits,
        "run_rows": more / (len(delays) / 50),
        "follow_token": max(0.0, used[0] - share) / len(delays),
        "log_token": max(0.0, used[1] - share) / len(delays),
        "row_database": rows_database,
        "token_disk_bytes": larger / len(delays),
    }


def _log_size(url: str) -> tuple[int, int]:
    query = "SELECT count(*), pg_total_relation_size('agent_asgi_events') FROM agent_asgi_events"
    with psycopg.connect(url) as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    return row[0], row[1]


def _database(url: str) -> Values:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE scale (id bigserial PRIMARY KEY, data bytea)")
    insert = "INSERT INTO scale (data) VALUES (%s)"
    notify = f"WITH x AS ({insert} RETURNING id) SELECT pg_notify('scale', id::text) FROM x"
    return {
        "commits": max(asyncio.run(_commits(url, insert)) for _ in range(TRIES)),
        "notifying_commits": max(asyncio.run(_commits(url, notify)) for _ in range(TRIES)),
        "notification": asyncio.run(_notification(url)),
    }


async def _commits(url: str, statement: str) -> float:
    """Return how many transactions are committed per second."""
    until = time.monotonic() + COMMIT_SECONDS

    async def commit() -> int:
        count = 0
        connection = await psycopg.AsyncConnection.connect(url, autocommit=True)
        async with connection:
            while time.monotonic() < until:
                await connection.execute(statement.encode(), [b"x" * 500])
                count += 1
        return count

    return sum(await asyncio.gather(*(commit() for _ in range(CONNECTIONS)))) / COMMIT_SECONDS


async def _notification(url: str) -> float:
    """Return the CPU, in microseconds, of a notification that nobody in this process waits for."""
    from agent_asgi.store.notifications import Listener
    from agent_asgi.store.watch import Signals

    signals = Signals()
    listener = Listener(url, signals, set())
    statement = (
        "SELECT pg_notify('agent_asgi', 'resp_' || md5(n::text))"
        f" FROM generate_series(1, {NOTIFICATIONS}) n"
    )
    with signals.watch("last") as watcher:
        listener.start()
        await watcher.wait(10)  # it listens
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            used = time.process_time()
            await connection.execute(statement.encode())
            await connection.execute("SELECT pg_notify('agent_asgi', 'last')")
            assert await watcher.wait(120)
            used = time.process_time() - used
    await listener.stop()
    return used / NOTIFICATIONS * 1e6
