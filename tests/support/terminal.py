"""A program in a terminal of its own: what it shows, and what a person types."""

import os
import pty
import select
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

CTRL_C, CTRL_D = "\x03", "\x04"


class Terminal:
    """A person at a terminal.

    Attributes:
        shown: Everything that the program has shown.
    """

    def __init__(self, process: subprocess.Popen[bytes], master: int) -> None:
        self.process = process
        self.shown = ""
        self._master = master
        self._seen = 0

    def type(self, text: str) -> None:
        """Press keys."""
        if text == CTRL_C:  # readline does not see one that comes between its prompt and its wait
            time.sleep(0.3)
        os.write(self._master, text.encode())

    def wait_for(self, text: str, seconds: float = 30) -> None:
        """Wait until a text is shown after what was waited for before."""
        until = time.monotonic() + seconds
        while text not in self.shown[self._seen :]:
            assert time.monotonic() < until, f"{text!r} is not in {self.shown!r}"
            if select.select([self._master], [], [], 0.2)[0]:
                self.shown += self._read()
        self._seen += self.shown[self._seen :].index(text) + len(text)

    def end(self, seconds: float = 20) -> int:
        """Wait for the end of the program, and return its exit code."""
        return self.process.wait(seconds)

    def _read(self) -> str:
        try:
            return os.read(self._master, 65536).decode()
        except OSError as error:  # the program has ended
            raise AssertionError(f"It ended: {self.shown!r}") from error


@contextmanager
def terminal(argv: Sequence[str], folder: Path, **env: str) -> Iterator[Terminal]:
    """Run a program in a terminal until the block ends."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        argv,
        cwd=folder,
        env=os.environ | {"TERM": "xterm"} | env,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=_take_terminal,
    )
    os.close(slave)
    try:
        yield Terminal(process, master)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(5)
        os.close(master)


def _take_terminal() -> None:
    """Make the terminal the program's own, so that Ctrl-C reaches it."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
