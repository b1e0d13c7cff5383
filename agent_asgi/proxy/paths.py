"""Which paths are passed on."""

import re
from collections.abc import Sequence
from urllib.parse import quote, unquote

from starlette.types import Scope

DECODINGS = 3
"""How many times over a path may be encoded and still hide nothing."""
_PATTERN = re.compile(r"/[^*]*\*?")
_SLASH = re.compile("%2f", re.IGNORECASE)
_DOTS = re.compile(r"[/\\]\.\.?(?=[/\\;]|$)")
"""A segment that leads elsewhere, as servers of all kinds read paths."""
_SEGMENT_END = re.compile("/|$")


class Paths:
    """The paths that are allowed.

    Args:
        patterns: Exact paths, and beginnings that end with `*`, decoded.

    Raises:
        ValueError: One does not begin with a slash, or has a `*` before its end.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        if isinstance(patterns, str) or not all(map(_PATTERN.fullmatch, patterns)):
            raise ValueError('ReverseProxy: paths are such as ("/", "/assets/*").')
        self._exact = frozenset(each for each in patterns if not each.endswith("*"))
        self._beginnings = tuple(each[:-1] for each in patterns if each.endswith("*"))

    def allow(self, path: str) -> bool:
        """Tell whether a path, encoded as it came, is allowed and leads nowhere else."""
        named = unquote(_SLASH.sub("%252F", path))  # an encoded slash separates nothing
        if named not in self._exact and not named.startswith(self._beginnings):
            return False
        for _ in range(DECODINGS):
            named = unquote(named)
        return not _DOTS.search(named)


def path_below(scope: Scope) -> str:
    """Give the path below the app's root, encoded as it came."""
    path, root = scope["path"], scope.get("root_path", "")
    raw: str = scope["raw_path"].decode("latin-1") if scope.get("raw_path") else quote(path)
    longest = 3 * len(root.encode()) + 1  # as "%XX" throughout
    for end in _SEGMENT_END.finditer(raw, 0, longest):
        if unquote(raw[: end.start()]) == root:
            return raw[end.start() :] or "/"
    return quote(path.removeprefix(root))
