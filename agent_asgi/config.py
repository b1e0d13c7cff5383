"""`Limits`, `Quota` and `Timeouts`: bounds on sizes, on concurrency and on time."""

import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Any

development = False
"""Whether apps are built for development; `agent-asgi dev` sets this to True in its process."""
debug = False
"""Whether the errors of all apps name exceptions; `agent-asgi chat` sets this to True."""


def require(owner: str, options: Mapping[str, tuple[Any, ...]]) -> None:
    """Check the types of options. A bool is no number.

    Args:
        owner: The class that has them, for the message.
        options: By name: the value, then the types that it may have.

    Raises:
        TypeError: One has another type.
    """
    for name, (value, *kinds) in options.items():
        if not isinstance(value, tuple(kinds)) or (isinstance(value, bool) and bool not in kinds):
            names = ["None" if each is NoneType else each.__name__ for each in kinds]
            is_class = isinstance(value, type) and issubclass(value, tuple(kinds))
            mend = " Pass an instance of it." if is_class else ""
            raise TypeError(f"{owner}: {name} must be {' or '.join(names)}, not {value!r}.{mend}")


def require_texts(owner: str, options: Mapping[str, Collection[str]]) -> None:
    """Check that options are collections of texts. A single str is not one.

    Args:
        owner: The class that has them, for the message.
        options: The values by name.

    Raises:
        TypeError: One is no collection, or has something else in it.
        ValueError: One is a str.
    """
    for name, texts in options.items():
        require(owner, {name: (texts, Collection)})
        if isinstance(texts, str):
            raise ValueError(f"{owner}: {name} must be a list of texts, not the str {texts!r}.")
        for text in texts:
            require(owner, {f"each of {name}": (text, str)})


