"""The context of a run: who asks, in which session, and whether it is still wanted."""

import asyncio
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Literal

Cause = Literal[
    "client_disconnected", "client_stalled", "client_cancelled", "timeout", "silence", "shutdown"
]


class Headers(Mapping[str, str]):
    """Request headers: read-only, names in any case; of a repeated name the first one counts.

    Args:
        raw: The headers as ASGI has them, names in lower case.
    """

    __slots__ = ("_values",)

    def __init__(self, raw: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self._values = dict(reversed(list(raw)))

    def __getitem__(self, name: str) -> str:
        return self._values[_encoded(name)].decode("latin-1")

    def get(self, name: str, default: Any = None) -> Any:
        """Give a header's value, or the default where there is none."""
        value = self._values.get(_encoded(name))
        return default if value is None else value.decode("latin-1")

    def __iter__(self) -> Iterator[str]:
        return (name.decode("latin-1") for name in reversed(self._values))

    def __len__(self) -> int:
        return len(self._values)

    @classmethod
    def kept(cls, headers: Mapping[str, str]) -> "Headers":
        """Make headers of a mapping whose names are in lower case."""
        return cls([(name.encode(), value.encode("latin-1")) for name, value in headers.items()])

    def __repr__(self) -> str:
        return f"Headers({list(self)})"  # values may be secrets


@functools.lru_cache
def _encoded(name: str) -> bytes:
    return name.lower().encode("latin-1", "replace")


class Cancelled:
    """Whether a run is still wanted, for a handler to look at between two steps.

    `is_set` may be called from any thread, `wait` from the event loop.
    """

    __slots__ = ("_waiters", "cause")

    def __init__(self) -> None:
        self.cause: Cause | None = None
        """Why the run was cancelled; None while it is wanted."""
        self._waiters: list[asyncio.Future[None]] = []

    def is_set(self) -> bool:
        """Tell whether the run has been cancelled."""
        return self.cause is not None

    async def wait(self) -> None:
        """Wait until the run is cancelled."""
        if self.cause is None:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter

    def set(self, cause: Cause) -> None:
        """Record the cause; the first one counts. For the framework; call it on the loop."""
        if self.cause is None:
            self.cause = cause
            for waiter in self._waiters:
                if not waiter.done():
                    waiter.set_result(None)


class Context:
    """What a handler may know of its run beside the request.

    Args:
        response_id: The server's id of the response.
        agent: Name of the router.
        headers: The request's headers. Default none.
        session_id: The conversation. Default None.
        user: Who asks. Default None.
        model: The model that the request named. Default None.
        attempt: 1, or more after a recovery. Default 1.
        previous_events: What the attempts before, whose process died, had emitted, in its order.
            Default none.
        state: What middleware and authentication left for the handler. Default empty.
        request_id: The id of the request, as its answer and its log have it (`x-request-id`); a
            detached run keeps that of the request that made it. Default empty.
    """

    __slots__ = (
        "agent",
        "attempt",
        "cancelled",
        "headers",
        "model",
        "previous_events",
        "request_id",
        "response_id",
        "session_id",
        "state",
        "trace_id",
        "user",
    )

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
        self.trace_id: str | None = None
        """The MLflow trace of the run; None where it is not traced."""
        self.cancelled = Cancelled()

    def __repr__(self) -> str:
        return f"Context(response_id={self.response_id!r}, agent={self.agent!r})"


current: ContextVar[Context] = ContextVar("agent_asgi.context")
request_id: ContextVar[str] = ContextVar("agent_asgi.request_id", default="")
"""The id of the request that is being answered; empty outside of one."""


def current_request_id() -> str:
    """Give the id of the request that the calling code works for; empty where there is none."""
    context = current.get(None)
    return request_id.get() if context is None else context.request_id


def get_context() -> Context:
    """Give the context of the run that calls, from anywhere below its handler, threads too.

    Raises:
        RuntimeError: Nothing that calls is part of a run.
    """
    try:
        return current.get()
    except LookupError:
        raise RuntimeError("get_context() works only below a handler that is running.") from None


def get_request_headers() -> Mapping[str, str]:
    """Give the request's headers, as `get_context().headers`; empty outside of a run."""
    context = current.get(None)
    return Headers() if context is None else context.headers
