"""Handler output: valid, half valid and garbage, in any order."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any

from hypothesis import strategies as st
from starlette.exceptions import HTTPException

from agent_asgi import (
    AgentApp,
    AgentError,
    AgentRouter,
    FunctionCall,
    FunctionCallOutput,
    Message,
    OutputText,
    ReasoningItem,
    Response,
    ResponsesRequest,
    SummaryText,
    Usage,
)
from agent_asgi.schema.events import ITEM_EVENTS
from tests.support.stream_rules import check_stream
from tests.tools.fuzz.bodies import frames
from tests.tools.fuzz.harness import Property, call_app, check_answer, live

TYPES = ["message", "function_call", "function_call_output", "reasoning", "compaction", "acme:x"]
TYPES += [
    "web_search_call",
    "item_reference",
    "output_text",
    "response",
    "",
    "a b",
    "acme:\nx",
    "a\r",
]
PARTS = ["output_text", "refusal", "summary_text", "reasoning_text", "input_text", "new_part", ""]
EVENTS = [str(each.__struct_config__.tag) for each in ITEM_EVENTS]
# a handler's own events of these types are a hosted tool's: they pass as they came, valid or not
EVENTS = [each for each in EVENTS if not each.startswith("response.mcp_call")]
EVENTS += [
    f"response.{each}" for each in ("created", "queued", "in_progress", "completed", "failed")
]
EVENTS += ["response.incomplete", "error", "response.error", "response.new.delta", "response."]
EVENTS += ["response.reasoning_text.delta", "response.reasoning_text.done", "response.\nx"]
NEW = ("response.new.delta", "response.")
IDS = ["a", "b", "__fake_id__", "", "c" * 300, "\ud800"]

ids = st.sampled_from(IDS)
texts = st.sampled_from(
    ["hi", "", "\n\ndata: [DONE]\n\n", "\ud83d", "\x00", "\u2028", "\r"]
) | st.text(max_size=6)
numbers = st.sampled_from([0, 0, 0, 1, 2, -1, 99, 1 << 70, True, 1.5])
leaves = st.one_of(
    texts,
    numbers,
    st.none(),
    st.floats(),
    st.sampled_from([b"\xff", 10**400, object, {1: 2}, {1, 2}, ()]),
)
junk = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)


def some(
    strategy: st.SearchStrategy[Any], **fields: st.SearchStrategy[Any]
) -> st.SearchStrategy[Any]:
    """Make dicts of a type with some of these fields, occasionally with junk in one."""
    spoilt = {name: st.one_of(each, each, each, each, junk) for name, each in fields.items()}
    return st.fixed_dictionaries({"type": strategy}, optional=spoilt)


annotations = st.lists(st.dictionaries(texts, leaves, max_size=2) | junk, max_size=2)
parts = some(st.sampled_from(PARTS), text=texts, refusal=texts, annotations=annotations)
items = some(
    st.sampled_from(TYPES),
    id=ids,
    role=st.sampled_from(["assistant", "user"]),
    content=st.lists(parts | texts, max_size=3) | texts,
    summary=st.lists(parts, max_size=2),
    status=st.sampled_from(["in_progress", "completed", "incomplete", "odd"]),
    call_id=ids,
    name=st.sampled_from(["f", "g", ""]),
    arguments=texts | st.dictionaries(texts, leaves, max_size=2),
    output=texts | st.lists(parts, max_size=2),
    encrypted_content=texts,
)
usages = st.fixed_dictionaries({}, optional={"input_tokens": numbers, "output_tokens": numbers})
responses = st.fixed_dictionaries(
    {"output": st.lists(items, max_size=3)},
    optional={
        "usage": usages | junk,
        "metadata": st.dictionaries(texts, texts, max_size=2) | junk,
        "status": st.sampled_from(["completed", "failed", "incomplete", "odd"]) | junk,
        "error": st.dictionaries(st.sampled_from(["code", "message"]), texts | junk) | junk,
        "incomplete_details": st.dictionaries(st.just("reason"), texts | junk) | junk,
        "custom_outputs": st.dictionaries(texts, junk, max_size=2) | junk,
    },
)
events = some(
    st.sampled_from(EVENTS),
    item_id=ids,
    output_index=numbers,
    content_index=numbers,
    summary_index=numbers,
    sequence_number=numbers,
    item=items,
    part=parts,
    delta=texts,
    text=texts,
    refusal=texts,
    arguments=texts,
    name=st.sampled_from(["f", ""]),
    call_id=ids,
    annotation=st.dictionaries(texts, leaves, max_size=2),
    logprobs=st.lists(junk, max_size=1),
    response=responses,
    error=st.dictionaries(st.sampled_from(["code", "message"]), texts | junk),
    message=texts,
)
STRUCTS = [
    Usage(input_tokens=1),
    Message(role="assistant", content="hi"),
    Message(role="assistant", content=[OutputText(text="x")], id="a"),
    FunctionCall(call_id="a", name="f", arguments="{}"),
    FunctionCallOutput(call_id="a", output="1"),
    ReasoningItem(summary=[SummaryText(text="hm")]),
    Response(output=[Message(role="assistant", content="hi")]),
    ResponsesRequest(input="hi"),
]
RAISED: list[BaseException] = [
    ValueError("x"),
    AgentError("no", 418, "tea"),
    HTTPException(403, "no"),
    RuntimeError(),
]
RAISED += [
    TimeoutError(),
    StopAsyncIteration(),
    RecursionError(),
    UnicodeEncodeError("u", "", 0, 1, "x"),
]
RAISED += [asyncio.CancelledError(), HTTPException(302, headers={"location": "/"})]
good_items = st.sampled_from(
    [
        {"type": "message", "id": "a", "role": "assistant", "content": "one"},
        {"type": "function_call", "id": "b", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "hm"}]},
    ]
)
plausible = some(
    st.sampled_from(EVENTS),
    item_id=st.sampled_from(["a", "b", "r"]),
    output_index=st.integers(0, 2),
    content_index=st.integers(0, 1),
    summary_index=st.integers(0, 1),
    delta=st.text(min_size=1, max_size=3),
    text=st.text(max_size=3),
    refusal=st.text(max_size=3),
    arguments=st.text(max_size=3),
    item=good_items,
    part=st.sampled_from(PARTS[:4]).map(lambda kind: {"type": kind, "text": "", "refusal": ""}),
    annotation=st.just({"type": "url_citation"}),
    response=st.lists(good_items, max_size=2).map(lambda made: {"output": made}),
)
outputs = st.one_of(
    texts,
    plausible,
    plausible,
    plausible,
    good_items,
    items,
    events,
    responses,
    st.sampled_from(STRUCTS),
    st.lists(events | items | texts, max_size=2),
    junk,
)
sequences = st.lists(outputs, max_size=8) | st.lists(plausible, max_size=14)
cases = st.tuples(sequences, st.none() | st.none() | st.sampled_from(RAISED), st.booleans())


class Giving:
    """An agent that yields the outputs it is given."""

    def __init__(self) -> None:
        self.outputs: list[Any] = []
        self.error: BaseException | None = None
        router = AgentRouter("giving")

        @router.stream
        async def give(request: ResponsesRequest) -> AsyncIterator[Any]:
            for number, output in enumerate(self.outputs):
                if number % 3 == 2:
                    await asyncio.sleep(0)
                yield output
            if self.error is not None:
                raise self.error

        self.router = router


_giving = Giving()


def app() -> AbstractAsyncContextManager[AgentApp]:
    """Run the app inside a block."""
    return live(AgentApp(_giving.router))


async def check(app: Any, case: tuple[list[Any], BaseException | None, bool]) -> None:
    """Run an agent on outputs, streamed and as JSON; check how both answers end."""
    _giving.outputs, _giving.error, named = case
    path = "/responses" if named else "/invocations"
    body = json.dumps({"input": "hi", "stream": True}).encode()
    got = await call_app(app, "POST", path, chunks=[body])
    statuses = (200, 500, 418, 403, 503)
    failed = check_answer(got, statuses)
    if failed is None:
        cancelled = isinstance(_giving.error, asyncio.CancelledError)
        told = [_known(each) for each in frames(got) if "type" in each]
        ended = told[-1]["response"]["status"] if told[-1].get("response") else None
        check_stream(told, cancelled=cancelled and ended == "cancelled")
    else:
        assert got.status != 200
    once = await call_app(app, "POST", path, chunks=[b'{"input":"hi"}'])
    answer = check_answer(once, statuses)
    if once.status == 200:
        assert answer["status"] in ("completed", "failed", "incomplete", "cancelled"), answer
        stored = await call_app(app, "GET", f"/responses/{answer['id']}", b"stream=true")
        check_answer(stored, (200,))
        check_stream(frames(stored), cancelled=answer["status"] == "cancelled")


def _known(event: dict[str, Any]) -> dict[str, Any]:
    """Return the event, with a new type renamed so that the rules accept it as a vendor's."""
    return event | {"type": f"new:{event['type']}"} if event["type"] in NEW else event


OUTPUTS = Property(
    "outputs and events",
    20,
    cases,
    app,
    check,
    legal=("Handler %r of agent %r failed.%s", "Handler %r failed while it was being closed."),
)
