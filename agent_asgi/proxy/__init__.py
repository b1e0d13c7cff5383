"""A front end of another process behind the agents' port; the only importers of httpx2."""

try:
    from .reverse import ReverseProxy
except ImportError as error:
    raise ImportError(
        'ReverseProxy needs more packages: pip install "agent-asgi[proxy]"'
    ) from error

__all__ = ["ReverseProxy"]
