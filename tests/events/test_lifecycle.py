"""Whatever a handler yields, the events form a valid stream that clients can accumulate."""

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_asgi.background.log_writer import LINES
from agent_asgi.errors import AgentFailed
from agent_asgi.events.lifecycle import Lifecycle
from agent_asgi.events.shown import Writer
from agent_asgi.schema.items import FunctionCall, Message
from agent_asgi.schema.requests import ResponsesRequest
from agent_asgi.schema.responses import Response, Usage, echo
from tests.support.openresponses_schema import validate_event, validate_response
from tests.support.stream_rules import accumulate, check_stream, fold

Json = dict[str, Any]

ids = st.sampled_from([None, "", "__fake_id__", "a", "b", "msg_1"])
indexes = st.sampled_from([None, 0, 1, 2])
texts = st.sampled_from(["", "a", "ab", "é\n\n", "data: x"])
statuses = st.sampled_from([None, "completed", "incomplete", "in_progress"])


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    """Generate dicts with these fields, leaving out those drawn as None."""
    return st.fixed_dictionaries(fields).map(
        lambda drawn: {key: value for key, value in drawn.items() if value is not None}
    )


annotation = some(
    type=st.just("url_citation"),
    url=st.just("u"),
    title=st.just("t"),
    start_index=st.integers(0, 9),
    end_index=st.integers(0, 9),
)
annotations = st.lists(annotation, max_size=2)
text_parts = some(type=st.just("output_text"), text=texts, annotations=annotations)
parts = text_parts | some(type=st.just("refusal"), refusal=texts)
messages = some(
    type=st.just("message"),
    role=st.just("assistant"),
    id=ids,
    status=statuses,
    content=texts | st.lists(parts, max_size=3),
)
calls = some(
    type=st.just("function_call"),
    id=ids,
    call_id=st.sampled_from([None, "c1", "c2"]),
    name=st.just("look"),
    arguments=st.sampled_from(["", "{}", '{"a": 1}']),
    status=statuses,
)
outputs = some(
    type=st.just("function_call_output"),
    id=ids,
    call_id=st.sampled_from(["c1", "c2"]),
    output=texts,
)
thoughts = some(
    type=st.just("reasoning"),
    id=ids,
    summary=st.lists(some(type=st.just("summary_text"), text=texts), max_size=2),
    content=st.none() | st.lists(some(type=st.just("reasoning_text"), text=texts), max_size=2),
)
others = some(type=st.sampled_from(["web_search_call", "acme:thing"]), id=st.just("x"), n=indexes)
items = messages | calls | outputs | thoughts | others


def event(kind: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    """Generate a handler's events of one type, with arbitrary ids and indexes."""
    return some(type=st.just(f"response.{kind}"), output_index=indexes, **fields)


def texts_of(stem: str, place: str = "content_index") -> st.SearchStrategy[Json]:
    """Generate the deltas and endings of one kind of text."""
    name = "refusal" if stem == "refusal" else "text"
    spot: dict[str, Any] = {"item_id": ids, place: indexes}
    deltas = event(f"{stem}.delta", delta=texts, **spot)
    return deltas | event(f"{stem}.done", **spot, **{name: texts})


spot: dict[str, Any] = {"item_id": ids, "content_index": indexes}
usages = st.builds(Usage, input_tokens=st.integers(0, 9), output_tokens=st.integers(0, 9))
responses = some(output=st.lists(items, max_size=3), metadata=st.none() | st.just({"k": "v"}))
events = st.one_of(
    event("output_item.added", item=items),
    event("output_item.done", item=items),
    event("content_part.added", part=parts, **spot),
    event("content_part.done", part=parts, **spot),
    event("output_text.annotation.added", annotation=annotation),
    texts_of("output_text"),
    texts_of("refusal"),
    texts_of("reasoning_text"),
    texts_of("reasoning"),
    texts_of("reasoning_summary_text", "summary_index"),
    event("function_call_arguments.delta", item_id=ids, delta=texts),
    event("function_call_arguments.done", item_id=ids, arguments=texts),
    st.just({"type": "response.created", "response": {"id": "up"}}),
    st.just({"type": "response.in_progress", "response": {"id": "up"}}),
    some(type=st.just("response.completed"), response=responses),
)
yields = st.one_of(texts, items, events, usages, responses, st.lists(texts | items, max_size=2))
endings = st.sampled_from(["complete", "fail", "cancel"])


def lifecycle(writer: Writer | None = LINES) -> Lifecycle:
    """Return the lifecycle of a plain request."""
    return Lifecycle(echo(ResponsesRequest(input="hi"), id="resp_1", agent="a"), writer)


def run(life: Lifecycle, outputs: list[Any], ending: str = "complete") -> None:
    """Feed a run its outputs and finish it with one of its endings."""
    life.start()
    for output in outputs:
        life.feed(output)
    if ending == "fail":
        life.fail(AgentFailed())
    elif ending == "cancel":
        life.cancel()
    else:
        life.complete()
    life.close()


def stream(outputs: list[Any], ending: str = "complete") -> list[Json]:
    """Return the events of a run as a client parses them."""
    life = lifecycle()
    run(life, outputs, ending)
    return [json.loads(line) for line in life.buffer.splitlines()]


@settings(max_examples=600, deadline=None, database=None)
@given(st.lists(yields, max_size=12), endings)
def test_any_outputs_make_a_valid_stream(outputs: list[Any], ending: str) -> None:
    made = stream(outputs, ending)
    response = check_stream(made, cancelled=ending == "cancel")
    for each in made:
        validate_event(each)
    validate_response(response)


@settings(max_examples=500, deadline=None, database=None)
@given(st.lists(yields, max_size=10))
def test_the_openai_helper_builds_what_we_reduce(outputs: list[Any]) -> None:
    made = stream(outputs)
    known = [each for each in made if ":" not in each["type"]]
    if known[-1]["type"] == "response.completed":
        assert fold(known) == accumulate(known)["output"]


def without_ids(response: Json) -> Json:
    """Return a response without the fields that differ between runs of the same outputs."""
    calls: dict[str, int] = {}
    for item in response["output"]:
        del item["id"]
        if "call_id" in item:
            item["call_id"] = calls.setdefault(item["call_id"], len(calls))
    return response | {"completed_at": None, "created_at": None}


@settings(max_examples=500, deadline=None, database=None)
@given(st.lists(yields, max_size=12), endings)
def test_an_answer_that_is_not_streamed_is_the_same(outputs: list[Any], ending: str) -> None:
    streamed = stream(outputs, ending)[-1]["response"]
    life = lifecycle(None)
    run(life, outputs, ending)
    assert life.events == 0
    assert without_ids(json.loads(life.encode())) == without_ids(streamed)


def types(made: list[Json]) -> list[str]:
    """Return the event types without their prefix."""
    return [each["type"].removeprefix("response.") for each in made]


def output(made: list[Json]) -> list[Any]:
    """Return the contents of the items in the terminal response."""
    said = []
    for item in made[-1]["response"]["output"]:
        if item["type"] == "message":
            said.append("".join(part.get("text", "") for part in item["content"]))
        else:
            said.append(item["type"])
    return said


def test_text_is_one_message() -> None:
    assert types(stream(["a", "", "b"])) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]


