"""uvicorn with an orderly shutdown: its configuration, its worker processes, and running it."""

import asyncio
import contextlib
import gc
import inspect
import logging.config
import math
import os
import signal
import socket
import sys
from typing import Any

import uvicorn
from uvicorn.supervisors import ChangeReload, Multiprocess

from ..observability.multiprocess import mark_process_dead
from ..tracing import setup
from .hosts import AllowedHosts
from .shutdown import CUT_SHORT, SIGNALS, Shutdown
from .tasks import contain

logger = logging.getLogger("agent_asgi")

SWITCH_SECONDS = 0.0005
"""How long a thread may keep the event loop waiting. Python's 5 ms made runs four times slower:
a thread that exports traces gets its turn at each of the loop's system calls."""
STARTUP_FAILURE = 3
"""uvicorn's exit code of a failed start; its releases define it in different modules."""


class Config(uvicorn.Config):
    """uvicorn's configuration with an orderly shutdown; it is pickled to worker processes.

    Attributes:
        drain_lead: How long everything is still served after a signal, in seconds.
        write_timeout: After how many seconds the system ends a connection whose client reads
            nothing, if it has TCP_USER_TIMEOUT. 0: never.
        allowed_hosts: The names that it answers to, in lower case. Empty: all.
    """

    drain_lead = 0.0
    allowed_hosts: frozenset[str] = frozenset()
    write_timeout = 0.0

    def bind_socket(self) -> socket.socket:
        bound = super().bind_socket()
        option = getattr(socket, "TCP_USER_TIMEOUT", None)
        if option is not None and self.write_timeout:
            bound.setsockopt(socket.IPPROTO_TCP, option, math.ceil(self.write_timeout * 1000))
        return bound

    def load(self) -> None:
        super().load()
        self.loaded_app = self.outermost(self.loaded_app)
        sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH_SECONDS))
        gc.freeze()  # what the app's import has made stays
        setup.reloads, setup.owns_process = self.reload, True
        contain(asyncio.get_running_loop())
        server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
        if isinstance(server, uvicorn.Server):
            _take_signals(server, self.drain_lead, drains=not self.reload)

    def outermost(self, app: Any) -> Any:
        """Return the app that the server calls in place of the loaded one."""
        return AllowedHosts(app, self.allowed_hosts) if self.allowed_hosts else app


def _take_signals(server: uvicorn.Server, lead: float, *, drains: bool) -> None:
    def close() -> None:
        for each in getattr(server, "servers", ()):  # missing before the start
            each.close()

    def end(seconds: float) -> None:
        if server.should_exit:  # it is waiting for its tasks
            for task in server.server_state.tasks:
                task.cancel()
        server.config.timeout_graceful_shutdown = math.ceil(seconds)
        server.should_exit = True

    Shutdown(lead, close, end, drains=drains).take()


class Supervisor(Multiprocess):
    """uvicorn's parent of worker processes; closes its sockets and passes on a second signal."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._pids: set[int] = set()

    def keep_subprocess_alive(self) -> None:
        before = self._pids | self._worker_pids()  # a signal may have replaced some
        super().keep_subprocess_alive()
        self._pids = self._worker_pids()
        for pid in before - self._pids:
            mark_process_dead(pid)  # its gauges must not count any more

    def _worker_pids(self) -> set[int]:
        return {process.pid for process in self.processes if process.pid is not None}

    def terminate_all(self) -> None:
        super().terminate_all()
        for each in self.sockets:
            each.close()  # else clients would wait in its backlog
        for number in SIGNALS:
            signal.signal(number, self._cut_short)

    def _cut_short(self, *_: object) -> None:
        for each in self.processes:
            if each.pid is None or each.exitcode is not None:
                continue
            if CUT_SHORT is None:
                each.process.kill()
            else:
                os.kill(each.pid, CUT_SHORT)


def run(config: Config) -> None:
    """Serve until the end, in this process or in workers.

    Raises:
        SystemExit: The start failed.
    """
    server = uvicorn.Server(config)
    sockets = [config.bind_socket()]
    with contextlib.suppress(KeyboardInterrupt):  # before the start
        if config.should_reload:
            ChangeReload(config, target=server.run, sockets=sockets).run()
        elif config.workers > 1:
            parameters = inspect.signature(Multiprocess).parameters
            target: dict[str, Any] = {"target": server.run} if "target" in parameters else {}
            Supervisor(config, sockets=sockets, **target).run()  # uvicorn 0.35 needs the target
        else:
            server.run(sockets)
            if not server.started:
                sys.exit(STARTUP_FAILURE)
