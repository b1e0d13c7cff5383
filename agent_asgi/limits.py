"""How much a request may be, how much may go on at once, and how long it may take."""

import dataclasses
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what comes in, goes on and goes out.

    Args:
        max_body_bytes: Size of a request body, and of a WebSocket message. Default 1 MiB; a larger
            one is a 413.
        max_depth: How deep a body's arrays and objects may be nested. Default 100.
        max_nodes: How many arrays and objects a body may hold: each message is one, its list of
            parts another, each part another. Default 10,000.
        max_runs: How many runs of one agent go on at once in one process, but for background runs,
            which `worker_concurrency` bounds. Default 5,000. As many more wait, for
            `Timeouts.room`; then they are a 429.
        max_queued: How many background runs one process keeps for later. Default 1,000; one more
            is a 429. What waits in PostgreSQL is not counted.
        max_streams: How many streams and WebSocket connections one app has open. Default 10,000;
            one more is a 429.
        max_outputs: How many outputs a handler may give in one run. Default 1,000,000.
        max_output_bytes: How much one run may emit: the bytes of its events, or, where no stream is
            asked for, the characters of its texts and the bytes of its other outputs.
            Default 64 MiB.
        worker_concurrency: How many background runs one process executes at once. Default 20. 0
            leaves them to other processes, such as `agent-asgi worker`; with PostgreSQL only.
        max_attempts: How often a run is begun whose process died. Default 20; then it has failed.

    Raises:
        ValueError: A bound is below 1.
    """

    max_body_bytes: int = 1 << 20
    max_depth: int = 100
    max_nodes: int = 10_000
    max_runs: int = 5_000
    max_queued: int = 1_000
    max_streams: int = 10_000
    max_outputs: int = 1_000_000
    max_output_bytes: int = 64 << 20
    worker_concurrency: int = 20
    max_attempts: int = 20

    def __post_init__(self) -> None:
        for each in dataclasses.fields(self):
            least = 0 if each.name == "worker_concurrency" else 1
            if getattr(self, each.name) < least:
                raise ValueError(f"Limits: {each.name} must be at least {least}.")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Bounds on time, in seconds.

    Args:
        body: How long a request's body may take to arrive. Default 30; then it is a 408.
        room: How long a run waits where `Limits.max_runs` go on. Default 1; then it is a 429.
        run: A run in all. Default None: as long as it takes. One that takes longer is a 504.
        background: One attempt of a background run. Default None: as long as it takes.
        silence: Time between two outputs of a handler. Default None: any. A longer one is a 504.
        write: How long a client may read nothing of its answer. Default 60; then its connection is
            cut, and the handler of a stream cancelled.
        ping: Silence on a stream before a comment is sent, which keeps proxies and the client's
            read timeout quiet. Default 15.
        cleanup: How long a cancelled handler may clean up. Default 5.
        tracing: How long the start waits for tracing to be set up. Default 20; where it takes
            longer, runs are served without traces until it is.
        drain: How long runs may go on when the server ends. Default 30; then they are cancelled,
            and detached ones are given back for another process to take over.
        drain_lead: How long `/ready` says 503 before that, while everything is served still: a
            load balancer's time to notice. Under `agent-asgi serve` only. Default 0.
        websocket: How long a WebSocket connection lasts. Default 3600 (Open Responses).
        heartbeat: Time between two signs of life of a process that executes runs. Default 5.
        stalled: Silence after which its runs are taken over. Default 20.
        rescue: Time between two looks for runs to take over. Default 10.
        poll: Time between two looks at PostgreSQL's queue, where its notifications fail.
            Default 5.

    Raises:
        ValueError: A bound is negative, or `stalled` is less than twice the heartbeat.
    """

    body: float = 30.0
    room: float = 1.0
    run: float | None = None
    background: float | None = None
    silence: float | None = None
    write: float = 60.0
    ping: float = 15.0
    cleanup: float = 5.0
    tracing: float = 20.0
    drain: float = 30.0
    drain_lead: float = 0.0
    websocket: float = 3600.0
    heartbeat: float = 5.0
    stalled: float = 20.0
    rescue: float = 10.0
    poll: float = 5.0

    def __post_init__(self) -> None:
        for each in dataclasses.fields(self):
            given = getattr(self, each.name)
            if given is not None and given < 0:
                raise ValueError(f"Timeouts: {each.name} must not be negative.")
        if self.heartbeat * 2 > self.stalled:
            raise ValueError("Timeouts: stalled must be at least twice the heartbeat.")
