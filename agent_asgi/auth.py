"""Who asks: principals, and the bearer tokens that stand for them."""

import hashlib
import inspect
import os
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio.to_thread
from starlette.authentication import BaseUser, SimpleUser
from starlette.requests import HTTPConnection

Authenticate = Callable[[HTTPConnection], Any]
"""Gives who asks: an id, a principal of Starlette's shape, or None; sync or async."""
_TOKEN = re.compile(r"[!-~]+")


class BearerTokens:
    """Authenticates by `Authorization: Bearer TOKEN`; for `AgentApp(authenticate=...)`.

    Only keyed digests of the tokens are kept, and looked up: how long that takes tells nothing of
    a token.

    Args:
        tokens: For each token its principal: an id, or an object of Starlette's `BaseUser` shape.

    Raises:
        ValueError: No token, one that no header can carry, or a principal that is nobody.
        TypeError: A principal is neither a `str` nor of that shape.
    """

    def __init__(self, tokens: Mapping[str, str | BaseUser]) -> None:
        if not tokens:
            raise ValueError("BearerTokens needs a token.")
        if not all(map(_TOKEN.fullmatch, tokens)):
            raise ValueError("BearerTokens: a token is printable ASCII without blanks, not empty.")
        self._key = secrets.token_bytes(32)
        self._principals = {
            self._digest(token): principal_of(given) for token, given in tokens.items()
        }
        if None in map(identity_of, self._principals.values()):
            raise ValueError("BearerTokens: a principal must be authenticated.")

    @classmethod
    def from_env(cls, name: str = "AGENT_ASGI_TOKENS") -> "BearerTokens":
        """Read the tokens from an environment variable, such as `alice=TOKEN1,bob=TOKEN2`.

        Args:
            name: The variable's name. Default "AGENT_ASGI_TOKENS".

        Raises:
            ValueError: The variable is unset, empty or malformed.
        """
        text = os.environ.get(name, "").strip()
        if not text:
            raise ValueError(f"{name} is not set; it names principals: alice=TOKEN1,bob=TOKEN2.")
        tokens: dict[str, str | BaseUser] = {}
        for number, pair in enumerate(text.split(","), 1):
            principal, _, token = (each.strip() for each in pair.partition("="))
            if not principal or not _TOKEN.fullmatch(token):
                raise ValueError(f"{name}: entry {number} is not of the form principal=TOKEN.")
            if token in tokens:
                raise ValueError(f"{name}: the token of entry {number} came before.")
            tokens[token] = principal
        return cls(tokens)

    async def __call__(self, request: HTTPConnection) -> BaseUser | None:
        """Give the principal of a request's token; None where it has none that is known."""
        token = bearer_token(request)
        return None if token is None else self._principals.get(self._digest(token))

    def _digest(self, token: str) -> bytes:
        return hashlib.blake2b(token.encode("latin-1"), key=self._key).digest()

    def __repr__(self) -> str:
        return f"BearerTokens({len(self._principals)} tokens)"


def bearer_token(request: HTTPConnection) -> str | None:
    """Give the token of `Authorization: Bearer TOKEN` (RFC 6750, 2.1); None where there is none."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def principal_of(given: Any) -> BaseUser:
    """Give the principal that is meant by an id or an object of Starlette's shape.

    Raises:
        TypeError: It is neither.
    """
    principal: BaseUser = SimpleUser(given) if isinstance(given, str) else given
    if not hasattr(principal, "is_authenticated"):
        kind = type(given).__name__
        raise TypeError(f"A principal is a str or has `is_authenticated`, which {kind} has not.")
    return principal


def identity_of(principal: Any) -> str | None:
    """Give a principal's identity, else its name; None where it is not authenticated.

    Raises:
        ValueError: It is authenticated, and its identity is empty.
    """
    if not getattr(principal, "is_authenticated", False):
        return None
    try:
        identity = principal.identity
    except (AttributeError, NotImplementedError):  # a name is enough for Starlette
        identity = principal.display_name
    if identity is None or identity == "":
        raise ValueError("An authenticated principal must have an identity.")
    return str(identity)


def awaited(authenticate: Authenticate) -> Callable[[HTTPConnection], Awaitable[Any]]:
    """Make a coroutine function of an `authenticate`; a sync one is called in a worker thread."""
    is_async = inspect.iscoroutinefunction
    if is_async(authenticate) or is_async(getattr(type(authenticate), "__call__", None)):  # noqa: B004
        return authenticate

    async def in_thread(request: HTTPConnection) -> Any:
        given = await anyio.to_thread.run_sync(authenticate, request)
        return await given if inspect.isawaitable(given) else given

    return in_thread
