"""`Chains`: chains of responses as they were read before, each turn once, bounded in bytes."""

from collections import OrderedDict
from collections.abc import Iterable
from itertools import chain
from typing import NamedTuple

from .turn import Turn

TURN_BYTES = 400
"""About what a turn needs in memory besides its JSON."""
SEGMENT_BYTES = 300
"""About what a chain, or a branch of one, needs in memory besides its turns."""
_REMOVED = Turn("", b"", b"", "failed", visible=False)


class _Segment:
    """Consecutive turns, which may continue those of another segment.

    Attributes:
        turns: The turns; empty if the segment was removed.
        before: The place of the turn before the first one; None if that begins its chain.
        valid: How many turns from the first on were not removed.
        left: How many turns were not removed.
        size: About how many bytes they need in memory.
    """

    __slots__ = ("before", "left", "size", "turns", "valid")

    def __init__(self, before: "_Place | None") -> None:
        self.turns: list[Turn] = []
        self.before = before
        self.valid = self.left = self.size = 0


class _Place(NamedTuple):
    """The place of a turn."""

    segment: _Segment
    end: int
    """The number of the segment's turns up to this one."""


class Chains:
    """Chains of responses that have ended, by the id of any of their responses.

    Args:
        max_bytes: The memory for all of them, beyond which those used least recently are forgotten.
            Default None: no bound.
    """

    def __init__(self, max_bytes: int | None = None) -> None:
        self._max_bytes = max_bytes
        self._size = 0
        self._places: dict[str, _Place] = {}
        self._segments: OrderedDict[_Segment, None] = OrderedDict()

    def get(self, id: str | None) -> list[Turn]:
        """Return a response and all that it continues, oldest first; none if it is not known."""
        place = None if id is None else self._places.get(id)
        parts: list[list[Turn]] = []
        while place is not None:
            segment, end = place
            if end > segment.valid:
                return []
            if segment in self._segments:
                self._segments.move_to_end(segment)
            parts.append(segment.turns[:end])
            place = segment.before
        return parts[0] if len(parts) == 1 else list(chain(*reversed(parts)))

    def add(self, previous: str | None, turns: Iterable[Turn]) -> None:
        """Add turns, oldest first, unless the response before them is not known.

        Args:
            previous: The response before them; None if there is none.
            turns: The turns.
        """
        place = None if previous is None else self._places.get(previous)
        if previous is not None and (place is None or place.end > place.segment.valid):
            return
        if place is not None and place.end == len(place.segment.turns):
            segment = place.segment
        else:
            segment = _Segment(place)
        for turn in turns:
            self.remove(turn.id)
            self._append(segment, turn)
        self._segments[segment] = None
        self._segments.move_to_end(segment)
        if self._max_bytes is not None:
            while self._size > self._max_bytes:
                self._forget(self._segments.popitem(last=False)[0])

    def remove(self, id: str) -> None:
        """Forget a turn, and with it all chains that contain it."""
        place = self._places.pop(id, None)
        if place is None:
            return
        segment, end = place
        turn = segment.turns[end - 1]
        segment.turns[end - 1] = _REMOVED
        segment.valid = min(segment.valid, end - 1)
        segment.left -= 1
        self._grow(segment, -TURN_BYTES - turn.size)
        if not segment.left:
            self._grow(segment, -SEGMENT_BYTES)
            del self._segments[segment]

    def _append(self, segment: _Segment, turn: Turn) -> None:
        if not segment.left:
            self._grow(segment, SEGMENT_BYTES)
        segment.turns.append(turn)
        segment.valid += 1
        segment.left += 1
        self._grow(segment, TURN_BYTES + turn.size)
        self._places[turn.id] = _Place(segment, len(segment.turns))

    def _grow(self, segment: _Segment, size: int) -> None:
        segment.size += size
        self._size += size

    def _forget(self, segment: _Segment) -> None:
        for turn in segment.turns:
            if turn is not _REMOVED:
                del self._places[turn.id]
        self._size -= segment.size
        segment.turns, segment.valid = [], 0
