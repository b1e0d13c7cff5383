"""Converting invocations of Agent Bricks to Responses requests. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta, Struct, structs

from ...errors import InvalidRequest
from ...schema import codec
from ...schema.decode import decode_body, decode_request
from ...schema.requests import ResponsesRequest

Json = dict[str, Any]


class Invocation(Struct, forbid_unknown_fields=True):
    """The body of `POST /api/invocations`."""

    id: UUID
    """The invocation's id, which the client makes. It is the idempotency key."""
    session_id: Annotated[str, Meta(min_length=1)] | None = None
    """The session: a conversation. Default: the invocation belongs to none."""
    input: Any = msgspec.field(default_factory=list)
    """Chat messages; or an object with `messages` or `resume`; or any JSON."""
    background: bool = False
    """Whether the run continues without the client."""
    stream: bool = False
    """Whether the answer is a stream of events; in the background, whether they are followed."""

    @property
    def resume(self) -> Any:
        """The answer to an interrupt; None if there is none."""
        return self.input.get("resume") if isinstance(self.input, dict) else None

    @property
    def digest(self) -> str:
        """A digest of what two requests with one id must have in common."""
        return codec.digest(codec.encode([self.session_id, self.input]))


class InvocationRequest(ResponsesRequest, kw_only=True):
    """A request that was converted from an invocation."""

    invocation: str
    """The invocation's id."""
    after: int = 0
    """The number of the last event that the client has."""
    urls: dict[str, str] = msgspec.field(default_factory=dict)
    """The paths of the invocation's state and events, if the answer has them."""


def decode_invocation(body: bytes) -> Invocation:
    """Decode and check an invocation.

    Raises:
        InvalidJson: The body is not JSON.
        InvalidRequest: A field is invalid or unknown; the status is 422.
    """
    try:
        return decode_body(body, Invocation)
    except InvalidRequest as error:
        error.status = 422
        raise


def convert(invocation: Invocation, answers: Sequence[Json] = ()) -> InvocationRequest:
    """Return the Responses request of an invocation.

    Args:
        invocation: The invocation.
        answers: The items that answer an interrupt. Default none.

    Raises:
        InvalidRequest: A field is invalid; `param` names it.
    """
    value = invocation.input
    custom: Json = {}
    messages, path = value, "input"
    if isinstance(value, dict):
        messages, path = value.get("messages") or [], "input.messages"
        custom = {name: each for name, each in value.items() if name not in ("messages", "resume")}
    if isinstance(messages, list):
        items: Any = [*Conversion(path).items(messages), *answers]
    else:
        items = messages if isinstance(messages, str) else codec.encode(messages).decode()
    fields = {
        "input": items,
        "stream": invocation.stream,
        "background": invocation.background,
        "conversation": invocation.session_id,
        "custom_inputs": custom or None,
    }
    given = {name: field for name, field in fields.items() if field is not None}
    request = decode_request(codec.encode(given))
    return InvocationRequest(invocation=str(invocation.id), **structs.asdict(request))


def stored(id: str, request: ResponsesRequest, after: int = 0) -> InvocationRequest:
    """Return the request of a stored invocation.

    Args:
        id: The invocation's id.
        request: The stored request.
        after: The number of the last event that the client has. Default 0: it has none.
    """
    return InvocationRequest(invocation=id, after=after, **structs.asdict(request))


class _Call(Struct):
    """A tool call of the assistant, in the form of Agent Bricks' templates or of OpenAI."""

    name: str | None = None
    args: Any = None
    id: str | None = None
    function: Json | None = None


class _Message(Struct):
    """A chat message."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[Json] | None = None
    tool_calls: list[_Call] | None = None
    tool_call_id: str | None = None
    name: str | None = None


class Conversion:
    """Converts chat messages to items.

    Calls and tool messages of Agent Bricks' templates have no ids: a tool message answers the
    oldest open call of its tool.

    Args:
        path: The path of the messages in the body.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._open: list[tuple[str, str]] = []  # the ids and names of the open calls
        self._calls = 0

    def items(self, messages: Sequence[Any]) -> Iterator[Json]:
        """Yield the items of messages; items of the Responses API stay as they are.

        Raises:
            InvalidRequest: A message is invalid; `param` names it.
        """
        for number, each in enumerate(messages):
            path = f"{self._path}[{number}]"
            if not isinstance(each, dict):
                raise InvalidRequest(f"{path}: must be a message.", path)
            if "role" not in each or each.get("type") == "message":
                yield each
                continue
            message = codec.strict(_messages, codec.encode(each), path)
            if message.role == "tool":
                yield self._output(message, path)
            else:
                yield from self._message(message)

    def _message(self, message: _Message) -> Iterator[Json]:
        kind = "output_text" if message.role == "assistant" else "input_text"
        if message.content or message.role != "assistant":
            content = [_part(part, kind) for part in _parts(message)]
            yield {"type": "message", "role": message.role, "content": content}
        for call in message.tool_calls or ():
            yield self._call(call)

    def _call(self, call: _Call) -> Json:
        function = call.function or {}
        name = str(call.name or function.get("name", ""))
        arguments = function.get("arguments")
        if not isinstance(arguments, str):
            arguments = codec.encode(call.args or {}).decode()
        self._calls += 1
        id_ = call.id or f"call_{self._calls}"
        self._open.append((id_, name))
        return {"type": "function_call", "call_id": id_, "name": name, "arguments": arguments}

    def _output(self, message: _Message, path: str) -> Json:
        id_ = message.tool_call_id
        if id_ is None:
            id_ = next((id_ for id_, name in self._open if name == message.name), None)
        if id_ is None:
            raise InvalidRequest(f"{path}.tool_call_id: must name a tool call.", path)
        self._open = [call for call in self._open if call[0] != id_]
        output: Any = message.content or ""
        if not isinstance(output, str):
            output = [_part(part, "input_text") for part in output]
        return {"type": "function_call_output", "call_id": id_, "output": output}


_messages = msgspec.json.Decoder(_Message)


def _parts(message: _Message) -> list[Json]:
    content = message.content or ""
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _part(part: Json, text_type: str) -> Json:
    """Return a part of the Responses API for one of Chat Completions; others stay."""
    if part.get("type") == "text":
        return {"type": text_type, "text": part.get("text")}
    if part.get("type") == "image_url" and isinstance(image := part.get("image_url"), Mapping):
        return {"type": "input_image", "image_url": image.get("url")}
    return part
