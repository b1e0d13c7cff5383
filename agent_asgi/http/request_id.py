"""The id of a request, which its answer and its log lines have."""

import re
from collections.abc import Iterable

from starlette.types import Scope

from ..schema.ids import random_text

REQUEST_ID = re.compile(rb"[!-~]{1,200}")
"""The request ids that are taken over from a client; others could forge fields of a log."""


def id_and_origin(scope: Scope) -> tuple[str, str | None]:
    """Return the request's id, and the origin of the web page that sends it, if there is one."""
    headers = dict(scope["headers"])
    origin = headers.get(b"origin")
    id_ = ""
    if b"x-request-id" in headers:
        ids = (value for name, value in scope["headers"] if name == b"x-request-id")
        id_ = next((value.decode() for value in ids if REQUEST_ID.fullmatch(value)), "")
    return id_ or "req_" + random_text(), None if origin is None else origin.decode("latin-1")


def with_id(headers: Iterable[tuple[bytes, bytes]], id_: str) -> list[tuple[bytes, bytes]]:
    """Return an answer's headers with the request's id; a fallback may have set another."""
    others = [pair for pair in headers if pair[0].lower() != b"x-request-id"]
    return [*others, (b"x-request-id", id_.encode("latin-1"))]
