"""The context of a run: its user, its session, and whether it is cancelled."""

import asyncio
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Literal, Protocol

Cause = Literal[
    "client_disconnected", "client_stalled", "client_cancelled", "timeout", "silence", "shutdown"
]
RunMode = Literal["json", "stream", "websocket", "background"]
"""How a run is answered."""
GIVEN_BACK = "given_back"
"""The status of an attempt whose end was not stored: another attempt follows, or the response was
deleted."""


class Headers(Mapping[str, str]):
    """Request headers, read-only. Names are case-insensitive; of a repeated name the first counts.

    Args:
        raw: ASGI's headers, with names in lower case.
    """

    __slots__ = ("_values",)

    def __init__(self, raw: Iterable[tuple[bytes, bytes]] = ()) -> None:
        pairs: list[tuple[bytes, bytes]] = raw if isinstance(raw, list) else list(raw)
        values = dict(pairs)
        if len(values) < len(pairs):
            values = dict(reversed(pairs))  # the first of a repeated name counts
        self._values = values

    def __getitem__(self, name: str) -> str:
        return self._values[_encoded(name)].decode("latin-1")

    def get(self, name: str, default: Any = None) -> Any:
        """Return a header's value, or the default if there is none."""
        value = self._values.get(_encoded(name))
        return default if value is None else value.decode("latin-1")

    def first(self, name: bytes) -> str | None:
        """Return a header's value by its name in lower case, or None."""
        value = self._values.get(name)
        return None if value is None else value.decode("latin-1")

    def __iter__(self) -> Iterator[str]:
        return (name.decode("latin-1") for name in self._values)

    def __len__(self) -> int:
        return len(self._values)

    @classmethod
    def kept(cls, headers: Mapping[str, str]) -> "Headers":
        """Return headers from a mapping whose names are in lower case."""
        return cls([(name.encode(), value.encode("latin-1")) for name, value in headers.items()])

    def __repr__(self) -> str:
        return f"Headers({list(self)})"  # values may be secrets


@functools.lru_cache
def _encoded(name: str) -> bytes:
    return name.lower().encode("latin-1", "replace")


class Cancelled:
    """Whether a run is cancelled, for a handler to check between two steps.

    `is_set` may be called from any thread, `wait` only on the event loop.
    """

    __slots__ = ("_context",)

    def __init__(self, context: "Context") -> None:
        self._context = context

    @property
    def cause(self) -> Cause | None:
        """Why the run was cancelled; None if it was not."""
        return self._context._cause

    def is_set(self) -> bool:
        """Return whether the run has been cancelled."""
        return self._context._cause is not None

    async def wait(self) -> None:
        """Wait until the run is cancelled."""
        context = self._context
        if context._cause is None:
            waiter = asyncio.get_running_loop().create_future()
            context._waiters = [*(context._waiters or ()), waiter]
            await waiter

    def set(self, cause: Cause) -> None:
        """Set the cause; the first one counts. For the framework, on the event loop."""
        context = self._context
        if context._cause is None:
            context._cause = cause
            for waiter in context._waiters or ():
                if not waiter.done():
                    waiter.set_result(None)


class Approval(Protocol):
    """A client's answer to an approval request: an `ApprovalResponse`."""

    approval_request_id: str
    """The id of the approval request."""
    approve: bool
    """Whether the agent may call the tool."""
    reason: str | None
    """The reason, for the agent."""
    arguments: dict[str, Any] | None
    """Changed arguments for the call; None if they stay."""


class Context:
    """What a handler may need to know about its run besides the request."""

    __slots__ = (
        "_cause",
        "_state",
        "_waiters",
        "agent",
        "attempt",
        "headers",
        "model",
        "previous_events",
        "request_id",
        "response_id",
        "saved_state",
        "session_id",
        "state",
        "trace_id",
        "user",
    )
    response_id: str
    """The response's id."""
    agent: str
    """The router's name."""
    headers: Mapping[str, str]
    """The request's headers, by names in any case."""
    session_id: str | None
    """The session; None if the request names none."""
    user: str | None
    """The authenticated user, or the one that the request names; None if there is none."""
    model: str | None
    """The model that the request names; None if it names none."""
    attempt: int
    """1, or more after a recovery."""
    previous_events: list[dict[str, Any]]
    """The events of the previous attempts, whose processes died, in order."""
    state: dict[str, Any]
    """The state that the lifespan, middleware and authentication set."""
    request_id: str
    """The request's id, as in the `x-request-id` header and in logs. A detached run keeps the id of
    the request that created it."""
    trace_id: str | None
    """The run's MLflow trace; None if the run is not traced."""
    saved_state: bytes | None
    """What the handler saved with `save_state` when it asked for approval, if the request answers
    that; otherwise None."""

    def __init__(
        self,
        response_id: str,
        agent: str,
        *,
        headers: Mapping[str, str] | None = None,
        session_id: str | None = None,
        user: str | None = None,
        model: str | None = None,
        attempt: int = 1,
        previous_events: Sequence[dict[str, Any]] = (),
        state: dict[str, Any] | None = None,
        request_id: str = "",
    ) -> None:
        self.response_id = response_id
        self.agent = agent
        self.headers = Headers() if headers is None else headers
        self.session_id = session_id
        self.user = user
        self.model = model
        self.attempt = attempt
        self.previous_events = list(previous_events)
        self.state = {} if state is None else state
        self.request_id = request_id
        self.trace_id = None
        self.saved_state = None
        self._state: bytes | None = None
        self._cause: Cause | None = None
        self._waiters: list[asyncio.Future[None]] | None = None

    @property
    def cancelled(self) -> Cancelled:
        """Whether the run is cancelled, and why."""
        return Cancelled(self)

    @property
    def approvals(self) -> Sequence[Approval]:
        """The client's answers to approval requests that this run has to act on, in their order.

        Answers that the agent has already reacted to are not among them; some clients send them
        again in `request.input`.
        """
        return ()

    def save_state(self, state: bytes) -> None:
        """Keep what the handler needs when the client answers its approval requests.

        It is stored with the response and deleted with it, and is never sent or traced. The run
        that answers gets it as `saved_state`. A second call replaces the first.

        Args:
            state: The state, at most `Limits.max_state_bytes`.

        Raises:
            TypeError: It is not bytes.
            ValueError: It is too large.
            InvalidRequest: The client sent `store: false`, so nothing is kept.
            RuntimeError: The agent's protocol is "json", whose answers are not stored.
        """
        if not isinstance(state, bytes):
            raise TypeError(f"save_state() needs bytes, not {type(state).__name__}.")
        self._state = state

    def __repr__(self) -> str:
        return f"Context(response_id={self.response_id!r}, agent={self.agent!r})"


current: ContextVar[Context] = ContextVar("agent_asgi.context")
request_id: ContextVar[str] = ContextVar("agent_asgi.request_id", default="")
"""The id of the current request; empty outside a request."""


def current_request_id() -> str:
    """Return the id of the current request, or of the request of the current run; else empty."""
    context = current.get(None)
    return request_id.get() if context is None else context.request_id


def get_context() -> Context:
    """Return the context of the current run; works anywhere below its handler, also in threads.

    Raises:
        RuntimeError: The caller is not part of a run.
    """
    try:
        return current.get()
    except LookupError:
        raise RuntimeError("get_context() must be called from a running handler.") from None


def get_request_headers() -> Mapping[str, str]:
    """Return the request's headers, like `get_context().headers`; empty outside a run."""
    context = current.get(None)
    return Headers() if context is None else context.headers
