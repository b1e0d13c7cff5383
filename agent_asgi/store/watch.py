"""Notifications within the process: which response has changed."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Signals:
    """Notifies the watchers of a response. Used on the event loop only."""

    def __init__(self) -> None:
        self._watchers: dict[str, set[asyncio.Event]] = {}

    def notify(self, id: str) -> None:
        """Notify the watchers of a response."""
        for watcher in self._watchers.get(id, ()):
            watcher.set()

    def notify_all(self) -> None:
        """Notify all watchers, for example because notifications may have been missed."""
        for id_ in self._watchers:
            self.notify(id_)

    @contextmanager
    def watch(self, id: str) -> Iterator["Watcher"]:
        """Watch a response within a block."""
        event = asyncio.Event()
        self._watchers.setdefault(id, set()).add(event)
        try:
            yield Watcher(event)
        finally:
            self._watchers[id].discard(event)
            if not self._watchers[id]:
                del self._watchers[id]


class Watcher:
    """Waits for changes of a response; a change between two waits is not missed."""

    def __init__(self, event: asyncio.Event) -> None:
        self._event = event

    async def wait(self, seconds: float) -> bool:
        """Wait for a change since the last call, for at most `seconds`.

        Returns:
            Whether there was a change.
        """
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return True
