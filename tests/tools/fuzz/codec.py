"""The codec and what is built on it: bytes in, a request or an `AgentError` out."""

import asyncio
from contextlib import suppress
from typing import Any

import msgspec

from agent_asgi.errors import AgentError
from agent_asgi.events.tool_choice import ToolChoice
from agent_asgi.schema import codec
from agent_asgi.schema.decode import decode_items, decode_request
from agent_asgi.schema.requests import ResponsesRequest
from agent_asgi.schema.responses import echo
from agent_asgi.store.chain import _with_items
from agent_asgi.store.histories import Items
from agent_asgi.store.history import after, full_input, input_ids, item_id_of

SEEDS = [
    b'{"input":"hi","model":"m","stream":true,"metadata":{"k":"v"},"temperature":0.5}',
    b'{"input":[{"role":"user","content":[{"type":"input_text","text":"hi"}]}],"store":false}',
    (
        b'{"input":[{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},'
        b'{"type":"function_call_output","call_id":"c","output":[{"type":"output_text","text":"x"}]}],'
        b'"tools":[{"type":"function","name":"f"}],"tool_choice":{"type":"function","name":"f"}}'
    ),
    (
        b'{"input":[{"type":"item_reference","id":"a"},{"type":"reasoning","summary":[]}],'
        b'"previous_response_id":"resp_1","conversation":{"id":"c"},"context":{"user_id":"u"},'
        b'"custom_inputs":{"session_id":1},"text":{"format":{"type":"json_schema"}},'
        b'"tool_choice":{"type":"allowed_tools","tools":[]},"reasoning":{"effort":"low"}}'
    ),
    b'{"input":[{"type":"acme:thing","role":5,"a":"\\ud83d\\ude00"}],"x":[1e308,-0,{"a":null}]}',
]
KNOWN = decode_items(
    msgspec.Raw(b'[{"type":"message","id":"a","role":"user","content":"hi"}]'),
)


def try_body(body: bytes) -> None:
    """Process a body the way the package does before and around a run.

    Raises:
        Exception: Anything other than an `AgentError`.
    """
    with suppress(AgentError):
        try_object(codec.decode_object(body))
    with suppress(AgentError):
        try_request(decode_request(body), body)


def try_object(given: dict[str, Any]) -> None:
    """Check that an object survives encoding and decoding."""
    again = codec.decode_object(codec.encode(given))
    assert again == given or "\\ufffd" in str(again), given


def try_request(request: ResponsesRequest, body: bytes) -> None:
    """Use a request in every way the package does."""
    assert codec.digest(body) == codec.digest(codec.encode(request.received()))
    assert isinstance(request.to_dict(), dict)
    assert isinstance(request.session_id, str | None)
    assert isinstance(request.user_id, str | None)
    ids = input_ids(request, "resp_1")
    assert len(ids) == len(set(ids))
    items = full_input(request, "resp_1")
    assert [item_id_of(item) for item in items] == ids
    codec.encode(items)
    response = echo(request, id="resp_1", agent="agent")
    assert codec.decode_object(codec.encode(response))["id"] == "resp_1"
    codec.encode(codec.short_form(response))
    codec.encode(request)
    if request.tools:
        with suppress(AgentError):
            ToolChoice(request).check_possible()
    with suppress(AgentError):
        known = {item_id_of(item): item for item in KNOWN}
        earlier = Items([codec.encode(item) for item in (*KNOWN, *items)])
        full = asyncio.run(after(_with_items(request, known), earlier))
        codec.encode(full.to_dict())
