"""The logs of the memory store."""

import bisect
from abc import abstractmethod
from collections.abc import Collection, Mapping

from .lines import Lines
from .logs import Head, Logs


class MemoryLogs(Logs):
    """The part of a memory store that reads logs."""

    @abstractmethod
    def _log(self, id: str) -> list[Lines] | None:
        """Return a log; None if there is no such response."""

    @abstractmethod
    def _is_active(self, id: str) -> bool:
        """Return whether a run is stored and has not ended."""

    async def events(self, id: str, after: int) -> list[Lines]:
        log = self._log(id) or []
        return log[bisect.bisect_right(log, after, key=lambda lines: lines.last) :]

    async def heads(self, ids: Collection[str]) -> Mapping[str, Head]:
        logs = {id_: log for id_ in ids if (log := self._log(id_)) is not None}
        return {
            id_: Head(log[-1].last if log else -1, self._is_active(id_))
            for id_, log in logs.items()
        }

    async def tails(self, after: Mapping[str, int]) -> Mapping[str, list[Lines]]:
        return {id_: await self.events(id_, number) for id_, number in after.items()}