def test_an_item_ends_the_message_of_bare_texts() -> None:
    made = stream(["a", FunctionCall(call_id="c", name="f", arguments="{}"), "b"])
    assert output(made) == ["a", "function_call", "b"]


def test_deltas_and_the_whole_message_are_one() -> None:
    made = stream(["he", "llo", Message(role="assistant", content="hello")])
    assert output(made) == ["hello"]


def test_usage_of_turns_is_summed() -> None:
    turn = {"output": [], "usage": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}}
    made = stream(
        [
            {"type": "response.created", "response": {"id": "up_1"}},
            {"type": "response.completed", "response": turn},
            {"type": "response.created", "response": {"id": "up_2"}},
            {"type": "response.completed", "response": turn},
        ]
    )
    assert made[-1]["response"]["usage"]["total_tokens"] == 6
    assert types(made) == ["created", "in_progress", "completed"]
    assert {each["response"]["id"] for each in made} == {"resp_1"}


def test_a_response_emits_what_was_not_yet() -> None:
    said = {"type": "message", "role": "assistant", "id": "m", "content": "hi"}
    more = {"type": "message", "role": "assistant", "id": "n", "content": "ho"}
    done = {"type": "response.output_item.done", "output_index": 0, "item": said}
    assert output(stream([done, Response(output=[said, more])])) == ["hi", "ho"]


def test_repeated_ids_get_fresh_ones() -> None:
    said = {"type": "message", "role": "assistant", "id": "m", "content": "hi"}
    made = stream([said, said, {**said, "id": "__fake_id__"}])
    ids = [item["id"] for item in made[-1]["response"]["output"]]
    assert len(set(ids)) == 3
    assert "__fake_id__" not in ids


def test_a_response_that_failed_fails_the_run() -> None:
    failed = {"output": [], "status": "failed", "error": {"code": "x", "message": "m"}}
    made = stream(["so far", failed])
    assert types(made)[-2:] == ["error", "failed"]
    assert made[-1]["response"]["error"] == {"code": "x", "message": "m"}
    assert made[-1]["response"]["output"][0]["status"] == "in_progress"


def test_an_incomplete_response_ends_its_last_item_so() -> None:
    made = stream(["so far", {"output": [], "incomplete_details": {"reason": "content_filter"}}])
    assert types(made)[-1] == "incomplete"
    assert made[-1]["response"]["output"][0]["status"] == "incomplete"
    assert made[-1]["response"]["incomplete_details"] == {"reason": "content_filter"}


def test_vendor_events_pass_with_a_number() -> None:
    made = stream([{"type": "acme:progress", "done": 3}])
    assert made[2] == {"type": "acme:progress", "done": 3, "sequence_number": 2}


@pytest.mark.parametrize("wrong", [3, object(), {"no": "type"}, {"type": "function_call"}, b"x"])
def test_anything_else_is_refused(wrong: object) -> None:
    with pytest.raises(TypeError):
        lifecycle().feed(wrong)


def test_many_deltas_hold_their_text_alone() -> None:
    life = lifecycle()
    life.start()
    tracemalloc.start()
    try:
        for _ in range(100_000):
            life.feed("x" * 10)
            life.buffer.clear()  # as if it had been sent
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 2_000_000
    life.complete()
    assert life.response.output[0]["content"][0]["text"] == "x" * 1_000_000


def test_a_failure_is_written_even_if_the_output_cannot_be() -> None:
    life = lifecycle()
    life.start()
    life.feed("hi")
    life.response.metadata = {"k": object()}
    life.complete()
    with pytest.raises(TypeError):
        life.close()
    life.fail(AgentFailed())
    life.fail(AgentFailed())  # as for an end that could not be saved
    life.close()
    events = [json.loads(line) for line in life.buffer.splitlines()]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [event["type"] for event in events[-2:]] == ["error", "response.failed"]
    assert sum(event["type"] == "error" for event in events) == 1
    assert events[-1]["response"]["metadata"] == {}
