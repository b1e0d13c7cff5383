"""Raw bytes to a real uvicorn: whatever it receives, the next client is served."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from hypothesis import strategies as st

from tests.support.servers import Server
from tests.tools.fuzz import agents
from tests.tools.fuzz.bodies import bodies
from tests.tools.fuzz.harness import Property
from tests.tools.fuzz.headers import headers, queries, targets

QUIET = 0.25
"""How long to wait for data on a silent connection, in seconds."""
HEALTH = b"GET /health HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
UPGRADE = (
    b"GET /responses HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
    b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n"
)
methods = st.sampled_from(
    [b"POST", b"POST", b"POST", b"GET", b"DELETE", b"HEAD", b"G\xffT", b"", b"PRI"]
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """Make a request with valid HTTP syntax and arbitrary content."""
    path = draw(st.sampled_from(["/echo/responses", "/invocations", "/any/invocations"]) | targets)
    body = draw(bodies)
    given = draw(headers) if draw(st.booleans()) else []
    length = draw(st.sampled_from([len(body), len(body), len(body), len(body) + 9, -1, 0]))
    size = b"content-length: %d" % length
    if draw(st.integers(0, 5)) == 0:
        size, body = b"transfer-encoding: chunked", b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    query = draw(queries)
    target = path.encode("latin-1") + (b"?" + query if query else b"")
    lines: list[bytes] = [
        b"%b %b HTTP/1.1" % (draw(methods), target),
        b"host: a",
        b"connection: close",
        size,
    ]
    lines += [name + b": " + value for name, value in given]
    return b"".join([b"\r\n".join(lines), b"\r\n\r\n", body])


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Make a request with bytes inserted or missing."""
    whole: bytes = draw(requests())
    at = draw(st.integers(0, len(whole)))
    more = draw(st.binary(max_size=6))
    return whole[:at] + more + whole[at + draw(st.integers(0, 9)) :]


frames = st.binary(max_size=60) | bodies.map(
    lambda body: b"\x81" + bytes([0x80 | min(len(body), 125)]) + bytes(4) + body[:125]
)
cases = st.one_of(
    requests(),
    requests(),
    damaged(),
    st.binary(max_size=100),
    st.lists(frames, max_size=3).map(lambda made: UPGRADE + b"".join(made)),
)


@contextlib.asynccontextmanager
async def served() -> AsyncIterator[int]:
    """Serve the app with uvicorn; yield its port."""
    server = await asyncio.to_thread(Server, agents.make())
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # it warns about each bad request
    try:
        yield int(server.url.rpartition(":")[2])
    finally:
        await asyncio.to_thread(server.stop)


async def talk(port: int, sent: bytes, quiet: float) -> bytes:
    """Send bytes; return what comes back until the server closes or goes quiet."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    got = b""
    try:
        writer.write(sent)
        await writer.drain()
        while chunk := await asyncio.wait_for(reader.read(1 << 16), quiet):
            got += chunk
    except (TimeoutError, ConnectionError):
        pass
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    return got


async def check(port: int, case: bytes) -> None:
    """Send bytes, then check that another client is served."""
    got = await talk(port, case, QUIET)
    assert not got or got.startswith(b"HTTP/1.1 "), got[:200]
    assert b"HTTP/1.1 50" not in got, got[:500]
    assert (await talk(port, HEALTH, 10)).startswith(b"HTTP/1.1 200"), "nobody is served"


RAW = Property("raw bytes to uvicorn", 1, cases, served, check)
