"""One process of a machine at a time makes or updates MLflow's database."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

logger = logging.getLogger("agent_asgi")

SUFFIX = ".agent_asgi.lock"


@contextlib.contextmanager
def alone(uri: str) -> Iterator[None]:
    """Keep other processes from doing the same with a database until the block ends.

    Two workers that start on one fresh SQLite file otherwise run MLflow's migrations at the same
    time, and may leave a half-made table behind, after which nothing can be traced into it.

    The lock is a file beside the database, where only those may write who may write that; it stays,
    since who removed it would let two in. Where it cannot be had, the block runs without it.

    Args:
        uri: The tracking URI. Only of SQLite the migrations can break one another.
    """
    with contextlib.ExitStack() as stack:
        path = _database(uri)
        if path:
            import fcntl  # MLflow's own server needs a Unix too

            try:
                Path(path).parent.mkdir(parents=True, exist_ok=True)  # MLflow would, a moment later
                file = stack.enter_context(Path(path + SUFFIX).open("a"))
                fcntl.flock(file, fcntl.LOCK_EX)  # let go of when the file is closed
            except OSError as error:
                logger.warning("MLflow's database is set up without a lock: %s", error)
        yield


def _database(uri: str) -> str:
    """Give the path of a SQLite database; nothing where it is in memory, or none of SQLite."""
    scheme, _, rest = uri.partition(":///")
    path = unquote(rest.partition("?")[0])
    is_file = scheme.partition("+")[0] == "sqlite" and path != ":memory:"
    return path if is_file else ""
