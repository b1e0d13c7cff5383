"""The command `agent-asgi dev`."""

import argparse
import socket
import sys
import time
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
from .options import add_environment, apply_environment
from .serve import WEBSOCKET_ROOM, add_address, check_port, hosts_of
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
    parser.add_argument(
        "target",
        metavar="TARGET",
        help="a file or module, optionally with a name in it: agent.py:app",
    )
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
    """

    target: Target
    began: float | None = None

    def load(self) -> None:
        settings.development = True
        try:
            app = load_any(self.target)
        except SystemExit as error:
            sys.exit(f"{error}\n\nagent-asgi: Waiting for an edit.")
        limits = getattr(app, "limits", None) or Limits()
        self.ws_max_size = WEBSOCKET_ROOM * limits.max_body_bytes
        self.app = app
        super().load()


class DevServer(uvicorn.Server):
    """A server that says where it is reached, or that it has reloaded."""

    config: DevConfig

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.started:
            return
        if self.config.began is None:
            name, port = self.servers[0].sockets[0].getsockname()[:2]
            url = f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"
            text = f"\n{banner(self.config.app, url)}\n"
        else:
            text = f"  Reloaded in {time.time() - self.config.began:.1f} s.\n"
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

    def restart(self) -> None:
        self.config.began = time.time()
        super().restart()