def require_context_manager(owner: str, lifespan: Callable[..., Any]) -> None:
    """Check that a function takes the app and returns an async context manager, if that is known.

    Raises:
        TypeError: It is an async generator without a decorator, a sync one, a context manager
            itself, or takes no argument.
    """
    if hasattr(lifespan, "__aenter__"):
        raise TypeError(f"{owner}: lifespan must be the function; do not call it: lifespan=NAME.")
    inner = inspect.unwrap(lifespan)
    bare = inspect.isasyncgenfunction(lifespan) or inspect.iscoroutinefunction(lifespan)
    if bare or inspect.isgeneratorfunction(inner):
        raise TypeError(
            f"{owner}: lifespan {inner.__name__!r} must be an async generator, decorated with "
            "`@contextlib.asynccontextmanager`."
        )
    try:
        inspect.signature(lifespan).bind(None)
    except TypeError as error:
        raise TypeError(f"{owner}: lifespan is called with the app: {error}.") from error


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on sizes and on concurrency.

    Raises:
        TypeError: A bound is not an int.
        ValueError: A bound is too small.
    """

    max_body_bytes: int = 8 << 20
    """Maximum size of a request body or a WebSocket message, in bytes. A larger one is answered
    with 413. Default 8 MiB, enough for a photo as a data URL."""
    max_depth: int = 100
    """Maximum nesting depth of a body's arrays and objects. Default 100."""
    max_nodes: int = 10_000
    """Maximum number of arrays and objects in a body. A message, its list of parts and each part
    count one each. Default 10,000."""
    max_runs: int = 5_000
    """Maximum number of concurrent runs of one agent in one process, without background runs, which
    `worker_concurrency` bounds. As many again wait for up to `Timeouts.room`; then they are
    answered with 429. A run that waits for its turn in a conversation does not count; when its turn
    comes, it begins even if there is no room. Default 5,000."""
    max_queued: int = 1_000
    """Maximum number of background runs that wait in one process, without those that wait in
    PostgreSQL, and of runs that wait for their turn in a conversation (`conversation_queue`), in
    all processes that share the store. An authenticated user may have half of them. One more is
    answered with 429. Default 1,000."""
    max_streams: int = 10_000
    """Maximum number of open streams and WebSocket connections of one app, and of requests that
    read stored responses or conversations; one more is answered with 429. Default 10,000."""
    max_outputs: int = 1_000_000
    """Maximum number of outputs of a handler in one run. Default 1,000,000."""
    max_output_bytes: int = 64 << 20
    """Maximum size of one run's output: the bytes of its events or, without a stream, the
    characters of its texts and the bytes of its other outputs. Default 64 MiB."""
    max_state_bytes: int = 1 << 20
    """Maximum size of the state that a handler keeps with `context.save_state`, in bytes. Default
    1 MiB."""
    max_conversation_bytes: int = 32 << 20
    """Maximum size of the earlier responses or items that a request continues, in bytes of JSON; a
    larger one is answered with 400. Default 32 MiB."""
    max_conversation_items: int = 50_000
    """Maximum number of the earlier items that a request continues; more are answered with 400.
    Default 50,000."""
    conversation_queue: int | None = None
    """Maximum number of runs that wait for one another in a conversation, in the order in which
    they arrived; one more is answered with 409. With 0, so is every run that would have to wait.
    Default None: 100 for Agent Bricks, 0 for the other protocols."""
    worker_concurrency: int = 20
    """Maximum number of background runs that one process executes at once. 0 leaves them to other
    processes, for example `agent-asgi worker`, and needs PostgreSQL. Default 20."""
    max_attempts: int = 20
    """Maximum number of attempts of a run whose process died; then the run fails. Default 20."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            bound = getattr(self, name)
            minimum = 0 if name in ("conversation_queue", "worker_concurrency") else 1
            optional = (NoneType,) if name == "conversation_queue" else ()
            require("Limits", {name: (bound, int, *optional)})
            if bound is not None and bound < minimum:
                raise ValueError(f"Limits: {name} must be at least {minimum}.")


@dataclass(frozen=True, slots=True)
class Quota:
    """What one user may use; a request beyond it is answered with 429.

    Raises:
        TypeError: A bound is neither an int nor None.
        ValueError: A bound is below 1.
    """

    concurrent_runs: int | None = None
    """Maximum number of runs at once, without background runs. Default None: no bound."""
    runs_per_minute: int | None = None
    """Maximum number of runs that begin in a minute. As many may begin at once; then the room for
    them returns evenly over a minute. Default None: no bound."""
    tokens_per_minute: int | None = None
    """Maximum number of tokens in a minute, input and output, that handlers report as used. A run
    is admitted as long as any are left and counted when it has ended. Default None: no bound."""
    stored_bytes: int | None = None
    """Maximum size of the user's stored responses and conversations, in bytes, without the logs of
    their events. It is measured at most every 10 seconds, and does not bound requests with
    `store: false`. Default None: no bound."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            bound = getattr(self, name)
            require("Quota", {name: (bound, int, NoneType)})
            if bound is not None and bound < 1:
                raise ValueError(f"Quota: {name} must be at least 1.")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Bounds on time, in seconds.

    Raises:
        TypeError: A bound is not a number.
        ValueError: A bound is negative, an interval is 0, or `stalled` is less than twice the
            heartbeat.
    """

    body: float = 30.0
    """How long a request's body may take to arrive; then it is answered with 408. Default 30."""
    room: float = 1.0
    """How long a run waits if `Limits.max_runs` is reached; then it is answered with 429.
    Default 1."""
    run: float | None = None
    """How long a run may take; then it is answered with 504. Default None: no bound."""
    background: float | None = None
    """How long one attempt of a background run may take. Default None: no bound."""
    silence: float | None = None
    """How long a handler may output nothing; then the run is answered with 504. Default None: no
    bound."""
    write: float = 60.0
    """How long a client may stop reading. Then its connection is closed, and the run of a stream is
    cancelled. Default 60."""
    ping: float = 15.0
    """How long a stream may be silent before a comment is sent, which prevents read timeouts of
    proxies and clients. Default 15."""
    cleanup: float = 5.0
    """How long a cancelled handler may clean up. Default 5."""
    tracing: float = 10.0
    """How long runs and `/ready` wait after the start until MLflow is imported and answers. Then
    runs are served without traces until it does. Default 10."""
    drain: float = 30.0
    """How long runs may continue at shutdown. Then they are cancelled, and detached ones are
    released for another process. Default 30."""
    drain_lead: float = 0.0
    """How long `/ready` answers 503 before `drain` begins, while requests are still served, so that
    a load balancer notices. With `agent-asgi serve` only. Default 0."""
    websocket: float = 3600.0
    """How long a WebSocket connection may last. Default 3600 (Open Responses)."""
    heartbeat: float = 5.0
    """The time between two heartbeats of a process that executes runs. Default 5."""
    stalled: float = 20.0
    """The time without a heartbeat after which its runs are taken over. Default 20."""
    rescue: float = 10.0
    """The time between two checks for runs to take over. Default 10."""
    poll: float = 5.0
    """The time between two polls of PostgreSQL's queue, in case notifications are lost.
    Default 5."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            seconds = getattr(self, name)
            unbounded = (NoneType,) if name in ("run", "background", "silence") else ()
            require("Timeouts", {name: (seconds, float, int, *unbounded)})
            if seconds is not None and not seconds >= 0:  # NaN is not
                raise ValueError(f"Timeouts: {name} must not be negative.")
            if not seconds and name in ("heartbeat", "rescue", "poll"):
                raise ValueError(f"Timeouts: {name} must be above 0.")
        if self.heartbeat * 2 > self.stalled:
            raise ValueError("Timeouts: stalled must be at least twice the heartbeat.")
