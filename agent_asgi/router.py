"""`AgentRouter`: collects one agent's handlers, and does nothing else."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar, overload

from .errors import AgentError
from .handlers import Handler

F = TypeVar("F", bound=Callable[..., Any])
Mode = Literal["invoke", "stream", "compact"]
Reducer = Callable[[Sequence[Any]], Any]


class AgentRouter:
    """The handlers of one agent.

    Args:
        name: The agent's name: its model id and, among several, its path. Default "agent".
        description: What the agent does, for `/v1/models` and `/agent/info`. Default None.
        protocol: "responses" for the OpenAI Responses API in and out, "json" for any JSON object
            in and anything JSON out, at `/invocations` only. Default "responses".
        experiment: Name of the MLflow experiment of this agent's traces. Default: MLflow's own.
        max_threads: How many sync handlers of this agent run at once, in a thread each.
            Default 40.
        reducer: Makes the trace's output from the list of chunks of a "json" stream.
            Default: the list itself.
        recover: Whether a stored run whose process died is begun again, with what it had emitted
            in `Context.previous_events`. Default True; False: it fails with code `interrupted`.
        keep_headers: Names of the request headers that are stored with a detached run, so that
            `Context.headers` has them in whichever process and attempt. Default none.

    Raises:
        ValueError: A name that is no path segment, an unknown protocol, `max_threads` below 1.
    """

    def __init__(
        self,
        name: str = "agent",
        *,
        description: str | None = None,
        protocol: Literal["responses", "json"] = "responses",
        experiment: str | None = None,
        max_threads: int = 40,
        reducer: Reducer | None = None,
        recover: bool = True,
        keep_headers: Sequence[str] = (),
    ) -> None:
        if not name or any(each in name for each in "/?#{} "):
            raise ValueError(f"AgentRouter: {name!r} is no name for a path, such as 'tutor'.")
        if protocol not in ("responses", "json"):
            raise ValueError(f"AgentRouter: protocol is 'responses' or 'json', not {protocol!r}.")
        if isinstance(keep_headers, str):
            raise ValueError("AgentRouter: keep_headers is a list of names, not one text.")
        if max_threads < 1:
            raise ValueError("AgentRouter: max_threads must be at least 1.")
        self.name = name
        self.description = description
        self.protocol = protocol
        self.experiment = experiment
        self.max_threads = max_threads
        self.reducer = reducer
        self.recover = recover
        self.keep_headers = tuple(each.lower() for each in keep_headers)
        self.handlers: dict[Mode, Handler] = {}

    @overload
    def invoke(self, function: F, /) -> F: ...

    @overload
    def invoke(self) -> Callable[[F], F]: ...

    def invoke(self, function: Any = None) -> Any:
        """Register the handler of requests that want one JSON answer.

        Use it as a decorator, with or without parentheses; it returns the function itself.

        Raises:
            ValueError: This router has such a handler already.
            TypeError: The function's parameters fit no request.
        """
        return self._register("invoke", function)

    @overload
    def stream(self, function: F, /) -> F: ...

    @overload
    def stream(self) -> Callable[[F], F]: ...

    def stream(self, function: Any = None) -> Any:
        """Register the handler of requests that want a stream.

        Use it as a decorator, with or without parentheses; it returns the function itself.

        Raises:
            ValueError: This router has such a handler already.
            TypeError: The function's parameters fit no request.
        """
        return self._register("stream", function)

    @overload
    def compact(self, function: F, /) -> F: ...

    @overload
    def compact(self) -> Callable[[F], F]: ...

    def compact(self, function: Any = None) -> Any:
        """Register the handler of `POST /responses/compact`.

        It gets the conversation as `request.input` and gives the items that stand for it from then
        on, a `compaction` item among them, and a `Usage`, in any way in which a handler may give
        outputs. Use it as a decorator, with or without parentheses; it returns the function itself.

        Raises:
            ValueError: This router has such a handler already.
            TypeError: The function's parameters fit no request.
        """
        return self._register("compact", function)

    @property
    def invoke_handler(self) -> Callable[..., Any] | None:
        """The registered invoke function, or None."""
        return self._function("invoke")

    @property
    def stream_handler(self) -> Callable[..., Any] | None:
        """The registered stream function, or None."""
        return self._function("stream")

    def handler_for(self, mode: Mode) -> Handler | None:
        """Give the handler of a mode; in the Responses protocol invoke and stream serve both."""
        found = self.handlers.get(mode)
        if found is None and self.protocol == "responses" and mode != "compact":
            return self.handlers.get("invoke") or self.handlers.get("stream")
        return found

    def _function(self, mode: Mode) -> Callable[..., Any] | None:
        handler = self.handlers.get(mode)
        return None if handler is None else handler.function

    def _register(self, mode: Mode, function: Any) -> Any:
        def register(given: F) -> F:
            there = self.handlers.get(mode)
            if there is not None:
                raise ValueError(
                    f"Router {self.name!r} has a {mode} handler already: {there.name!r}."
                )
            self.handlers[mode] = Handler(given)
            return given

        return register if function is None else register(function)

    def __repr__(self) -> str:
        handlers = ", ".join(f"{mode}={each.name}" for mode, each in self.handlers.items())
        return f"AgentRouter({self.name!r}{', ' if handlers else ''}{handlers})"


def handler_of(router: AgentRouter, stream: bool) -> Handler:
    """Give the handler of a mode.

    Raises:
        AgentError: The router has none.
    """
    mode: Mode = "stream" if stream else "invoke"
    handler = router.handler_for(mode)
    if handler is None:
        raise AgentError(f"No {mode} handler registered", 500, "no_handler")
    return handler
