"""One process of a machine at a time makes or updates MLflow's database."""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def alone(uri: str) -> Iterator[None]:
    """Keep other processes from doing the same with a database until the block ends.

    Two workers that start on one fresh SQLite file otherwise run MLflow's migrations at the same
    time, and may leave a half-made table behind, after which nothing can be traced into it.

    Args:
        uri: The tracking URI. Only of SQLite the migrations can break one another.
    """
    if not uri.startswith("sqlite:"):
        yield
        return
    import fcntl  # MLflow's own server needs a Unix too

    name = hashlib.sha256(f"{Path.cwd()} {uri}".encode()).hexdigest()[:16]
    path = Path(tempfile.gettempdir()) / f"agent_asgi-{os.getuid()}-{name}.lock"
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # let go of when the file is closed
        yield
