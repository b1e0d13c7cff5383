"""Tells readers of a log in this process that there is more to read."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Signals:
    """Wakes those who watch a response."""

    def __init__(self) -> None:
        self._watchers: dict[str, set[asyncio.Event]] = {}

    def notify(self, id: str) -> None:
        """Wake all who watch a response; on the event loop."""
        for watcher in self._watchers.get(id, ()):
            watcher.set()

    def notify_all(self) -> None:
        """Wake all who watch anything, as where notifications may have been missed."""
        for id_ in self._watchers:
            self.notify(id_)

    @contextmanager
    def watch(self, id: str) -> Iterator["Watcher"]:
        """Watch a response for the length of a block."""
        event = asyncio.Event()
        self._watchers.setdefault(id, set()).add(event)
        try:
            yield Watcher(event)
        finally:
            self._watchers[id].discard(event)
            if not self._watchers[id]:
                del self._watchers[id]


class Watcher:
    """Waits for a change of one response; changes in between are not missed."""

    def __init__(self, event: asyncio.Event) -> None:
        self._event = event

    async def wait(self, seconds: float) -> bool:
        """Wait until something has changed since the last call, `seconds` at the most.

        Returns:
            Whether something has changed, as far as is known.
        """
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return True
