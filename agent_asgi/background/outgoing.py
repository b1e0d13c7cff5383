"""`Outgoing`: sends requests to URLs that others chose, and never to this machine or its network.

The address that was checked is the one that is called: a name is resolved once, and TLS and `Host`
keep the name.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Iterable, Mapping
from typing import Any

import httpcore2

SECONDS = 15.0
"""How long each step of a request may take: to connect, to send, to receive."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class ForbiddenAddress(OSError):
    """A URL leads to an address that must not be called."""


class Outgoing:
    """Sends POST requests, without redirects, cookies or proxies.

    Args:
        allow_private: Whether private, loopback and link-local addresses may be called.
    """

    def __init__(self, *, allow_private: bool) -> None:
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=ssl.create_default_context(),
            max_connections=None,
            max_keepalive_connections=0,
            network_backend=_Checked(allow_private=allow_private),
        )

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """Send a request and return the status of its answer, whose body is not read.

        Raises:
            OSError: There is no answer, or the address must not be called.
        """
        timeouts = dict.fromkeys(("connect", "read", "write", "pool"), SECONDS)
        try:
            async with asyncio.timeout(2 * SECONDS):
                async with self._pool.stream(
                    "POST",
                    url,
                    headers=list(headers.items()),
                    content=body,
                    extensions={"timeout": timeouts},
                ) as response:
                    return int(response.status)
        except (
            httpcore2.NetworkError,
            httpcore2.ProtocolError,
            httpcore2.TimeoutException,
            httpcore2.UnsupportedProtocol,
            TimeoutError,
        ) as error:
            raise OSError(f"{type(error).__name__}: {error}") from error

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.aclose()


class _Checked(httpcore2.AnyIOBackend):
    """Connects to addresses that have been checked."""

    def __init__(self, *, allow_private: bool) -> None:
        self._allow_private = allow_private

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  the interface has it
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        async with asyncio.timeout(timeout):
            found = await asyncio.get_running_loop().getaddrinfo(
                host, port, type=socket.SOCK_STREAM
            )
        addresses = [ipaddress.ip_address(str(info[4][0]).partition("%")[0]) for info in found]
        allowed = [each for each in addresses if self._allow_private or is_public(each)]
        if not allowed:
            raise ForbiddenAddress(f"{host!r} has no public address.")
        for address in allowed[:-1]:
            try:
                return await self._connect(address, port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                continue  # the next one may be reached
        return await self._connect(allowed[-1], port, timeout, local_address, socket_options)

    async def _connect(self, address: Address, *options: Any) -> httpcore2.AsyncNetworkStream:
        return await super().connect_tcp(str(address), *options)


def is_public(address: Address) -> bool:
    """Return whether an address is on the public internet.

    An address that contains an IPv4 address is as public as that.
    """
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address.teredo is not None:
            inner = address.teredo[1]
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
    return address.is_global and not address.is_multicast and not address.is_reserved
