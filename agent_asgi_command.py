"""The command `agent-asgi`. Outside of the package, whose import takes a moment: Ctrl-C may come."""

import sys


def main() -> None:
    """Run the command; end without a traceback on Ctrl-C."""
    try:
        from agent_asgi.server.cli import main

        main()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
