"""The headers of a message that is passed on."""

from collections.abc import Iterable

from starlette.types import Scope

Headers = list[tuple[bytes, bytes]]

HOP_BY_HOP = frozenset(
    {b"connection", b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
)
"""Headers of one connection, beside those of a proxy (RFC 9110, 7.6.1)."""
REPLACED = frozenset(
    {b"expect", b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto"}
)
"""`expect`, which the server in front has met, and what a caller may not say of itself, be it with
`_` for `-`: CGI and WSGI take them for the same."""
OF_THE_SERVER = frozenset({b"date", b"server"})
"""Headers of an answer that the server in front has of its own."""
HTTP_SCHEMES = {"ws": b"http", "wss": b"https", "https": b"https"}


def request_headers(scope: Scope) -> Headers:
    """Give what the other server gets: all that is for it, and by what way it came."""
    given = _end_to_end(scope["headers"])
    kept = [each for each in given if each[0].replace(b"_", b"-") not in REPLACED]
    scheme = HTTP_SCHEMES.get(scope.get("scheme", "http"), b"http")
    kept.append((b"x-forwarded-proto", scheme))
    kept += [(b"x-forwarded-host", value) for name, value in kept if name == b"host"]
    if scope.get("client"):
        kept.append((b"x-forwarded-for", scope["client"][0].encode()))
    return kept


def handshake_headers(headers: Headers) -> Headers:
    """Leave out what each WebSocket connection agrees on for itself."""
    return [each for each in headers if not each[0].startswith(b"sec-websocket-")]


def response_headers(headers: Iterable[tuple[bytes, bytes]], status: int) -> Headers:
    """Give what the client gets of an answer's headers, each as it came."""
    dropped = OF_THE_SERVER
    if status in (204, 304):  # a server may take it for the size of a body that must follow
        dropped |= {b"content-length"}
    return [each for each in _end_to_end(headers) if each[0] not in dropped]


def _end_to_end(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    given = [(name.lower(), value) for name, value in headers]
    dropped = set(HOP_BY_HOP)
    for name, value in given:
        if name == b"connection":
            dropped.update(each.strip().lower() for each in value.split(b","))
        elif name == b"transfer-encoding":
            dropped.add(b"content-length")  # which it overrides (RFC 9112, 6.3)
    return [
        (name, value)
        for name, value in given
        if name not in dropped and not name.startswith(b"proxy-")
    ]
