"""A Chat Completions body becomes a Responses request. Pure."""

from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec
from msgspec import Raw, structs

from .. import codec
from ..errors import InvalidRequest
from ..schema.base import Typed
from ..schema.chat import (
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
from ..schema.items import PARTS as RESPONSES_PARTS
from ..schema.items import PlainText
from ..schema.requests import ResponsesRequest

Json = dict[str, Any]
T = TypeVar("T", bound=Typed)
_OTHERWISE = set(ChatRequest.__struct_fields__) ^ set(ResponsesRequest.__struct_fields__)
"""The fields that only one of the two APIs has; they are made anew or left out."""


class Converted(ResponsesRequest, kw_only=True):
    """A request that came as a Chat Completions body."""

    chat: Raw
    """That body's bytes."""
    include_usage: bool
    """Whether the last chunk of a stream tells the tokens used."""

    def received(self) -> Json:
        """Give the body as it came; for the trace."""
        body: Json = msgspec.json.decode(self.chat)
        return body


def decode_chat(body: bytes) -> Converted:
    """Decode and check a Chat Completions body; `to_dict()` of the request is a Responses body.

    Fields that neither API lists are in it as they came.

    Raises:
        InvalidJson: It is not JSON.
        InvalidRequest: A field is wrong; `param` names it.
    """
    fields = codec.decode_object(body)
    chat: ChatRequest = codec.convert(fields, ChatRequest)
    made = {name: each for name, each in fields.items() if name not in _OTHERWISE}
    made.pop("stream_options", None)  # each API has options of its own
    made |= _converted(chat)
    request = codec.decode_request(codec.encode(made))
    options = chat.stream_options
    return Converted(
        chat=Raw(body),
        include_usage=options is not None and bool(options.include_usage),
        **structs.asdict(request),
    )


def _converted(chat: ChatRequest) -> Json:
    """Give the fields that Responses has in another shape."""
    effort = chat.reasoning_effort
    made = {
        "input": [item for n, each in enumerate(chat.messages) for item in _items(each, n)],
        "tools": _tools(chat.tools),
        "tool_choice": _choice(chat.tool_choice),
        "text": _text(chat),
        "reasoning": None if effort is None else {"effort": effort},
        "max_output_tokens": chat.max_completion_tokens or chat.max_tokens,
        "store": chat.store is True,
    }
    return {name: each for name, each in made.items() if each is not None}


def _items(chat: Chat, number: int) -> Iterator[Json]:
    """Give the items that stand for a message."""
    path = f"messages[{number}].content"
    if isinstance(chat, ToolChat):
        output = _content(chat.content, "input_text", path)
        yield {"type": "function_call_output", "call_id": chat.tool_call_id, "output": output}
    elif isinstance(chat, AssistantChat):
        yield from _said(chat, path)
    else:
        content = _content(chat.content, "input_text", path)
        yield {"type": "message", "role": chat.__struct_config__.tag, "content": content}


def _said(chat: AssistantChat, path: str) -> Iterator[Json]:
    """Give what an agent said, then what it wanted called."""
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
    return [_part(each, text_type, f"{path}[{n}]") for n, each in enumerate(content)]


def _part(part: Json, text_type: str, path: str) -> Json:
    """Give a part as Responses names it; one that is not known here stays as it is."""
    kind = _kind(part, path)
    shape = PARTS.get(kind) or RESPONSES_PARTS.get(kind)
    known = None if shape is None else _checked(part, shape, path)
    if isinstance(known, PlainText):
        return {"type": text_type, "text": known.text}
    if isinstance(known, ImagePart):
        image = msgspec.to_builtins(known.image_url)
        return {"type": "input_image", "image_url": image.pop("url"), **image}
    if isinstance(known, FilePart):
        return {"type": "input_file", **msgspec.to_builtins(known.file)}
    return part


def _tools(given: list[Json] | None) -> list[Json] | None:
    return given and [_tool(each, f"tools[{n}]") for n, each in enumerate(given)]


def _tool(tool: Json, path: str) -> Json:
    if _kind(tool, path) != "function":
        return tool
    function = _checked(tool, ChatTool, path).function
    return {"type": "function", **msgspec.to_builtins(function)}


def _choice(choice: str | NamedTool | AllowedTools | None) -> str | Json | None:
    if isinstance(choice, NamedTool):
        return _named(choice)
    if isinstance(choice, AllowedTools):
        allowed = choice.allowed_tools
        tools = [_named(each) for each in allowed.tools]
        return {"type": "allowed_tools", "mode": allowed.mode, "tools": tools}
    return choice


def _named(tool: NamedTool | AllowedTool) -> Json:
    return {"type": "function", "name": tool.function.name}


def _text(chat: ChatRequest) -> Json | None:
    text: Json = {} if chat.verbosity is None else {"verbosity": chat.verbosity}
    wanted = chat.response_format
    if wanted is not None:
        text["format"] = {"type": wanted.type}
    if isinstance(wanted, SchemaFormat):
        text["format"] |= msgspec.to_builtins(wanted.json_schema)
    return text or None


def _kind(given: Json, path: str) -> str:
    kind = given.get("type")
    if isinstance(kind, str) and kind:
        return kind
    raise InvalidRequest(f"{path}.type: a `type` is needed, a text.", f"{path}.type")


def _checked(given: Json, shape: type[T], path: str) -> T:
    try:
        return msgspec.convert(given, shape)
    except msgspec.ValidationError as error:
        raise codec.invalid(error, path) from error
