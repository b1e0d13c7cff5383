"""W3C Baggage: names and values that a request's callers pass on to all services behind them."""

import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from urllib.parse import unquote

MAX_BYTES = 8_192
MAX_ENTRIES = 64
"""These bounds are the least that the specification lets a service pass on."""
_NONE: Mapping[str, str] = MappingProxyType({})
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[!#-+\--:<-\[\]-~]*")


@lru_cache(maxsize=32)
def parse(header: str) -> Mapping[str, str]:
    """Return the entries of a `baggage` header, read-only, with their values percent-decoded.

    Properties are dropped, and so are invalid entries. Of a repeated name the last entry counts.

    Args:
        header: The header's value. One of more than `MAX_BYTES` has no entries, and entries after
            the first `MAX_ENTRIES` are dropped.
    """
    if not header or len(header) > MAX_BYTES:
        return _NONE
    entries: dict[str, str] = {}
    for member in header.split(",")[:MAX_ENTRIES]:
        parts = member.partition(";")[0].partition("=")
        name, equals, value = (part.strip(" \t") for part in parts)
        if equals and _NAME.fullmatch(name) and _VALUE.fullmatch(value):
            entries[name] = unquote(value)
    return MappingProxyType(entries)
