"""Wire protocols behind one interface, and the pipeline that serves them.

The interface is provisional: it may change until more protocols use it.
"""

import importlib
from typing import TYPE_CHECKING, Any

from ..schema.decode import decode_body, decode_request
from .base import Encoder, Protocol
from .chat_completions.protocol import ChatCompletions

if TYPE_CHECKING:
    from .agui.protocol import AGUI
    from .mcp.protocol import MCP

__all__ = [
    "AGUI",
    "MCP",
    "ChatCompletions",
    "Encoder",
    "Protocol",
    "decode_body",
    "decode_request",
]
_FOLDERS = {"AGUI": "agui", "MCP": "mcp"}


def __getattr__(name: str) -> Any:
    """Import a protocol when it is used, so that the others cost nothing."""
    if name not in _FOLDERS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_FOLDERS[name]}.protocol", __name__), name)
