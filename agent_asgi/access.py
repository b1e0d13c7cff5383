"""Who may come in: web pages of which origin, and which principals."""

import logging
import re
from collections.abc import Sequence

from starlette.authentication import BaseUser
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from .auth import Authenticate, awaited, bearer_token, identity_of, principal_of
from .context import Headers
from .endpoints.answers import deny, error_response
from .errors import AgentError, from_http

logger = logging.getLogger("agent_asgi")

PROBES = frozenset({"/health", "/ready", "/ping"})
"""What anybody may ask, below the app's root."""
PLAYGROUND = re.compile("/|/playground/[^/]+")
"""The playground's page and its files, which hold nothing of the app's; not what a fallback has
beside them."""
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
SIMPLE_TYPES = frozenset(
    {"", "application/x-www-form-urlencoded", "multipart/form-data", "text/plain"}
)
"""Content types that a browser sends to another origin without asking first (Fetch standard,
"CORS-safelisted request-header")."""
EXPOSED = ("x-request-id", "x-mlflow-trace-id")
POLICY_VIOLATION = 1008
"""The code that a refused WebSocket is closed with (RFC 6455, 7.4.1)."""
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s,*]+")


class Access:
    """ASGI middleware that lets only authenticated principals through, but for the probes and,
    where there is one, the playground's page and files.

    Where `scope["user"]` is authenticated already, `authenticate` is not asked.

    Args:
        app: What is behind it.
        authenticate: Gives who asks, or None.
        playground: Whether there is a playground. Default False.
    """

    def __init__(
        self, app: ASGIApp, authenticate: Authenticate, *, playground: bool = False
    ) -> None:
        self._app = app
        self._playground = playground
        self._authenticate = awaited(authenticate)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a connection, or refuse it before its body is read."""
        if not self._is_open(scope):
            try:
                if identity_of(scope.get("user")) is None:
                    scope["user"] = await self._principal(HTTPConnection(scope))
            except AgentError as error:
                await refuse(error, scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _is_open(self, scope: Scope) -> bool:
        path: str = scope["path"].removeprefix(scope.get("root_path", ""))
        shown = self._playground and PLAYGROUND.fullmatch(path) is not None
        return scope["type"] == "http" and (path in PROBES or shown)

    async def _principal(self, request: HTTPConnection) -> BaseUser:
        try:
            given = await self._authenticate(request)
            principal = None if given is None else principal_of(given)
            if principal is not None and identity_of(principal) is not None:
                return principal
        except AgentError:
            raise
        except HTTPException as error:
            raise from_http(error) from error
        except Exception as error:
            logger.exception("Authentication failed.")
            raise AgentError("The server failed. Its log has the reason.") from error
        raise _unauthenticated(request)


class Origins:
    """The origins whose web pages may use the app, beside its own.

    Args:
        allowed: Such as `https://app.example.com`; "*" stands for all.

    Raises:
        ValueError: One of them is no origin.
    """

    def __init__(self, allowed: Sequence[str]) -> None:
        if isinstance(allowed, str) and allowed != "*":
            raise ValueError("AgentApp: allowed_origins is a list of origins, not one text.")
        for each in allowed:
            if each != "*" and not _ORIGIN.fullmatch(each):
                raise ValueError(
                    f"AgentApp: {each!r} is no origin, such as 'https://app.example.com' "
                    "(no path, no slash at the end)."
                )
        self._allowed = frozenset(allowed)

    def cors(self, app: ASGIApp) -> ASGIApp:
        """Have browsers told what is allowed; where nothing is, leave the app as it is."""
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
        """Tell whether a web page may not do this; what its browser asks for first is not meant."""
        if "*" in self._allowed or origin in self._allowed:
            return False
        headers = Headers(scope["headers"])
        host = headers.get("host", "").lower()
        if host and origin.lower().partition("://")[2] == host:
            return False
        if scope["type"] == "websocket":
            return True
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        return scope["method"] not in SAFE_METHODS and kind in SIMPLE_TYPES


def foreign_origin() -> AgentError:
    """Make the error that a web page of another origin gets."""
    return AgentError(
        "This server takes no such request from web pages of another origin.",
        403,
        "origin_not_allowed",
    )


async def refuse(error: AgentError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer an error without reading a body, a WebSocket's handshake too."""
    if scope["type"] == "websocket":
        await receive()
        await deny(error, POLICY_VIOLATION, scope, receive, send)
    else:
        await error_response(error)(scope, receive, send)


def _unauthenticated(request: HTTPConnection) -> AgentError:
    """Make the challenge of RFC 6750, 3: with an error only where there was a token."""
    if bearer_token(request) is None:
        message, code, challenge = "This server wants credentials.", "unauthenticated", "Bearer"
    else:
        message, code = "The token is not valid.", "invalid_token"
        challenge = 'Bearer error="invalid_token"'
    return AgentError(message, 401, code, headers={"www-authenticate": challenge})


def without_headers(record: logging.LogRecord) -> bool:
    """Drop what websockets logs of a handshake at DEBUG: the headers, with all that is secret."""
    return record.msg != "< %s: %s"
