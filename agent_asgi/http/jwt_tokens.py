"""`JwtTokens`: authentication by the JSON Web Tokens of an issuer."""

import logging
from collections.abc import Mapping, Sequence
from types import MappingProxyType, NoneType
from typing import Any

from starlette.authentication import AuthCredentials, BaseUser, SimpleUser
from starlette.requests import HTTPConnection

from ..config import require
from ..errors import MissingExtra
from .auth import bearer_token

logger = logging.getLogger("agent_asgi")

ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)
"""The asymmetric algorithms: who can verify a token cannot sign one."""
MAX_TOKEN = 16 << 10
"""The characters of a token; a longer one is refused without decoding it."""
_ANY: Mapping[str, Any] = MappingProxyType({})


class JwtTokens:
    """Authenticates by a JSON Web Token in `Authorization: Bearer TOKEN` (RFC 7519, RFC 9068).

    For `AgentApp(authenticate=...)`. The handler finds the token's claims in
    `context.state["claims"]`; its scopes, from the claim `scope` or `scp`, are those that
    `AgentRouter(scopes=...)` requires.

    The issuer's keys are fetched when the first token arrives, again after 5 minutes, and, at most
    once a minute, if a token names an unknown key. While the issuer does not answer, the keys that
    are known stay in use.

    Args:
        issuer: The URL of the issuer, which the claim `iss` must equal. Unless `jwks` is given,
            its keys are found by `/.well-known/openid-configuration`. Default None: `jwks` is
            given, and any issuer's tokens are accepted if one of its keys signed them.
        jwks: The URL of the issuer's JWK Set, or the set itself. Default None: see `issuer`.
        audience: This service's name for the issuer; the claim `aud` must be or contain it. Of
            several names, one.
        claims: Further claims and their values. A claim that is a list must contain the value.
            Default none.
        user: The claim that is the user's id. Default "sub".
        algorithms: The accepted algorithms. Default: RS, PS and ES with 256, 384 and 512, EdDSA.
        leeway: The difference of the clocks, in seconds, that `exp`, `nbf` and `iat` allow for.
            Default 60.

    Raises:
        TypeError: An option has a wrong type.
        ValueError: Neither `issuer` nor `jwks` is given, a URL is invalid, the set has no usable
            key, or `algorithms` is empty or has "none".
        ImportError: A package is missing. The message has the command that installs it.
    """

    def __init__(
        self,
        issuer: str | None = None,
        *,
        audience: str | Sequence[str],
        jwks: str | Mapping[str, Any] | None = None,
        claims: Mapping[str, Any] = _ANY,
        user: str = "sub",
        algorithms: Sequence[str] = ALGORITHMS,
        leeway: float = 60,
    ) -> None:
        options = {
            "issuer": (issuer, str, NoneType),
            "audience": (audience, str, Sequence),
            "jwks": (jwks, str, Mapping, NoneType),
            "claims": (claims, Mapping),
            "user": (user, str),
            "algorithms": (algorithms, list, tuple),
            "leeway": (leeway, float, int),
        }
        require("JwtTokens", options)
        if issuer is None and jwks is None:
            raise ValueError("JwtTokens needs an issuer or jwks.")
        if not audience:
            raise ValueError("JwtTokens: audience must not be empty.")
        if not algorithms or "none" in algorithms:
            raise ValueError("JwtTokens: algorithms must not be empty or have 'none'.")
        try:
            from . import jwt_keys  # needs PyJWT
        except ImportError as error:
            raise MissingExtra("JwtTokens", "jwt") from error
        self._jwt = jwt_keys
        self._algorithms = tuple(dict.fromkeys(algorithms))
        self._keys = jwt_keys.Keys(issuer, jwks, self._algorithms)
        self._claims = dict(claims)
        self._user = user
        self._expected: dict[str, Any] = {
            "algorithms": self._algorithms,
            "audience": audience,
            "issuer": issuer,
            "leeway": leeway,
            "options": {"require": ["exp", "aud", user]},
        }

    async def __call__(self, request: HTTPConnection) -> BaseUser | None:
        """Return the user of a request's token; None if it has no valid token.

        Raises:
            Unavailable: The issuer's keys are not known, since it does not answer.
        """
        token = bearer_token(request)
        if token is None:
            return None
        try:
            claims = await self._verified(token)
        except self._jwt.InvalidToken as error:
            logger.debug("A token was refused: %s.", error)
            return None
        request.state.claims = claims
        request.scope["auth"] = AuthCredentials(_scopes(claims))
        return SimpleUser(claims[self._user])

    async def _verified(self, token: str) -> dict[str, Any]:
        invalid = self._jwt.InvalidToken
        if len(token) > MAX_TOKEN:
            raise invalid(f"it is longer than {MAX_TOKEN} characters")
        header = self._jwt.header(token)
        algorithm = header.get("alg")
        if algorithm not in self._algorithms:
            raise invalid("its algorithm is not accepted")
        key = await self._keys.find(header.get("kid"), algorithm)
        if key is None:
            raise invalid("the issuer has no such key")
        claims = self._jwt.verify(token, key, **self._expected)
        for name, wanted in self._claims.items():
            value = claims.get(name)
            if wanted not in (value if isinstance(value, list) else [value]):
                raise invalid(f"its claim {name!r} is not the required one")
        if not isinstance(claims[self._user], str) or not claims[self._user]:
            raise invalid(f"its claim {self._user!r} is not a string")
        return claims

    def __repr__(self) -> str:
        return f"JwtTokens(audience={self._expected['audience']!r})"


def _scopes(claims: Mapping[str, Any]) -> list[str]:
    """Return the scopes of a token: `scope` is a string (RFC 9068), `scp` a string or a list."""
    scopes = claims.get("scope", claims.get("scp"))
    if isinstance(scopes, str):
        return scopes.split()
    return [each for each in scopes if isinstance(each, str)] if isinstance(scopes, list) else []
