"""The interface of a store, and the records that it keeps."""

from abc import abstractmethod
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from msgspec import Struct

from ..errors import ErrorPayload, Unavailable
from ..schema.responses import ResponseStatus
from .approval_claim import ApprovalClaim, Asked
from .conversation_locks import ConversationLocks
from .conversation_store import Addition, ConversationStore, Size
from .delivery_store import Delivery, DeliveryStore, Notice, Subscription
from .lines import Lines
from .logs import Logs
from .meters import Meters
from .turn import NO_BOUND, Chain, Turn
from .watch import Signals

DAY = 24 * 60 * 60
EXPIRES_AFTER = 30.0 * DAY
"""How long a response is kept by default, in seconds."""
ACTIVE = ("queued", "in_progress")
"""The statuses of a run that has not ended."""
SWEEP = 1000
"""How many expired responses one sweep removes at most."""


class StoreUnavailable(Unavailable):
    """The store cannot be reached at the moment."""

    def __init__(self, message: str = "The response store does not answer. Retry later.") -> None:
        super().__init__(message)


class StoreBusy(StoreUnavailable):
    """The store answers, but this process uses all its connections to it."""

    def __init__(self) -> None:
        super().__init__("All connections to the response store are in use. Retry later.")


class SchemaMismatch(RuntimeError):
    """The tables in the database do not fit this release; the message says what to do."""


class LostRun(Exception):
    """Another attempt owns the run, or its response was deleted: nothing more may be written."""


class Record(Struct):
    """A response as a store keeps it. A store returns copies, which the caller may change."""

    id: str
    """The response's id."""
    owner: str
    """The principal that it belongs to; empty without authentication."""
    agent: str
    """The router's name."""
    status: ResponseStatus
    """The status of the run. It counts, whatever `response` says."""
    created_at: float
    """When it was created, in seconds since 1970."""
    request: bytes
    """The request's body, with its references resolved."""
    response: bytes
    """The response as JSON; until the run has ended, as it was at the start."""
    expires_at: float = 0.0
    """When it may be removed. Default: the store's `expires_after` from now."""
    previous_id: str | None = None
    """The response that it continues."""
    background: bool = False
    """Whether the client asked for a background run."""
    visible: bool = True
    """Whether it can be fetched; False if it is kept only for a retry."""
    item_ids: tuple[str, ...] = ()
    """Ids of the items of its input and output, for `Store.find_items`; a store does not return
    them. If there are none, the memory store takes them from the response, but not for
    the size of a chain, which then goes by `items`."""
    approvals: tuple[str, ...] = ()
    """Ids of the approval requests in its output; a store does not return them."""
    state: bytes | None = None
    """What its handler saved; `Store.state` returns it."""
    approval_claim: ApprovalClaim | None = None
    """The approval requests that it answers; a store does not return them."""
    caller: bytes = b"{}"
    """A `Caller`, as JSON."""
    key: str | None = None
    """The request's `Idempotency-Key`."""
    digest: str | None = None
    """A digest of the body, to detect a key that is used with another body."""
    failure: bytes | None = None
    """A `Failure`, as JSON: the error answer of a failed run."""
    attempt: int = 0
    """The number of attempts so far."""
    logged: bool = False
    """Whether its events are kept: it was accepted before its run began."""
    cancel_wanted: bool = False
    """Whether a client asked to cancel the run."""
    items: int = 0
    """The number of items of its input and output, if they have no `item_ids`; a store does not
    return it."""
    conversation: str | None = None
    """The conversation that it belongs to; a store does not return it."""
    subscriptions: tuple[Subscription, ...] = ()
    """Who is notified of its end; a store does not return them."""
    begun: tuple[Lines, ...] = ()
    """Its log, if a store returns that with a first claim."""

    @property
    def active(self) -> bool:
        """Whether the run has not ended."""
        return self.status in ACTIVE

    def turn(self) -> Turn:
        """Return what responses that continue it need of it."""
        return Turn(self.id, self.request, self.response, self.status, self.visible)


Enqueue = Callable[[Any, Record], Awaitable[None]]
"""Queues a run as the last step of a transaction, given the connection of the driver."""


