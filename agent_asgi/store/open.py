"""A store from its URL."""

from .base import Store
from .memory import MemoryStore

_EXTRAS = {"sqlite": "sqlite", "postgresql": "postgres", "postgres": "postgres"}


def open_store(url: str) -> Store:
    """Make the store that a URL names.

    Args:
        url: `memory://`, `sqlite:///responses.db` (a path relative to the working directory;
            `sqlite:////var/lib/responses.db` an absolute one) or `postgresql://user@host/name`.

    Raises:
        ValueError: The URL names no store; the message does not show it, it may hold a password.
        ImportError: A package is missing; the message has the line that installs it.
    """
    scheme, colon, _ = url.partition(":")
    if scheme == "memory" and colon:
        return MemoryStore()
    extra = _EXTRAS.get(scheme)
    if extra is None or not colon:
        raise ValueError(_no_store(scheme if colon else ""))
    try:
        from sqlalchemy.exc import ArgumentError

        from .sql import SqlStore

        return SqlStore(url)
    except ImportError as error:
        raise ImportError(
            f"The store {scheme}:... needs more packages: pip install 'agent-asgi[{extra}]'"
        ) from error
    except (ValueError, ArgumentError):
        raise ValueError(_no_store(scheme)) from None


def _no_store(scheme: str) -> str:
    known = "memory://, sqlite:///FILE or postgresql://USER@HOST/NAME"
    return f"{scheme}:... is not the URL of a store, which is {known}."
