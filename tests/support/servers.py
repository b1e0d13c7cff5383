"""Real servers: uvicorn in a thread, and free ports."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import uvicorn


class Server:
    """A real uvicorn in a thread, on a free port of 127.0.0.1."""

    def __init__(self, app: Any, **options: Any) -> None:
        config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", **options)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        until = time.monotonic() + 60
        while not self._server.started:
            if time.monotonic() > until or not self._thread.is_alive():
                raise RuntimeError("uvicorn did not start")
            time.sleep(0.01)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"

    @property
    def state(self) -> Any:
        """uvicorn's state: its connections and tasks."""
        return self._server.server_state

    def _serve(self) -> None:
        asyncio.run(self._server.serve())

    def stop(self) -> None:
        """Stop the server; force it if it does not stop by itself."""
        self._server.should_exit = True
        self._thread.join(15)
        if self._thread.is_alive():
            self._server.force_exit = True
            self._thread.join(15)


@contextlib.contextmanager
def unheard_port() -> Iterator[int]:
    """Yield a port of this machine on which nothing listens, and which no server can get."""
    with socket.socket() as kept:
        kept.bind(("127.0.0.1", 0))
        yield kept.getsockname()[1]


def free_port() -> int:
    """Return a free port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def serving(app: Any, **options: Any) -> Iterator[Server]:
    """Serve an ASGI app with uvicorn and yield the server."""
    server = Server(app, **options)
    try:
        yield server
    finally:
        server.stop()
