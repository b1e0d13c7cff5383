"""The command `agent-asgi chat`."""

import argparse
import contextlib
import logging.config
import os
import sys
from typing import TYPE_CHECKING

from ... import config as settings
from ...tracing import setup
from ..banner import place
from ..logging import log_config
from ..options import add_environment, apply_environment, fail
from ..target import load_any, parse
from .client import Client, ServerError
from .local_server import serving
from .repl import Repl
from .screen import DIM, Screen, printable

if TYPE_CHECKING:
    from ..options import Commands

NO_AGENT = "The server has no agent that speaks the Responses API."
INTERRUPTED = 130
"""The shells' exit status of a program that Ctrl-C ended."""
EXAMPLES = """\
examples:
  agent-asgi chat agent.py
  agent-asgi chat http://127.0.0.1:8000 --agent tutor
  agent-asgi chat https://agents.example.com --token "$TOKEN"
  echo "What is 2 + 3?" | agent-asgi chat agent.py

In the chat, /help lists its commands. Without a terminal, each input line is a message, and
the first error ends the chat with exit status 1.
"""


def add_parser(commands: "Commands") -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "chat",
        help="talk to an agent in the terminal",
        description="Talk to an agent in a file or on a server that speaks the Responses API.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "target",
        metavar="TARGET_OR_URL",
        help="a file or module, as for `agent-asgi dev`, or the URL of a server",
    )
    parser.add_argument("--agent", metavar="NAME", help="the agent (default: the first)")
    parser.add_argument("--token", help="bearer token for the server")
    add_environment(parser)
    parser.set_defaults(command=chat, log_level="warning")


def chat(options: argparse.Namespace) -> None:
    """Talk to an agent until the user leaves.

    Raises:
        SystemExit: The agent cannot be reached, or an answer failed without a terminal.
    """
    try:
        if "://" in options.target:
            succeeded = _talk(options.target, options)
        else:
            succeeded = _talk_to_target(options)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    if not succeeded:
        sys.exit(1)


def _talk_to_target(options: argparse.Namespace) -> bool:
    apply_environment(options)
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", options.log_level)
    logging.config.dictConfig(log_config(options.log_format, options.log_level, brief=True))
    settings.debug = True
    app = load_any(parse(options.target))
    traces = setup.destination()
    with serving(app, at_once=sys.stdin.isatty()) as url:
        return _talk(url, options, None if traces is None else place(traces))


def _talk(url: str, options: argparse.Namespace, traces: str | None = None) -> bool:
    if not url.startswith(("http://", "https://")):
        fail(f"{url!r} must begin with http:// or https://.")
    client, screen = Client(url, options.token), Screen()
    try:
        agents = client.agents()
    except ServerError as error:
        fail(printable(str(error)))
    agent = options.agent or next(iter(agents), None)
    if agent not in agents:
        known = printable(", ".join(agents))
        fail(f"There is no agent {agent!r}. Agents: {known}." if agents else NO_AGENT)
    if screen.interactive:
        with contextlib.suppress(ImportError):  # Windows has none
            import readline  # noqa: F401  edits lines and remembers them
        others = f" of {', '.join(agents)}" if len(agents) > 1 else ""
        screen.line(f"Talking to {agent}{others}. /help lists the commands, Ctrl-D leaves.", DIM)
    return Repl(client, screen, agents, agent, traces).run() or screen.interactive
