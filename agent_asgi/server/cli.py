"""The command `agent-asgi`: its options, its checks, and what they start."""

import argparse
import asyncio
import contextlib
import gc
import logging.config
import math
import os
import socket
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, NoReturn

from uvicorn.importer import ImportFromStringError, import_from_string

from ..agents.router import AgentRouter
from ..config import Limits, Timeouts
from ..errors import AgentError
from ..observability.logging import log_config
from ..observability.multiprocess import shared_folder
from ..store.base import Store
from ..tracing import setup
from .hosts import allowed_hosts
from .http_protocol import HttpProtocol
from .shutdown import Shutdown
from .uvicorn import Config, run
from .websocket_protocol import WebSocketProtocol

logger = logging.getLogger("agent_asgi")

WEBSOCKET_ROOM = 2
"""How many times `Limits.max_body_bytes` a WebSocket message may have before uvicorn closes the
connection with code 1009; up to that the client gets an error message instead."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command `agent-asgi`.

    Args:
        argv: The arguments. Default: `sys.argv[1:]`.

    Raises:
        SystemExit: The arguments are invalid, the app cannot be imported, or the port is in use.
    """
    options = _parser().parse_args(argv)
    sys.path.insert(0, str(Path.cwd()))
    _load_env(options.env_file)
    if options.log_format == "json":  # MLflow's handlers write text
        os.environ.setdefault("MLFLOW_CONFIGURE_LOGGING", "false")
    app = _import(options.target)
    options.command(app, options)


def _serve(app: Any, options: argparse.Namespace) -> None:
    _check_port(options.host, options.port)
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
        options.target,
        host=options.host,
        port=options.port,
        workers=options.workers,
        reload=options.reload,
        http=HttpProtocol,
        ws=WebSocketProtocol,
        log_config=log_config(options.log_format),
        ws_max_size=WEBSOCKET_ROOM * limits.max_body_bytes,
    )
    config.write_timeout = timeouts.write
    named = os.environ.get("AGENT_ASGI_ALLOWED_HOSTS", "").replace(",", " ").split()
    config.allowed_hosts = allowed_hosts(options.host, [*options.allowed_hosts, *named])
    if not options.reload:  # a lead is for load balancers
        config.drain_lead = timeouts.drain_lead if options.lead is None else options.lead
    with shared_folder() if options.workers > 1 else contextlib.nullcontext():
        run(config)


def _work(app: Any, options: argparse.Namespace) -> None:
    if not hasattr(app, "work"):
        _fail(f"{options.target!r} is a {type(app).__name__}, not an AgentApp.")
    logging.config.dictConfig(log_config(options.log_format))
    setup.owns_process = True
    try:
        asyncio.run(_until_signal(app.work(options.concurrency)))
    except (AgentError, ValueError) as error:
        _fail(str(error))


async def _until_signal(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.create_task(work)

    def end(_: float) -> None:
        if not task.cancelling():
            task.cancel()

    Shutdown(0, lambda: None, end).take()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("agent-asgi", description="Serve agents over HTTP.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="serve an app with uvicorn")
    serve.add_argument("--host", default="127.0.0.1", help="address (default: %(default)s)")
    serve.add_argument("--port", type=int, default=8000, help="port (default: %(default)s)")
    serve.add_argument(
        "--allowed-host",
        dest="allowed_hosts",
        action="append",
        default=[],
        metavar="NAME",
        help="name that requests may address, besides localhost; * for all (default: all, or on "
        "127.0.0.1 none)",
    )
    serve.add_argument("--workers", type=_positive, default=1, help="processes (default: 1)")
    serve.add_argument(
        "--drain-lead",
        dest="lead",
        type=_seconds,
        metavar="SECONDS",
        help="keep serving this long after SIGTERM while /ready answers 503 (default: the app's)",
    )
    serve.add_argument("--reload", action="store_true", help="restart when a file changes")
    serve.set_defaults(command=_serve)
    work = commands.add_parser("worker", help="execute background runs (PostgreSQL)")
    work.add_argument("--concurrency", type=_positive, help="runs at once (default: 20)")
    work.set_defaults(command=_work)
    for each in (serve, work):
        each.add_argument("target", metavar="module:app", help="the AgentApp")
        each.add_argument(
            "--log-format", choices=("text", "json"), default="text", help="default: text"
        )
        each.add_argument("--env-file", metavar="FILE", help="environment, set before the import")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError("must not be negative")
    return number


def _load_env(path: str | None) -> None:
    if path is None:
        return
    if not Path(path).is_file():
        _fail(f"There is no file {path!r}.")
    from dotenv import load_dotenv  # comes with uvicorn[standard]

    load_dotenv(path)


def _import(target: str) -> Any:
    collects = gc.isenabled()
    gc.disable()  # what an import makes stays, and MLflow's makes much of it
    try:
        app = import_from_string(target)
    except (ImportFromStringError, ImportError) as error:
        _fail(f"Cannot import {target!r}: {error}")
    finally:
        if collects:
            gc.enable()
    if not callable(app):
        advice = " Serve AgentApp(router)." if isinstance(app, AgentRouter) else ""
        _fail(f"{target!r} is not an app but of type {type(app).__name__}.{advice}")
    return app


def _check_port(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            _fail(f"Cannot listen on {host}:{port}: {error.strerror or error}.")


def _fail(message: str) -> NoReturn:
    sys.exit(f"agent-asgi: {message}")


if __name__ == "__main__":
    main()
