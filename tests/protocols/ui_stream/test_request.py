"""The bodies of `useChat`: what the handler receives, and what is refused."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_asgi import AgentRouter, ResponsesRequest
from agent_asgi.errors import AgentError
from agent_asgi.protocols.ui_stream.request import MESSAGE, UIRequest, decode_chat
from tests.support.apps import ask
from tests.support.calling import Json
from tests.support.ui_chat import CHAT, PATH, agents, app_of, body, tool, user

PICTURE = "data:image/png;base64,AA=="
CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c1"}
SAID = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "t"}]}
TEXT = {"type": "text", "text": "t", "state": "done"}
ASKED = {"type": "mcp_approval_request", "id": "mcpr_1", "name": "f", "arguments": "{}"}


def asked_of(*parts: Json, role: str = "user") -> Json:
    return {"type": "message", "role": role, "content": list(parts)}


def denied(error: str) -> Json:
    return {**OUTPUT, "output": error, "agent_asgi:error": error}


MESSAGES: dict[str, tuple[Json, list[Json]]] = {
    "text": (user("hi"), [asked_of({"type": "input_text", "text": "hi"})]),
    "system": (
        user("s") | {"role": "system"},
        [asked_of({"type": "input_text", "text": "s"}, role="system")],
    ),
    "files": (
        {
            "role": "user",
            "parts": [
                {"type": "file", "mediaType": "image/png", "url": PICTURE, "filename": "a.png"},
                {"type": "file", "mediaType": "application/pdf", "url": "https://x/a.pdf"},
                {"type": "file", "mediaType": "text/csv", "url": "data:,", "filename": "a.csv"},
            ],
        },
        [
            asked_of(
                {"type": "input_image", "image_url": PICTURE},
                {"type": "input_file", "file_url": "https://x/a.pdf"},
                {"type": "input_file", "file_data": "data:,", "filename": "a.csv"},
            )
        ],
    ),
    "data only": (
        {"role": "user", "parts": [{"type": "data-x", "data": {"n": 1}, "id": "d"}]},
        [],
    ),
    "answer": (
        agents({"type": "reasoning", "text": "hm"}, TEXT, {"type": "source-url", "url": "u"}),
        [SAID],
    ),
    "encrypted reasoning": (
        agents(
            *(
                {
                    "type": "reasoning",
                    "text": text,
                    "providerMetadata": {"agent_asgi": {"encryptedContent": "e"}},
                }
                for text in ("one", "two")
            )
        ),
        [
            {
                "type": "reasoning",
                "summary": [
                    {"type": "summary_text", "text": "one"},
                    {"type": "summary_text", "text": "two"},
                ],
                "encrypted_content": "e",
            }
        ],
    ),
    "calls made together": (
        agents(
            tool("f", "c1", "output-available", output={"a": [1]}),
            tool("f", "c2", "output-available", output="text"),
            TEXT,
        ),
        [
            CALL,
            CALL | {"call_id": "c2"},
            {**OUTPUT, "output": '{"a":[1]}'},
            {**OUTPUT, "call_id": "c2", "output": "text"},
            SAID,
        ],
    ),
    "no output": (
        agents(tool("f", "c1", "output-available", output=None)),
        [CALL, {**OUTPUT, "output": ""}],
    ),
    "an own call": (
        agents(
            {
                "type": "dynamic-tool",
                "toolName": "f",
                "toolCallId": "mcp_7",
                "state": "output-available",
                "input": {"a": 1.5},
                "output": "1",
                "providerExecuted": True,
            }
        ),
        [
            CALL | {"id": "fc_7", "call_id": "call_7", "arguments": '{"a":1.5}'},
            {**OUTPUT, "id": "fco_7", "call_id": "call_7", "output": "1"},
        ],
    ),
    "an error": (agents(tool("f", "c1", "output-error", errorText="no")), [CALL, denied("no")]),
    "a broken input": (
        agents(tool("f", "c1", "output-error", input=None, rawInput='{"a', errorText="no")),
        [CALL | {"arguments": '{"a'}, denied("no")],
    ),
    "an interrupted call": (agents(tool("f", "c1", "input-available")), [CALL]),
    "a call that still comes": (agents(tool("f", "c1", "input-streaming"), TEXT), [SAID]),
    "asks": (agents(tool("f", "c1", "approval-requested", approval={"id": "mcpr_1"})), [ASKED]),
    "answers": (
        agents(
            tool(
                "f",
                "c1",
                "approval-responded",
                approval={"id": "mcpr_1", "approved": False, "reason": "r"},
            )
        ),
        [
            ASKED,
            {
                "type": "mcp_approval_response",
                "approval_request_id": "mcpr_1",
                "approve": False,
                "reason": "r",
            },
        ],
    ),
    "denied": (
        agents(
            tool(
                "f",
                "c1",
                "output-denied",
                approval={"id": "x", "approved": False, "reason": "Later."},
            )
        ),
        [CALL, denied("The user did not allow this call. Later.")],
    ),
    "a tool of the model's provider": (
        agents(
            tool("web_search", "hosted_ws_1", "output-available", output={}, providerExecuted=True)
        ),
        [],
    ),
}


def decoded(body: Any, *, resume: bool = False) -> UIRequest:
    return decode_chat(json.dumps(body).encode(), resume=resume)


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_becomes_items(name: str) -> None:
    message, items = MESSAGES[name]
    request = decoded(body(message))
    assert request.to_dict()["input"] == items
    assert request.sends_history
    assert request.conversation == CHAT
    assert (request.stream, request.background) == (True, False)


def test_what_the_handler_gets() -> None:
    router, got = AgentRouter(), list[Json]()

    @router.invoke
    async def take(request: ResponsesRequest) -> str:
        got.append(request.to_dict())
        return "taken"

    tools = [{"type": "function", "name": "f", "parameters": {"type": "object"}}]
    added = {"webSearch": True, "page": {"url": "u"}}
    sent = body(user("hi"), tools=tools, model="m", temperature=0.5, messageId=None, **added)
    assert ask(app_of(router), PATH, sent | {"custom_inputs": {"a": 1}}).status == 200
    assert got == [
        {
            "input": [asked_of({"type": "input_text", "text": "hi"})],
            "conversation": CHAT,
            "stream": True,
            "background": False,
            "databricks_options": {"return_trace": True},
            "tools": tools,
            "model": "m",
            "temperature": 0.5,
            "custom_inputs": {**added, "a": 1},
        }
    ]


def test_the_last_message_alone() -> None:
    request = decoded({"id": CHAT, "message": user("hi")})
    assert request.to_dict()["input"] == [asked_of({"type": "input_text", "text": "hi"})]
    assert not request.sends_history
    assert request.continues is None


def test_the_last_message_alone_with_answers() -> None:
    own = tool("own", "mcp_1", "output-available", output="x", providerExecuted=True)
    approval = {"id": "mcpr_1", "approved": True}
    responded = tool("f", "mcpr_1", "approval-responded", approval=approval, providerExecuted=True)
    message = agents(
        tool("f", "c0", "output-available", output="of an earlier step"),
        {"type": "step-start"},
        own,
        tool("f", "c1", "output-available", output="y"),
        responded,
    )
    request = decoded({"id": CHAT, "message": message, "messageId": "a1"})
    assert request.to_dict()["input"] == [
        {**OUTPUT, "output": "y"},
        {
            "type": "mcp_approval_response",
            "approval_request_id": "mcpr_1",
            "approve": True,
            "reason": None,
        },
    ]
    assert request.continues is not None
    assert request.continues.id == "a1"


def test_a_run_that_can_be_resumed_is_detached_and_keeps_the_message_it_continues() -> None:
    message = agents(tool("f", "c1", "output-available", output="y", unknown=1))
    assert decoded(body(user("hi")), resume=True).background
    assert decoded(body(user("hi"), message), resume=True).to_dict()[MESSAGE] == message
    assert MESSAGE not in decoded(body(user("hi"), message)).to_dict()
    forgets = decoded(body(user("hi"), message, store=False), resume=True)
    assert not forgets.background
    assert MESSAGE not in forgets.to_dict()


WRONG: dict[str, tuple[Json, str | None]] = {
    "no id": ({"messages": [user("x")]}, "id"),
    "an empty id": (body(user("x")) | {"id": ""}, "id"),
    "a long id": (body(user("x")) | {"id": "x" * 513}, "id"),
    "a slash": (body(user("x")) | {"id": "a/b"}, "id"),
    "dots": (body(user("x")) | {"id": ".."}, "id"),
    "no messages": ({"id": CHAT}, "messages"),
    "an empty list": (body(), "messages"),
    "messages of another form": ({"id": CHAT, "messages": {}}, "messages"),
    "no parts": (body({"role": "user", "content": "x"}), "messages[0].parts"),
    "no role": (body({"parts": []}), "messages[0].role"),
    "another role": (body({"role": "tool", "parts": []}), "messages[0].role"),
    "no type": (body({"role": "user", "parts": [{}]}), "messages[0].parts[0].type"),
    "no text": (body({"role": "user", "parts": [{"type": "text"}]}), "messages[0].parts[0].text"),
    "no url": (body({"role": "user", "parts": [{"type": "file"}]}), "messages[0].parts[0].url"),
    "no call id": (body(agents({"type": "tool-f"})), "messages[0].parts[1].toolCallId"),
    "no name": (
        body(agents({"type": "tool-", "toolCallId": "c"})),
        "messages[0].parts[1].toolName",
    ),
    "no dynamic name": (
        body(agents({"type": "dynamic-tool", "toolCallId": "c"})),
        "messages[0].parts[1].toolName",
    ),
    "no approval": (
        body(agents(tool("f", "c", "approval-responded"))),
        "messages[0].parts[1].approval",
    ),
    "no answer": (
        body(agents(tool("f", "c", "approval-responded", approval={"id": "x"}))),
        "messages[0].parts[1].approval.approved",
    ),
    "regenerates by the last message": (
        {"id": CHAT, "message": user("x"), "trigger": "regenerate-message"},
        "message",
    ),
    "edits by the last message": ({"id": CHAT, "message": user("x"), "messageId": "u1"}, "message"),
    "tools": (body(user("x"), tools=[{"type": "function"}]), "tools[0].name"),
    "custom inputs": (body(user("x"), custom_inputs=[]), "custom_inputs"),
    "a model": (body(user("x"), model=1), "model"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_field_is_named(name: str) -> None:
    sent, param = WRONG[name]
    router = AgentRouter()
    router.invoke(lambda request: "taken")
    answer = ask(app_of(router), PATH, sent)
    assert answer.status == 400, answer.body
    error = answer.json()["error"]
    assert error["param"] == param
    assert error["message"].startswith(str(param))


def test_an_unknown_approval_and_an_unknown_conversation() -> None:
    router = AgentRouter()
    router.invoke(lambda request: "taken")
    approval = {"id": "mcpr_1", "approved": True}
    alone = agents(tool("f", "c1", "approval-responded", approval=approval))
    wrong = [
        ({"id": CHAT, "message": alone}, "messages"),
        (body(user("x")) | {"id": "conv_1"}, "id"),
    ]
    for sent, param in wrong:
        answer = ask(app_of(router, single_user=True), PATH, sent)
        assert (answer.status, answer.json()["error"]["param"]) == (400, param)
        assert answer.json()["error"]["message"].startswith(f"{param}: ")


@pytest.mark.parametrize("sent", [b"", b"[]", b"7", b'{"id":', b'{"id": "\\ud800"}'])
def test_no_object(sent: bytes) -> None:
    with pytest.raises(AgentError) as raised:
        decode_chat(sent, resume=False)
    assert raised.value.status == 400


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
STATES = ["input-streaming", "input-available", "output-available", "output-error"]
STATES += ["approval-requested", "approval-responded", "output-denied", "done", ""]
PARTS = st.fixed_dictionaries(
    {
        "type": st.sampled_from(
            ["text", "file", "reasoning", "tool-f", "tool-", "dynamic-tool", "step-start", "data-x"]
        )
        | st.text(max_size=6)
    },
    optional={
        "text": st.text(max_size=5) | JSON,
        "url": st.text(max_size=9),
        "mediaType": st.sampled_from(["image/png", "text/plain"]),
        "toolName": st.text(max_size=5),
        "toolCallId": st.sampled_from(["c1", "mcp_", "mcp_7", ""]) | JSON,
        "state": st.sampled_from(STATES),
        "input": JSON,
        "rawInput": JSON,
        "output": JSON,
        "errorText": st.text(max_size=5),
        "approval": st.fixed_dictionaries(
            {}, optional={"id": st.text(max_size=3), "approved": JSON}
        ),
        "providerMetadata": JSON | st.just({"agent_asgi": {"encryptedContent": "e"}}),
        "providerExecuted": st.booleans(),
    },
)
MESSAGE_BODIES = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["user", "assistant", "system"]),
        "parts": st.lists(PARTS, max_size=4),
    },
    optional={"id": st.text(max_size=3)},
)
BODIES = st.fixed_dictionaries(
    {"id": st.sampled_from([CHAT, "x", ".", "a/b", "\x00"])},
    optional={
        "messages": st.lists(MESSAGE_BODIES, max_size=3),
        "message": MESSAGE_BODIES,
        "trigger": st.sampled_from(["submit-message", "regenerate-message"]),
        "messageId": st.text(max_size=3),
        "custom_inputs": JSON,
        "model": JSON,
    },
)


def outcome_of(sent: Json, *, resume: bool) -> UIRequest | AgentError:
    try:
        return decoded(sent, resume=resume)
    except AgentError as error:
        return error


@given(BODIES, st.booleans())
def test_any_body_is_a_request_or_a_400_that_names_the_field(sent: Json, resume: bool) -> None:
    outcome = outcome_of(sent, resume=resume)
    if isinstance(outcome, AgentError):
        assert outcome.status == 400
        assert outcome.param is not None
        assert not outcome.param.startswith("input")
    else:
        assert isinstance(outcome.to_dict()["input"], list)
