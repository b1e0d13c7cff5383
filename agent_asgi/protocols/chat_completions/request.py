"""Converting Chat Completions bodies to Responses requests. Pure."""

from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec
from msgspec import Raw, structs

from ...errors import InvalidRequest
from ...schema import codec
from ...schema.decode import decode_request
from ...schema.items import PARTS as RESPONSES_PARTS
from ...schema.items import PlainText, Typed
from ...schema.requests import ResponsesRequest
from .request_schema import (
    PARTS,
    AllowedTool,
    AllowedTools,
    AssistantChat,
    Chat,
    ChatRequest,
    ChatTool,
    FilePart,
    ImagePart,
    NamedTool,
    SchemaFormat,
    ToolChat,
)

Json = dict[str, Any]
T = TypeVar("T", bound=Typed)
_DIFFERENT = set(ChatRequest.__struct_fields__) ^ set(ResponsesRequest.__struct_fields__)
"""The fields that only one of the two APIs has. They are converted or left out."""


class ConvertedRequest(ResponsesRequest, kw_only=True):
    """A request that was converted from a Chat Completions body."""

    chat: Raw
    """The bytes of the Chat Completions body."""
    include_usage: bool
    """Whether the last chunk of a stream has the usage."""

    def received(self) -> Json:
        """Return the Chat Completions body."""
        body: Json = msgspec.json.decode(self.chat)
        return body


def decode_chat(body: bytes) -> ConvertedRequest:
    """Decode a Chat Completions body. `to_dict()` of the request is a Responses body.

    Fields that neither API has are in it unchanged.

    Raises:
        InvalidJson: The body is not JSON.
        InvalidRequest: A field is invalid; `param` names it.
    """
    fields = codec.decode_object(body)
    chat: ChatRequest = codec.convert(fields, ChatRequest)
    converted = {name: value for name, value in fields.items() if name not in _DIFFERENT}
    converted.pop("stream_options", None)  # the two APIs have different ones
    request = decode_request(codec.encode(converted | _converted(chat)))
    options = chat.stream_options
    return ConvertedRequest(
        chat=Raw(body),
        include_usage=options is not None and bool(options.include_usage),
        **structs.asdict(request),
    )


def _converted(chat: ChatRequest) -> Json:
    """Return the fields that have another shape in Responses."""
    effort = chat.reasoning_effort
    fields = {
        "input": [item for n, message in enumerate(chat.messages) for item in _items(message, n)],
        "tools": chat.tools and [_tool(tool, f"tools[{n}]") for n, tool in enumerate(chat.tools)],
        "tool_choice": _tool_choice(chat.tool_choice),
        "text": _text(chat),
        "reasoning": None if effort is None else {"effort": effort},
        "max_output_tokens": chat.max_completion_tokens or chat.max_tokens,
        "store": chat.store is True,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _items(chat: Chat, number: int) -> Iterator[Json]:
    """Yield the items of a message."""
    path = f"messages[{number}].content"
    if isinstance(chat, ToolChat):
        output = _content(chat.content, "input_text", path)
        yield {"type": "function_call_output", "call_id": chat.tool_call_id, "output": output}
    elif isinstance(chat, AssistantChat):
        yield from _assistant_items(chat, path)
    else:
        content = _content(chat.content, "input_text", path)
        yield {"type": "message", "role": chat.__struct_config__.tag, "content": content}


def _assistant_items(chat: AssistantChat, path: str) -> Iterator[Json]:
    content = _content(chat.content or [], "output_text", path)
    if chat.refusal:
        texts = [{"type": "output_text", "text": content}] if isinstance(content, str) else content
        content = [*texts, {"type": "refusal", "refusal": chat.refusal}]
    if content:
        yield {"type": "message", "role": "assistant", "content": content}
    for call in chat.tool_calls or ():
        yield {"type": "function_call", "call_id": call.id, **msgspec.to_builtins(call.function)}


def _content(content: str | list[Json], text_type: str, path: str) -> str | list[Json]:
    if isinstance(content, str):
        return content
    return [_part(part, text_type, f"{path}[{n}]") for n, part in enumerate(content)]


def _part(part: Json, text_type: str, path: str) -> Json:
    """Return a part in the form of Responses; one of an unknown type is returned as it is."""
    type_ = _type(part, path)
    shape = PARTS.get(type_) or RESPONSES_PARTS.get(type_)
    known = None if shape is None else _convert(part, shape, path)
    if isinstance(known, PlainText):
        return {"type": text_type, "text": known.text}
    if isinstance(known, ImagePart):
        image = msgspec.to_builtins(known.image_url)
        return {"type": "input_image", "image_url": image.pop("url"), **image}
    if isinstance(known, FilePart):
        return {"type": "input_file", **msgspec.to_builtins(known.file)}
    return part


def _tool(tool: Json, path: str) -> Json:
    if _type(tool, path) != "function":
        return tool
    function = _convert(tool, ChatTool, path).function
    return {"type": "function", **msgspec.to_builtins(function)}


def _tool_choice(choice: str | NamedTool | AllowedTools | None) -> str | Json | None:
    if isinstance(choice, NamedTool):
        return _named(choice)
    if isinstance(choice, AllowedTools):
        allowed = choice.allowed_tools
        tools = [_named(tool) for tool in allowed.tools]
        return {"type": "allowed_tools", "mode": allowed.mode, "tools": tools}
    return choice


def _named(tool: NamedTool | AllowedTool) -> Json:
    return {"type": "function", "name": tool.function.name}


def _text(chat: ChatRequest) -> Json | None:
    text: Json = {} if chat.verbosity is None else {"verbosity": chat.verbosity}
    format_ = chat.response_format
    if format_ is not None:
        text["format"] = {"type": format_.type}
    if isinstance(format_, SchemaFormat):
        text["format"] |= msgspec.to_builtins(format_.json_schema)
    return text or None


def _type(value: Json, path: str) -> str:
    type_ = value.get("type")
    if isinstance(type_, str) and type_:
        return type_
    raise InvalidRequest(f"{path}.type: a non-empty string is required.", f"{path}.type")


def _convert(value: Json, shape: type[T], path: str) -> T:
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        raise codec.invalid(error, path) from error
