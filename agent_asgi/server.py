"""Serving an app by uvicorn: the command line and its checks."""

import argparse
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
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, NoReturn

import uvicorn
from uvicorn.importer import ImportFromStringError, import_from_string
from uvicorn.supervisors import ChangeReload, Multiprocess

from . import logs, spool
from .errors import AgentError
from .limits import Limits, Timeouts
from .protocol import HttpProtocol
from .router import AgentRouter
from .shutdown import CUT_SHORT, SIGNALS, Shutdown
from .store.base import Store

logger = logging.getLogger("agent_asgi")

WEBSOCKET_ROOM = 2
"""How many times `Limits.max_body_bytes` a WebSocket message may have before the server closes the
connection, with code 1009; a smaller one gets an error that says what is wrong."""

STARTUP_FAILURE = 3
"""uvicorn's exit code of a start that failed; which module names it differs by release."""


class Config(uvicorn.Config):
    """uvicorn's, with an end in order; it is sent to worker processes as it is.

    Attributes:
        drain_lead: How long everything is served still after a signal, in seconds.
    """

    drain_lead = 0.0

    def bind_socket(self, patience: float = 0.0) -> socket.socket:
        """Bind the socket; connections whose client takes nothing for so long end by themselves.

        Args:
            patience: In seconds; where the system knows TCP_USER_TIMEOUT. Default 0: no bound.
        """
        bound = super().bind_socket()
        option = getattr(socket, "TCP_USER_TIMEOUT", None)
        if option is not None and patience:
            bound.setsockopt(socket.IPPROTO_TCP, option, math.ceil(patience * 1000))
        return bound

    def load(self) -> None:
        """Load the app and the protocols, and take over the signals that the server has taken."""
        super().load()
        server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
        if isinstance(server, uvicorn.Server):
            _take_over(server, self.drain_lead)


def _take_over(server: uvicorn.Server, lead: float) -> None:
    def close() -> None:
        for each in getattr(server, "servers", ()):  # none before it has started
            each.close()

    def end(seconds: float) -> None:
        if server.should_exit:  # it waits already
            for each in server.server_state.tasks:
                each.cancel()
        server.config.timeout_graceful_shutdown = math.ceil(seconds)
        server.should_exit = True

    Shutdown(lead, close, end).take()


class Supervisor(Multiprocess):
    """uvicorn's parent of worker processes, which also lets its socket go and cuts them short."""

    def terminate_all(self) -> None:
        """Have the workers end."""
        super().terminate_all()
        for each in self.sockets:
            each.close()  # or connections would wait in it for nobody
        for number in SIGNALS:
            signal.signal(number, self._cut_short)

    def _cut_short(self, *_: object) -> None:
        for each in self.processes:
            if each.pid is not None and each.exitcode is None:
                os.kill(each.pid, CUT_SHORT)


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
    if options.log_format == "json":  # MLflow's own handlers write text
        os.environ.setdefault("MLFLOW_CONFIGURE_LOGGING", "false")
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
    config = Config(
        options.target,
        host=options.host,
        port=options.port,
        workers=options.workers,
        reload=options.reload,
        http=HttpProtocol,
        log_config=logs.config(options.log_format),
        ws_max_size=WEBSOCKET_ROOM * _limits(app).max_body_bytes,
    )
    if not options.reload:  # nobody else is to notice
        config.drain_lead = _lead(app, options)
    with spool.shared(options.workers):
        _run(config, _timeouts(app).write)


def _lead(app: Any, options: argparse.Namespace) -> float:
    given: float | None = options.drain_lead
    return _timeouts(app).drain_lead if given is None else given


def _timeouts(app: Any) -> Timeouts:
    found: Timeouts | None = getattr(app, "timeouts", None)  # a host of an AgentApp has none
    return found or Timeouts()


def _limits(app: Any) -> Limits:
    found: Limits | None = getattr(app, "limits", None)
    return found or Limits()


def _run(config: Config, patience: float) -> None:
    server = uvicorn.Server(config)
    sockets = [config.bind_socket(patience)]
    with contextlib.suppress(KeyboardInterrupt):  # before it has started
        if config.should_reload:
            ChangeReload(config, target=server.run, sockets=sockets).run()
        elif config.workers > 1:
            by_target = (
                "target" in inspect.signature(Multiprocess).parameters
            )  # as uvicorn 0.35 has
            more: dict[str, Any] = {"target": server.run} if by_target else {}
            Supervisor(config, sockets=sockets, **more).run()
        else:
            server.run(sockets)
            if not server.started:
                sys.exit(STARTUP_FAILURE)


def _work(app: Any, options: argparse.Namespace) -> None:
    if not hasattr(app, "work"):
        _end(f"{options.target!r} is a {type(app).__name__}, not an AgentApp.")
    logging.config.dictConfig(logs.config(options.log_format))
    try:
        asyncio.run(_until_told(app.work(options.concurrency)))
    except (AgentError, ValueError) as error:
        _end(str(error))


async def _until_told(work: Coroutine[Any, Any, None]) -> None:
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
    serve = commands.add_parser("serve", help="serve an app by uvicorn")
    serve.add_argument("target", metavar="module:app", help="where the AgentApp is")
    serve.add_argument("--host", default="127.0.0.1", help="address, default %(default)s")
    serve.add_argument("--port", type=int, default=8000, help="port, default %(default)s")
    serve.add_argument("--workers", type=_positive, default=1, help="processes, default 1")
    serve.add_argument(
        "--drain-lead",
        type=_seconds,
        metavar="SECONDS",
        help="how long to serve on after SIGTERM while /ready says no, default 0 or the app's own",
    )
    serve.add_argument("--reload", action="store_true", help="start anew when a file changes")
    serve.set_defaults(command=_serve)
    work = commands.add_parser("worker", help="execute background runs (PostgreSQL)")
    work.add_argument("target", metavar="module:app", help="where the AgentApp is")
    work.add_argument("--concurrency", type=_positive, help="runs at once, default 20")
    work.set_defaults(command=_work)
    for each in (serve, work):
        each.add_argument(
            "--log-format", choices=("text", "json"), default="text", help="default text"
        )
        each.add_argument("--env-file", metavar="FILE", help="variables, set before the import")
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
        mend = " Serve AgentApp(router)." if isinstance(app, AgentRouter) else ""
        _end(f"{target!r} is no app, but of type {type(app).__name__}.{mend}")
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
