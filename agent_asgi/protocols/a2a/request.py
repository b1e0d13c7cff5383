"""Converting messages to Responses requests, and back for a task's history. Pure."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, Struct

from ...errors import InvalidRequest
from ...schema import codec
from ...schema.decode import decode_request
from ...schema.items import (
    ApprovalResponse,
    ContentPart,
    FunctionCallOutput,
    InputFile,
    InputImage,
    InputItem,
    InputVideo,
    Message,
    Refusal,
)
from ...schema.requests import ResponsesRequest
from .schema import Json, Part, SendMessageRequest
from .schema import Message as A2AMessage

_BINARY = "application/octet-stream"


class _Stored(Struct):
    a2a: Any = None


_stored = msgspec.json.Decoder(_Stored)


def run_request(
    send: SendMessageRequest, items: Sequence[Json], *, stream: bool, **fields: str | None
) -> ResponsesRequest:
    """Return the request of a task's next run, which outlives its client.

    Args:
        send: The client's request.
        items: The input.
        stream: Whether the answer is a stream.
        **fields: Further fields, which name what is continued; those that are None are left out.

    Raises:
        InvalidRequest: A field is invalid; `param` names it.
    """
    body: Json = {"input": items, "stream": stream, "background": True, "a2a": _about(send)}
    body |= {name: value for name, value in fields.items() if value is not None}
    custom = (send.message.metadata or {}) | (send.metadata or {})
    if custom:
        body["custom_inputs"] = custom
    return decode_request(codec.encode(body))


def _about(send: SendMessageRequest) -> Json:
    """Return what a Responses request has no field for; handlers find it in `to_dict()`."""
    message, options = send.message, send.configuration
    about = {
        "messageId": message.message_id,
        "referenceTaskIds": message.reference_task_ids,
        "extensions": message.extensions,
        "acceptedOutputModes": None if options is None else options.accepted_output_modes,
    }
    return {name: value for name, value in about.items() if value}


def check_message(message: A2AMessage) -> None:
    """Check what the type of a message does not say.

    Raises:
        InvalidRequest: The message is not a user's, or a part has not exactly one content.
    """
    if message.role != "ROLE_USER":
        raise InvalidRequest("message.role: must be ROLE_USER.", "message.role")
    for number, part in enumerate(message.parts):
        contents = (part.text is not None, part.raw is not None, part.url is not None)
        if sum(contents) + (part.data is not UNSET) != 1:  # null is data
            path = f"message.parts[{number}]"
            problem = "exactly one of `text`, `raw`, `url` and `data` is required"
            raise InvalidRequest(f"{path}: {problem}.", path)


def user_item(parts: Sequence[Part]) -> Json:
    """Return parts of a message as an item of a Responses request."""
    return {"type": "message", "role": "user", "content": [_content(part) for part in parts]}


def _content(part: Part) -> Json:
    if part.text is not None:
        return {"type": "input_text", "text": part.text}
    if part.raw is None and part.url is None:
        return {"type": "input_text", "text": codec.encode(part.data).decode()}
    media_type = part.media_type or _BINARY
    url = part.url
    if part.raw is not None:
        url = f"data:{media_type};base64,{part.raw.replace('-', '+').replace('_', '/')}"
    if media_type.startswith("image/"):
        return {"type": "input_image", "image_url": url}
    if media_type.startswith("video/"):
        return {"type": "input_video", "video_url": url}
    name = {} if part.filename is None else {"filename": part.filename}
    return {"type": "input_file", "file_url" if part.raw is None else "file_data": url, **name}


def message_id(request: ResponsesRequest, response_id: str) -> str:
    """Return the id of the message that a request came with, or one made of the response's id."""
    sent = None if request.raw is None else _stored.decode(request.raw).a2a
    if isinstance(sent, dict) and isinstance(sent.get("messageId"), str):
        return str(sent["messageId"])
    return f"msg_{response_id.removeprefix('resp_')}"


def parts_of(items: Sequence[InputItem]) -> list[Part]:
    """Return the parts of the user's message that items were made of."""
    return [part for item in items for part in _parts(item)]


def _parts(item: InputItem) -> Iterator[Part]:
    if isinstance(item, ApprovalResponse):
        yield Part(data=answer_data(item))
    elif isinstance(item, FunctionCallOutput):
        yield Part(data={"call_id": item.call_id, "output": msgspec.to_builtins(item.output)})
    elif isinstance(item, Message) and item.role == "user":
        if isinstance(item.content, str):
            yield Part(item.content)
        else:
            yield from map(_part, item.content)


def answer_data(answer: ApprovalResponse) -> Json:
    """Return an answer to an approval request as the data of a part."""
    data: Json = {"approval_request_id": answer.approval_request_id, "approve": answer.approve}
    if answer.reason is not None:
        data["reason"] = answer.reason
    if answer.arguments is not None:
        data["arguments"] = answer.arguments
    return data


def _part(part: ContentPart) -> Part:
    if isinstance(part, dict):
        return Part(data=part)
    if isinstance(part, InputImage):
        return file_part(part.image_url or part.file_id or "")
    if isinstance(part, InputFile):
        source = part.file_data or part.file_url or part.file_id or ""
        return file_part(source, part.filename, data=part.file_data is not None)
    if isinstance(part, InputVideo):
        return file_part(part.video_url)
    return Part(part.refusal if isinstance(part, Refusal) else part.text)


def file_part(source: str, filename: str | None = None, *, data: bool = False) -> Part:
    """Return the part of a file.

    Args:
        source: Its URL, or a data URL, or its data if `data` is true.
        filename: Its name. Default None.
        data: Whether the source is base64 if it is no data URL. Default False.
    """
    head, found, content = source.partition(";base64,")
    if found and head.startswith("data:"):
        return Part(raw=content, media_type=head.removeprefix("data:"), filename=filename)
    if data:
        return Part(raw=source, media_type=_BINARY, filename=filename)
    return Part(url=source, filename=filename)
