"""A reverse proxy: another server, such as a front end, behind the agents' port."""

from ..errors import MissingExtra

try:
    from .reverse import ReverseProxy
except ImportError as error:
    raise MissingExtra("ReverseProxy", "proxy") from error

__all__ = ["ReverseProxy"]
