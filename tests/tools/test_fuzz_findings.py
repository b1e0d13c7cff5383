"""Regression tests for bugs that fuzzing has found."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agent_asgi import AgentApp, AgentRouter, ResponsesRequest
from agent_asgi.testing import AgentClient, Answer
from tests.support.apps import ask, started
from tests.support.stream_rules import check_stream
from tests.tools.fuzz.harness import Got, call_app

TOOLS = [{"type": "function", "name": "f"}]


@pytest.fixture(autouse=True)
def untraced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Disable tracing."""
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")


def giving(*outputs: Any) -> AgentApp:
    """Create an app whose agent yields these outputs, or raises them."""
    router = AgentRouter()

    @router.stream
    async def give(request: ResponsesRequest) -> AsyncIterator[Any]:
        request.to_dict()
        for output in outputs:
            if isinstance(output, Exception):
                raise output
            yield output

    return AgentApp(router)


def posted(app: AgentApp, body: Any, **headers: str) -> Answer:
    """Post a body to `/responses`."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return ask(app, "/responses", body, given)


@pytest.mark.parametrize("odd", [b'"\xff"', b"1e999", b"9" * 5000, b"[1e400]"])
@pytest.mark.parametrize(
    "body", [b'{"input":"x","unknown":%b}', b'{"input":[{"role":"user","content":"x","a":%b}]}']
)
def test_what_no_field_takes_in_is_json_too(odd: bytes, body: bytes) -> None:
    answer = posted(giving("hi"), body % odd, idempotency_key="k")
    assert (answer.status, answer.json()["error"]["type"]) == (400, "invalid_request")


@pytest.mark.parametrize("kind", [dict, ResponsesRequest])
@pytest.mark.parametrize("path", ["/responses", "/invocations"])
def test_an_integer_that_no_field_takes_in_and_nobody_can_read(path: str, kind: Any) -> None:
    router = AgentRouter()

    async def read(request: Any) -> str:
        return str(request if kind is dict else request.to_dict())

    read.__annotations__["request"] = kind
    router.invoke(read)
    body = b'{"input":[{"role":"user","content":"x","a":%b}]}' % (b"9" * 5000)
    answer = ask(AgentApp(router), path, body)
    assert (answer.status, answer.json()["error"]["type"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    "choice",
    [
        {"type": "function", "name": ["f"]},
        {"type": "function", "name": "g"},
        {"type": "function"},
        {"type": "allowed_tools", "mode": "required", "tools": [{"name": {}}, {"name": "g"}]},
    ],
)
@pytest.mark.parametrize("more", [{}, {"stream": True}, {"background": True}], ids=str)
def test_a_choice_that_no_tool_fits_is_the_requests_fault(choice: Any, more: Any) -> None:
    answer = posted(giving("hi"), {"input": "x", "tools": TOOLS, "tool_choice": choice, **more})
    assert (answer.status, answer.json()["error"]["param"]) == (400, "tool_choice")


def test_a_choice_of_tools_whose_names_are_no_texts() -> None:
    choice = {"type": "allowed_tools", "tools": [{"name": []}, {"name": {}}, 5]}
    answer = posted(giving("hi"), {"input": "x", "tools": TOOLS, "tool_choice": choice})
    assert answer.status == 200


@pytest.mark.parametrize(
    ("length", "status"),
    [("\xb2", 200), ("-1", 200), ("+5", 200), ("1e3", 200), ("", 200), ("9" * 5000, 413)],
)
def test_a_content_length_that_is_no_number_or_a_huge_one(length: str, status: int) -> None:
    answer = posted(giving("hi"), {"input": "x"}, content_length=length)
    assert answer.status == status


@pytest.mark.parametrize("call_id", [[], {"a": 1}, 5, None])
def test_a_call_id_of_an_unknown_item_may_be_anything(call_id: Any) -> None:
    app = giving("hi")

    async def main() -> list[int]:
        async with started(app):
            client = AgentClient(app)
            first = {"input": [{"type": "acme:call", "call_id": call_id}]}
            made = await client.post("/responses", first)
            more = {"input": "on", "previous_response_id": made.json()["id"]}
            return [made.status, (await client.post("/responses", more)).status]

    assert asyncio.run(main()) == [200, 200]


@pytest.mark.parametrize("kind", [None, ""])
def test_an_item_without_a_type_needs_a_role(kind: Any) -> None:
    bare = posted(giving("hi"), {"input": [{"type": kind, "content": "x"}]})
    assert (bare.status, bare.json()["error"]["param"]) == (400, "input[0].type")
    empty = posted(giving("hi"), {"input": [{"type": "", "role": "user", "content": "x"}]})
    assert empty.status == 400


def streamed(*outputs: Any) -> dict[str, Any]:
    """Return the final response of a stream, after checking the stream against all rules."""
    answer = posted(giving(*outputs), {"input": "x", "stream": True})
    return check_stream(answer.events())


def test_an_open_part_without_a_text_gets_none() -> None:
    part = {"type": "response.content_part.added", "part": {"type": "input_text"}}
    response = streamed(part, ValueError("x"))
    assert response["output"][0]["content"] == [{"type": "input_text"}]


@pytest.mark.parametrize("odd", ["hi", 5, {"a": 1}, None])
def test_log_probabilities_are_a_list(odd: Any) -> None:
    delta = {"type": "response.output_text.delta", "delta": "hi", "logprobs": odd}
    assert streamed(delta)["status"] == "completed"


@pytest.mark.parametrize(
    "odd",
    [
        {"type": "response.output_text.delta", "delta": "hi", "logprobs": [object]},
        {"type": "acme:thing", "of": object},
        {"type": "acme:thing", "id": "a", "of": object},
        {"type": "message", "role": "assistant", "content": "x", "of": object},
        {"type": "function_call", "name": "f", "arguments": "{}", "of": object},
    ],
)
def test_what_cannot_be_written_leaves_no_gap(odd: Any) -> None:
    assert streamed("hi", odd, "more")["status"] == "failed"


@pytest.mark.parametrize("kind", ["reasoning_text", "refusal"])
def test_only_a_text_has_annotations(kind: str) -> None:
    part = {"type": kind, "text": "no", "refusal": "no", "annotations": [{"type": "url"}]}
    item = {"type": "message" if kind == "refusal" else "reasoning", "content": [part]}
    response = streamed(item)
    assert "annotations" not in response["output"][0]["content"][0]


def test_ids_that_cannot_be_written_stay_apart() -> None:
    items = [{"type": "message", "id": odd, "content": "x"} for odd in ("\ud800", "\ud83d", "é")]
    ids = [each["id"] for each in streamed(*items)["output"]]
    assert len(set(ids)) == 3
    assert ids[2] == "é"


@pytest.mark.parametrize("call_id", [(), [1], {"a": 1}], ids=str)
def test_a_call_id_that_is_no_text_is_stored_and_told_again(call_id: Any) -> None:
    app = giving({"type": "acme:call", "id": "a", "call_id": call_id})

    async def main() -> Answer:
        async with started(app):
            client = AgentClient(app)
            made = await client.post("/responses", {"input": "x"})
            return await client.get(f"/responses/{made.json()['id']}?stream=true")

    assert check_stream(asyncio.run(main()).events())["status"] == "completed"


def test_a_summary_of_a_message_is_no_list_of_parts() -> None:
    summary = [{"type": "output_text", "text": "x"}]
    response = streamed("hi", {"type": "message", "content": "ho", "summary": summary})
    assert response["status"] == "completed"


@pytest.mark.parametrize(
    "item",
    [
        {"type": "reasoning", "content": [{"type": "refusal", "refusal": "x"}]},
        {"type": "message", "content": [{"type": "summary_text", "text": "x"}]},
    ],
)
def test_a_part_out_of_its_place_fails_the_run(item: Any) -> None:
    assert streamed("hi", item)["status"] == "failed"


def test_a_text_as_reasoning_is_one_part() -> None:
    response = streamed({"type": "reasoning", "content": "hm", "summary": "short"})
    assert response["output"][0]["content"] == [{"type": "reasoning_text", "text": "hm"}]
    assert response["output"][0]["summary"] == [{"type": "summary_text", "text": "short"}]


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/responses/resp_1", "DELETE, GET, HEAD"),
        ("/responses/compact", "POST"),
        ("/responses/input_tokens", "DELETE, GET, HEAD, POST"),
        ("/health", "GET, HEAD"),
    ],
)
def test_a_405_lists_every_method_of_its_path(path: str, methods: str) -> None:
    app = giving("hi")

    async def main() -> Got:
        async with started(app):
            return await call_app(app, "PUT", path)

    got = asyncio.run(main())
    assert (got.status, got.header("allow")) == (405, methods)
    assert json.loads(got.body)["error"]["code"] == "invalid_request"
