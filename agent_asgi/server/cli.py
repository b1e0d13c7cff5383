"""The command `agent-asgi`: its subcommands, a module each."""

import argparse
from collections.abc import Sequence

from . import serve, worker


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command `agent-asgi`.

    Args:
        argv: The arguments. Default: `sys.argv[1:]`.

    Raises:
        SystemExit: The arguments are invalid, the app cannot be imported, or the port is in use.
    """
    options = _parser().parse_args(argv)
    options.command(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("agent-asgi", description="Serve agents over HTTP.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serve.add_parser(commands)
    worker.add_parser(commands)
    return parser


if __name__ == "__main__":
    main()
