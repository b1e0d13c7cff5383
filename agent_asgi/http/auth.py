"""Authentication: principals, bearer tokens, and the middleware that requires them."""

import hashlib
import inspect
import logging
import os
import re
import secrets
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import anyio.to_thread
from starlette.authentication import BaseUser, SimpleUser
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from ..config import require
from ..errors import AgentError, from_http
from .responses import refuse

logger = logging.getLogger("agent_asgi")

Authenticate = Callable[[HTTPConnection], Any]
"""Returns a request's principal: an id, an object like Starlette's `BaseUser`, or None. Sync or
async."""
PROBES = frozenset({"/health", "/ready", "/ping"})
"""Paths that need no authentication."""
PLAYGROUND = re.compile("/|/playground/[^/]+")
"""The paths of the playground's page and files, which contain nothing of the app."""
_TOKEN = re.compile(r"[!-~]+")
_NOTHING: Mapping[str, str] = MappingProxyType({})


class Access:
    """ASGI middleware that requires authentication, except for probes, the playground's files and
    other public paths.

    A request that other middleware has authenticated (`scope["user"]`) is accepted as it is.

    Args:
        app: The app behind it.
        authenticate: Returns the principal of a request, or None.
        playground: Whether there is a playground. Default False.
        public: Further paths that need no authentication. Default none.
        challenges: What the `www-authenticate` header of a 401 says besides, by path. Default
            nothing.
    """

    def __init__(
        self,
        app: ASGIApp,
        authenticate: Authenticate,
        *,
        playground: bool = False,
        public: Collection[str] = (),
        challenges: Mapping[str, str] = _NOTHING,
    ) -> None:
        self._app = app
        self._playground = playground
        self._public = PROBES.union(public)
        self._challenges = challenges
        self._authenticate = _as_async(authenticate)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a connection, or refuse it before its body is read."""
        if not self._is_public(scope):
            try:
                if identity_of(scope.get("user")) is None:
                    scope["user"] = await self._principal(HTTPConnection(scope))
            except AgentError as error:
                await refuse(error, scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _is_public(self, scope: Scope) -> bool:
        path = _path(scope)
        in_playground = self._playground and PLAYGROUND.fullmatch(path) is not None
        return scope["type"] == "http" and (path in self._public or in_playground)

    async def _principal(self, request: HTTPConnection) -> BaseUser:
        try:
            value = await self._authenticate(request)
            principal = None if value is None else principal_of(value)
            if principal is not None and identity_of(principal) is not None:
                return principal
        except AgentError:
            raise
        except HTTPException as error:
            raise from_http(error) from error
        except Exception as error:
            logger.exception("Authentication failed; the request is refused.")
            raise AgentError("The server failed. Its log has the reason.") from error
        raise _unauthenticated(request, self._challenges.get(_path(request.scope)))


class BearerTokens:
    """Authenticates by `Authorization: Bearer TOKEN`; for `AgentApp(authenticate=...)`.

    Only keyed digests of the tokens are stored and compared, so that response times reveal nothing
    about a token.

    Args:
        tokens: The principal of each token: an id, or an object like Starlette's `BaseUser`.

    Raises:
        ValueError: There is no token, a token is malformed, or a principal is not authenticated.
        TypeError: `tokens` is not a mapping, or a principal is neither a str nor such an object.
    """

    def __init__(self, tokens: Mapping[str, str | BaseUser]) -> None:
        require("BearerTokens", {"tokens": (tokens, Mapping)})
        if not tokens:
            raise ValueError("BearerTokens: at least one token is required.")
        if not all(map(_TOKEN.fullmatch, tokens)):
            raise ValueError("BearerTokens: a token must be printable ASCII without spaces.")
        self._key = secrets.token_bytes(32)
        self._principals = {
            self._digest(token): principal_of(value) for token, value in tokens.items()
        }
        if None in map(identity_of, self._principals.values()):
            raise ValueError("BearerTokens: a principal must be authenticated.")

    @classmethod
    def from_env(cls, name: str = "AGENT_ASGI_TOKENS") -> "BearerTokens":
        """Read the tokens from an environment variable, for example `alice=TOKEN1,bob=TOKEN2`.

        Args:
            name: The variable's name. Default "AGENT_ASGI_TOKENS".

        Raises:
            ValueError: The variable is unset, empty or malformed.
        """
        text = os.environ.get(name, "").strip()
        if not text:
            raise ValueError(f"{name} is not set. Example: alice=TOKEN1,bob=TOKEN2")
        tokens: dict[str, str | BaseUser] = {}
        for number, pair in enumerate(text.split(","), 1):
            principal, _, token = map(str.strip, pair.partition("="))
            if not principal or not _TOKEN.fullmatch(token):
                raise ValueError(f"{name}: entry {number} is not of the form principal=TOKEN.")
            if token in tokens:
                raise ValueError(f"{name}: entry {number} repeats a token.")
            tokens[token] = principal
        return cls(tokens)

    async def __call__(self, request: HTTPConnection) -> BaseUser | None:
        """Return the principal of a request's token; None if it has no known token."""
        token = bearer_token(request)
        return None if token is None else self._principals.get(self._digest(token))

    def _digest(self, token: str) -> bytes:
        return hashlib.blake2b(token.encode("latin-1"), key=self._key).digest()

    def __repr__(self) -> str:
        return f"BearerTokens({len(self._principals)} tokens)"


