"""What precedes a request: the turns of a chain of responses, or the items of a conversation."""

from collections.abc import Sequence

import msgspec
from msgspec import Raw

from ..schema.decode import decode_items, decode_stored
from ..schema.history import History
from ..schema.items import InputItem
from .history import full_input, item_id_of
from .turn import Turn

SLICE_BYTES = 32 << 10
"""How many bytes are decoded before the event loop serves others."""
SLICE_ITEMS = 100
"""How many items, or turns, are decoded before it serves others."""


class _Output(msgspec.Struct):
    """A response's output."""

    output: list[InputItem]


class _EncodedOutput(msgspec.Struct):
    """A response's output, its items still encoded."""

    output: list[Raw]


_outputs = msgspec.json.Decoder(_Output)
_encoded_outputs = msgspec.json.Decoder(_EncodedOutput)


class Items(History):
    """Encoded items.

    Args:
        encoded: The items as JSON, oldest first.
    """

    def __init__(self, encoded: Sequence[bytes | Raw] = ()) -> None:
        super().__init__()
        self._encoded = encoded
        self._at = 0

    @property
    def is_encoded(self) -> bool:
        return self._at < len(self._encoded)

    def _decode_some(self) -> None:
        begin, size = self._at, 0
        most = min(begin + SLICE_ITEMS, len(self._encoded))
        while self._at < most and size < SLICE_BYTES:
            size += memoryview(self._encoded[self._at]).nbytes
            self._at += 1
        together = b",".join(self._encoded[begin : self._at])
        self._items += decode_items(Raw(b"[" + together + b"]"))

    async def by_id(self) -> dict[str, InputItem]:
        """Return the items by their ids, decoded in slices."""
        return {item_id_of(item): item for item in await self.decode()}


class Turns(Items):
    """The turns of a chain of responses.

    Args:
        turns: The turns, oldest first.
    """

    def __init__(self, turns: Sequence[Turn]) -> None:
        super().__init__()
        self._turns = turns
        self._next = 0

    @property
    def is_encoded(self) -> bool:
        return self._next < len(self._turns) or super().is_encoded

    def _decode_some(self) -> None:
        if super().is_encoded:  # the output of a large response
            super()._decode_some()
            return
        begin, size = self._next, 0
        most = min(begin + SLICE_ITEMS, len(self._turns))
        while self._next < most and size < SLICE_BYTES and not super().is_encoded:
            turn = self._turns[self._next]
            self._next += 1
            size += turn.size
            self._decode_turn(turn)

    def _decode_turn(self, turn: Turn) -> None:
        self._items += full_input(decode_stored(turn.request), turn.id)
        if len(turn.response) <= SLICE_BYTES:
            try:
                self._items += _outputs.decode(turn.response).output
            except msgspec.ValidationError:  # it has items of unknown types
                self._leave(turn)
        else:
            self._leave(turn)

    def _leave(self, turn: Turn) -> None:
        self._encoded, self._at = _encoded_outputs.decode(turn.response).output, 0
