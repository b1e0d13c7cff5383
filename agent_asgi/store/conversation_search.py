"""`Search`: whether a conversation has a text, in its id, its metadata or its items' words."""

import asyncio
import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from ..schema.own_calls import HIDDEN

MAX_TEXT = 200
"""The longest text that is searched for, in characters."""
STEP_BYTES = 64 << 10
"""After how many bytes of items other requests are served."""
WORDS = (
    *("text", "content", "summary", "refusal", "name", "arguments", "input", "output"),
    *("error", "reason"),
)
"""The members of an item, and of its parts, that have words; the others have ids and types."""
_UNSURE = re.compile(r'[\\"%_\x00-\x1f]')
"""What JSON escapes, and the wildcards of a database's LIKE."""


class Search:
    """A text to look for, ignoring case.

    Args:
        text: The text.

    Attributes:
        pattern: For a database's LIKE. JSON that does not match it does not have the text; JSON
            that matches may have it.
        looked: The bytes of the items that it has looked at.
    """

    def __init__(self, text: str) -> None:
        self._text = text.lower()
        self.pattern = f"%{max(_literals(text), key=len)}%"
        self.looked = 0

    def in_name(self, id: str, metadata: bytes) -> bool:
        """Return whether a conversation's id has the text, or a value of its metadata."""
        return self._in([id, *msgspec.json.decode(metadata).values()])

    async def in_items(self, items: Iterable[bytes]) -> bool:
        """Return whether one of several items has the text; other requests are served meanwhile."""
        paused = self.looked
        for data in items:
            if self._in_item(data):
                return True
            if self.looked >= paused + STEP_BYTES:
                await asyncio.sleep(0)
                paused = self.looked
        return False

    def _in_item(self, data: bytes) -> bool:
        """Return whether the words of an item have the text; hidden calls have none."""
        self.looked += len(data)
        item = msgspec.json.decode(data)
        return not item.get(HIDDEN) and self._in(_words(item))

    def _in(self, texts: Any) -> bool:
        return any(self._text in text.lower() for text in texts if isinstance(text, str))


def _literals(text: str) -> Iterator[str]:
    """Yield the parts of a text that a database finds as they are.

    SQLite knows the case of ASCII letters only.
    """
    for part in _UNSURE.split(text):
        known = [char if char.isascii() or char.lower() == char.upper() else "\0" for char in part]
        yield from "".join(known).split("\0")


def _words(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for part in value:
            yield from _words(part)
    elif isinstance(value, dict):
        for name in WORDS:
            if name in value:
                yield from _words(value[name])
