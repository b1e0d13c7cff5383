"""The paths that a reverse proxy passes on."""

import re
from collections.abc import Sequence
from urllib.parse import quote, unquote

from starlette.types import Scope

DECODINGS = 3
"""How often a path is decoded to find segments such as `..` in it."""
_PATTERN = re.compile(r"/[^*]*\*?")
_SLASH = re.compile("%2f", re.IGNORECASE)
_DOTS = re.compile(r"[/\\]\.\.?(?=[/\\;]|$)")
"""A dot segment, as any server reads paths."""
_SEGMENT_END = re.compile("/|$")


class Paths:
    """The paths that are allowed.

    Args:
        patterns: Exact paths, and beginnings that end with `*`, decoded.

    Raises:
        ValueError: A path does not begin with a slash, or has a `*` before its end.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        if isinstance(patterns, str) or not all(map(_PATTERN.fullmatch, patterns)):
            raise ValueError('ReverseProxy: paths must be like ("/", "/assets/*").')
        self._exact = frozenset(each for each in patterns if not each.endswith("*"))
        self._beginnings = tuple(each[:-1] for each in patterns if each.endswith("*"))

    def allow(self, path: str) -> bool:
        """Return whether a path, encoded as received, is allowed and has no dot segments."""
        decoded = unquote(_SLASH.sub("%252F", path))  # an encoded slash is no separator
        if decoded not in self._exact and not decoded.startswith(self._beginnings):
            return False
        for _ in range(DECODINGS):
            decoded = unquote(decoded)
        return not _DOTS.search(decoded)


def path_below(scope: Scope) -> str:
    """Return the path below the app's root, encoded as received."""
    path, root = scope["path"], scope.get("root_path", "")
    raw: str = scope["raw_path"].decode("latin-1") if scope.get("raw_path") else quote(path)
    longest = 3 * len(root.encode()) + 1  # every byte as "%XX"
    for end in _SEGMENT_END.finditer(raw, 0, longest):
        if unquote(raw[: end.start()]) == root:
            return raw[end.start() :] or "/"
    return quote(path.removeprefix(root))
