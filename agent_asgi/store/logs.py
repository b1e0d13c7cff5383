"""The interface of a store's logs: the events of the runs that it keeps."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from typing import NamedTuple

from .lines import Lines


class Head(NamedTuple):
    """How far a log has been written."""

    last: int
    """`sequence_number` of its last event; -1 if there is none."""
    active: bool
    """Whether its run has not ended."""


class Logs(ABC):
    """Reads logs while they are written."""

    @abstractmethod
    async def events(self, id: str, after: int) -> list[Lines]:
        """Return the next part of a log, which may be empty.

        Args:
            id: The response.
            after: A sequence number; -1 for the beginning. The first group that is returned may
                contain earlier events too.
        """

    @abstractmethod
    async def heads(self, ids: Collection[str]) -> Mapping[str, Head]:
        """Return how far the logs of some responses have been written, without those deleted."""

    @abstractmethod
    async def tails(self, after: Mapping[str, int]) -> Mapping[str, list[Lines]]:
        """Return the next parts of several logs: of at least one of them, if any has one.

        Args:
            after: For each response, a sequence number, as in `events`.
        """
