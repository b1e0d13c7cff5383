"""`Lines`: a part of a log."""

from msgspec import Struct


class Lines(Struct, frozen=True):
    """Consecutive events of a log, as lines of JSON."""

    first: int
    """`sequence_number` of the first event."""
    count: int
    """The number of events."""
    data: bytes
    """The lines. Each ends in a line feed and begins with the event's type: `{"type":"..."`."""

    @property
    def last(self) -> int:
        """`sequence_number` of the last event."""
        return self.first + self.count - 1

    def after(self, number: int) -> bytes:
        """Return the lines after a sequence number."""
        if number < self.first:
            return self.data
        if number >= self.last:
            return b""
        return b"\n".join(self.data.split(b"\n")[number - self.first + 1 :])
