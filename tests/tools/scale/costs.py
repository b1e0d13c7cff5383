"""The measured costs that the simulation uses, in costs.json beside this file."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

FILE = Path(__file__).with_name("costs.json")


@dataclass(frozen=True)
class Costs:
    """What things cost on one machine. Times are microseconds of CPU."""

    machine: str
    """The processor, and the number of its cores."""
    date: str
    """When the costs were measured."""
    load: float
    """The machine's load average before the measurement; above 0.5, others used it too."""
    token: float
    """One token of a stream, sent by itself."""
    begin_and_end: float
    """The request and the first and the last events of a stream."""
    stream_bytes: float
    """Memory of an open stream in its server."""
    process_bytes: float
    """Memory of a server without streams, without MLflow."""
    frame_bytes: float
    """One token on the wire, with its event."""
    stored: float
    """Storing the response of a stream, in its server."""
    stored_database: float
    """The same, in PostgreSQL."""
    run: float
    """The begin and the end of a background run with a follower, in both of their servers."""
    run_database: float
    """The same, in PostgreSQL."""
    run_commits: float
    """Number of transactions of a background run, without those that write its log."""
    run_rows: float
    """Number of rows that the log of a run gets per second while the run speaks."""
    log_token: float
    """One token of a background run, in the server that executes it."""
    follow_token: float
    """One token that a follower reads from the log, in the follower's server."""
    row_database: float
    """Writing one row of a log and reading it for one follower, in PostgreSQL."""
    commits: float
    """Transactions of one row that PostgreSQL commits per second, from 16 connections."""
    notifying_commits: float
    """The same, if each of them notifies."""
    notification: float
    """One notification, in each server that receives it."""
    token_disk_bytes: float
    """One token in the log, on PostgreSQL's disk."""


def load() -> Costs:
    """Return the costs measured last."""
    return Costs(**json.loads(FILE.read_text()))


def save(costs: Costs) -> None:
    """Keep the costs in place of those measured before."""
    FILE.write_text(json.dumps(asdict(costs), indent=2) + "\n")
