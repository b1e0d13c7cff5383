"""Each rule that Open Responses 2026-04-24 sets for a server, as named in docs/conformance.md.

A test's docstring starts with the names of the rules it covers; most are covered in depth
elsewhere too. docs/conformance.md lists each rule with its tests.
"""

import ast
import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent_asgi import AgentApp, AgentRouter, Context, FunctionCall, ResponsesRequest
from agent_asgi.testing import AgentClient, Answer
from tests.support.apps import started
from tests.support.openresponses_schema import validate, validate_event, validate_response
from tests.support.pages import ROOT
from tests.support.stream_rules import check_stream

HERE = Path(__file__).parent
TOOLS = [{"type": "function", "name": "look"}, {"type": "function", "name": "buy"}]
SUMMARY = [{"type": "summary_text", "text": "hm"}]
PARTS = [{"type": "output_text", "text": "a"}, {"type": "output_text", "text": "b"}]
CALL = FunctionCall(call_id="c", name="look", arguments="{}")
STATELESS = ("reasoning", "acme:note")
"""Types whose items have no status."""
ALL_KINDS: list[Any] = [
    {"type": "reasoning", "summary": SUMMARY},
    {"type": "message", "content": PARTS},
    CALL,
    {"type": "acme:note", "id": "n1", "text": "x"},
    {"type": "acme:progress", "done": 1},
    "the end",
]


def giving(*outputs: Any) -> AgentRouter:
    """Make an agent that yields these outputs, and raises the exceptions among them."""
    router = AgentRouter()

    @router.stream
    async def give(request: ResponsesRequest, context: Context) -> AsyncIterator[Any]:
        for output in outputs:
            if isinstance(output, Exception):
                raise output
            yield output

    return router


def converse(router: AgentRouter, *bodies: Any, path: str = "/v1/responses") -> list[Answer]:
    """Send requests one after another; `PREVIOUS` is replaced by the id of the last answer."""

    async def main() -> list[Answer]:
        answers: list[Answer] = []
        async with started(AgentApp(router)) as app:
            for body in bodies:
                text = json.dumps(body)
                if "PREVIOUS" in text:
                    text = text.replace("PREVIOUS", answers[-1].json()["id"])
                answers.append(await AgentClient(app).post(path, text.encode()))
        return answers

    return asyncio.run(main())


def stream(*outputs: Any, **body: Any) -> Answer:
    """Return the whole stream of an agent that yields these outputs."""
    return converse(giving(*outputs), {"input": "x", "stream": True, **body})[0]


def test_media_types_and_the_end_of_a_stream() -> None:
    """HTTP-1, HTTP-2: JSON answers are application/json; streams end with `[DONE]`."""
    answer = converse(giving("hi"), {"input": "x"})[0]
    assert answer.headers["content-type"] == "application/json"
    streamed = stream("hi")
    assert streamed.headers["content-type"].startswith("text/event-stream")
    assert streamed.body.endswith(b"\n\ndata: [DONE]\n\n")
    for frame in streamed.body.split(b"\n\n")[:-2]:
        assert isinstance(json.loads(frame.partition(b"data: ")[2]), dict)


def test_the_event_line_is_the_type() -> None:
    """HTTP-3, HTTP-4: the `event` line equals the body's `type`; there is no `id` line."""
    for frame in stream(*ALL_KINDS).body.split(b"\n\n")[:-2]:
        event, data = frame.split(b"\n")
        assert event == b"event: " + json.loads(data.removeprefix(b"data: "))["type"].encode()


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ({"input": 1}, 400, "invalid_request"),
        ({"input": "x", "previous_response_id": "resp_none"}, 400, "invalid_request"),
        ({"input": "x"}, 500, "model_error"),
    ],
)
def test_error_types(body: Any, status: int, kind: str) -> None:
    """HTTP-5: each kind of error has its status and its type."""
    answer = converse(giving(ValueError("a secret")), body)[0]
    assert (answer.status, answer.json()["error"]["type"]) == (status, kind)


def test_an_error_in_a_stream() -> None:
    """HTTP-6: an error in a stream is an `error` event, and `response.failed` follows it."""
    events = stream("well", ValueError("a secret")).events()
    assert [each["type"] for each in events[-2:]] == ["error", "response.failed"]


def test_every_answer_and_event_fits_the_schema() -> None:
    """ITEM-1, ITEM-4: items have an id, a type and, if the type has one, a status.

    Every field that is not nullable is set. OpenAI refuses reasoning with a status as input.
    """
    answer = stream(*ALL_KINDS)
    for event in answer.events():
        validate_event(event)
    response = check_stream(answer.events())
    validate_response(response)
    for item in response["output"]:
        assert item["id"]
        assert item["type"]
        assert item["type"] in STATELESS or item["status"] == "completed"


def test_what_a_vendor_adds_can_be_ignored() -> None:
    """ITEM-2, ITEM-3: vendor events are numbered; without them the response is the same."""
    answer = stream(*ALL_KINDS)
    vendor = [each for each in answer.events() if ":" in each["type"]]
    assert [each["type"] for each in vendor] == ["acme:progress"]
    assert vendor[0]["sequence_number"] > 0
    others = [each for each in answer.events() if ":" not in each["type"]]
    texts = "".join(each.get("delta", "") for each in others if "output_text" in each["type"])
    assert texts == "abthe end"
    assert others[-1]["type"] == "response.completed"


