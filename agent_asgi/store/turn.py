"""`Chain`: a response and all that it continues, each a `Turn`."""

import sys
from typing import NamedTuple

from ..schema.responses import ResponseStatus
from .conversation_store import Size


class Turn(NamedTuple):
    """A response that another one continues."""

    id: str
    """The response's id."""
    request: bytes
    """The request's body, with its references resolved."""
    response: bytes
    """The response as JSON."""
    status: ResponseStatus
    """The status of the run."""
    visible: bool
    """Whether it can be fetched."""

    @property
    def size(self) -> int:
        """The bytes of the request and the response."""
        return len(self.request) + len(self.response)


class Chain(NamedTuple):
    """A response and all that it continues."""

    size: Size
    """The number of their items, and the bytes of their requests and responses."""
    turns: list[Turn]
    """The responses, oldest first; none if they are more than was asked for."""


NO_CHAIN = Chain(Size(0, 0), [])
"""A chain of which a response is missing."""
NO_BOUND = Size(sys.maxsize, sys.maxsize)
"""A bound that no chain exceeds."""
