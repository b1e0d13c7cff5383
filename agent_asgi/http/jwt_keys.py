"""`Keys`: the keys of a token issuer, fetched, cached and rotated. Needs PyJWT."""

import contextlib
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import anyio
import anyio.to_thread
import jwt

from ..errors import Unavailable

logger = logging.getLogger("agent_asgi")

DISCOVERY = "/.well-known/openid-configuration"
LIFETIME = 300.0
"""How long keys are used before they are fetched again, in seconds."""
PAUSE = 60.0
"""The time between two fetches, in seconds, however many tokens name unknown keys."""
RETRY = 5.0
"""The time until the next fetch after one that failed, in seconds."""
ANSWER_SECONDS = 10.0
"""How long the issuer may take to answer."""


class InvalidToken(Exception):
    """A token that is not valid. The text says why, and has nothing of the token."""


class Keys:
    """The keys that an issuer signs tokens with.

    Args:
        issuer: The issuer; None if `source` is given and the issuer does not matter.
        source: The URL of a JWK Set, or a JWK Set. None: the issuer's metadata names the URL.
        algorithms: The accepted algorithms. A key is used with the one that it names; if it names
            none, with all of its type.

    Raises:
        ValueError: The JWK Set has no usable key, or a URL is not http or https.
    """

    def __init__(
        self,
        issuer: str | None,
        source: str | Mapping[str, Any] | None,
        algorithms: Sequence[str],
    ) -> None:
        self._keys: list[jwt.PyJWK] = []
        self._algorithms = algorithms
        self._url = source if isinstance(source, str) else None
        self._issuer = "" if issuer is None else issuer
        self._next = self._stale_at = 0.0
        self._lock = anyio.Lock()
        try:
            if isinstance(source, Mapping):
                self._keys = _signing(source, algorithms)
                self._next = self._stale_at = float("inf")
            else:
                jwt.PyJWKClient(self._url or self._issuer)  # checks the scheme
        except jwt.PyJWTError as error:
            raise ValueError(f"JwtTokens: {error}") from None

    async def find(self, id: str | None, algorithm: str) -> jwt.PyJWK | None:
        """Return the key with an id for an algorithm; None if there is none.

        If the id is None, return the only key for the algorithm.

        An unknown id causes a fetch, since the issuer may have rotated its keys.

        Raises:
            Unavailable: The issuer's keys are not known, since it does not answer.
        """
        key = self._find(id, algorithm)
        is_stale = time.monotonic() >= self._stale_at
        if key is None or (is_stale and not self._lock.locked()):
            await self._refresh()
            key = self._find(id, algorithm)
        if not self._keys:
            raise Unavailable("The issuer of the tokens does not answer. Retry later.")
        return key

    def _find(self, id: str | None, algorithm: str) -> jwt.PyJWK | None:
        found = [
            key
            for key in self._keys
            if key.algorithm_name == algorithm and (id is None or key.key_id == id)
        ]
        return found[0] if len(found) == 1 else None

    async def _refresh(self) -> None:
        """Fetch the keys, unless that has just been tried."""
        async with self._lock:
            if time.monotonic() < self._next:
                return
            try:
                self._keys = await anyio.to_thread.run_sync(self._fetch)
            except (jwt.PyJWTError, ValueError, LookupError, OSError, RecursionError) as error:
                self._next = time.monotonic() + RETRY
                state = "The known keys stay in use" if self._keys else "Tokens cannot be verified"
                logger.warning("Fetching the token issuer's keys failed: %s. %s.", error, state)
            else:
                self._next = time.monotonic() + PAUSE
                self._stale_at = time.monotonic() + LIFETIME

    def _fetch(self) -> list[jwt.PyJWK]:
        url = self._url
        if url is None:
            metadata = _get(self._issuer.rstrip("/") + DISCOVERY)
            if metadata.get("issuer") != self._issuer:
                raise ValueError(
                    f"{self._issuer!r} calls itself {metadata.get('issuer')!r}: use that name"
                )
            url = str(metadata["jwks_uri"])
        return _signing(_get(url), self._algorithms)


def header(token: str) -> dict[str, Any]:
    """Return the header of a token, which is not verified yet.

    Raises:
        InvalidToken: The token is malformed.
    """
    with _without_text():
        return jwt.get_unverified_header(token)


def verify(token: str, key: jwt.PyJWK, **expected: Any) -> dict[str, Any]:
    """Return the claims of a token; `expected` are the arguments of `jwt.decode`.

    Raises:
        InvalidToken: The token is not valid.
    """
    with _without_text():
        claims: dict[str, Any] = jwt.decode(token, key, **expected)
    return claims


@contextlib.contextmanager
def _without_text() -> Iterator[None]:
    """Raise PyJWT's errors without their texts, which may have parts of the token."""
    try:
        yield
    except jwt.PyJWTError as error:
        raise InvalidToken(type(error).__name__) from None


def _signing(key_set: Mapping[str, Any], algorithms: Sequence[str]) -> list[jwt.PyJWK]:
    """Return the keys of a JWK Set, once for each algorithm that they can be used with."""
    listed = key_set.get("keys")
    keys = [
        key
        for data in (listed if isinstance(listed, list) else ())
        if isinstance(data, dict) and data.get("use") in ("sig", None)
        for key in _bound(data, algorithms)
    ]
    if not keys:
        raise jwt.PyJWKSetError(f"The JWK Set has no key for {', '.join(algorithms)}")
    return keys


def _bound(data: dict[str, Any], algorithms: Sequence[str]) -> Iterator[jwt.PyJWK]:
    """Yield a key for its algorithm, or for each of its type; skip it if it cannot be used."""
    for algorithm in algorithms:
        if data.get("alg") in (None, algorithm):
            with contextlib.suppress(jwt.PyJWTError):
                yield jwt.PyJWK(data, algorithm)


def _get(url: str) -> dict[str, Any]:
    """Return a JSON object from a URL; redirects are not followed."""
    client = jwt.PyJWKClient(url, cache_jwk_set=False, timeout=ANSWER_SECONDS)
    document: dict[str, Any] = client.fetch_data()
    return document
