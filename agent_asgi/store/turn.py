"""`Turn`: a response that another one continues."""

from typing import NamedTuple

from ..schema.responses import ResponseStatus


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
