"""Serving an app by uvicorn: the command line and its checks."""

import argparse
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import uvicorn
from uvicorn.importer import ImportFromStringError, import_from_string

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
    _check_app(options.target)
    _check_port(options.host, options.port)
    uvicorn.run(
        options.target,
        host=options.host,
        port=options.port,
        workers=options.workers,
        reload=options.reload,
        app_dir=str(Path.cwd()),
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("agent-asgi", description="Serve agents over HTTP.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="serve an app by uvicorn")
    serve.add_argument("target", metavar="module:app", help="where the AgentApp is")
    serve.add_argument("--host", default="127.0.0.1", help="address, default %(default)s")
    serve.add_argument("--port", type=int, default=8000, help="port, default %(default)s")
    serve.add_argument("--workers", type=_positive, default=1, help="processes, default 1")
    serve.add_argument("--reload", action="store_true", help="start anew when a file changes")
    serve.add_argument("--env-file", metavar="FILE", help="variables, set before the import")
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


def _check_app(target: str) -> None:
    try:
        app = import_from_string(target)
    except (ImportFromStringError, ImportError) as error:
        _end(f"cannot import {target!r}: {error}")
    if not callable(app):
        _end(f"{target!r} is a {type(app).__name__}, not an app.")


def _check_port(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            _end(f"cannot listen on {host}:{port}: {error.strerror or error}.")


def _end(message: str) -> None:
    sys.exit(f"agent-asgi: {message}")
