"""Frames in a pipe: a length, then so many bytes."""

import struct
from typing import Protocol

_LENGTH = struct.Struct(">I")


class Writable(Protocol):
    """An unbuffered stream; it may take a part of what it is given."""

    def write(self, data: memoryview, /) -> int | None:
        """Take bytes; tell how many."""


class Readable(Protocol):
    """A stream; it may give less than is asked for."""

    def read(self, count: int, /) -> bytes | None:
        """Give bytes; none where it has ended."""


def send(stream: Writable, payload: bytes) -> None:
    """Write a frame whole.

    Args:
        stream: The pipe.
        payload: What the frame holds.

    Raises:
        OSError: Nobody reads any more.
    """
    rest = memoryview(_LENGTH.pack(len(payload)) + payload)
    while rest:
        rest = rest[stream.write(rest) or 0 :]


def receive(stream: Readable) -> bytes | None:
    """Read a frame; None where the pipe has ended, also amid a frame."""
    head = _exactly(stream, _LENGTH.size)
    return None if head is None else _exactly(stream, *_LENGTH.unpack(head))


def _exactly(stream: Readable, count: int) -> bytes | None:
    read = bytearray()
    while len(read) < count:
        data = stream.read(count - len(read))
        if not data:
            return None
        read += data
    return bytes(read)
