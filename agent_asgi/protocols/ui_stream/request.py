"""Converting the bodies of `useChat` to Responses requests. Pure."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct, structs

from ...errors import InvalidRequest
from ...schema import codec
from ...schema.decode import decode_request
from ...schema.requests import ResponsesRequest
from .items import Json, answers_of, items_of
from .request_schema import UIMessage, UIRequestBody

MESSAGE = "agent_asgi:message"
"""The member of a stored body that has the message of the agent that its run continues."""
SHARED = (
    "instructions",
    "max_output_tokens",
    "metadata",
    "model",
    "parallel_tool_calls",
    "reasoning",
    "store",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_p",
    "user",
)
"""The members of a Responses body that a chat's body may have too."""
_KNOWN = {*SHARED, "custom_inputs", "id", "messages", "message", "trigger", "messageId"}


class UIRequest(ResponsesRequest, kw_only=True):
    """A request that was converted from the body of a chat."""

    sends_history: bool
    """Whether the body has the whole chat."""
    continues: UIMessage | None
    """The message of the agent that the run continues."""


class Continued(NamedTuple):
    """The message of the agent that a run continues."""

    message: UIMessage
    parts: Sequence[Json]
    """The parts that the client may not have; none if it has them."""


class _Kept(Struct):
    """The part of a stored body that only a chat's has."""

    message: Json | None = msgspec.field(default=None, name=MESSAGE)


_kept = msgspec.json.Decoder(_Kept)


def decode_chat(body: bytes, *, resume: bool) -> UIRequest:
    """Decode the body of a chat. `to_dict()` of the request is a Responses body.

    Args:
        body: The body.
        resume: Whether the run continues without its client, who can come back.

    Raises:
        InvalidJson: The body is not JSON.
        InvalidRequest: A field is invalid; `param` names it.
    """
    fields = codec.decode_object(body)
    chat: UIRequestBody = codec.convert(fields, UIRequestBody)
    converted = {name: fields[name] for name in SHARED if name in fields}
    detached = resume and fields.get("store") is not False
    converted |= {
        "input": _input(chat),
        "conversation": chat.id,
        "custom_inputs": _custom_inputs(fields),
        "databricks_options": {"return_trace": True},  # which the message's metadata has
        "stream": True,
        "background": detached,
    }
    last = chat.message if chat.messages is None else chat.messages[-1]
    continues = last if last is not None and last.role == "assistant" else None
    if continues is not None and detached:
        converted[MESSAGE] = fields["message"] if chat.messages is None else fields["messages"][-1]
    request = decode_request(codec.encode(converted))
    return UIRequest(
        sends_history=chat.messages is not None, continues=continues, **structs.asdict(request)
    )


def continued_by(request: ResponsesRequest) -> Continued | None:
    """Return the message that a run continues; None if it answers with a new one.

    A client that comes back, whose request is read from the store, gets the whole message.
    """
    if isinstance(request, UIRequest):
        return None if request.continues is None else Continued(request.continues, ())
    try:
        kept = _kept.decode(request.raw or b"{}").message
        if kept is None:
            return None
        return Continued(msgspec.convert(kept, UIMessage), kept["parts"])
    except msgspec.ValidationError:  # a body of another protocol, with a member of that name
        return None


def _input(chat: UIRequestBody) -> list[Json]:
    """Return the items of a body's messages."""
    if chat.messages:
        lists = (items_of(each, f"messages[{n}]") for n, each in enumerate(chat.messages))
        return [item for items in lists for item in items]
    if chat.messages is None and chat.message is not None:
        return _last_items(chat, chat.message)
    raise InvalidRequest("messages: at least one message is required.", "messages")


def _last_items(chat: UIRequestBody, message: UIMessage) -> list[Json]:
    """Return the items of a message that is sent without those before it."""
    edits = message.role == "user" and chat.message_id is not None
    if edits or chat.trigger == "regenerate-message":
        raise InvalidRequest("message: send all `messages` to edit or regenerate one.", "message")
    return (answers_of if message.role == "assistant" else items_of)(message, "message")


def _custom_inputs(fields: Json) -> Any:
    """Return the members that the app added to the body, and its `custom_inputs`."""
    custom = fields.get("custom_inputs")
    if custom is not None and not isinstance(custom, dict):
        return custom  # which is refused
    added = {name: value for name, value in fields.items() if name not in _KNOWN}
    return added | (custom or {}) or None
