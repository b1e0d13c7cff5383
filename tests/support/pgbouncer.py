"""A real PgBouncer in transaction mode."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import make_url

from tests.support.machine import lacking
from tests.support.servers import free_port

CONFIG = """
[databases]
* = host={host} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 4
"""


@contextlib.contextmanager
def pooled(url: str) -> Iterator[str]:
    """Run PgBouncer in front of a PostgreSQL; yield the URL of the same database behind it."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        lacking("pgbouncer")
    direct, port = make_url(url), free_port()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "pgbouncer.ini")
        config.write_text(CONFIG.format(host=direct.query["host"], user=direct.username, port=port))
        Path(folder).chmod(0o755)
        socket_owner = Path(str(direct.query["host"])).stat().st_uid
        user = socket_owner if os.getuid() == 0 else None  # it refuses to run as root
        process = subprocess.Popen([program, "-q", str(config)], user=user)
        try:
            _wait_for(port, process)
            yield f"postgresql://{direct.username}@127.0.0.1:{port}/{direct.database}"
        finally:
            process.terminate()
            process.wait(10)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return
