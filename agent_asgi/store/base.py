"""What a store keeps and what it can do; each store is one implementation of `Store`."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct

from ..errors import ErrorPayload, Unavailable
from ..schema.responses import ResponseStatus
from .signals import Signals

DAY = 24 * 60 * 60
EXPIRES_AFTER = 30.0 * DAY
"""How long a response is kept by default, in seconds."""
ACTIVE = ("queued", "in_progress")
"""The statuses of a run that has not ended."""
SWEEP = 1000
"""How many expired responses one sweep removes at the most."""


class StoreUnavailable(Unavailable):
    """The store does not answer just now."""

    def __init__(self) -> None:
        super().__init__("The store of responses does not answer; try again in a moment.")


class LostRun(Exception):
    """Another attempt has the run now, or its response was deleted: nothing more may be written."""


class Caller(Struct, kw_only=True, omit_defaults=True):
    """What a run needs of its request beside the body."""

    session_id: str | None = None
    """The conversation."""
    user: str | None = None
    """Who asks."""
    headers: dict[str, str] = {}
    """The headers that `AgentRouter(keep_headers=...)` names."""
    request_id: str = ""
    """The id of the request."""
    wants_trace: bool = False
    """Whether the client asked for the trace's id."""


class Record(Struct, kw_only=True):
    """One response as a store keeps it; a copy that belongs to whoever got it."""

    id: str
    """The response's id."""
    owner: str
    """The principal that it belongs to; empty where there are none."""
    agent: str
    """The router's name."""
    status: ResponseStatus
    """How far the run has come; the truth, whatever `response` says."""
    created_at: float
    """When it was made, in seconds since 1970."""
    expires_at: float = 0.0
    """When it may be removed. Default: the store's `expires_after` from now."""
    previous_id: str | None = None
    """The response that it continues."""
    background: bool = False
    """Whether the client asked for a background run."""
    visible: bool = True
    """Whether it may be fetched; False for one that is kept only for a retry."""
    request: bytes
    """The request's body, its references resolved."""
    response: bytes
    """The response as JSON; until the run has ended, as it began."""
    item_ids: tuple[str, ...] = ()
    """Ids of the items of its input and output, for `Store.find_items`; not given back."""
    caller: bytes = b"{}"
    """A `Caller`, as JSON."""
    key: str | None = None
    """The request's `Idempotency-Key`."""
    digest: str | None = None
    """Tells the bodies of requests with the same key apart."""
    failure: bytes | None = None
    """A `Failure`, as JSON: what the client of a failed run is told."""
    attempt: int = 0
    """How many times the run was begun."""
    logged: bool = False
    """Whether its events are kept: it was accepted before its run began."""
    cancel_wanted: bool = False
    """Whether a client asked for the run to be cancelled."""

    @property
    def active(self) -> bool:
        """Whether the run has not ended."""
        return self.status in ACTIVE


class Failure(Struct, kw_only=True):
    """An error answer, kept for retries of the same request."""

    status: int
    """The HTTP status."""
    error: ErrorPayload
    """The value under `error`."""
    headers: dict[str, str] = {}
    """Further headers."""


class Frames(Struct, frozen=True):
    """Events that follow one another in a log, as `event: ...` frames."""

    first: int
    """`sequence_number` of the first one."""
    count: int
    """How many there are."""
    data: bytes
    """The frames, each with its blank line."""

    @property
    def last(self) -> int:
        """`sequence_number` of the last one."""
        return self.first + self.count - 1

    def after(self, number: int) -> bytes:
        """Give the frames that come after a sequence number."""
        if number < self.first:
            return self.data
        frames = self.data.split(b"\n\n")
        return b"\n\n".join(frames[number - self.first + 1 :])


class Ending(Struct, kw_only=True):
    """How a run ended."""

    status: ResponseStatus
    """completed, failed, incomplete or cancelled."""
    response: bytes
    """The response as JSON."""
    item_ids: tuple[str, ...]
    """Ids of the items of its output."""
    failure: bytes | None = None
    """A `Failure`, as JSON, where it failed."""