class Failure(Struct, kw_only=True):
    """An error answer, kept for retries of its request."""

    status: int
    """The HTTP status."""
    error: ErrorPayload
    """The value under `error`."""
    headers: dict[str, str] = {}
    """Additional headers."""


class Ending(Struct, kw_only=True):
    """How a run ended."""

    status: ResponseStatus
    """completed, failed, incomplete or cancelled."""
    response: bytes
    """The response as JSON."""
    item_ids: tuple[str, ...]
    """Ids of the items of its output."""
    approvals: tuple[str, ...] = ()
    """Ids of the approval requests in its output."""
    state: bytes | None = None
    """What its handler saved."""
    started: bool = True
    """Whether its handler was called. If not, what the run has claimed is open again."""
    failure: bytes | None = None
    """A `Failure`, as JSON, if the run failed."""
    addition: Addition | None = None
    """What the run adds to its conversation."""
    deliveries: Sequence[Delivery] = ()
    """What webhooks are sent."""
    notices: Sequence[Notice] = ()
    """What subscribers are sent."""


class Page(NamedTuple):
    """A part of an owner's responses."""

    records: list[Record]
    """The responses, newest first."""
    has_more: bool
    """Whether older ones follow."""


class Store(ConversationLocks, Logs):
    """Keeps responses and conversations. Everything it returns is a copy.

    A response that continues another one renews the time until their chain expires.

    Every method may raise `StoreUnavailable`. A method that takes an `owner`
    does not see the responses of others.

    Args:
        expires_after: How long a response is kept, in seconds. Default 30 days.
    """

    url: str = "your own store"
    """Its location, for people; without a password."""
    shared: bool
    """Whether other processes use it too."""
    durable: bool
    """Whether it outlives the process."""
    poll_seconds: float
    """How often a reader checks for changes that it was not notified of."""
    write_seconds: float
    """The longest time between two writes to logs; events that come in between are written
    together."""

    conversations: ConversationStore
    """The conversations."""
    deliveries: DeliveryStore
    """What receivers have not accepted yet, and who is notified."""
    meters: Meters | None = None
    """What users use, if other processes count it too. Default None: each process counts alone."""
    conninfo: str | None = None
    """libpq's connection string of the PostgreSQL database that jobs can be queued in."""

    def __init__(self, *, expires_after: float = EXPIRES_AFTER) -> None:
        if expires_after <= 0:
            raise ValueError("expires_after must be more than 0 seconds.")
        self.expires_after = expires_after
        self.signals = Signals()

    @abstractmethod
    async def open(self) -> None:
        """Open the store; create or migrate its schema."""

    @abstractmethod
    async def close(self) -> None:
        """Close the store's connections."""

    @abstractmethod
    async def save(self, record: Record, addition: Addition | None = None) -> None:
        """Save a response whose run has ended.

        Args:
            record: The response.
            addition: What its run adds to its conversation, unless that was deleted.
        """

    @abstractmethod
    async def accept(
        self,
        record: Record,
        begun: Lines,
        holder: str,
        lease: float,
        enqueue: Enqueue | None = None,
    ) -> Record | None:
        """Save a response whose run has not begun, with the first events of its log.

        Args:
            record: The response.
            begun: The first events.
            holder: The process that will execute it; another may claim it when the lease ends.
            lease: In seconds; 0 if any process may claim the run at once.
            enqueue: Queues the run in the same database, as part of the transaction. Default None.

        Returns:
            None, or the earlier response with the same owner and key; nothing is saved then.

        Raises:
            InvalidRequest: An approval request that the run answers has been answered; nothing is
                saved.
        """

    @abstractmethod
    async def get(self, id: str, owner: str) -> Record | None:
        """Return a response, or None if the owner has none with that id."""

    @abstractmethod
    async def get_all(self, ids: Collection[str], owner: str) -> list[Record]:
        """Return those of some responses that the owner has, in no order."""

    @abstractmethod
    async def size_of(self, ids: Collection[str], owner: str) -> int:
        """Return how many bytes the requests and responses that `get_all` returns have."""

    @abstractmethod
    async def stored_bytes(self, owner: str) -> int:
        """Return the size of an owner's responses, with their requests, and conversations."""

    @abstractmethod
    async def by_key(self, key: str, owner: str) -> Record | None:
        """Return the response that was created with an idempotency key, if there is one."""

    @abstractmethod
    async def delete(self, id: str, owner: str) -> bool:
        """Delete a response, but keep the lock of an active run; return whether it existed."""

    @abstractmethod
    async def chain(self, id: str, owner: str, most: Size = NO_BOUND) -> Chain:
        """Return a response and all that it continues.

        Args:
            id: The response.
            owner: Its owner.
            most: The size beyond which only the size is returned. Default: no bound.

        Returns:
            The chain; `NO_CHAIN` if a part of it is missing.
        """

    @abstractmethod
    async def page(
        self,
        owner: str,
        agents: Sequence[str],
        after: str | None,
        limit: int,
        max_bytes: int,
        conversation: str | None = None,
    ) -> Page | None:
        """Return a page of an owner's responses that can be fetched, newest first.

        Args:
            owner: The owner.
            agents: The names of their agents.
            after: The last response of the page before; None for the first page.
            limit: How many to return at most.
            max_bytes: The size of their outputs; a larger page is shorter, but has one at least.
            conversation: The conversation that they belong to. Default: any or none.

        Returns:
            The page; None if there is no response `after`.
        """

    @abstractmethod
    async def find_items(self, ids: Collection[str], owner: str) -> Mapping[str, str]:
        """Return, for each item id, the id of the newest response that has such an item."""

    @abstractmethod
    async def find_approvals(self, ids: Collection[str], owner: str) -> Mapping[str, Asked]:
        """Return approval requests by their ids; of several with one id, the newest."""

    @abstractmethod
    async def claim_approvals(self, claim: ApprovalClaim, response_id: str) -> None:
        """Claim the approval requests of a response for the run that answers them.

        Args:
            claim: The approval requests.
            response_id: The run.

        Raises:
            InvalidRequest: Another run has claimed them.
        """

    @abstractmethod
    async def release_approvals(self, response_id: str) -> None:
        """Open the approval requests that a run has claimed, since its handler was not called."""

    @abstractmethod
    async def state(self, id: str) -> bytes | None:
        """Return what the handler of a response saved; None if it saved nothing."""

    @abstractmethod
    async def claim(self, id: str, holder: str, lease: float) -> Record | None:
        """Begin the next attempt of a run; return None if another process holds the run.

        It is None too from the second time on that a process died with the run, which then waits
        longer each time. Each write to the log names the attempt that the claim returned.
        """

    @abstractmethod
    async def renew(self, holder: str, ids: Collection[str], lease: float) -> Mapping[str, int]:
        """Renew the leases and the locks of a process.

        Args:
            holder: The process.
            ids: Its runs. Those that are not stored yet have only locks.
            lease: In seconds.

        Returns:
            The runs that it still holds, with their attempts.
        """

    @abstractmethod
    async def append(self, groups: Mapping[str, tuple[int, Lines]]) -> Collection[str]:
        """Append events to logs, in one transaction.

        Args:
            groups: For each response, the attempt that writes and its events.

        Returns:
            The responses for which nothing was written: another attempt owns the run, or the
            response was deleted.
        """

    @abstractmethod
    async def finish(self, id: str, attempt: int, lines: Lines, ending: Ending) -> None:
        """Append the last events to a log and end the run, with all that its ending names.

        Raises:
            LostRun: Another attempt owns the run.
        """

    @abstractmethod
    async def release(self, holder: str) -> None:
        """Release the runs of a process, so that others may claim them at once."""

    @abstractmethod
    async def want_cancel(self, id: str, owner: str) -> None:
        """Ask the process that executes a run to cancel it."""

    @abstractmethod
    async def to_cancel(self, holder: str) -> Collection[str]:
        """Return the runs of a process that it is asked to cancel."""

    @abstractmethod
    async def abandoned(self, agents: Sequence[str]) -> Sequence[Record]:
        """Return some of the agents' runs that no process holds, oldest first."""

    @abstractmethod
    async def sweep(self) -> int:
        """Delete some of what has expired, but no active run; return how many responses."""
