"""Finding tasks in the store: a task is a response, and those that answer what it asks."""

from typing import NamedTuple

from ...schema.decode import decode_stored
from ...schema.ids import is_random
from ...store.base import Record, Store
from ...store.chain import ConversationTooLarge
from ..detached import response_of
from .errors import TaskNotFound
from .task import TaskView, Turn

_KEY = "\na2a:"
"""How the keys of a task's further runs begin; no header of a client can hold a line feed."""


class StoredTask(NamedTuple):
    """A task, as stored."""

    record: Record
    """Its last run."""
    view: TaskView
    """The task."""


def key_of(task_id: str, number: int) -> str:
    """Return the idempotency key of a turn of a task, other than the first.

    Args:
        task_id: The task.
        number: The number of turns before.
    """
    return f"{_KEY}{task_id}:{number}"


def turn_of(record: Record) -> Turn:
    """Return a stored run as a turn of a task."""
    return Turn(decode_stored(record.request), response_of(record, "hidden"))


async def find_task(store: Store, id: str, owner: str, agent: str, max_bytes: int) -> StoredTask:
    """Return a task.

    Args:
        store: The store.
        id: The task's id.
        owner: Its owner.
        agent: Its agent.
        max_bytes: The size of its requests and responses, if there are several.

    Raises:
        TaskNotFound: The owner has no such task of the agent.
        ConversationTooLarge: It has more than `max_bytes`.
    """
    record = await store.get(id, owner) if is_random(id) else None
    if record is None or record.agent != agent or not record.visible or task_id_of(record):
        raise TaskNotFound(id)
    return await _whole(store, record, max_bytes)


async def task_ending_in(store: Store, record: Record, max_bytes: int) -> StoredTask | None:
    """Return the task whose last run is the given one; None if there is none.

    Args:
        store: The store.
        record: The run.
        max_bytes: As for `find_task`.

    Raises:
        ConversationTooLarge: The task has more than `max_bytes`.
    """
    first: Record | None = record
    task_id, number = _place_of(record)
    if task_id:
        if await _next(store, record, task_id, number + 1, turn_of(record)) is not None:
            return None
        first = await store.get(task_id, record.owner)
    if first is None:
        return None
    task = await _whole(store, first, max_bytes)
    return task if task.record.id == record.id else None


async def _whole(store: Store, record: Record, max_bytes: int) -> StoredTask:
    """Return the task that begins with a response."""
    task_id, turns = record.id, [turn_of(record)]
    size = len(record.request) + len(record.response)
    while later := await _next(store, record, task_id, len(turns), turns[-1]):
        record = later
        size += len(record.request) + len(record.response)
        if size > max_bytes:
            raise ConversationTooLarge(f"{size} bytes", max_bytes, "id")
        turns.append(turn_of(record))
    return StoredTask(record, TaskView(turns))


async def _next(
    store: Store, record: Record, task_id: str, number: int, turn: Turn
) -> Record | None:
    """Return the run that answers what a turn of a task asks; None if there is none.

    Args:
        store: The store.
        record: The turn's run.
        task_id: The task.
        number: The number of turns up to it.
        turn: The turn.
    """
    if not turn.waiting:
        return None
    later = await store.by_key(key_of(task_id, number), record.owner)
    return later or await _answered_by(store, record, turn)


async def _answered_by(store: Store, record: Record, turn: Turn) -> Record | None:
    """Return the run that answers approval requests by another protocol; None if there is none."""
    ids = [item["id"] for item in turn.waiting if item["type"] == "mcp_approval_request"]
    asked = (await store.find_approvals(ids, record.owner)).values() if ids else ()
    runs = [each.claimed_by for each in asked if each.response_id == record.id]
    run = next(filter(None, runs), None)
    return None if run is None else await store.get(run, record.owner)


def task_id_of(record: Record) -> str:
    """Return the task that a response continues; empty if it begins one."""
    return _place_of(record)[0]


def _place_of(record: Record) -> tuple[str, int]:
    """Return the task that a response continues, and the number of turns before."""
    key = record.key or ""
    if not key.startswith(_KEY):
        return "", 0
    task_id, _, number = key.removeprefix(_KEY).rpartition(":")
    return task_id, int(number)
