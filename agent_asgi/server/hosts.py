"""`AllowedHosts`: which host names a server on the loopback interface answers to."""

import ipaddress
from collections.abc import Collection

from starlette.types import ASGIApp, Receive, Scope, Send

from ..context import Headers
from ..errors import AgentError
from ..http.responses import refuse

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


class AllowedHosts:
    """An ASGI app that refuses requests whose `Host` is not one of a few names.

    A web page of another site can make its own name resolve to 127.0.0.1 (DNS rebinding) and would
    then pass for the app's own origin. The name itself gives it away.

    Args:
        app: The app that serves the other requests.
        names: Names without a port, in lower case.
    """

    def __init__(self, app: ASGIApp, names: Collection[str]) -> None:
        self._app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            host = Headers(scope["headers"]).get("host")
            if host is not None and _without_port(host) not in self._names:
                await refuse(_not_allowed(host), scope, receive, send)
                return
        await self._app(scope, receive, send)


def allowed_hosts(address: str, given: Collection[str]) -> frozenset[str]:
    """Return the names that a server answers to; empty if it answers to all.

    Args:
        address: The address that it listens on.
        given: Names that the user allows, "*" for all.
    """
    if "*" in given or not (given or is_loopback(address)):
        return frozenset()
    return LOOPBACK_NAMES | {name.lower() for name in given}


def is_loopback(host: str) -> bool:
    """Return whether an address to listen on can only be reached from the same machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _without_port(host: str) -> str:
    name, colon, port = host.lower().rpartition(":")
    return name if colon and port.isdecimal() else host.lower()


def _not_allowed(host: str) -> AgentError:
    return AgentError(
        f"This server does not answer to the host {host!r}. If the name is yours, start it with "
        "`--allowed-host NAME` or set AGENT_ASGI_ALLOWED_HOSTS; `*` allows all names.",
        403,
        "host_not_allowed",
    )
