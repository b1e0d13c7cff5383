"""A conversation as messages of Chat Completions, which every model's API takes."""

from collections.abc import Sequence
from typing import Any

import msgspec

from ..errors import InvalidRequest
from .items import (
    ApprovalRequest,
    ApprovalResponse,
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
from .tool_calls import answered

Json = dict[str, Any]
PARAGRAPH = "\n\n"
"""The separator of the texts of two messages, or of two parts of the reasoning."""


def chat_messages(items: Sequence[InputItem], instructions: str | None = None) -> list[Json]:
    """Return a conversation as messages of Chat Completions.

    Consecutive texts and calls of the assistant become one message. Reasoning, and items that Chat
    Completions does not have, are left out. A call without an output is answered as interrupted.

    Args:
        items: The conversation.
        instructions: The first message, of the system. Default None: there is none.

    Raises:
        InvalidRequest: The input has the URL of a file, which Chat Completions does not take.
    """
    messages: list[Json] = []
    if instructions:
        messages.append({"role": "system", "content": instructions})
    for message in map(_message, answered(items)):
        if message is None:
            continue
        if message["role"] == "assistant" and messages and messages[-1]["role"] == "assistant":
            _join(messages[-1], message)
        else:
            messages.append(message)
    return messages


def _message(item: InputItem) -> Json | None:
    """Return an item as a message; None if Chat Completions has no such message."""
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
        return {"role": "assistant", "content": text_of(item.content)}
    role = "user" if item.role == "user" else "system"  # few vendors know developers
    return {"role": role, "content": _content(item.content)}


def _join(message: Json, following: Json) -> None:
    """Add an assistant's message to the one before."""
    texts = filter(None, (message["content"], following["content"]))
    message["content"] = PARAGRAPH.join(texts) or None
    if "tool_calls" in following:
        message["tool_calls"] = message.get("tool_calls", []) + following["tool_calls"]


def approval_text(request: ApprovalRequest, response_id: str | None) -> str:
    """Return how to answer an approval request, which Chat Completions does not have.

    Args:
        request: The request.
        response_id: The response that has it; None if that is not stored.
    """
    question = f"Approval is needed to call {request.name} with {request.arguments}. "
    if response_id is None:
        return question + "Send the request again with `store: true` to be able to answer."
    answer = ApprovalResponse(approval_request_id=request.id or "", approve=True)
    body = {"previous_response_id": response_id, "input": [answer]}
    return f"{question}Answer with POST /responses: {msgspec.json.encode(body).decode()}"


def text_of(content: str | list[ContentPart]) -> str:
    """Return the texts and refusals of a content, joined."""
    if isinstance(content, str):
        return content
    return "".join(getattr(part, "text", getattr(part, "refusal", "")) for part in content)


def _content(content: str | list[ContentPart]) -> str | list[Json]:
    """Return content as parts, or as a string if it is just one, which every vendor takes."""
    if isinstance(content, str):
        return content
    parts = [_part(each) for each in content]
    if not parts:  # which no vendor takes
        return ""
    if len(parts) == 1 and parts[0].get("type") == "text":
        return str(parts[0]["text"])
    return parts


def _part(part: ContentPart) -> Json:
    if isinstance(part, dict):
        return part
    if isinstance(part, InputImage) and part.image_url is not None:
        image = {"url": part.image_url} | set_fields(part, "detail")
        return {"type": "image_url", "image_url": image}
    if isinstance(part, InputFile | InputImage):
        if isinstance(part, InputFile) and part.file_url is not None:
            raise InvalidRequest("input: send the data of the file, not its URL.", "input")
        return {"type": "file", "file": set_fields(part, "filename", "file_data", "file_id")}
    if isinstance(part, InputVideo):
        return {"type": "video_url", "video_url": {"url": part.video_url}}
    return {"type": "text", "text": part.refusal if isinstance(part, Refusal) else part.text}


def set_fields(source: object, *names: str) -> Json:
    """Return the fields of an object that are not None."""
    fields = {name: getattr(source, name, None) for name in names}
    return {name: value for name, value in fields.items() if value is not None}
