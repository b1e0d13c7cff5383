"""A server for one conversation: an app on a free port of this machine, in a thread."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import uvicorn
from starlette.types import ASGIApp

from ..hosts import allowed_hosts
from ..options import fail
from ..uvicorn import Config

HOST = "127.0.0.1"
PATIENCE = 10.0
"""How long the app may take to end, in seconds; the process ends without it then."""


@contextmanager
def serving(app: ASGIApp, *, at_once: bool) -> Iterator[str]:
    """Serve an app until the block ends, and yield its URL.

    Args:
        app: The app.
        at_once: Whether no run waits for MLflow; the first ones may then have no trace.

    Raises:
        SystemExit: The app did not start; the log has the reason.
    """
    config = Config(app, log_config=None, timeout_graceful_shutdown=1)
    config.allowed_hosts = allowed_hosts(HOST, ())
    config.reload = at_once  # which is how tracing knows
    server = uvicorn.Server(config)
    with socket.create_server((HOST, 0)) as listener:
        thread = Thread(target=server.run, args=([listener],), name="agent-asgi-chat", daemon=True)
        thread.start()
        try:
            while not server.started:
                thread.join(0.01)
                if not thread.is_alive():
                    fail("The app did not start.")
            yield f"http://{HOST}:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(PATIENCE)
