"""The command `agent-asgi`, outside of the package: Ctrl-C may come while that is imported."""

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
