"""`ListTasks`: a user's tasks, in pages."""

import logging
import re
from collections.abc import AsyncIterator

import msgspec

from ...errors import AgentError, InvalidRequest
from ...store.base import Record
from ..paging import check_listed
from .call import Call
from .schema import ListTasksRequest, ListTasksResponse, Task
from .stored import task_ending_in
from .task import TaskView

logger = logging.getLogger("agent_asgi")

MAX_RESPONSES = 1000
"""How many responses one request looks at, at most; then the page is shorter."""
STORE_PAGE = 100
UNSPECIFIED = "TASK_STATE_UNSPECIFIED"
_TOKEN = re.compile(r"(\d{1,9})\.(resp_[0-9a-f]{32})")


async def list_tasks(call: Call) -> None:
    """Answer with a page of tasks; those whose last run is newest come first."""
    check_listed(call.runtime.engine, call.owner)
    params: ListTasksRequest = call.params
    listing = Listing(call, params)
    tasks = [task async for task in listing.tasks()]
    total = listing.before + len(tasks)
    token = f"{total}.{listing.last}" if listing.has_more else ""
    total += listing.has_more
    await call.respond(ListTasksResponse(tasks, token, params.page_size, total))


class Listing:
    """One page of tasks.

    Args:
        call: The call.
        params: Its parameters.

    Attributes:
        before: The number of tasks on the pages before.
        last: The last response that was looked at.
        has_more: Whether others follow.

    Raises:
        InvalidRequest: The page token is invalid.
    """

    def __init__(self, call: Call, params: ListTasksRequest) -> None:
        self._call = call
        self._params = params
        self.before = 0
        self.last: str | None = None
        self.has_more = False
        if params.page_token:
            token = _TOKEN.fullmatch(params.page_token)
            if token is None:
                raise _invalid_token()
            self.before, self.last = int(token[1]), token[2]

    async def tasks(self) -> AsyncIterator[Task]:
        """Yield the tasks of the page."""
        params, count = self._params, 0
        async for record in self._records():
            if count == params.page_size:
                self.has_more = True
                return
            self.last = record.id
            task = await self._task(record)
            if task is not None:
                count += 1
                yield task

    async def _records(self) -> AsyncIterator[Record]:
        """Yield responses, newest first."""
        call = self._call
        limits, agents = call.runtime.engine.limits, [call.router.name]
        context_id = self._params.context_id or None
        for _ in range(MAX_RESPONSES // STORE_PAGE):
            page = await call.store.page(
                call.owner, agents, self.last, STORE_PAGE, limits.max_conversation_bytes, context_id
            )
            if page is None:
                raise _invalid_token()
            for record in page.records:
                yield record
            if not page.has_more:
                return
        self.has_more = True

    async def _task(self, record: Record) -> Task | None:
        """Return the task that ends in a response; None if there is none, or if it is not wanted.

        A response that cannot be read must not fail the list.
        """
        params, max_bytes = self._params, self._call.runtime.engine.limits.max_conversation_bytes
        try:
            found = await task_ending_in(self._call.store, record, max_bytes)
        except (AgentError, msgspec.DecodeError):
            logger.exception("The task of %s cannot be read; the list leaves it out.", record.id)
            return None
        if found is None or not self._is_wanted(found.view):
            return None
        return found.view.task(params.history_length, artifacts=params.include_artifacts)

    def _is_wanted(self, task: TaskView) -> bool:
        state, since = self._params.status, self._params.status_timestamp_after
        if state not in (None, UNSPECIFIED, task.status().state):
            return False
        return since is None or task.changed_at >= int(since.timestamp())


def _invalid_token() -> InvalidRequest:
    return InvalidRequest("pageToken: is not a token of this server.", "pageToken")
