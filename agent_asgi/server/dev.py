"""The command `agent-asgi dev`."""

import argparse
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.supervisors.watchfilesreload import WatchFilesReload
from watchfiles import PythonFilter, watch

from .. import config as settings
from ..config import Limits
from .banner import banner
from .http_protocol import HttpProtocol
from .logging import log_config
from .options import add_environment, add_target, apply_environment
from .serve import WEBSOCKET_ROOM, add_address, check_port, hosts_of
from .standby import Broken, Standby
from .target import Target, load_any, parse
from .uvicorn import Config
from .websocket_protocol import WebSocketProtocol

if TYPE_CHECKING:
    from .options import Commands

EPILOG = """\
examples:
  agent-asgi dev agent.py              the app in the file, or the only agent in it
  agent-asgi dev agent.py:graph        one of several
  agent-asgi dev package.module:app    a module

An agent is an AgentApp, an AgentRouter, a compiled LangGraph graph, an Agent of the OpenAI Agents
SDK or of Pydantic AI, an MLflow ResponsesAgent, or a handler function.
"""
DEBOUNCE = 200
"""Milliseconds after which an edit is noticed, also if other files are written all the time."""
PAUSE = 0.05
"""Seconds between two looks for edits."""


def add_parser(commands: "Commands") -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "dev",
        help="serve an agent with a playground, and reload it on edits",
        description="Serve an agent with a playground and full errors, and reload it on edits.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_address(parser)
    add_target(parser)
    add_environment(parser)
    parser.set_defaults(command=dev)


def dev(options: argparse.Namespace) -> None:
    """Serve an app or an agent, in a process that is replaced after each edit, until a signal."""
    apply_environment(options)
    target = parse(options.target)
    check_port(options.host, options.port)
    config = DevConfig(
        str(target),
        host=options.host,
        port=options.port,
        reload=True,
        reload_delay=PAUSE,
        reload_dirs=[str(_watched(target))],
        http=HttpProtocol,
        ws=WebSocketProtocol,
        log_config=log_config(options.log_format, options.log_level, brief=True),
    )
    config.target = target
    config.allowed_hosts = hosts_of(options)
    config.greeted = get_context("spawn").Event()
    Reload(config, DevServer(config).run, [config.bind_socket()]).run()


def _watched(target: Target) -> Path:
    """Return the folder whose files are watched: the current one if the module is in it."""
    here = Path.cwd()
    return here if target.folder.is_relative_to(here) else target.folder


class DevConfig(Config):
    """The configuration of a server for development.

    Attributes:
        target: What is served; it is imported in the process that serves it.
        began: When an edit was noticed, in seconds since the epoch; None before the first one.
        greeted: Whether the banner has been printed, by any of the processes.
        standby: Wraps the app, and knows why it could not start.
    """

    target: Target
    began: float | None = None
    greeted: Event
    standby: Standby

    def load(self) -> None:
        _allow_interrupt()  # uvicorn handles it now; what the module starts would inherit the mask
        settings.development = True
        try:
            app = load_any(self.target)
        except SystemExit as error:
            app = Broken(str(error))
        limits = getattr(app, "limits", None) or Limits()
        self.ws_max_size = WEBSOCKET_ROOM * limits.max_body_bytes
        self.app = app
        super().load()

    def outermost(self, app: Any) -> Any:
        self.standby = Standby(app)
        return super().outermost(self.standby)


class DevServer(uvicorn.Server):
    """A server that prints its addresses, that it has reloaded, or what is wrong."""

    config: DevConfig

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.started:
            return
        fault, greeted = self.config.standby.fault, self.config.greeted
        if fault is not None:
            text = f"{fault}\n\nagent-asgi: Waiting for an edit.\n"
        elif not greeted.is_set():
            greeted.set()
            name, port = self.servers[0].sockets[0].getsockname()[:2]
            url = f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"
            text = f"\n{banner(self.config.app, url)}\n"
        else:
            text = f"  Reloaded in {time.time() - (self.config.began or 0):.1f} s.\n"
        sys.stderr.write(text)
        sys.stderr.flush()


class Reload(WatchFilesReload):
    """The parent process, which replaces the one that serves.

    uvicorn's own waits until no file has been written for a moment, while MLflow writes traces.
    """

    config: DevConfig

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.watcher = watch(
            *self.reload_dirs,
            watch_filter=PythonFilter(),
            debounce=DEBOUNCE,
            stop_event=self.should_exit,
            yield_on_timeout=True,
            ignore_permission_denied=True,
        )

    def startup(self) -> None:
        with _interrupt_blocked():
            super().startup()

    def restart(self) -> None:
        self.config.began = time.time()
        with _interrupt_blocked():
            super().restart()


@contextmanager
def _interrupt_blocked() -> Iterator[None]:
    """Block SIGINT, also in a process started meanwhile, where Python would print a traceback."""
    if sys.platform == "win32":
        yield
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        _allow_interrupt()


def _allow_interrupt() -> None:
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
