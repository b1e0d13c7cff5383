"""Notifications within the process: which response has changed."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .lines import Lines

Changed = Callable[[str, Lines | None], None]
"""Called with a response that has changed, and what this process appended to its log, if it did."""


class Signals:
    """Notifies the watchers of a response. Used on the event loop only.

    Attributes:
        writing: The runs whose logs this process writes: it is notified of each change.
    """

    def __init__(self) -> None:
        self.writing: set[str] = set()
        self._watchers: dict[str, set[Changed]] = {}

    def notify(self, id: str, lines: Lines | None = None) -> None:
        """Notify the watchers of a response.

        Args:
            id: The response.
            lines: What was appended to its log. Default: it is not known.
        """
        for changed in tuple(self._watchers.get(id, ())):
            changed(id, lines)

    def notify_all(self) -> None:
        """Notify all watchers, for example because notifications may have been missed."""
        for id_ in tuple(self._watchers):
            self.notify(id_)

    def add(self, id: str, changed: Changed) -> None:
        """Call a function whenever a response changes."""
        self._watchers.setdefault(id, set()).add(changed)

    def remove(self, id: str, changed: Changed) -> None:
        """Stop calling a function when a response changes."""
        self._watchers[id].discard(changed)
        if not self._watchers[id]:
            del self._watchers[id]

    @contextmanager
    def watch(self, id: str) -> Iterator["Watcher"]:
        """Watch a response within a block."""
        watcher = Watcher()
        self.add(id, watcher.changed)
        try:
            yield watcher
        finally:
            self.remove(id, watcher.changed)


class Watcher:
    """Waits for changes of a response; a change between two waits is not missed."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def changed(self, *_: object) -> None:
        """Note a change."""
        self._event.set()

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