def test_the_order_of_an_items_events() -> None:
    """ITEM-5: item added; parts with deltas, done and part done; then item done."""
    events = stream({"type": "message", "content": PARTS}).events()
    part = ["content_part.added", "output_text.delta", "output_text.done", "content_part.done"]
    due = ["output_item.added", *part, *part, "output_item.done"]
    assert [each["type"] for each in events[2:-1]] == [f"response.{each}" for each in due]


def test_an_incomplete_item_is_the_last_one() -> None:
    """ITEM-6: an incomplete item is the last one, and its response is incomplete."""
    cut = {"output": [], "incomplete_details": {"reason": "max_output_tokens"}}
    response = check_stream(stream(CALL, "half a", cut).events())
    assert [each["status"] for each in response["output"]] == ["completed", "incomplete"]
    assert response["status"] == "incomplete"


def test_what_was_said_before_comes_before() -> None:
    """CONT-1, CONT-2: previous input, previous output, new input; nothing is dropped."""
    seen: list[Any] = []
    router = AgentRouter()

    @router.invoke
    async def remember(request: ResponsesRequest) -> str:
        seen.append([getattr(each, "text", each) for each in request.input])
        return f"answer {len(seen)}"

    converse(
        router,
        {"input": "one"},
        {"input": "two", "previous_response_id": "PREVIOUS"},
        {"input": "three", "previous_response_id": "PREVIOUS", "truncation": "disabled"},
    )
    assert seen[-1] == ["one", "answer 1", "two", "answer 2", "three"]


@pytest.mark.parametrize(
    ("rule", "choice", "outputs", "allowed"),
    [
        ("TOOL-1", "none", [CALL], False),
        ("TOOL-1", "none", ["no tool"], True),
        ("TOOL-2", "required", ["no tool"], False),
        ("TOOL-2", "required", [CALL], True),
        ("TOOL-3", {"type": "allowed_tools", "tools": TOOLS[1:]}, [CALL], False),
        ("TOOL-3", {"type": "allowed_tools", "tools": TOOLS[:1]}, [CALL], True),
        ("TOOL-3", {"type": "function", "name": "buy"}, [CALL], False),
    ],
)
def test_tool_choice(rule: str, choice: Any, outputs: list[Any], allowed: bool) -> None:
    """TOOL-1, TOOL-2, TOOL-3: no call, at least one call, and only calls of the allowed tools."""
    events = stream("Well. ", *outputs, tools=TOOLS, tool_choice=choice).events()
    status = "response.completed" if allowed else "response.failed"
    assert events[-1]["type"] == status, rule
    done = [each["item"]["type"] for each in events if each["type"] == "response.output_item.done"]
    assert ("function_call" in done) is (allowed and CALL in outputs)


def test_compaction() -> None:
    """COMP-1, COMP-3: a window of items with a `compaction` item, accepted unchanged as input."""
    router = giving("hi")

    @router.compact
    async def compact(request: ResponsesRequest) -> Any:
        return [{"type": "compaction", "encrypted_content": "abc"}]

    async def main() -> None:
        async with started(AgentApp(router)) as app:
            client = AgentClient(app)
            body = {"model": "agent", "input": "a long story"}
            answer = (await client.post("/v1/responses/compact", body)).json()
            validate("CompactResource", answer)
            assert answer["object"] == "response.compaction"
            gone = {"input": "x", "previous_response_id": answer["id"]}
            assert (await client.post("/v1/responses", gone)).status == 400
            again = [*answer["output"], {"role": "user", "content": "go on"}]
            assert (await client.post("/v1/responses", {"input": again})).status == 200

    asyncio.run(main())


def test_compaction_needs_a_model() -> None:
    """COMP-2: a missing `model` is a 400."""
    answer = converse(giving("hi"), {"input": "x"}, path="/v1/responses/compact")[0]
    assert (answer.status, answer.json()["error"]["param"]) == (400, "model")


def listed() -> Iterator[tuple[str, str, str]]:
    """Yield each rule in docs/conformance.md with each test listed for it."""
    text = (ROOT / "docs" / "conformance.md").read_text()
    for line in text.splitlines():
        rule = re.match(r"\| (?P<name>[A-Z]+-\d+) \|", line)
        for file, test in re.findall(r"`(test_\w+\.py)::(test_\w+)`", line) if rule else ():
            yield rule["name"] if rule else "", file, test


def test_the_list_of_rules_is_the_truth() -> None:
    rules: set[str] = set()
    for rule, file, test in listed():
        rules.add(rule)
        tree = ast.parse((HERE / file).read_text())
        found = {each.name: each for each in tree.body if isinstance(each, ast.FunctionDef)}
        assert test in found, f"{rule}: there is no {file}::{test}"
        if file.startswith("test_rules"):
            assert rule in (ast.get_docstring(found[test]) or ""), f"{test} does not name {rule}"
    assert len(rules) == 29
