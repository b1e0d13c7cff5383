"""Finding tasks in the store: a task is a response, and those that answer what it asks."""

from typing import NamedTuple

from ...schema.decode import decode_stored
from ...schema.ids import is_random
from ...store.base import Record, Store
from ..detached import response_of
from .errors import TaskNotFound
from .task import TaskView, Turn

_KEY = "\na2a:"
"""How the keys of a task's further runs begin; no header of a client can hold a line feed."""


class StoredTask(NamedTuple):
    """A task as the store has it."""

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


async def find_task(store: Store, id: str, owner: str, agent: str) -> StoredTask:
    """Return a task.

    Raises:
        TaskNotFound: The owner has no such task of the agent.
    """
    record = await store.get(id, owner) if is_random(id) else None
    if record is None or record.agent != agent or not record.visible or task_id_of(record):
        raise TaskNotFound(id)
    return await _whole(store, record)


async def task_ending_in(store: Store, record: Record) -> StoredTask | None:
    """Return the task whose last run is the given one; None if there is none."""
    first: Record | None = record
    if task_id := task_id_of(record):
        first = await store.get(task_id, record.owner)
    if first is None:
        return None
    task = await _whole(store, first)
    return task if task.record.id == record.id else None


async def _whole(store: Store, record: Record) -> StoredTask:
    """Return the task that begins with a response."""
    task_id, turns = record.id, [turn_of(record)]
    while turns[-1].waiting:
        later = await store.by_key(key_of(task_id, len(turns)), record.owner)
        if later is None:
            later = await _answered_by(store, record, turns[-1])
        if later is None:
            break
        record = later
        turns.append(turn_of(record))
    return StoredTask(record, TaskView(turns))


async def _answered_by(store: Store, record: Record, turn: Turn) -> Record | None:
    """Return the run that answers approval requests by another protocol; None if there is none."""
    ids = [item["id"] for item in turn.waiting if item["type"] == "mcp_approval_request"]
    asked = (await store.find_approvals(ids, record.owner)).values() if ids else ()
    runs = [each.claimed_by for each in asked if each.response_id == record.id]
    run = next(filter(None, runs), None)
    return None if run is None else await store.get(run, record.owner)


def task_id_of(record: Record) -> str:
    """Return the task that a response continues; empty if it begins one."""
    key = record.key or ""
    return key.removeprefix(_KEY).rpartition(":")[0] if key.startswith(_KEY) else ""
