"""Try a log that is partitioned by time: writes, reads, and retention by dropping a partition."""

import sys
import time
from collections.abc import Callable

import psycopg

from tests.support.postgres import postgres_running

RESPONSES = 20_000
"""Responses in each of the days."""
DAYS = 4
ROWS = 10
"""Rows of a response's log."""
ROW_BYTES = 600
READS = 2_000
_PLAIN = """
CREATE TABLE plain (
    response_id text, last int, count int NOT NULL, frames bytea NOT NULL,
    PRIMARY KEY (response_id, last)
)"""
_PARTED = """
CREATE TABLE parted (
    day int, response_id text, last int, count int NOT NULL, frames bytea NOT NULL,
    PRIMARY KEY (day, response_id, last)
) PARTITION BY RANGE (day)"""
_FRAMES = f"convert_to(repeat(md5(r::text || n::text), {ROW_BYTES // 32}), 'UTF8')"
_FILL = f"""
INSERT INTO {{table}} SELECT {{day}} 'resp_' || {{number}} || '_' || r, n, 5, {_FRAMES}
FROM generate_series(1, {RESPONSES}) r, generate_series(1, {ROWS}) n"""


def try_partitions() -> None:
    """Compare the log as it is with one that has a partition for each day; print a table."""
    with postgres_running() as postgres, psycopg.connect(postgres.get_uri(), autocommit=True) as db:
        db.execute(_PLAIN)
        db.execute(_PARTED)
        for day in range(DAYS):
            db.execute(
                f"CREATE TABLE parted_{day} PARTITION OF parted"
                f" FOR VALUES FROM ({day}) TO ({day + 1})".encode()
            )
        rows = DAYS * RESPONSES * ROWS
        sys.stdout.write(
            f"| {rows:,} rows of {ROW_BYTES} bytes | as it is | by day |\n|---|---|---|\n"
        )
        fills = (
            _timed(lambda: _fill(db, "plain", "")),
            _timed(lambda: _fill(db, "parted", "{day},")),
        )
        _row("writing, rows/s", *(f"{rows / seconds:,.0f}" for seconds in fills))
        db.execute("ANALYZE")
        reads = (
            _timed(lambda: _read(db, "plain", "")),
            _timed(lambda: _read(db, "parted", "day = 2 AND ")),
        )
        _row("reading one log, ms", *(f"{1e3 * seconds / READS:.2f}" for seconds in reads))
        before = _sizes(db)
        wal = _wal(db)
        deleting = _timed(lambda: db.execute("DELETE FROM plain WHERE response_id LIKE 'resp_0%'"))
        deleted = _wal(db)
        dropping = _timed(lambda: db.execute("DROP TABLE parted_0"))
        dropped = _wal(db)
        _row("removing the first day, s", f"{deleting:.3f}", f"{dropping:.3f}")
        _row(
            "write-ahead log of that, MB",
            f"{(deleted - wal) / 1e6:.1f}",
            f"{(dropped - deleted) / 1e6:.1f}",
        )
        freed = (now / then for now, then in zip(_sizes(db), before, strict=True))
        _row("size afterwards, % of before", *(f"{100 * share:.0f}" for share in freed))


def _fill(db: "psycopg.Connection[tuple[object, ...]]", table: str, day: str) -> None:
    for number in range(DAYS):
        value = day.format(day=number)
        db.execute(_FILL.format(table=table, day=value, number=number).encode())


def _read(db: "psycopg.Connection[tuple[object, ...]]", table: str, where: str) -> None:
    query = f"SELECT frames FROM {table} WHERE {where} response_id = %s AND last > 5 ORDER BY last"
    for number in range(READS):
        rows = db.execute(query.encode(), [f"resp_2_{number + 1}"]).fetchall()
        assert len(rows) == ROWS - 5, rows


def _sizes(db: "psycopg.Connection[tuple[object, ...]]") -> tuple[int, int]:
    db.execute("VACUUM plain")
    query = (
        "SELECT pg_total_relation_size('plain'), sum(pg_total_relation_size(relid))::bigint"
        " FROM pg_partition_tree('parted')"
    )
    row = db.execute(query).fetchone()
    assert row is not None
    return int(str(row[0])), int(str(row[1]))


def _wal(db: "psycopg.Connection[tuple[object, ...]]") -> int:
    row = db.execute("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn").fetchone()
    assert row is not None
    return int(str(row[0]))


def _timed(do: Callable[[], object]) -> float:
    began = time.monotonic()
    do()
    return time.monotonic() - began


def _row(*cells: str) -> None:
    sys.stdout.write("| " + " | ".join(cells) + " |\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try_partitions()
