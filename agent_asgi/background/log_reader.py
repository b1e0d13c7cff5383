"""Reading a log from any event on, while it grows."""

import asyncio
import math
from collections.abc import AsyncIterator

from ..runs.admission import Admission
from ..schema import codec
from ..schema.events import TERMINAL
from ..store.base import Record, Store, StoreUnavailable
from ..store.lines import Lines

CHECK_SECONDS = 5.0
"""How often a reader checks that the response of a silent log still exists."""
ENDS = frozenset(str(event.__struct_config__.tag).encode() for event in TERMINAL)
"""The types of the events that end a log."""


async def tail(
    store: Store, record: Record, after: int, admission: Admission
) -> AsyncIterator[bytes]:
    """Yield the lines of a log after a sequence number, until the run or the server ends.

    Args:
        store: The store of the log.
        record: The response.
        after: A sequence number; -1 for the whole log.
        admission: The server's stage.
    """
    loop = asyncio.get_running_loop()
    checked = -math.inf
    changed = False
    with store.signals.watch(record.id) as watcher:
        while not admission.ending:
            check = changed or loop.time() - checked > CHECK_SECONDS
            checked = loop.time() if check else checked
            try:
                groups = await _read(store, record, after, check=check)
            except StoreUnavailable:  # the client need not notice
                groups = []
            if groups is None:
                return
            for group in groups:
                yield group.after(after)
                after = group.last
                if _is_terminal(group.data):
                    return
            if not groups:
                changed = await watcher.wait(min(store.poll_seconds, CHECK_SECONDS))


async def _read(store: Store, record: Record, after: int, *, check: bool) -> list[Lines] | None:
    """Return the next part of a log; None if `check` shows that the log has ended."""
    groups = await store.events(record.id, after)
    if groups or not check:
        return groups
    current = await store.get(record.id, record.owner)
    if current is None:
        return None
    if current.active:
        return []
    return await store.events(record.id, after) or None  # the last events may just have come


async def wait_for_end(store: Store, record: Record, admission: Admission) -> Record | None:
    """Wait until a run or the server ends; return the run's record, None if it was deleted."""
    async for _ in tail(store, record, -1, admission):
        pass
    return await store.get(record.id, record.owner)


def _is_terminal(lines: bytes) -> bool:
    last = lines[lines.rfind(b"\n", 0, -1) + 1 :]
    return bool(last) and codec.event_type(last) in ENDS
