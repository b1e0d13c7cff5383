"""Wire protocols behind one interface, and the pipeline that serves them.

The interface is provisional: it may change until more protocols use it.
"""

from ..schema.decode import decode_body, decode_request
from .agui.protocol import AGUI
from .base import Encoder, Protocol
from .chat_completions.protocol import ChatCompletions

__all__ = ["AGUI", "ChatCompletions", "Encoder", "Protocol", "decode_body", "decode_request"]
