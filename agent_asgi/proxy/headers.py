"""The headers of proxied messages."""

from collections.abc import Iterable

from starlette.types import Scope

Headers = list[tuple[bytes, bytes]]

HOP_BY_HOP = frozenset(
    {b"connection", b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
)
"""Headers of one connection (RFC 9110, 7.6.1); `proxy-*` are dropped too."""
REPLACED = frozenset(
    {b"expect", b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto"}
)
"""`expect`, which this server has answered, and what a client must not claim. `_` counts as `-`:
CGI and WSGI do not distinguish them."""
SET_HERE = frozenset({b"date", b"server"})
"""Headers of an answer that this server sets itself."""
HTTP_SCHEMES = {"ws": b"http", "wss": b"https", "https": b"https"}


def request_headers(scope: Scope) -> Headers:
    """Return the request's headers for the other server, with `x-forwarded-*`."""
    received = _end_to_end(scope["headers"])
    headers = [each for each in received if each[0].replace(b"_", b"-") not in REPLACED]
    scheme = HTTP_SCHEMES.get(scope.get("scheme", "http"), b"http")
    headers.append((b"x-forwarded-proto", scheme))
    headers += [(b"x-forwarded-host", value) for name, value in headers if name == b"host"]
    if scope.get("client"):
        headers.append((b"x-forwarded-for", scope["client"][0].encode()))
    return headers


def handshake_headers(headers: Headers) -> Headers:
    """Return the headers without those that each WebSocket connection negotiates."""
    return [each for each in headers if not each[0].startswith(b"sec-websocket-")]


def response_headers(headers: Iterable[tuple[bytes, bytes]], status: int) -> Headers:
    """Return the answer's headers for the client."""
    dropped = SET_HERE
    if status in (204, 304):  # a server may expect a body of that size
        dropped |= {b"content-length"}
    return [each for each in _end_to_end(headers) if each[0] not in dropped]


def _end_to_end(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    received = [(name.lower(), value) for name, value in headers]
    dropped = set(HOP_BY_HOP)
    for name, value in received:
        if name == b"connection":
            dropped.update(each.strip().lower() for each in value.split(b","))
        elif name == b"transfer-encoding":
            dropped.add(b"content-length")  # it overrides that (RFC 9112, 6.3)
    return [
        (name, value)
        for name, value in received
        if name not in dropped and not name.startswith(b"proxy-")
    ]
