"""Reading a log: from any event on, and on as it grows."""

import asyncio
import math
import re
from collections.abc import AsyncIterator

import msgspec

from . import codec
from .store.base import Frames, Record, Store, StoreUnavailable

PING = b": ping\n\n"
LOOK_SECONDS = 5.0
"""How often a silent log is looked at for whether it is still there."""
_TERMINAL = re.compile(rb"event: response\.(completed|failed|incomplete)\n[^\n]+\n\n\Z")
_NAMES = re.compile(rb"^event: [^\n]*\n", re.MULTILINE)


async def tail(
    store: Store, record: Record, after: int, ping: float, closing: asyncio.Event
) -> AsyncIterator[bytes]:
    """Give the frames of a log that come after a sequence number, until its run has ended.

    Args:
        store: Has the log.
        record: The response.
        after: The sequence number; -1 for all.
        ping: Silence in seconds before a comment is given.
        closing: Set where the server ends: the client then comes back, to another one.
    """
    loop = asyncio.get_running_loop()
    spoke = loop.time()
    looked = -math.inf
    signalled = False
    with store.signals.watch(record.id) as watcher:
        while not closing.is_set():
            look = signalled or loop.time() - looked > LOOK_SECONDS
            looked = loop.time() if look else looked
            try:
                groups = await _more(store, record, after, look=look)
            except StoreUnavailable:  # it comes back, and the client need not notice
                groups = []
            if groups is None:
                return
            for group in groups:
                yield group.after(after)
                after = group.last
                spoke = loop.time()
                if is_terminal(group.data):
                    return
            if not groups:
                signalled = await watcher.wait(min(store.poll_seconds, ping))
            if loop.time() - spoke >= ping:
                spoke = loop.time()
                yield PING


async def _more(store: Store, record: Record, after: int, *, look: bool) -> list[Frames] | None:
    """Give what comes next; None where nothing more will come, as far as it is looked for."""
    groups = await store.frames(record.id, after)
    if groups or not look:
        return groups
    found = await store.get(record.id, record.owner)
    if found is None:
        return None
    if found.active:
        return []
    return await store.frames(record.id, after) or None  # its last events may just have come


async def ended(store: Store, record: Record, closing: asyncio.Event) -> Record | None:
    """Wait until a run has ended, or the server is to; give its record, None where it is gone."""
    async for _ in tail(store, record, -1, math.inf, closing):
        pass
    return await store.get(record.id, record.owner)


def is_terminal(frames: bytes) -> bool:
    """Tell whether these frames end a log."""
    return _TERMINAL.search(frames) is not None


def trace_id_of(frames: bytes) -> str | None:
    """Give the trace's id that the last event carries, where the client asked for it."""
    if not is_terminal(frames):
        return None
    event = msgspec.json.decode(codec.event_bodies(frames)[-1])
    found: str | None = event.get("trace_id")
    return found


def unnamed(frames: bytes) -> bytes:
    """Turn frames into MLflow's dialect: data alone."""
    return _NAMES.sub(b"", frames)
