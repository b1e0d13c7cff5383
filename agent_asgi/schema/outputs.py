"""What a handler may return or yield besides items and events."""

from collections.abc import Sequence
from typing import Any, Protocol

from msgspec import Struct

from .items import Typed
from .responses import Usage


class Reasoning(Typed, tag="reasoning"):
    """A whole reasoning item with one text: `yield Reasoning("First, the units.")`."""

    summary: str
    """The text, which clients show as a summary of the reasoning."""


class Citation(Struct, omit_defaults=True):
    """A source of the open message's text: `yield Citation("https://a.example", "A page")`.

    Without indexes it is at the end of the text so far.
    """

    url: str
    """URL of the source."""
    title: str = ""
    """Its title. Default: empty."""
    start_index: int | None = None
    """The start of the cited text, as an index into the message's text. Default: its end so far."""
    end_index: int | None = None
    """The end of the cited text, exclusive. Default: the end of the text so far."""

    def annotation(self, end: int) -> dict[str, Any]:
        """Return the citation as an annotation of the Responses API.

        Args:
            end: The length of the text so far.
        """
        return {
            "type": "url_citation",
            "url": self.url,
            "title": self.title,
            "start_index": end if self.start_index is None else self.start_index,
            "end_index": end if self.end_index is None else self.end_index,
        }


class HasType(Protocol):
    """An item or an event: a struct, a pydantic model or a dataclass with a `type`."""

    @property
    def type(self) -> str:
        """The type of the item or event, as on the wire."""


class HasOutput(Protocol):
    """A response: `Response`, or the one of a model's SDK."""

    @property
    def output(self) -> Sequence[Any]:
        """The items."""


Output = str | dict[str, Any] | HasType | HasOutput | Citation | Usage | list[Any]
"""What a handler yields: `async def agent(...) -> AsyncIterator[Output]`."""
