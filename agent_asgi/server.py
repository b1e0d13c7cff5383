"""Serving an app by uvicorn: the command line and its checks."""

import argparse
import asyncio
import contextlib
import gc
import logging
import signal
import socket
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, NoReturn

import uvicorn
from uvicorn.importer import ImportFromStringError, import_from_string

from .errors import AgentError
from .store.base import Store

logger = logging.getLogger("agent_asgi")

DRAIN_SECONDS = 30
"""How long runs may go on after SIGTERM before they are cancelled."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command `agent-asgi`.

    Args:
        argv: The arguments. Default: `sys.argv[1:]`.

    Raises:
        SystemExit: The arguments are wrong, the app cannot be imported, the port is in use.
    """
    options = _parser().parse_args(argv)
    sys.path.insert(0, str(Path.cwd()))
    _load_env(options.env_file)
    app = _import(options.target)
    options.command(app, options)


def _serve(app: Any, options: argparse.Namespace) -> None:
    _check_port(options.host, options.port)
    store: Store | None = getattr(app, "store", None)  # any ASGI app may be served
    if options.workers > 1 and store is not None and not store.shared:
        logger.warning(
            "%d workers, and each keeps its responses in its own memory: a response is found only "
            "by the worker that made it. Use a store, such as AGENT_ASGI_STORE=sqlite:///FILE.",
            options.workers,
        )
    uvicorn.run(
        options.target,
        host=options.host,
        port=options.port,
        workers=options.workers,
        reload=options.reload,
        app_dir=str(Path.cwd()),
        http="agent_asgi.protocol:HttpProtocol",
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )


def _work(app: Any, options: argparse.Namespace) -> None:
    if not hasattr(app, "work"):
        _end(f"{options.target!r} is a {type(app).__name__}, not an AgentApp.")
    try:
        asyncio.run(_until_signal(app.work(options.concurrency)))
    except (AgentError, ValueError) as error:
        _end(str(error))


async def _until_signal(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.create_task(work)
    loop = asyncio.get_running_loop()
    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("agent-asgi", description="Serve agents over HTTP.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="serve an app by uvicorn")
    serve.add_argument("target", metavar="module:app", help="where the AgentApp is")
    serve.add_argument("--host", default="127.0.0.1", help="address, default %(default)s")
    serve.add_argument("--port", type=int, default=8000, help="port, default %(default)s")
    serve.add_argument("--workers", type=_positive, default=1, help="processes, default 1")
    serve.add_argument("--reload", action="store_true", help="start anew when a file changes")
    serve.set_defaults(command=_serve)
    work = commands.add_parser("worker", help="execute background runs (PostgreSQL)")
    work.add_argument("target", metavar="module:app", help="where the AgentApp is")
    work.add_argument("--concurrency", type=_positive, help="runs at once, default 20")
    work.set_defaults(command=_work)
    for each in (serve, work):
        each.add_argument("--env-file", metavar="FILE", help="variables, set before the import")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _load_env(path: str | None) -> None:
    if path is None:
        return
    if not Path(path).is_file():
        _end(f"there is no file {path!r}.")
    from dotenv import load_dotenv  # comes with uvicorn[standard]

    load_dotenv(path)


def _import(target: str) -> Any:
    collects = gc.isenabled()
    gc.disable()  # what an import makes stays, and MLflow's makes much of it
    try:
        app = import_from_string(target)
    except (ImportFromStringError, ImportError) as error:
        _end(f"cannot import {target!r}: {error}")
    finally:
        if collects:
            gc.enable()
    if not callable(app):
        _end(f"{target!r} is a {type(app).__name__}, not an app.")
    return app


def _check_port(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            _end(f"cannot listen on {host}:{port}: {error.strerror or error}.")


def _end(message: str) -> NoReturn:
    sys.exit(f"agent-asgi: {message}")
