"""`ResponsesEncoder`: encodes events as Open Responses specifies them."""

from ...background.log_writer import LINES
from ...events.accumulator import OutputItem
from ...http.sse import DONE
from ...schema import codec
from ...schema.events import AnyEvent, VendorEvent
from ...schema.responses import Response
from ..base import Encoder

_heads: dict[type[AnyEvent], bytes] = {}


class ResponsesEncoder(Encoder):
    """Writes each event as a frame that names its type.

    Args:
        response: The response.
    """

    __slots__ = ("_response",)

    def __init__(self, response: Response) -> None:
        self._response = response

    def write(self, event: AnyEvent, buffer: bytearray) -> None:
        head = _heads.get(type(event))
        if head is None:
            head = f"event: {event.type}\ndata: ".encode()
            if type(event) is not VendorEvent:
                _heads[type(event)] = head
        codec.encode_event(event, buffer, head, b"\n\n")

    def text_frame(self, item: OutputItem) -> bytes | None:
        return b"event: response.output_text.delta\ndata: %b\n" % LINES.text_frame(item)

    def replay(self, line: bytes, buffer: bytearray) -> None:
        buffer += b"event: %b\ndata: %b\n\n" % (codec.event_type(line), line)

    def end(self) -> bytes:
        return DONE

    def body(self, encoded: bytes | None) -> bytes:
        return codec.encode(self._response) if encoded is None else encoded
