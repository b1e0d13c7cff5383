"""`Invocations`: MLflow's variant of the Responses API."""

from msgspec import UNSET, structs

from ...background.log_writer import LINES
from ...context import Headers
from ...events.accumulator import OutputItem
from ...http.sse import DONE
from ...schema import codec
from ...schema.decode import decode_request
from ...schema.events import TERMINAL, AnyEvent, ResponseEvent
from ...schema.requests import ResponsesRequest
from ...schema.responses import Response
from ..base import Encoder, Protocol
from ..json_run import trace_frame
from .openapi import INVOCATIONS


class Invocations(Protocol):
    """MLflow's variant of the Responses API: frames do not name their events, responses leave out
    unset fields, and a separate frame has the trace's id.
    """

    name = "Invocations"
    paths = ("/invocations",)
    own_tools = "function_call"
    operation = INVOCATIONS

    def decode(self, body: bytes, headers: Headers, query: bytes) -> ResponsesRequest:
        return decode_request(body)

    def encoder(self, request: ResponsesRequest, response: Response) -> "InvocationsEncoder":
        return InvocationsEncoder(response)


class InvocationsEncoder(Encoder):
    """Writes events as frames that have only data, as MLflow's clients expect.

    Args:
        response: The response.
    """

    def __init__(self, response: Response) -> None:
        self._response = response
        self._end = DONE

    def write(self, event: AnyEvent, buffer: bytearray) -> None:
        if isinstance(event, TERMINAL) and not self._response.usage:
            event = structs.replace(event, response=structs.replace(self._response, usage=UNSET))
        codec.encode_event(event, buffer, b"data: ", b"\n\n")
        if isinstance(event, ResponseEvent) and isinstance(event.trace_id, str):
            self._end = trace_frame(event.trace_id) + DONE

    def text_frame(self, item: OutputItem) -> bytes:
        return b"data: %b\n" % LINES.text_frame(item)

    def end(self) -> bytes:
        return self._end

    def body(self, encoded: bytes | None) -> bytes:
        return codec.encode(codec.short_form(self._response))
