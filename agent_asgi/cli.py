"""The command `agent-asgi`."""

from .server import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
