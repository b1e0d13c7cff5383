"""A reverse proxy: another server, such as a front end, behind the agents' port."""

try:
    from .reverse import ReverseProxy
except ImportError as error:
    raise ImportError('ReverseProxy needs packages: pip install "agent-asgi[proxy]"') from error

__all__ = ["ReverseProxy"]