class Store(ABC):
    """Keeps responses. Everything it hands out is a copy.

    Every method may raise `StoreUnavailable`.

    Args:
        expires_after: How long a response is kept, in seconds. Default 30 days.
    """

    shared: bool
    """Whether other processes see it too."""
    durable: bool
    """Whether it outlives the process."""
    poll_seconds: float
    """How often a reader looks by itself where it is told of no change."""
    write_seconds: float
    """Time between two writes to one log; events in between are written together."""

    conninfo: str | None = None
    """The PostgreSQL database that jobs can be queued in, as libpq has it."""

    def __init__(self, *, expires_after: float = EXPIRES_AFTER) -> None:
        if expires_after <= 0:
            raise ValueError("expires_after must be more than 0 seconds.")
        self.expires_after = expires_after
        self.signals = Signals()

    @abstractmethod
    async def open(self) -> None:
        """Make ready, the schema included."""

    @abstractmethod
    async def close(self) -> None:
        """Let go of connections."""

    @abstractmethod
    async def save(self, record: Record) -> None:
        """Keep a response whose run has ended."""

    @abstractmethod
    async def accept(
        self, record: Record, begun: Frames, holder: str, lease: float
    ) -> Record | None:
        """Keep a response whose run is still to come, with the first events of its log.

        Args:
            record: The response.
            begun: The first events.
            holder: The process that has it; another may claim it once the lease is over.
            lease: In seconds; 0 for a run that any process may claim at once.

        Returns:
            None, or what was kept before under the same owner and key; nothing is kept then.
        """

    @abstractmethod
    async def get(self, id: str, owner: str) -> Record | None:
        """Give a response; None where this owner has none of that id."""

    @abstractmethod
    async def by_key(self, key: str, owner: str) -> Record | None:
        """Give the response that was made under an idempotency key."""

    @abstractmethod
    async def delete(self, id: str, owner: str) -> bool:
        """Remove a response and all that belongs to it; tell whether there was one."""

    @abstractmethod
    async def chain(self, id: str, owner: str) -> list[Record]:
        """Give a response and all that it continues, oldest first; empty where one is missing."""

    @abstractmethod
    async def find_items(self, ids: Collection[str], owner: str) -> Mapping[str, str]:
        """Give for each item id the newest response that has such an item."""

    @abstractmethod
    async def claim(self, id: str, holder: str, lease: float) -> Record | None:
        """Begin the next attempt of a run that nobody has; None where somebody has it.

        Its `attempt` is the claim: whoever writes to the log has to name it.
        """

    @abstractmethod
    async def renew(self, holder: str, ids: Collection[str], lease: float) -> Mapping[str, int]:
        """Keep runs of a process, and what they have locked.

        Args:
            holder: The process.
            ids: The runs; those that are only answered, and not stored yet, have locks alone.
            lease: For how long, in seconds.

        Returns:
            Those of the runs that it still has, with their attempts.
        """

    @abstractmethod
    async def append(self, groups: Mapping[str, tuple[int, Frames]]) -> Collection[str]:
        """Add events to logs, in one step.

        Args:
            groups: For each response the attempt that writes, and its events.

        Returns:
            The responses whose run another attempt has, or that are gone: nothing was written.
        """

    @abstractmethod
    async def finish(
        self,
        id: str,
        attempt: int,
        frames: Frames,
        ending: Ending,
    ) -> None:
        """Add the last events to a log and end the run, in one step; unlock its conversation.

        Raises:
            LostRun: Another attempt has the run.
        """

    @abstractmethod
    async def release(self, holder: str) -> None:
        """Give the runs of a process up, so that another one may claim them at once."""

    @abstractmethod
    async def want_cancel(self, id: str, owner: str) -> None:
        """Ask whoever has a run to cancel it."""

    @abstractmethod
    async def to_cancel(self, holder: str) -> Collection[str]:
        """Give the runs of a process that are to be cancelled."""

    @abstractmethod
    async def abandoned(self, agents: Sequence[str]) -> Sequence[Record]:
        """Give some of the agents' runs that nobody has, oldest first."""

    @abstractmethod
    async def frames(self, id: str, after: int) -> list[Frames]:
        """Give a part of a log, from what comes after a sequence number on.

        Args:
            id: The response.
            after: The sequence number; -1 for the beginning.

        Returns:
            The next events, not necessarily all; none where there are no more yet. The first
            ones may hold some that come before.
        """

    @abstractmethod
    async def lock(self, conversation: str, owner: str, response_id: str, seconds: float) -> bool:
        """Lock a conversation for a run; tell whether it is free.

        Args:
            conversation: Its id.
            owner: Whose it is.
            response_id: The run.
            seconds: How long the lock holds unless it is taken anew; while a stored run is
                active, its lock holds anyway.
        """

    @abstractmethod
    async def unlock(self, response_id: str) -> None:
        """Unlock what a run has locked."""

    @abstractmethod
    async def sweep(self) -> int:
        """Remove some of what has expired, but no run at work; tell how many responses."""
