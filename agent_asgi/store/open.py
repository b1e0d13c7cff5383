"""Opening a store by its URL."""

from ..errors import MissingExtra
from .base import Store
from .memory import MemoryStore

_EXTRAS = {"sqlite": "sqlite", "postgresql": "postgres", "postgres": "postgres"}


def open_store(url: str) -> Store:
    """Return the store that a URL names.

    Args:
        url: `memory://`, `sqlite:///responses.db` (a relative path; an absolute one has a further
            slash: `sqlite:////var/lib/responses.db`) or `postgresql://user@host/name`.

    Raises:
        ValueError: The URL names no store. The message leaves the URL out: it may have a password.
        ImportError: A package is missing. The message has the command that installs it.
    """
    scheme, colon, _ = url.partition(":")
    if scheme == "memory" and colon:
        return MemoryStore()
    extra = _EXTRAS.get(scheme)
    if extra is None or not colon:
        raise ValueError(_unknown(scheme if colon else ""))
    try:
        from sqlalchemy.exc import ArgumentError

        from .sql import SqlStore

        return SqlStore(url)
    except ImportError as error:
        raise MissingExtra(f"The store {scheme}:...", extra) from error
    except (ValueError, ArgumentError):
        raise ValueError(_unknown(scheme)) from None


def _unknown(scheme: str) -> str:
    what = f"{scheme}:..." if scheme else "The value"
    return (
        f"{what} is not the URL of a store. "
        "Use memory://, sqlite:///FILE or postgresql://USER@HOST/NAME."
    )
