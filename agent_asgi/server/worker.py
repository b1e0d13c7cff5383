"""The command `agent-asgi worker`."""

import argparse
import asyncio
import contextlib
import logging.config
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from ..errors import AgentError
from ..tracing import setup
from .logging import log_config
from .options import add_environment, apply_environment, fail, positive
from .shutdown import Shutdown
from .target import load_app, parse

if TYPE_CHECKING:
    from .options import Commands


def add_parser(commands: "Commands") -> None:
    """Add the command to the command line."""
    parser = commands.add_parser("worker", help="execute background runs (PostgreSQL)")
    parser.add_argument("--concurrency", type=positive, help="runs at once (default: 20)")
    parser.add_argument("target", metavar="TARGET", help="the AgentApp, as for `agent-asgi serve`")
    add_environment(parser)
    parser.set_defaults(command=work)


def work(options: argparse.Namespace) -> None:
    """Execute background runs until a signal."""
    apply_environment(options)
    name, app = load_app(parse(options.target))
    if not hasattr(app, "work"):
        fail(f"{name!r} is a {type(app).__name__}, not an AgentApp.")
    logging.config.dictConfig(log_config(options.log_format, options.log_level))
    setup.owns_process = True
    try:
        asyncio.run(_until_signal(app.work(options.concurrency)))
    except (AgentError, ValueError) as error:
        fail(str(error))


async def _until_signal(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.create_task(work)

    def end(_: float) -> None:
        if not task.cancelling():
            task.cancel()

    Shutdown(0, lambda: None, end).take()
    with contextlib.suppress(asyncio.CancelledError):
        await task
