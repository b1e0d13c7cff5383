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
        ValueError: The URL names no store.
        ImportError: A package is missing; the message has the line that installs it.
    """
    scheme = url.partition(":")[0]
    if scheme == "memory":
        return MemoryStore()
    extra = _EXTRAS.get(scheme)
    if extra is None:
        raise ValueError(
            f"{scheme}:... names no store: memory://, sqlite:///FILE or postgresql://USER@HOST/NAME"
        )
    try:
        from .sql import SqlStore

        return SqlStore(url)
    except ImportError as error:
        raise ImportError(
            f"The store {scheme}:... needs more packages: pip install 'agent-asgi[{extra}]'"
        ) from error
