"""Messages become Responses requests, and the histories of tasks; any body is one or is refused."""

import json
from contextlib import suppress
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from agent_asgi.errors import InvalidRequest
from agent_asgi.protocols.a2a.answers import answer_items, open_items
from agent_asgi.protocols.a2a.request import (
    check_message,
    message_id,
    parts_of,
    run_request,
    user_item,
)
from agent_asgi.protocols.a2a.schema import Message, Part, SendMessageRequest
from agent_asgi.schema import codec
from agent_asgi.schema.decode import decode_request, decode_stored
from agent_asgi.schema.requests import ResponsesRequest

Json = dict[str, Any]
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
numbers = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
base64 = st.binary(max_size=9).map(lambda data: json.loads(codec.encode(data)))
types = st.sampled_from(["image/png", "application/pdf", "video/mp4"])
parts = (
    st.builds(Part, text=texts)
    | st.builds(Part, data=values)
    | st.builds(Part, raw=base64, media_type=types)
    | st.builds(Part, url=texts.map("https://example.com/".__add__), media_type=types)
)
decoder = msgspec.json.Decoder(SendMessageRequest)


def request_of(message: Message) -> ResponsesRequest:
    check_message(message)
    send = SendMessageRequest(message)
    return run_request(send, [user_item(message.parts)], stream=False, conversation="c")


@given(st.lists(parts, min_size=1, max_size=4), texts.filter(bool))
def test_a_message_is_found_again_in_the_history(sent: list[Part], id_: str) -> None:
    request = request_of(Message(id_, "ROLE_USER", sent))
    stored = decode_stored(request.raw or b"")
    for each in (request, stored):
        assert message_id(each, "resp_1") == id_
        found = parts_of(each.new_input)
        assert len(found) == len(sent)
        for part, again in zip(sent, found, strict=True):
            if part.text is not None:
                assert again == part
            elif part.raw is not None:
                assert (again.raw, again.media_type) == (part.raw, part.media_type)
            elif part.url is not None:
                assert again.url == part.url
            else:
                assert json.loads(again.text or "") == json.loads(codec.encode(part.data))


FIELDS = ["messageId", "role", "parts", "contextId", "taskId", "metadata", "text", "raw", "data"]
odd = st.recursive(
    values | st.sampled_from(["ROLE_USER", "ROLE_AGENT"]),
    lambda inner: (
        st.dictionaries(st.sampled_from(FIELDS), inner, max_size=5) | st.lists(inner, max_size=2)
    ),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(["message", "configuration", "metadata"]), odd))
def test_any_body_is_a_request_or_an_error(body: Json) -> None:
    with suppress(InvalidRequest):  # anything else is a 500
        send = codec.strict(decoder, codec.encode(body))
        request_of(send.message)
        answer_items(send.message, [])


def test_requests_of_other_protocols_have_a_history_too() -> None:
    others: list[Json] = [{}, {"a2a": 5}, {"a2a": {}}, {"a2a": {"messageId": 5}}]
    for more in others:
        request = decode_request(codec.encode({"input": "x", **more}))
        assert message_id(request, "resp_1") == "msg_1"
        assert parts_of(request.new_input) == [Part("x")]
    items: list[Json] = [
        {"type": "function_call_output", "call_id": "c", "output": "3"},
        {"role": "assistant", "content": "a"},
        {"role": "user", "content": [{"type": "input_file", "file_id": "f"}, {"type": "acme:x"}]},
    ]
    request = decode_request(codec.encode({"input": items}))
    output, file, other = parts_of(request.new_input)
    assert output.data == {"call_id": "c", "output": "3"}
    assert file.url == "f"
    assert other.data == {"type": "acme:x"}


def test_what_is_answered_is_not_open() -> None:
    call: Json = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "c", "output": ""}
    asked: Json = {"type": "mcp_approval_request", "id": "a", "name": "f", "arguments": "{}"}
    answer = {"type": "mcp_approval_response", "approval_request_id": "a", "approve": True}
    done = call | {"status": "completed"}
    assert open_items([done, asked]) == [done, asked]
    assert open_items([done, output, asked, answer]) == []
    assert open_items([call | {"status": "incomplete"}]) == []
