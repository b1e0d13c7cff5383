"""Chat Completions bodies: what the handler receives, and what is refused."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from agent_asgi import AgentApp, AgentRouter, ResponsesRequest
from tests.support.apps import ask
from tests.support.calling import Json
from tests.tools.fuzz.chat import bodies, try_chat

CHAT: Json = {"messages": [{"role": "user", "content": "x"}]}


def taking() -> tuple[AgentApp, list[Json]]:
    """Make an app that records the Responses bodies it receives."""
    router, got = AgentRouter(), list[Json]()

    @router.invoke
    async def take(request: ResponsesRequest) -> str:
        got.append(request.to_dict())
        return "taken"

    return AgentApp(router), got


PICTURE = "data:image/png;base64,AA=="
CONVERTED: list[tuple[Json, Json]] = [
    (CHAT, {"input": [{"type": "message", "role": "user", "content": "x"}]}),
    (
        {"messages": [{"role": "system", "content": "s"}, {"role": "developer", "content": "d"}]},
        {
            "input": [
                {"type": "message", "role": "system", "content": "s"},
                {"type": "message", "role": "developer", "content": "d"},
            ]
        },
    ),
    (
        {
            "messages": [
                {
                    "role": "user",
                    "name": "ann",
                    "content": [
                        {"type": "text", "text": "t", "cache_control": {"type": "ephemeral"}},
                        {"type": "image_url", "image_url": {"url": PICTURE, "detail": "low"}},
                        {"type": "image_url", "image_url": {"url": PICTURE}},
                        {"type": "file", "file": {"file_id": "f1", "filename": "a.pdf"}},
                        {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}},
                    ],
                }
            ]
        },
        {
            "input": [
                {
                    "type": "message",
                    "role": "user",
                    "content": [
                        {"type": "input_text", "text": "t"},
                        {"type": "input_image", "image_url": PICTURE, "detail": "low"},
                        {"type": "input_image", "image_url": PICTURE},
                        {"type": "input_file", "file_id": "f1", "filename": "a.pdf"},
                        {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}},
                    ],
                }
            ]
        },
    ),
    (
        {
            "messages": [
                {
                    "role": "assistant",
                    "content": "I look.",
                    "refusal": "No.",
                    "tool_calls": [
                        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}
                    ],
                },
                {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "1"}]},
                {"role": "assistant", "content": [{"type": "text", "text": "One."}]},
                {"role": "assistant", "content": None},
            ]
        },
        {
            "input": [
                {
                    "type": "message",
                    "role": "assistant",
                    "content": [
                        {"type": "output_text", "text": "I look."},
                        {"type": "refusal", "refusal": "No."},
                    ],
                },
                {"type": "function_call", "call_id": "c1", "name": "f", "arguments": ""},
                {
                    "type": "function_call_output",
                    "call_id": "c1",
                    "output": [{"type": "input_text", "text": "1"}],
                },
                {
                    "type": "message",
                    "role": "assistant",
                    "content": [{"type": "output_text", "text": "One."}],
                },
            ]
        },
    ),
    (
        CHAT
        | {
            "tools": [
                {"type": "function", "function": {"name": "f", "parameters": {}, "strict": True}},
                {"type": "web_search"},
            ],
            "tool_choice": {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "auto",
                    "tools": [{"type": "function", "function": {"name": "f"}}],
                },
            },
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True},
            },
            "verbosity": "low",
            "reasoning_effort": "high",
            "max_tokens": 5,
            "max_completion_tokens": 7,
            "store": True,
            "n": 1,
            "seed": 3,
            "stop": ["."],
            "metadata": {"k": "v"},
            "user": "ann",
            "temperature": 0.5,
            "instructions": 5,
            "stream_options": {"include_usage": True},
        },
        {
            "input": [{"type": "message", "role": "user", "content": "x"}],
            "tools": [
                {"type": "function", "name": "f", "parameters": {}, "strict": True},
                {"type": "web_search"},
            ],
            "tool_choice": {
                "type": "allowed_tools",
                "mode": "auto",
                "tools": [{"type": "function", "name": "f"}],
            },
            "text": {
                "verbosity": "low",
                "format": {
                    "type": "json_schema",
                    "name": "n",
                    "schema": {"type": "object"},
                    "strict": True,
                },
            },
            "reasoning": {"effort": "high"},
            "max_output_tokens": 7,
            "store": True,
            "seed": 3,
            "stop": ["."],
            "metadata": {"k": "v"},
            "user": "ann",
            "temperature": 0.5,
        },
    ),
    (
        CHAT | {"response_format": {"type": "json_object"}, "tool_choice": "none"},
        {"text": {"format": {"type": "json_object"}}, "tool_choice": "none"},
    ),
    (CHAT | {"reasoning_effort": "", "tools": []}, {"reasoning": {"effort": ""}, "tools": []}),
]


@pytest.mark.parametrize(("body", "wanted"), CONVERTED)
def test_the_handler_gets_a_responses_body(body: Json, wanted: Json) -> None:
    app, got = taking()
    assert ask(app, "/v1/chat/completions", body).status == 200
    assert got == [{"store": False} | CONVERTED[0][1] | wanted]


def user(*parts: Json) -> Json:
    """Make a body with one message that has these parts."""
    return {"messages": [{"role": "user", "content": list(parts)}]}


TOOL: Json = {"type": "function", "function": {"name": "f"}}
WRONG: list[tuple[Any, str | None]] = [
    ([], None),
    ({}, "messages"),
    ({"messages": []}, "messages"),
    ({"messages": "x"}, "messages"),
    ({"messages": [{"role": "king", "content": "x"}]}, "messages[0].role"),
    ({"messages": [{"content": "x"}]}, "messages[0].role"),
    ({"messages": [CHAT["messages"][0], {"role": "user"}]}, "messages[1].content"),
    ({"messages": [{"role": "function", "name": "f", "content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
    (user({"text": "x"}), "messages[0].content[0].type"),
    (user({"type": "text", "text": "x"}, {"type": "text"}), "messages[0].content[1].text"),
    (user({"type": "image_url", "image_url": "x"}), "messages[0].content[0].image_url"),
    (user({"type": "image_url", "image_url": {}}), "messages[0].content[0].image_url.url"),
    (user({"type": "input_text"}), "messages[0].content[0].text"),
    (
        {"messages": [{"role": "assistant", "tool_calls": [{"id": "c", "type": "custom"}]}]},
        "messages[0].tool_calls[0].type",
    ),
    (CHAT | {"tools": [{}]}, "tools[0].type"),
    (CHAT | {"tools": [{"type": "function", "name": "f"}]}, "tools[0].function"),
    (
        CHAT | {"tools": [{"type": "function", "function": {"name": "a b"}}]},
        "tools[0].function.name",
    ),
    (CHAT | {"tool_choice": "perhaps"}, "tool_choice"),
    (CHAT | {"tools": [TOOL], "tool_choice": {"type": "function"}}, "tool_choice.function"),
    (
        CHAT | {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "g"}}},
        "tool_choice",
    ),
    (
        CHAT | {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"tools": [{}]}}},
        "tool_choice.allowed_tools.tools[0].type",
    ),
    (CHAT | {"response_format": {"type": "xml"}}, "response_format.type"),
    (CHAT | {"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
    (CHAT | {"n": 2}, "n"),
    (CHAT | {"max_tokens": 0}, "max_tokens"),
    (CHAT | {"temperature": 3}, "temperature"),
    (CHAT | {"stream": "true"}, "stream"),
    (CHAT | {"stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
    (CHAT | {"functions": [{"name": "f"}]}, "functions"),
    (CHAT | {"previous_response_id": "resp_1"}, "previous_response_id"),
    (CHAT | {"background": True}, "background"),
]


@pytest.mark.parametrize(("body", "param"), WRONG, ids=[str(each)[:60] for each, _ in WRONG])
def test_a_wrong_field_is_named_as_the_body_has_it(body: Any, param: str | None) -> None:
    app, got = taking()
    answer = ask(app, "/v1/chat/completions", body)
    assert answer.status == 400
    assert answer.json()["error"]["param"] == param
    assert param is None or answer.json()["error"]["message"].startswith(param)
    assert got == []


@given(bodies)
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_body_is_a_request_or_names_its_field(body: bytes) -> None:
    try_chat(body)
