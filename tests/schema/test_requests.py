"""What a handler reads of its request: items, the newest text, messages of Chat Completions."""

import json
from typing import Any

import pytest

from agent_asgi import FunctionCall, Message, ResponsesRequest
from agent_asgi.schema.decode import decode_request

CALL = {"type": "function_call", "call_id": "c", "name": "look", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c", "output": "sun"}


def decode(**body: Any) -> ResponsesRequest:
    return decode_request(json.dumps(body).encode())


@pytest.mark.parametrize(
    "input",
    [
        "hi",
        [{"role": "user", "content": "hi"}],
        [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}],
        [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes?"}],
        [{"role": "user", "content": "hi"}, CALL, OUTPUT, {"type": "acme:note"}],
        [{"role": "user", "content": "old"}, {"role": "user", "content": "hi"}],
    ],
)
def test_the_text_of_the_newest_message_of_the_user(input: Any) -> None:
    assert decode(input=input).input_text == "hi"


def test_without_a_message_of_the_user_there_is_no_text() -> None:
    assert decode(input=[{"role": "system", "content": "Be brief."}]).input_text == ""


def test_the_input_is_always_a_list_of_items() -> None:
    request = decode(input="hi")
    assert request.is_text
    assert request.input == [Message(role="user", content="hi")]
    assert request.input is request.input
    assert request.new_input is request.input
    assert request.to_dict() == {"input": "hi"}
    assert ResponsesRequest(input="hi").new_input == [Message(role="user", content="hi")]
    assert decode(input="", previous_response_id="resp_1").input_text == ""


def test_a_body_cannot_say_what_is_new() -> None:
    for text in ("hi", [{"role": "user", "content": "hi"}], [{"type": "acme:note"}]):
        request = decode(input=text, earlier=1, new_input=[])
        assert len(request.new_input) == 1
        assert request.to_dict()["input"] == text


def test_messages_are_the_whole_conversation() -> None:
    request = decode(
        instructions="Be brief.",
        input=[{"role": "user", "content": "weather?"}, CALL, OUTPUT, dict(CALL, call_id="d")],
    )
    function = {"name": "look", "arguments": "{}"}
    calls = [{"id": id_, "type": "function", "function": function} for id_ in ("c", "d")]
    assert request.messages == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "weather?"},
        {"role": "assistant", "content": None, "tool_calls": calls[:1]},
        {"role": "tool", "tool_call_id": "c", "content": "sun"},
        {"role": "assistant", "content": None, "tool_calls": calls[1:]},
        {
            "role": "tool",
            "tool_call_id": "d",
            "content": "The call was interrupted: it has no result.",
        },
    ]
    assert isinstance(request.input[1], FunctionCall)


WHOLE = [
    {
        "type": "message",
        "role": "assistant",
        "id": "msg_1",
        "status": "completed",
        "phase": "commentary",
        "content": [{"type": "output_text", "text": "x"}],
    },
    {
        "type": "function_call_output",
        "id": "fco_1",
        "status": "completed",
        "name": "look",
        "call_id": "c",
        "agent_asgi:error": "It is dark.",
        "namespace": "eyes",
        "output": [{"type": "input_text", "text": "x"}],
        "created_by": "me",
        "caller": {"type": "program"},
    },
]


@pytest.mark.parametrize("item", WHOLE)
def test_no_field_is_lost_beside_a_part_of_an_unknown_type(item: dict[str, Any]) -> None:
    (shape,) = decode(input=[item]).input
    assert not isinstance(shape, dict)
    known = {name for name in shape.__struct_fields__ if getattr(shape, name) is not None}
    assert known == set(shape.__struct_fields__), "the example has every field"
    parts = "content" if item["type"] == "message" else "output"
    (loose,) = decode(input=[item | {parts: [*item[parts], {"type": "acme:chart"}]}]).input
    for name in known - {parts}:
        assert getattr(loose, name) == getattr(shape, name)
