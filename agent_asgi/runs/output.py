"""`Output`: turns the handler's outputs into an answer."""

from typing import Any, Protocol

from ..errors import AgentError
from ..schema.responses import Usage


class Output(Protocol):
    """Turns the handler's outputs into an answer."""

    buffer: bytearray
    """What has been written but not yet taken."""
    streams: bool
    """Whether the answer is sent before the run has ended."""
    encoded: bytes | None
    """The final response as JSON, if it has been encoded."""

    @property
    def size(self) -> int:
        """The size of the output that is kept, if it is not streamed."""

    @property
    def events(self) -> int:
        """How many events the stream has had."""

    @property
    def usage(self) -> Usage | None:
        """The tokens that the handler reported as used."""

    def start(self) -> None:
        """Write what precedes the first output."""

    def feed(self, output: Any) -> None:
        """Process one output of the handler."""

    def text(self, delta: str, /) -> None:
        """Process text, as `feed` does."""

    def complete(self) -> str:
        """End the run as completed; return the status."""

    def fail(self, error: AgentError) -> str:
        """End the run with an error; return the status."""

    def cancel(self) -> str:
        """End a cancelled run; return the status."""

    def show_trace(self, trace_id: str) -> None:
        """Add the trace's id to the answer; called before the end, if the client asked for it."""

    def close(self) -> None:
        """Write what follows the end."""

    def result(self) -> Any:
        """Return the combined outputs, for the trace."""
