"""The chunks of a UI message stream: what a run's events become."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from agent_asgi import (
    AgentApp,
    AgentError,
    AgentRouter,
    ApprovalRequest,
    Citation,
    Context,
    FunctionCall,
    FunctionCallOutput,
    Reasoning,
    ResponsesRequest,
    Usage,
)
from agent_asgi.protocols import UIStream
from tests.support.apps import ask
from tests.support.calling import Json
from tests.support.outputs import OUTPUTS
from tests.support.ui_chat import (
    PATH,
    agents,
    app_of,
    body,
    chunks,
    fold,
    kinds_of,
    text_of,
    tool,
    tools_of,
    user,
)

TOOLS = [{"type": "function", "name": "theirs"}]
STEP = {"type": "step-start"}


def giving(*outputs: Any, **options: Any) -> AgentApp:
    """Create an app whose agent yields these outputs."""
    router = AgentRouter("agent", **options)

    @router.stream
    async def give(request: ResponsesRequest) -> AsyncIterator[Any]:
        for output in outputs:
            yield output

    return app_of(router)


def test_text() -> None:
    start, step, begin, one, two, end, done, finish = chunks(giving("Hel", "lo\u2028"))
    assert start["messageId"].startswith("resp_")
    assert start["messageMetadata"] == {"responseId": start["messageId"]}
    assert (step, done) == ({"type": "start-step"}, {"type": "finish-step"})
    id_ = begin["id"]
    assert (begin["type"], end) == ("text-start", {"type": "text-end", "id": id_})
    assert one == {"type": "text-delta", "id": id_, "delta": "Hel"}
    assert two == {"type": "text-delta", "id": id_, "delta": "lo\u2028"}
    metadata = finish.pop("messageMetadata")
    assert finish == {"type": "finish", "finishReason": "stop"}
    assert metadata["responseId"] == start["messageId"]
    assert metadata["traceId"].startswith("tr-")
    assert "usage" not in metadata


def test_a_handlers_own_ids() -> None:
    message = {"type": "message", "id": 'm%d"', "role": "assistant", "content": []}
    added = {"type": "response.output_item.added", "item": message, "output_index": 0}
    delta = {"type": "response.output_text.delta", "item_id": 'm%d"', "content_index": 0}
    deltas = [delta | {"output_index": 0, "delta": text} for text in ("a", "%b")]
    assert text_of(chunks(giving(added, *deltas))) == "a%b"


def test_usage() -> None:
    found = chunks(
        giving(
            "x",
            Usage(input_tokens=3, output_tokens=2, output_tokens_details={"reasoning_tokens": 1}),
        )
    )
    assert found[-1]["messageMetadata"]["usage"] == {
        "inputTokens": 3,
        "outputTokens": 2,
        "totalTokens": 5,
        "cachedInputTokens": 0,
        "reasoningTokens": 1,
    }


def test_reasoning_and_refusal() -> None:
    refusal = {"type": "message", "content": [{"type": "refusal", "refusal": "No."}]}
    parts = fold(chunks(giving(Reasoning("hm"), refusal)))["parts"]
    assert parts == [STEP, {"type": "reasoning", "text": "hm"}, {"type": "text", "text": "No."}]


def test_encrypted_reasoning_comes_back() -> None:
    hidden = {"type": "reasoning", "summary": [], "encrypted_content": "e1"}
    shown = {
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": text} for text in ("a", "b")],
        "content": [{"type": "reasoning_text", "text": "c"}],
        "encrypted_content": "e2",
    }
    parts = fold(chunks(giving(hidden, shown)))["parts"]
    assert [part.get("text") for part in parts] == [None, "", "a", "b", "c"]
    kept = [part["providerMetadata"]["agent_asgi"]["encryptedContent"] for part in parts[1:]]
    assert kept == ["e1", "e2", "e2", "e2"]


@pytest.mark.parametrize("own_tools", ["mcp_call", "function_call"])
def test_own_tools(own_tools: str) -> None:
    calls = [FunctionCall("add", {"a": 1}, f"c{n}") for n in (1, 2)]
    outputs = [FunctionCallOutput("c1", {"sum": 2}), FunctionCallOutput("c2", "two")]
    found = chunks(giving(*calls, *outputs, "Two.", own_tools=own_tools), tools=TOOLS)
    one, two = tools_of(found)
    assert (one["state"], one["output"], two["output"]) == ("output-available", {"sum": 2}, "two")
    for part in (one, two):
        assert (part["name"], part["own"], part["input"]) == ("add", True, {"a": 1})
    assert [part["type"] for part in fold(found)["parts"]] == [
        *("step-start", "tool", "tool", "step-start", "text")
    ]
    assert all(c["dynamic"] for c in found if c["type"].startswith("tool-") and "toolName" in c)
    assert found[-1]["finishReason"] == "stop"


def test_a_hidden_tool() -> None:
    outputs = (FunctionCall("add", {}, "c1"), FunctionCallOutput("c1", "2"), "Two.")
    found = chunks(giving(*outputs, own_tools="hidden"))
    assert [part["type"] for part in fold(found)["parts"]] == ["step-start", "text"]


def test_an_own_tool_that_fails() -> None:
    found = chunks(giving(FunctionCall("add", {}, "c1"), FunctionCallOutput("c1", error="No sum.")))
    (part,) = tools_of(found)
    assert (part["state"], part["errorText"]) == ("output-error", "No sum.")


def test_an_own_tool_without_an_output() -> None:
    (part,) = tools_of(chunks(giving(FunctionCall("add", {}, "c1"))))
    assert (part["state"], part["output"], part["own"]) == ("output-available", None, True)


def test_a_streamed_own_call() -> None:
    item = {"type": "function_call", "id": "f1", "call_id": "c1", "name": "add", "arguments": ""}
    delta = {"type": "response.function_call_arguments.delta", "item_id": "f1", "output_index": 0}
    found = chunks(
        giving(
            {"type": "response.output_item.added", "output_index": 0, "item": item},
            delta | {"delta": '{"a":'},
            delta | {"delta": "\n1}"},
            {
                "type": "response.output_item.done",
                "output_index": 0,
                "item": item | {"arguments": '{"a":\n1}'},
            },
            FunctionCallOutput("c1", "[1,\n2]"),
        )
    )
    (part,) = tools_of(found)
    assert (part["streamed"], part["input"], part["output"]) == ('{"a":\n1}', {"a": 1}, [1, 2])


def test_a_clients_tool() -> None:
    found = chunks(giving("Let me see. ", FunctionCall("theirs", {"a": 1}, "c1")), tools=TOOLS)
    (part,) = tools_of(found)
    assert (part["id"], part["name"], part["own"]) == ("c1", "theirs", False)
    assert (part["state"], part["input"]) == ("input-available", {"a": 1})
    assert not any("dynamic" in chunk for chunk in found)
    assert found[-1]["finishReason"] == "tool-calls"


def test_a_call_for_the_client_that_it_does_not_offer() -> None:
    found = chunks(giving(FunctionCall("ask", {}, "c1", client=True), "x"))
    (part,) = tools_of(found)
    assert (part["own"], part["state"]) == (False, "input-available")
    assert found[-1]["finishReason"] == "tool-calls"


def test_a_call_whose_arguments_are_no_json() -> None:
    (part,) = tools_of(chunks(giving(FunctionCall("theirs", '{"a', "c1")), tools=TOOLS))
    assert (part["state"], part["input"]) == ("input-error", '{"a')
    (part,) = tools_of(
        chunks(giving(FunctionCall("own", '{"a', "c1"), FunctionCallOutput("c1", "x")))
    )
    assert (part["state"], part["input"]) == ("output-available", '{"a')


def test_a_custom_tool() -> None:
    call = {"type": "custom_tool_call", "call_id": "c1", "name": "theirs", "input": "a\nb"}
    tools = [{"type": "custom", "name": "theirs"}]
    (part,) = tools_of(chunks(giving(call), tools=tools))
    assert (part["state"], part["input"]) == ("input-available", "a\nb")


def test_a_citation() -> None:
    file = {"type": "file_citation", "file_id": "f1", "filename": "a.pdf", "index": 0}
    text = {"type": "output_text", "text": "x", "annotations": [file, {"type": "other"}]}
    found = fold(
        chunks(
            giving("As said", Citation("https://x/a", "A"), {"type": "message", "content": [text]})
        )
    )
    sources = [part for part in found["parts"] if part["type"].startswith("source")]
    assert len({source.pop("sourceId") for source in sources}) == 2
    assert sources == [
        {"type": "source-url", "url": "https://x/a", "title": "A"},
        {
            "type": "source-document",
            "mediaType": "application/pdf",
            "title": "a.pdf",
            "filename": "a.pdf",
        },
    ]


def test_pictures() -> None:
    picture = {
        "type": "image_generation_call",
        "id": "ig_1",
        "status": "completed",
        "result": "AA==",
    }
    part = {"type": "output_image", "image_url": "https://x/a.png"}
    found = fold(chunks(giving(picture, {"type": "message", "content": [part]})))
    assert found["parts"] == [
        STEP,
        {"type": "file", "url": "data:image/png;base64,AA==", "mediaType": "image/png"},
        {"type": "file", "url": "https://x/a.png", "mediaType": "image/png"},
    ]


@pytest.mark.parametrize(
    ("call", "given", "output"),
    [
        (
            {"type": "web_search_call", "action": {"type": "search", "query": "x"}},
            {"action": {"type": "search", "query": "x"}},
            {},
        ),
        (
            {"type": "file_search_call", "queries": ["x"], "results": [{"text": "a"}]},
            {"queries": ["x"]},
            {"results": [{"text": "a"}]},
        ),
        (
            {"type": "code_interpreter_call", "code": "1", "container_id": "c", "outputs": []},
            {"code": "1"},
            {"container_id": "c", "outputs": []},
        ),
    ],
)
def test_the_tools_of_the_models_provider(call: Json, given: Json, output: Json) -> None:
    found = chunks(giving(call | {"id": "x_1", "status": "completed"}, "Found."))
    (part,) = tools_of(found)
    assert part == {
        "type": "tool",
        "id": "hosted_x_1",
        "own": True,
        "name": call["type"].removesuffix("_call"),
        "state": "output-available",
        "input": given,
        "output": output,
    }
    assert list(kinds_of(found)).count("start-step") == 1
    assert found[-1]["finishReason"] == "stop"


def test_a_tool_of_the_models_provider_fails() -> None:
    call = {"type": "web_search_call", "id": "ws_1", "status": "failed"}
    (part,) = tools_of(chunks(giving(call)))
    assert (part["state"], part["errorText"]) == ("output-error", "The tool failed.")


def test_data() -> None:
    found = chunks(
        giving(
            {"type": "acme:progress", "percent": 5, "transient": True},
            {"type": "acme:chart", "id": "c1", "points": [1]},
            {"type": "acme:chart", "item_id": "c1", "points": [1, 2]},
            {"type": "acme:note", "data": ["x"]},
            {"type": "response.web_search_call.searching", "item_id": "w", "output_index": 0},
        )
    )
    assert [chunk for chunk in found if chunk["type"].startswith("data-")] == [
        {"type": "data-progress", "transient": True, "data": {"percent": 5}},
        {"type": "data-chart", "id": "c1", "data": {"points": [1]}},
        {"type": "data-chart", "id": "c1", "data": {"points": [1, 2]}},
        {"type": "data-note", "data": ["x"]},
    ]


@pytest.mark.parametrize(
    ("reason", "expected"), [("content_filter", "content-filter"), ("max_output_tokens", "length")]
)
def test_an_incomplete_answer(reason: str, expected: str) -> None:
    found = chunks(giving("x", {"output": [], "incomplete_details": {"reason": reason}}))
    assert found[-1]["finishReason"] == expected


def test_a_failure_amid_output_tells_no_internals() -> None:
    router = AgentRouter()

    @router.stream
    async def fail(request: ResponsesRequest) -> AsyncIterator[str]:
        yield "x"
        raise RuntimeError("a secret")

    found = chunks(app_of(router))
    assert found[-1]["type"] == "error"
    assert "secret" not in str(found)


def test_a_failure_before_output_has_a_status() -> None:
    router = AgentRouter()

    @router.stream
    async def fail(request: ResponsesRequest) -> AsyncIterator[str]:
        if request.input_text:
            raise AgentError("Too hot.", 418)
        yield ""

    answer = ask(app_of(router), PATH, body(user("x")))
    assert answer.status == 418
    assert answer.json()["error"]["message"] == "Too hot."


@pytest.mark.parametrize("name", OUTPUTS)
def test_any_output_is_a_message(name: str) -> None:
    found = chunks(giving(*OUTPUTS[name]))
    fold(found)
    kinds = list(kinds_of(found))
    assert kinds[:2] == ["start", "start-step"]
    assert kinds[-1] in ("finish", "error")
    assert kinds.count("start-step") == kinds.count("finish-step") + (kinds[-1] == "error")


def asking() -> AgentRouter:
    """Make an agent that asks before it erases."""
    router = AgentRouter("eraser")

    @router.stream
    async def erase(request: ResponsesRequest, context: Context) -> AsyncIterator[Any]:
        if not context.approvals:
            yield ApprovalRequest("erase", {"path": "/a"})
            return
        if context.approvals[0].approve and request.to_dict().get("custom_inputs"):
            yield FunctionCall("erase", {"path": "/a"}, "c1")
            yield FunctionCallOutput("c1", "erased")
        yield f"{context.approvals[0].approve} {context.approvals[0].reason}"

    return router


def asked(app: AgentApp) -> Json:
    found = chunks(app)
    (part,) = tools_of(found)
    assert (part["state"], part["own"], part["input"]) == ("approval-request", True, {"path": "/a"})
    assert part["approvalId"] == part["id"]
    assert found[-1]["finishReason"] == "tool-calls"
    return part


@pytest.mark.parametrize(
    ("approve", "added", "state", "output"),
    [
        (True, {"calls": True}, "output-available", "erased"),
        (True, {}, "output-available", None),  # carried out without a call
        (False, {}, "output-denied", None),
    ],
)
def test_an_approval(approve: bool, added: Json, state: str, output: str | None) -> None:
    app = app_of(asking())
    part = asked(app)
    approval = {"id": part["approvalId"], "approved": approve, "reason": "r"}
    answered = tool("erase", part["id"], "approval-responded", approval=approval)
    found = chunks(app, user("x"), agents(answered), **added)
    message = fold(found)
    assert message["start"]["messageId"] == "a1"
    assert text_of(found) == f"{approve} r"
    assert sorted(part["type"] for part in message["parts"]) == ["step-start", "text", "tool"]
    (again,) = tools_of(found)
    assert (again["id"], again["state"], again.get("output")) == (part["id"], state, output)
    assert "name" not in again, "the client has the call"


def test_a_call_is_answered_in_the_message_that_made_it() -> None:
    app = giving("Sunny.")
    message = agents(tool("theirs", "c1", "output-available", output="sun"), id="msg-of-client")
    found = chunks(app, user("x"), message, tools=TOOLS)
    assert fold(found)["start"]["messageId"] == "msg-of-client"
    assert fold(found)["start"]["messageMetadata"]["responseId"].startswith("resp_")


def test_the_path() -> None:
    routers = [AgentRouter("a"), AgentRouter("b")]
    for router in routers:
        router.invoke(lambda request: "x")
    app = AgentApp(*routers, protocols=[UIStream(path="/chat/ui")])
    assert ask(app, "/a/chat/ui", {}).status == 400
    assert ask(app, "/chat/ui", {}).status == 400
    assert ask(app, "/api/chat", {}).status == 404


def test_wrong_types() -> None:
    with pytest.raises(TypeError, match="resume"):
        UIStream(resume="yes")  # type: ignore[arg-type]  # what is tested
