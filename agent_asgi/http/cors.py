"""The origins whose web pages may use the app."""

import re
from collections.abc import Sequence

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Scope

from ..context import Headers
from ..errors import AgentError

SIMPLE_TYPES = frozenset(
    {"", "application/x-www-form-urlencoded", "multipart/form-data", "text/plain"}
)
"""Content types that a browser POSTs to another origin without a preflight request (Fetch standard,
"CORS-safelisted request-header"). Other methods than GET, HEAD and POST always need one."""
EXPOSED = (
    *("x-request-id", "x-mlflow-trace-id", "retry-after"),
    *(f"x-ratelimit-{name}-requests" for name in ("limit", "remaining", "reset")),
    *(f"x-ratelimit-{name}-tokens" for name in ("limit", "remaining", "reset")),
)
_CANCEL = re.compile(r".*/responses/[^/]+/cancel")
"""The path of a POST that has no body and so no content type. It runs nothing, and foreign pages
cannot guess the id; a host's CORS middleware, which may allow the page, leaves no mark."""
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s,*]+")


class Origins:
    """The allowed origins, besides the app's own.

    Args:
        allowed: For example `https://app.example.com`; "*" allows all.

    Raises:
        ValueError: One of them is not an origin.
    """

    def __init__(self, allowed: Sequence[str]) -> None:
        if isinstance(allowed, str) and allowed != "*":
            raise ValueError("AgentApp: allowed_origins must be a list of origins, not a str.")
        for origin in allowed:
            if origin != "*" and not _ORIGIN.fullmatch(origin):
                raise ValueError(
                    f"AgentApp: {origin!r} is not an origin. An origin has no path or trailing "
                    "slash, for example 'https://app.example.com'."
                )
        self._allowed = frozenset(allowed)

    def cors(self, app: ASGIApp) -> ASGIApp:
        """Return the app with CORS headers; the app itself if no origin is allowed."""
        if not self._allowed:
            return app
        return CORSMiddleware(
            app,
            allow_origins=self._allowed,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["*"],
            allow_credentials="*" not in self._allowed,
            expose_headers=EXPOSED,
        )

    def refuses(self, scope: Scope, origin: str) -> bool:
        """Return whether a request without a preflight request comes from a forbidden origin."""
        if "*" in self._allowed or origin in self._allowed:
            return False
        headers = Headers(scope["headers"])
        host = headers.get("host", "").lower()
        if host and origin.lower().partition("://")[2] == host:
            return False
        if scope["type"] == "websocket":
            return True
        content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        unasked = scope["method"] == "POST" and content_type in SIMPLE_TYPES
        return unasked and _CANCEL.fullmatch(scope["path"]) is None


def foreign_origin() -> AgentError:
    """Return the error for a forbidden origin."""
    message = "Requests from web pages of other origins are not allowed."
    return AgentError(message, 403, "origin_not_allowed")
