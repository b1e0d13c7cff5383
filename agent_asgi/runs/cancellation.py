"""`Cancellation`: tells a run's own cancellation of its task from everybody else's."""

import asyncio
from typing import TYPE_CHECKING, Any

import anyio
from anyio._backends import _asyncio as anyio_backend

if TYPE_CHECKING:
    from .run import Run

_scoped_tasks: Any = getattr(anyio_backend, "_task_states", None)
"""The tasks that have a cancel scope, as anyio knows them: entering a scope takes a tenth of a
short request's time. If a version of anyio keeps them elsewhere, every run gets a scope."""


class Cancellation:
    """The cancellations that reach a run's task; made for the first one.

    The run's own cancellation has a cause and is sent once. Any other one is thrown into the
    handler. If the handler continues, it was a timeout of the handler's; if not, somebody else ends
    the task. `task.cancelling()` cannot tell them apart: libraries do not always reset it.

    Args:
        run: The run.
        task: The task that pulls it.
        scope: The cancel scope around it, if its task needs one.

    Attributes:
        giving_up: Whether the handler's time to clean up is over.
        foreign: Somebody else's cancellation, which is raised again when the run has ended.
    """

    def __init__(
        self, run: "Run", task: "asyncio.Task[Any]", scope: anyio.CancelScope | None
    ) -> None:
        self._run = run
        self._task = task
        self._scope = scope
        self._sent = 0
        self._arrived = self._dropped = False
        self._timer: asyncio.TimerHandle | None = None
        self.giving_up = False
        self.foreign: asyncio.CancelledError | None = None

    def send(self, *, drop: bool = False) -> None:
        """Cancel the task.

        Args:
            drop: Whether the run has ended and only the delivery of its last batch is cancelled.
                Default False.
        """
        self._dropped = drop
        self._sent += 1
        self._task.cancel()

    def arrive(self, error: asyncio.CancelledError) -> None:
        """Prepare for a cancellation that is about to be thrown into the handler."""
        run = self._run
        self._arrived = True
        if self._scope is not None:
            if run.cause is None and _is_cancelled_by_host(self._scope):
                self.foreign = error
                run.cancelled.set("shutdown")
            self._scope.shield = True
        if run.cause is not None and self._timer is None:
            seconds = run.engine.timeouts.cleanup
            self._timer = asyncio.get_running_loop().call_later(seconds, self._give_up)

    def _give_up(self) -> None:
        if not self._run.ended:
            self.giving_up = True
            self.send()

    def resume(self) -> None:
        """Continue after a cancellation that the handler caught.

        Raises:
            asyncio.CancelledError: The run is cancelled; the handler's next output is dropped.
        """
        if self._run.cause is not None or self._run.ended:
            raise asyncio.CancelledError
        self._arrived = False
        if self._scope is not None:
            self._scope.shield = False

    def end(self, error: asyncio.CancelledError) -> None:
        """Keep the cancellation that the handler ended with, if it was thrown into it."""
        if self._arrived:
            self.keep(error)

    def keep(self, error: asyncio.CancelledError) -> None:
        """Keep a cancellation to raise it later, unless it is the run's own."""
        if self._run.cause is None and not self._dropped:
            self.foreign = error

    def finish(self) -> None:
        """Undo the run's own cancellations of its task, once it has ended.

        Raises:
            asyncio.CancelledError: Somebody else cancelled the task, and it has to end.
        """
        if self._timer is not None:
            self._timer.cancel()
        for _ in range(self._sent):
            self._task.uncancel()
        if self.foreign is not None:
            raise self.foreign


def scope_for(task: "asyncio.Task[Any] | None") -> anyio.CancelScope | None:
    """Return a cancel scope for a run; None if its task needs none.

    A host's cancel scope around the request cancels the task again and again until the scope is
    left. Without a shield a handler could not clean up.
    """
    if _scoped_tasks is not None and (not _scoped_tasks or task not in _scoped_tasks):
        return None
    return anyio.CancelScope()


def _is_cancelled_by_host(scope: anyio.CancelScope) -> bool:
    """Return whether a scope around the run's is cancelled; the handler's own scopes are within."""
    default = anyio.current_effective_deadline() == float("-inf")
    return bool(getattr(scope, "_effectively_cancelled", default))


def is_running() -> bool:
    """Return whether an event loop runs in this thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
