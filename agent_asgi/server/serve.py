"""The command `agent-asgi serve`."""

import argparse
import contextlib
import logging
import os
import socket
from typing import TYPE_CHECKING

from ..config import Limits, Timeouts
from ..observability.multiprocess import shared_folder
from ..store.base import Store
from .hosts import allowed_hosts
from .http_protocol import HttpProtocol
from .logging import log_config
from .options import add_environment, apply_environment, fail, port, positive, seconds
from .target import load_app, parse
from .uvicorn import Config, run
from .websocket_protocol import WebSocketProtocol

if TYPE_CHECKING:
    from .options import Commands

logger = logging.getLogger("agent_asgi")

KEEP_ALIVE_SECONDS = 75
"""How long a connection may stay idle: longer than clients and load balancers (60) keep theirs, or
one of them could send a request just as the server closes it."""
WEBSOCKET_ROOM = 2
"""How many times `Limits.max_body_bytes` a WebSocket message may have before uvicorn closes the
connection with code 1009; up to that the client gets an error message instead."""


def add_parser(commands: "Commands") -> None:
    """Add the command to the command line."""
    parser = commands.add_parser("serve", help="serve an app with uvicorn")
    add_address(parser)
    parser.add_argument(
        "--workers", type=positive, default=1, help="number of processes (default: 1)"
    )
    parser.add_argument(
        "--drain-lead",
        dest="lead",
        type=seconds,
        metavar="SECONDS",
        help="keep serving this long after SIGTERM while /ready answers 503 (default: the app's)",
    )
    parser.add_argument("--reload", action="store_true", help="restart when a file changes")
    parser.add_argument(
        "target",
        metavar="TARGET",
        help="module:app, or a module or file whose app is named `app` or the only one",
    )
    add_environment(parser)
    parser.set_defaults(command=serve)


def add_address(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where the server listens, and to which names it answers."""
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: %(default)s)"
    )
    parser.add_argument(
        "--port", type=port, default=8000, help="port to listen on (default: %(default)s)"
    )
    parser.add_argument(
        "--allowed-host",
        dest="allowed_hosts",
        action="append",
        default=[],
        metavar="NAME",
        help="host name to answer to, besides localhost; repeatable, * for all (default: all, or "
        "on 127.0.0.1 only localhost)",
    )


def serve(options: argparse.Namespace) -> None:
    """Serve an ASGI app until a signal."""
    apply_environment(options)
    name, app = load_app(parse(options.target))
    check_port(options.host, options.port)
    # any ASGI app may be served: the host of an AgentApp has none of these
    store: Store | None = getattr(app, "store", None)
    limits: Limits = getattr(app, "limits", None) or Limits()
    timeouts: Timeouts = getattr(app, "timeouts", None) or Timeouts()
    if options.workers > 1 and store is not None and not store.shared:
        logger.warning(
            "%d workers without a shared store: a response is found only by the worker that made "
            "it. Set a store, for example AGENT_ASGI_STORE=sqlite:///FILE.",
            options.workers,
        )
    config = Config(
        name,
        host=options.host,
        port=options.port,
        workers=options.workers,
        reload=options.reload,
        http=HttpProtocol,
        ws=WebSocketProtocol,
        log_config=log_config(options.log_format, options.log_level),
        ws_max_size=WEBSOCKET_ROOM * limits.max_body_bytes,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )
    config.write_timeout = timeouts.write
    config.allowed_hosts = hosts_of(options)
    if not options.reload:  # a lead is for load balancers
        config.drain_lead = timeouts.drain_lead if options.lead is None else options.lead
    with shared_folder() if options.workers > 1 else contextlib.nullcontext():
        run(config)


def hosts_of(options: argparse.Namespace) -> frozenset[str]:
    """Return the names that the server answers to; empty if it answers to all."""
    named = os.environ.get("AGENT_ASGI_ALLOWED_HOSTS", "").replace(",", " ").split()
    return allowed_hosts(options.host, [*options.allowed_hosts, *named])


def check_port(host: str, port: int) -> None:
    """End the process with a message if the server could not listen there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            fail(f"Cannot listen on {host}:{port}: {error.strerror or error}.")
