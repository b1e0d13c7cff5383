"""`OutputItem`: one item of a stream, from `added` to `done`, with its text so far."""

from typing import Any

from ..schema.events import Item, Part
from .coerce import CALLS, STREAMED, text_name


class OutputItem:
    """One item of a stream, and the state that its next events depend on.

    Args:
        index: Position in the output.
        fields: The fields known at the start, including `type` and `id`.
        source: The handler's own id of the item. Default None.

    Attributes:
        annotations: Annotations of the open part.
        chunks: The text of the open part, or the input of a call, as UTF-8.
        done: The finished item; None while the item is open.
        frame: The format of the open part's text deltas (`Writer.text_frame`).
        implicit: Whether a delta opened the item, without an `added` event from the handler.
        incomplete: Whether the handler marked the item incomplete. Such an item stays open until
            it is known whether it is the last one.
        part: The open part; None between two parts.
        part_type: The type of the open part.
        part_index: Position of the open part in its list.
        parts: The finished parts of each list.
        source_index: The handler's own index of the open part.
        within: The list that the open part belongs to: `content` or `summary`.
    """

    def __init__(self, index: int, fields: Item, source: str | None = None) -> None:
        self.index = index
        self.fields = fields
        self.kind: str = fields["type"]
        self.id: str = fields["id"]
        self.source = source
        self.done: Item | None = None
        self.frame: bytes | None = None
        self.implicit = self.incomplete = False
        self.part: Part | None = None
        self.part_type: str | None = None
        self.part_index = 0
        self.source_index: int | None = None
        self.within = "content"
        self.parts: dict[str, list[Part]] = {}
        self.annotations: list[dict[str, Any]] = []
        self.chunks = bytearray()  # a list of deltas would take ten times as much memory

    @property
    def text(self) -> str:
        """The text of the open part, or the input of a call."""
        return self.chunks.decode("utf-8", "surrogatepass")

    def add_text(self, delta: str) -> None:
        """Add to the text of the open part, or to the input of a call."""
        self.chunks += delta.encode("utf-8", "surrogatepass")

    def finished(self) -> list[Part]:
        """Return the finished parts of the content."""
        lists = self.parts if self.done is None else self.done
        parts: list[Part] = lists.get("content", [])
        return parts

    def annotate(self, index: int, annotation: dict[str, Any]) -> int:
        """Add an annotation to a part of the content, open or finished; return its index."""
        finished = self.finished()
        if index >= len(finished):
            annotations = self.annotations
        else:
            annotations = [*finished[index]["annotations"]]
            finished[index]["annotations"] = annotations
        annotations.append(annotation)
        return len(annotations) - 1

    def count_parts(self, within: str) -> int:
        """Return how many parts of a list have begun."""
        finished = len(self.parts.get(within, ()))
        return finished + (self.part is not None and self.within == within)

    def begin_part(self, part: Part, within: str) -> None:
        """Open a part of `content` or `summary`."""
        self.part_index = self.count_parts(within)
        self.within = within
        self.part = part
        self.part_type = part["type"]
        self.annotations = list(part.get("annotations", ()))

    def end_part(self, part: Part) -> None:
        """Replace the open part with its finished form."""
        self.parts.setdefault(self.within, []).append(part)
        self.part = self.part_type = self.source_index = None
        self.chunks.clear()

    def current_part(self) -> Part:
        """Return the open part with its text so far."""
        part = dict(self.part or {})
        if part.get("type") in STREAMED:
            part[text_name(part["type"])] = self.text
        if self.annotations:
            part["annotations"] = self.annotations
        return part

    def current(self) -> Item:
        """Return the item with its content so far, including the open part."""
        if self.done is not None:
            return self.done
        item = self.fields | self.parts
        if self.part is not None:
            item[self.within] = [*item.get(self.within, ()), self.current_part()]
        elif self.kind in CALLS and self.chunks:
            item[CALLS[self.kind]] = self.text
        return item
