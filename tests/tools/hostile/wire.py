"""Minimal HTTP over asyncio streams, for the well-behaved client and the attackers."""

import asyncio
import socket
import struct
from contextlib import suppress
from typing import NamedTuple


class Address(NamedTuple):
    """Where the server listens."""

    host: str
    port: int


class Connection(NamedTuple):
    """A connection's two directions."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def leave(self, *, reset: bool = False) -> None:
        """Close the connection, optionally with a reset."""
        if reset:
            opened = self.writer.get_extra_info("socket")
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


async def connect(address: Address, *, narrow: bool = False) -> Connection:
    """Open a connection; a narrow one has small buffers, on the server's side too."""
    opened = socket.socket()
    opened.setblocking(False)
    if narrow:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1024)
    await asyncio.get_running_loop().sock_connect(opened, address)
    return Connection(*await asyncio.open_connection(sock=opened, limit=1 << 16))


def post(body: bytes, path: str = "/responses", *headers: str) -> bytes:
    """Return the bytes of a request."""
    lines = [f"POST {path} HTTP/1.1", "host: localhost", f"content-length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Read one answer; return its status and body."""
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head[9:12])
    lower = head.lower()
    if b"transfer-encoding: chunked" not in lower:
        length = int(lower.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        return status, await reader.readexactly(length)
    body = bytearray()
    while size := int(await reader.readline(), 16):
        body += await reader.readexactly(size + 2)
        del body[-2:]
    await reader.readline()
    return status, bytes(body)


async def outcome(connection: Connection) -> str:
    """Return the status of the answer, or "cut" if the connection ended without one."""
    with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return str((await answer(connection.reader))[0])
    return "cut"
