"""`ForwardedUser`: authentication by a header that a proxy sets."""

import ipaddress
import logging
from collections.abc import Sequence

from starlette.requests import HTTPConnection

from ..config import require

logger = logging.getLogger("agent_asgi")
_FOR = "x-forwarded-for"


class ForwardedUser:
    """Authenticates by a header in which a proxy names the user; for `AgentApp(authenticate=...)`.

    The header counts only in requests whose connection comes from one of the proxies, which must
    remove the header from what they receive. An address that the server took from
    `X-Forwarded-For` is not the connection's: uvicorn needs `--no-proxy-headers` or an empty
    FORWARDED_ALLOW_IPS if a proxy runs on the same machine.

    Args:
        header: The header. Default "x-forwarded-user".
        proxies: The addresses or networks of the proxies, such as "10.0.0.7" or "10.0.0.0/8".

    Raises:
        TypeError: An option has a wrong type.
        ValueError: There is no proxy, or one is neither an address nor a network.
    """

    def __init__(self, header: str = "x-forwarded-user", *, proxies: Sequence[str]) -> None:
        require("ForwardedUser", {"header": (header, str), "proxies": (proxies, list, tuple)})
        if not proxies:
            raise ValueError("ForwardedUser: at least one proxy is required.")
        self._header = header
        self._networks = [ipaddress.ip_network(proxy) for proxy in proxies]
        self._warned = False

    async def __call__(self, request: HTTPConnection) -> str | None:
        """Return the user that the proxy names; None if no proxy names one."""
        users = request.headers.getlist(self._header)
        if len(users) != 1 or not users[0].strip(" \t"):
            return None
        peer = "" if request.client is None else request.client.host
        if self._is_proxy(peer) and not _is_named(peer, request):
            return users[0].strip(" \t")  # other white space may be bytes of UTF-8
        if not self._warned:
            self._warned = True
            logger.warning(
                "The header %r of a request from %r is ignored: that is not the connection of one "
                "of the proxies. See ForwardedUser in docs/auth.md.",
                self._header,
                peer,
            )
        return None

    def _is_proxy(self, peer: str) -> bool:
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in self._networks)


def _is_named(peer: str, request: HTTPConnection) -> bool:
    """Return whether `X-Forwarded-For` names a peer: then anybody may have named it."""
    hosts = [host.strip() for each in request.headers.getlist(_FOR) for host in each.split(",")]
    return any(host == peer or host.startswith((f"{peer}:", f"[{peer}]")) for host in hosts)
