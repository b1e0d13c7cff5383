"""Ids: random ids of the server, and checks of a handler's ids."""

import os
import re

PREFIXES = {
    "message": "msg",
    "function_call": "fc",
    "function_call_output": "fco",
    "reasoning": "rs",
    "compaction": "cmp",
    "custom_tool_call": "ctc",
    "mcp_call": "mcp",
    "mcp_list_tools": "mcpl",
    "mcp_approval_request": "mcpr",
    "mcp_approval_response": "mcpa",
    "code_interpreter_call": "ci",
    "web_search_call": "ws",
    "file_search_call": "fs",
    "image_generation_call": "ig",
}
"""The prefixes of the ids of items, by type, as in OpenAI's API."""
SURROGATE = re.compile("[\ud800-\udfff]")
"""A surrogate, which UTF-8 cannot encode."""
MAX_ID = 512
"""How long an id may be, in bytes: the indexes of databases have limits."""
_RANDOM = re.compile("[a-z]+_[0-9a-f]{32}(_[0-9]+|_out_[0-9]+)?")
_PLACEHOLDERS = {"", "__fake_id__", "fake_id", "placeholder", "none", "null"}
_APPROVAL = re.compile("mcpr_[0-9a-f]{32,}")
_BATCH = 256
_pool: list[str] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.clear)


def random_text() -> str:
    """Return 128 random bits in hexadecimal."""
    while True:
        try:
            return _pool.pop()  # atomic: several event loops may call it
        except IndexError:
            texts = os.urandom(16 * _BATCH).hex()  # one system call for many ids
            _pool.extend(texts[at : at + 32] for at in range(0, len(texts), 32))


def new_id(prefix: str) -> str:
    """Return a new id, for example `msg_5f0c...`."""
    return f"{prefix}_{random_text()}"


def prefix_of(kind: str) -> str:
    """Return the prefix of the ids of a type of item."""
    return PREFIXES.get(kind, "item")


def item_id(kind: str) -> str:
    """Return a new id for an item of a type."""
    return f"{PREFIXES.get(kind, 'item')}_{random_text()}"


def unique_id(kind: str, value: object) -> str | None:
    """Return a handler's id of an item; None if the item needs another one.

    The id of an approval request must not be guessed nor repeated in another response: whoever
    knows it can answer.
    """
    id_ = real_id(value)
    if kind != "mcp_approval_request" or id_ is None or _APPROVAL.fullmatch(id_):
        return id_
    return None


def real_id(value: object) -> str | None:
    """Return an id as it is; None for a placeholder or an id that cannot be stored."""
    if not isinstance(value, str) or value.lower() in _PLACEHOLDERS or "\0" in value:
        return None
    if not value.isascii() and SURROGATE.search(value):
        return None
    return None if is_too_long(value) else value


def is_too_long(id: str) -> bool:
    """Return whether an id is longer than `MAX_ID`."""
    return len(id) > MAX_ID or (not id.isascii() and len(id.encode()) > MAX_ID)


def is_random(id: str) -> bool:
    """Return whether an id has the form of this server's, which nobody can guess."""
    return _RANDOM.fullmatch(id) is not None
