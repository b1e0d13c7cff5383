"""The terminal: reads lines, and writes text in styles if it is a terminal."""

import os
import sys

DIM, RED, CYAN = "2", "31", "36"
"""Styles, as the parameters of the terminal's control sequence."""
_UNSAFE = dict.fromkeys(
    [*range(9), *range(11, 32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
)
"""What would control the terminal or change the order of what it shows."""


def printable(text: str) -> str:
    """Return text without what would control the terminal."""
    return text.translate(_UNSAFE)


class Screen:
    """Writes to standard output and reads lines from standard input.

    Attributes:
        interactive: Whether a person types the lines.
    """

    def __init__(self) -> None:
        self.interactive = sys.stdin.isatty()
        plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
        self._styled = sys.stdout.isatty() and not plain
        self._open = False
        """Whether the newest line is unfinished."""

    def read(self, prompt: str) -> str:
        """Return the next line, without a line break; the prompt is for a person.

        Raises:
            EOFError: There is no more.
            KeyboardInterrupt: The person pressed Ctrl-C.
        """
        self.end_line()
        if self.interactive:
            self._open = True  # until the person presses Enter
            line = input(printable(prompt))
            self._open = False
            return line
        line = sys.stdin.readline()
        if not line:
            raise EOFError
        return line.rstrip("\r\n")

    def write(self, text: str, style: str = "") -> None:
        """Write text as it comes, without control characters."""
        text = printable(text)
        if not text:
            return
        self._open = not text.endswith("\n")
        sys.stdout.write(self._style(text, style))
        sys.stdout.flush()

    def line(self, text: str, style: str = "") -> None:
        """Write a line, after ending one that is unfinished."""
        self.end_line()
        self.write(text + "\n", style)

    def end_line(self) -> None:
        """End the newest line if it is unfinished."""
        if self._open:
            self.write("\n")

    def _style(self, text: str, style: str) -> str:
        return f"\x1b[{style}m{text}\x1b[0m" if style and self._styled else text


class Hidden(Screen):
    """A screen that shows nothing."""

    def write(self, text: str, style: str = "") -> None:
        pass
