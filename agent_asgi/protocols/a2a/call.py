"""`Call`: one request to an operation, in either binding."""

from typing import Any, NamedTuple

from starlette.responses import Response

from ...agents.router import AgentRouter
from ...http.endpoint import HttpRequest, owner_of
from ...runtime import Runtime
from ...schema import codec
from ...store.base import Store
from .binding import Binding
from .stored import StoredTask, find_task


class Call(NamedTuple):
    """One request to an operation."""

    runtime: Runtime
    """The app's runtime."""
    router: AgentRouter
    """The agent."""
    request: HttpRequest
    """The HTTP request."""
    binding: Binding
    """The client's binding."""
    params: Any
    """The decoded parameters."""
    push_hosts: frozenset[str]
    """The hosts that may be notified; empty without push notifications."""

    @property
    def store(self) -> Store:
        """The store of the tasks."""
        return self.runtime.store

    @property
    def owner(self) -> str:
        """The authenticated user; empty if there is none."""
        return owner_of(self.request.scope)

    async def task(self, id: str) -> StoredTask:
        """Return a task.

        Raises:
            TaskNotFound: The client has no such task.
            ConversationTooLarge: It is too large to be loaded.
        """
        size = self.runtime.engine.limits.max_conversation_bytes
        return await find_task(self.store, id, self.owner, self.router.name, size)

    async def respond(self, result: object) -> None:
        """Send the result."""
        binding = self.binding
        body = binding.head + codec.encode(result) + binding.tail
        response = Response(body, media_type=binding.media_type)
        await response(self.request.scope, self.request.receive, self.request.send)
