"""The counts of an app's processes, one file each, so that any of them can tell of all."""

import asyncio
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from .counts import Counts

logger = logging.getLogger("agent_asgi")

FOLDER = "AGENT_ASGI_METRICS_DIR"
"""The environment variable that names the folder; without it a process tells of itself alone."""
WRITE_SECONDS = 1.0
_decoder = msgspec.json.Decoder(Counts)


class Spool:
    """The folder of one app's counts.

    Args:
        folder: The folder; all processes of one server share it, and no other server.
        app: Tells the apps of a process apart; the same number in each process.
    """

    def __init__(self, folder: str, app: int) -> None:
        self._folder = Path(folder)
        self._app = app
        self._fails = False

    async def keep(self, counts: Callable[[], Counts]) -> None:
        """Write this process's counts once a second, where they have changed."""
        written = None
        while True:
            encoded = msgspec.json.encode(counts())
            if encoded != written and await asyncio.to_thread(self._write, encoded):
                written = encoded
            await asyncio.sleep(WRITE_SECONDS)

    def write(self, counts: Counts) -> None:
        """Write this process's counts."""
        self._write(msgspec.json.encode(counts))

    def _write(self, counts: bytes) -> bool:
        """Write what readers see whole, or as it was before; tell whether that went well.

        Counts are no reason to end a server: what goes wrong is logged, once until it is over.
        """
        path = self._folder / f"{self._app}-{os.getpid()}.json"
        try:
            path.with_suffix(".new").write_bytes(counts)
            path.with_suffix(".new").replace(path)
        except OSError as error:
            if not self._fails:
                logger.error("The counts for /metrics cannot be written: %s", error)
            self._fails = True
            return False
        self._fails = False
        return True

    def others(self) -> Iterator[Counts]:
        """Give the other processes' counts, of those that have ended too: totals never fall."""
        for path in self._folder.glob(f"{self._app}-*.json"):
            pid = int(path.stem.partition("-")[2])
            if pid != os.getpid():
                counts = _decoder.decode(path.read_bytes())
                if not _lives(pid):
                    counts.bury()
                yield counts


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it lives, as another user's
        return True
    return True


@contextmanager
def shared(workers: int) -> Iterator[None]:
    """Have the processes that are started in the block share a folder, where they are several."""
    if workers == 1 or FOLDER in os.environ:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="agent-asgi-metrics-") as folder:
        os.environ[FOLDER] = folder
        try:
            yield
        finally:
            del os.environ[FOLDER]
