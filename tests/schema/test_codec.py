"""Decoding bytes to structs: what is accepted, what is refused, and that nothing else happens."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_asgi import AgentError, Message, ResponsesRequest
from agent_asgi.errors import InvalidRequest
from agent_asgi.schema.codec import decode_object
from agent_asgi.schema.decode import decode_request
from agent_asgi.schema.items import InputText
from agent_asgi.schema.requests import FunctionTool

EVERYTHING: dict[str, Any] = {
    "model": "m",
    "input": [
        {"role": "user", "content": "hi"},
        {"role": "developer", "content": [{"type": "input_text", "text": "x"}]},
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "x"},
                {"type": "input_image", "image_url": "data:", "detail": "low"},
                {"type": "input_file", "filename": "f", "file_data": "eA=="},
                {"type": "input_audio", "data": "eA=="},
            ],
        },
        {
            "role": "assistant",
            "id": "msg_1",
            "content": [{"type": "output_text", "text": "x", "annotations": []}],
            "phase": "commentary",
            "status": "completed",
        },
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "1"},
        {
            "type": "function_call_output",
            "call_id": "c",
            "output": [{"type": "input_text", "text": "x"}],
        },
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "s"}], "id": "rs_1"},
        {"type": "compaction", "encrypted_content": "x"},
        {"type": "item_reference", "id": "msg_1"},
        {"type": "web_search_call", "id": "ws_1", "action": {"type": "search"}},
    ],
    "include": ["reasoning.encrypted_content"],
    "tools": [
        {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True},
        {"type": "web_search"},
    ],
    "tool_choice": {"type": "function", "name": "f"},
    "metadata": {"k": "v"},
    "text": {"format": {"type": "json_schema", "name": "n", "schema": {}}, "verbosity": "low"},
    "temperature": 1,
    "top_p": 0.5,
    "presence_penalty": 0.1,
    "frequency_penalty": -0.1,
    "parallel_tool_calls": False,
    "stream": True,
    "stream_options": {"include_obfuscation": False},
    "background": False,
    "max_output_tokens": 16,
    "max_tool_calls": 1,
    "reasoning": {"effort": "low", "summary": "auto"},
    "safety_identifier": "s",
    "prompt_cache_key": "p",
    "truncation": "auto",
    "instructions": "be nice",
    "store": False,
    "service_tier": "auto",
    "top_logprobs": 2,
    "custom_inputs": {"a": 1},
    "context": {"conversation_id": "c", "user_id": "u"},
    "conversation": {"id": "c"},
    "databricks_options": {"return_trace": True},
    "user": "u",
    "unknown": [1],
}


def test_every_field_is_taken() -> None:
    request = decode_request(json.dumps(EVERYTHING).encode())
    assert request.to_dict() == EVERYTHING
    assert request.to_dict() is not request.to_dict()
    assert isinstance(request.input, list)
    first, *_, unknown = request.input
    assert isinstance(first, Message)
    assert (first.type, first.role, first.text) == ("message", "user", "hi")
    assert unknown == EVERYTHING["input"][-1]
    third = request.input[2]
    assert isinstance(third, Message)
    assert third.content[0] == InputText(text="x")
    assert third.content[3] == {"type": "input_audio", "data": "eA=="}
    assert third.text == "x"
    assert request.tools is not None
    assert isinstance(request.tools[0], FunctionTool)
    assert request.tools[1] == {"type": "web_search"}
    assert (request.session_id, request.user_id) == ("c", "u")


def test_a_request_made_by_hand() -> None:
    request = ResponsesRequest(input="x", user="ann")
    assert request.to_dict() == {"input": "x", "user": "ann"}
    assert (request.session_id, request.user_id) == (None, "ann")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": [5]}, "input[0]"),
        ({"input": [{"role": "user", "content": [5]}]}, "input[0].content[0]"),
        ({"input": [{"role": "user", "content": [{}]}]}, "input[0].content[0].type"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_text"}]}]},
            "input[0].content[0].text",
        ),
        ({"input": [{"type": "function_call", "name": "f", "arguments": ""}]}, "input[0].call_id"),
        ({"input": "x", "metadata": {"k": 1}}, "metadata"),
        ({"input": "x", "metadata": {"k": "v" * 513}}, "metadata"),
        ({"input": "x", "tools": [{}]}, "tools[0].type"),
        ({"input": "x", "tool_choice": "some"}, "tool_choice"),
        ({"input": "x", "tool_choice": {}}, "tool_choice.type"),
        ({"input": "x", "text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"input": "x", "truncation": "some"}, "truncation"),
        ({"input": "x", "top_logprobs": 21}, "top_logprobs"),
    ],
)
def test_the_error_names_the_field(body: Any, param: str) -> None:
    with pytest.raises(AgentError) as caught:
        decode_request(json.dumps(body).encode())
    assert (caught.value.status, caught.value.param) == (400, param)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"\xff",
        b'{"input": "\xff"}',
        b'{"input": [{"type": "x", "y": "\xff"}]}',
        b'{"input": "\\ud800"}',
        b'{"input": NaN}',
        b'{"input": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"input": [{"type": "x", "y": ' + b"[" * 100_000 + b"]" * 100_000 + b"}]}",
    ],
)
def test_hostile_bodies_are_a_400(body: bytes) -> None:
    with pytest.raises(AgentError) as caught:
        decode_request(body)
    assert caught.value.status == 400


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "role", "content", "text", "x"]), inner, max_size=4
        )
    ),
    max_leaves=8,
)
bodies = st.dictionaries(st.sampled_from(sorted(EVERYTHING)), values, max_size=4)


@given(st.binary() | bodies.map(lambda body: json.dumps(body).encode()))
def test_nothing_but_our_own_errors(body: bytes) -> None:
    for decode in (decode_request, decode_object):
        with contextlib.suppress(InvalidRequest):
            decode(body)
