"""What every client must see: the columns of the table in docs/clients.md."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

Json = dict[str, Any]


class Expected(NamedTuple):
    """What comes of one cell of the table."""

    seen: Json
    """What the client reports. Of an error's message it is a part."""
    runs: tuple[str, ...] = ("completed",)
    """How the runs of the agent end, in order."""


TWICE, THRICE = ("completed",) * 2, ("completed",) * 3
COLUMNS = {
    "text": Expected({"text": "You said: hello", "usage": [3, 4]}),
    "stream": Expected({"pieces": ["You", " said:", " hello"], "text": "You said: hello"}),
    "own_tool": Expected(
        {"text": "There are 3 lamps.", "streamed": "There are 3 lamps.", "pending": 0}, TWICE
    ),
    "client_tool": Expected({"text": "Paris: 24 degrees, Rome: 30 degrees"}, THRICE),
    "approval": Expected(
        {"approved": "The mail is sent.", "rejected": "The mail is not sent."}, TWICE + TWICE
    ),
    "no_usage": Expected({"text": "You said: hello", "usage": [0, 0]}),
    "structured": Expected({"answer": 84}),
    "conversation": Expected({"text": "You said: one, two"}, TWICE),
    "error_400": Expected({"status": 400, "message": "There is no such city."}, ("failed",)),
    "error_404": Expected({"status": 404, "message": "The model 'nobody' does not exist."}, ()),
    "error_500": Expected(
        {"status": 500, "message": "The agent failed.", "streamed": "The agent failed."},
        ("failed", "failed"),
    ),
    "cancelled": Expected({"text": "I am "}, ("cancelled",)),
    "calculator": Expected({"text": "3 + 4 = 7, then 12 × 7 = 84. The answer is 84."}),
}


@dataclass(frozen=True)
class Client:
    """A row of the table."""

    title: str
    packages: tuple[str, ...]
    """The packages whose versions the table names."""
    program: str
    """The module of the client and the name in it."""
    language: str = "python"
    absent: dict[str, str] = field(default_factory=dict)
    """The columns for which the client has no notion, each with an explanation."""
    differs: dict[str, tuple[Expected, str]] = field(default_factory=dict)
    """The columns in which the client rightly sees something else, each with an explanation."""

    def expected(self, column: str) -> Expected:
        """Return what is expected in a column."""
        return self.differs[column][0] if column in self.differs else COLUMNS[column]
