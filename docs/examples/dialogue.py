"""The conversation as the calculator reads it: the messages and the last result."""

import json
from base64 import b64decode, b64encode
from fractions import Fraction
from typing import Any

from arithmetic import stated_number

Item = dict[str, Any]


def conversation(body: dict[str, Any]) -> list[Item]:
    """Return the input as a list of items."""
    given = body.get("input") or []
    return [{"role": "user", "content": given}] if isinstance(given, str) else list(given)


def text_of(item: Item) -> str:
    """Return the text of a message or of a tool's output."""
    content = item.get("content") or item.get("output") or ""
    if isinstance(content, str):
        return content
    return "".join(part.get("text") or "" for part in content)


def words_of(items: list[Item]) -> int:
    """Count the words of a conversation."""
    return sum(len(text_of(item).split()) for item in items)


def last_message(items: list[Item]) -> str:
    """Return the user's last message."""
    return next((text_of(item) for item in reversed(items) if item.get("role") == "user"), "")


def previous_number(items: list[Item]) -> Fraction | None:
    """Return the last number that the agent answered, for "and times 3?"."""
    stated = (stated_number(said_in(item)) for item in reversed(items))
    return next((number for number in stated if number is not None), None)


def said_in(item: Item) -> str:
    """Return what the agent said in a message, or in the messages that a compaction replaces."""
    if item.get("type") == "compaction":
        return str(unpacked(item).get("answered"))
    return text_of(item) if item.get("role") == "assistant" else ""


def summary(items: list[Item]) -> dict[str, Any]:
    """Summarize a conversation: the last number answered and the number of messages."""
    number = previous_number(items)
    counts = (unpacked(item).get("messages") for item in items)
    messages = sum(1 for item in items if "role" in item)
    messages += sum(count for count in counts if isinstance(count, int))
    return {"answered": None if number is None else str(number), "messages": messages}


def packed(told: dict[str, Any]) -> Item:
    """Create a compaction item. It is Base64, not encrypted: anyone can decode it."""
    content = b64encode(json.dumps(told).encode()).decode()
    return {"type": "compaction", "encrypted_content": content}


def unpacked(item: Item) -> dict[str, Any]:
    """Decode a compaction item; empty if it is not one, or not from this agent."""
    if item.get("type") != "compaction":
        return {}
    try:
        told = json.loads(b64decode(item.get("encrypted_content") or "", validate=True))
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}
