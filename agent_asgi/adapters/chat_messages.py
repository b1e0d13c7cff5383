"""A request as Chat Completions has it: the conversation as messages, the client's functions."""

from typing import Any

from ..errors import InvalidRequest
from ..schema.items import (
    ContentPart,
    FunctionCall,
    FunctionCallOutput,
    InputFile,
    InputImage,
    InputItem,
    InputVideo,
    Message,
    Refusal,
)
from ..schema.requests import FunctionTool, ResponsesRequest
from .calls import settled

Json = dict[str, Any]


def inputs(request: ResponsesRequest) -> list[Json]:
    """Give the conversation as Chat Completions has it.

    What follows one another of the assistant, texts and calls, is one message. Reasoning, and
    items of a type that Chat Completions does not have, are left out. A call without an output is
    told as interrupted.

    Args:
        request: The request; its `instructions` come first, as a system message.

    Returns:
        The value of `messages`.

    Raises:
        InvalidRequest: A file is given by its URL, which Chat Completions cannot take.
    """
    messages: list[Json] = []
    if request.instructions:
        messages.append({"role": "system", "content": request.instructions})
    if isinstance(request.input, str):
        return [*messages, {"role": "user", "content": request.input}]
    for item in settled(request.input):
        message = _message(item)
        if message is None:
            continue
        if message["role"] == "assistant" and messages and messages[-1]["role"] == "assistant":
            _join(messages[-1], message)
        else:
            messages.append(message)
    return messages


def tools(request: ResponsesRequest) -> Json:
    """Give the client's functions, for `create(**tools(request))`.

    Returns:
        `tools`, `tool_choice` and `parallel_tool_calls`, each where the request has it.
    """
    functions = [each for each in request.tools or () if isinstance(each, FunctionTool)]
    if not functions:
        return {}
    given: Json = {"tools": [_tool(each) for each in functions]}
    choice = request.tool_choice
    if isinstance(choice, str):
        given["tool_choice"] = choice
    elif choice is not None and choice["type"] == "function":
        given["tool_choice"] = {"type": "function", "function": {"name": choice["name"]}}
    elif choice is not None and choice["type"] == "allowed_tools":
        given["tool_choice"] = choice.get("mode", "auto")
    if request.parallel_tool_calls is not None:
        given["parallel_tool_calls"] = request.parallel_tool_calls
    return given


def _message(item: InputItem) -> Json | None:
    """Give one item as a message; None where Chat Completions has nothing like it."""
    if isinstance(item, FunctionCall):
        function = {"name": item.name, "arguments": item.arguments}
        call = {"id": item.call_id, "type": "function", "function": function}
        return {"role": "assistant", "content": None, "tool_calls": [call]}
    if isinstance(item, FunctionCallOutput):
        content = _content(item.output)
        return {"role": "tool", "tool_call_id": item.call_id, "content": content}
    if not isinstance(item, Message):
        return None
    if item.role == "assistant":
        return {"role": "assistant", "content": _said(item)}
    role = "user" if item.role == "user" else "system"  # few vendors know developers
    return {"role": role, "content": _content(item.content)}


def _join(message: Json, more: Json) -> None:
    """Add to an assistant's message what came right behind it."""
    message["content"] = "\n\n".join(filter(None, (message["content"], more["content"]))) or None
    if "tool_calls" in more:
        message["tool_calls"] = message.get("tool_calls", []) + more["tool_calls"]


def _said(message: Message) -> str:
    if isinstance(message.content, str):
        return message.content
    return "".join(
        part.refusal if isinstance(part, Refusal) else getattr(part, "text", "")
        for part in message.content
    )


def _content(content: str | list[ContentPart]) -> str | list[Json]:
    """Give content as text where it is one text, which every vendor takes, else in parts."""
    if isinstance(content, str):
        return content
    parts = [_part(each) for each in content]
    if len(parts) == 1 and parts[0].get("type") == "text":
        return str(parts[0]["text"])
    return parts


def _part(part: ContentPart) -> Json:
    if isinstance(part, dict):
        return part
    if isinstance(part, InputImage) and part.image_url is not None:
        image = {"url": part.image_url, "detail": part.detail}
        return {"type": "image_url", "image_url": _known(image)}
    if isinstance(part, InputFile | InputImage):
        if isinstance(part, InputFile) and part.file_url is not None:
            raise InvalidRequest("input: a file's data is needed, not its URL.", "input")
        names = ("filename", "file_data", "file_id")
        return {"type": "file", "file": _known({each: getattr(part, each, None) for each in names})}
    if isinstance(part, InputVideo):
        return {"type": "video_url", "video_url": {"url": part.video_url}}
    return {"type": "text", "text": part.refusal if isinstance(part, Refusal) else part.text}


def _tool(tool: FunctionTool) -> Json:
    names = ("name", "description", "parameters", "strict")
    return {"type": "function", "function": _known({each: getattr(tool, each) for each in names})}


def _known(fields: Json) -> Json:
    return {name: value for name, value in fields.items() if value is not None}
