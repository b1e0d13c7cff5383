"""Wire protocols behind one interface, and the pipeline that serves them.

The interface is provisional: it may change until more protocols use it.
"""

from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..schema.decode import decode_body, decode_request
from .base import Encoder, Protocol
from .chat_completions.protocol import ChatCompletions

if TYPE_CHECKING:
    from .a2a.protocol import A2A
    from .agentbricks.protocol import AgentBricks
    from .agui.protocol import AGUI
    from .mcp.protocol import MCP
    from .ui_stream.protocol import UIStream

__all__ = [
    "A2A",
    "AGUI",
    "MCP",
    "AgentBricks",
    "ChatCompletions",
    "Encoder",
    "Protocol",
    "UIStream",
    "decode_body",
    "decode_request",
]

_FOLDERS = {
    "A2A": "a2a",
    "AGUI": "agui",
    "AgentBricks": "agentbricks",
    "MCP": "mcp",
    "UIStream": "ui_stream",
}


def __getattr__(name: str) -> Any:
    """Import a protocol when it is used, so that the others cost nothing."""
    if name not in _FOLDERS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_FOLDERS[name]}.protocol"), name)


def installed() -> list[Protocol]:
    """Return all protocols whose extras are installed, made without arguments."""
    protocols: list[Protocol] = [ChatCompletions()]
    for name in _FOLDERS:
        with suppress(ImportError):
            protocols.append(__getattr__(name)())
    return protocols
