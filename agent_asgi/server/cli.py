"""The command `agent-asgi`: its subcommands, a module each."""

import argparse
import importlib.metadata
import os
import sys
from collections.abc import Sequence

from . import dev, routes, serve, worker
from .chat import command as chat
from .new import command as new

EXAMPLES = """\
examples:
  agent-asgi new tutor                 create a project
  agent-asgi dev agent.py              serve an agent with a playground, and reload it on edits
  agent-asgi chat agent.py             talk to an agent in the terminal
  agent-asgi serve agent:app           serve it
  agent-asgi COMMAND --help            show the options of a command
"""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command `agent-asgi`.

    Args:
        argv: The arguments. Default: `sys.argv[1:]`.

    Raises:
        SystemExit: The arguments are invalid, the app cannot be imported, or the port is in use.
    """
    options = _parser().parse_args(argv)
    try:
        options.command(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        sys.exit(130)  # as shells report a SIGINT
    except BrokenPipeError:  # of `agent-asgi routes agent.py | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at the exit
        sys.exit(1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "agent-asgi",
        description="Serve agents over HTTP.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=lambda _: parser.print_help())
    parser.add_argument(
        "--version",
        dest="command",
        action="store_const",
        const=_show_version,
        help="show the version and exit",
    )
    commands = parser.add_subparsers(metavar="COMMAND")
    for module in (new, dev, chat, serve, worker, routes):
        module.add_parser(commands)
    return parser


def _show_version(_: argparse.Namespace) -> None:
    sys.stdout.write(f"agent-asgi {importlib.metadata.version('agent-asgi')}\n")


if __name__ == "__main__":
    main()
