"""Wire protocols behind one interface, and the pipeline that serves them.

The interface is provisional: it may change until more protocols use it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..schema.decode import decode_body, decode_request
from .base import Encoder, Protocol
from .chat_completions.protocol import ChatCompletions

if TYPE_CHECKING:
    from .a2a.protocol import A2A
    from .agentbricks.protocol import AgentBricks
    from .ui_stream.protocol import UIStream

__all__ = [
    "A2A",
    "AgentBricks",
    "ChatCompletions",
    "Encoder",
    "Protocol",
    "UIStream",
    "decode_body",
    "decode_request",
]

_MODULES = {"A2A": "a2a", "AgentBricks": "agentbricks", "UIStream": "ui_stream"}
"""The packages of the protocols that are imported when they are used."""


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}.protocol"), name)
