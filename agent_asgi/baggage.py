"""W3C Baggage: names and values that a request's callers pass on to all services behind them."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import unquote

MAX_BYTES = 8_192
MAX_ENTRIES = 64
"""These bounds are the least that the specification lets a service pass on."""
_NONE: Mapping[str, str] = MappingProxyType({})
_ENTRY = re.compile(
    r"[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*=[ \t]*([!#-+\--:<-\[\]-~]*)[ \t]*(?:;.*)?"
)


def parse(header: str) -> Mapping[str, str]:
    """Return the entries of a `baggage` header, read-only, with their values percent-decoded.

    Properties are dropped, and so are invalid entries. Of a repeated name the last entry counts.

    Args:
        header: The header's value. One of more than `MAX_BYTES` has no entries, and entries after
            the first `MAX_ENTRIES` are dropped.
    """
    if not header or len(header) > MAX_BYTES:
        return _NONE
    entries = map(_ENTRY.fullmatch, header.split(",")[:MAX_ENTRIES])
    return MappingProxyType({entry[1]: unquote(entry[2]) for entry in entries if entry is not None})