def bearer_token(request: HTTPConnection) -> str | None:
    """Return the token of `Authorization: Bearer TOKEN` (RFC 6750, 2.1), if there is one."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def principal_of(value: Any) -> BaseUser:
    """Return the principal of an id; an object like Starlette's `BaseUser` is one.

    Raises:
        TypeError: It is neither.
    """
    principal: BaseUser = SimpleUser(value) if isinstance(value, str) else value
    if not hasattr(principal, "is_authenticated"):
        raise TypeError(
            "A principal must be a str or have the attribute `is_authenticated`, "
            f"not be of type {type(value).__name__}."
        )
    return principal


def identity_of(principal: Any) -> str | None:
    """Return a principal's identity, else its name; None if it is not authenticated.

    Raises:
        ValueError: It is authenticated, but its identity is empty.
    """
    if not getattr(principal, "is_authenticated", False):
        return None
    try:
        identity = principal.identity
    except (AttributeError, NotImplementedError):  # Starlette requires only a name
        identity = principal.display_name
    if identity is None or identity == "":
        raise ValueError("An authenticated principal must have an identity.")
    return str(identity)


def check_scopes(scope: Scope, required: Sequence[str]) -> None:
    """Check that a request was granted scopes, as Starlette's `AuthCredentials` in `scope["auth"]`.

    Raises:
        AgentError: One is missing (RFC 6750, 3.1).
    """
    if not required:
        return
    granted = getattr(scope.get("auth"), "scopes", ())
    if all(each in granted for each in required):
        return
    names = " ".join(required)
    challenge = f'Bearer error="insufficient_scope", scope="{names}"'
    raise AgentError(
        f"This agent requires the scope: {names}.",
        403,
        "insufficient_scope",
        headers={"www-authenticate": challenge},
    )


def _as_async(authenticate: Authenticate) -> Callable[[HTTPConnection], Awaitable[Any]]:
    """Return a coroutine function; a sync `authenticate` is called in a worker thread."""
    is_async = inspect.iscoroutinefunction
    if is_async(authenticate) or is_async(getattr(type(authenticate), "__call__", None)):  # noqa: B004
        return authenticate

    async def in_thread(request: HTTPConnection) -> Any:
        value = await anyio.to_thread.run_sync(authenticate, request)
        return await value if inspect.isawaitable(value) else value

    return in_thread


def _path(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def _unauthenticated(request: HTTPConnection, more: str | None) -> AgentError:
    """Return the challenge of RFC 6750, 3; it has an error only if the request has a token."""
    parts = [] if more is None else [more]
    if bearer_token(request) is None:
        message, code = "Authentication required.", "unauthenticated"
    else:
        message, code = "The token is not valid.", "invalid_token"
        parts.insert(0, 'error="invalid_token"')
    challenge = f"Bearer {', '.join(parts)}".rstrip()
    return AgentError(message, 401, code, headers={"www-authenticate": challenge})
