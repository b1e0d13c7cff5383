"""The stream checker accepts good streams and refuses broken ones for the right reason."""

import json
import re
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from tests.support.openresponses_schema import validate_event, validate_request, validate_response
from tests.support.stream_rules import accumulate, check_stream, fold

Json = dict[str, Any]
Mutation = Callable[[list[Json]], list[Json]]

USAGE = {
    "input_tokens": 3,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 4,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 7,
}
CITATION = {"type": "url_citation", "url": "u", "start_index": 0, "end_index": 2, "title": "t"}
ERROR = {"code": "agent_error", "message": "The agent failed.", "param": None}


def numbered(events: list[Json]) -> list[Json]:
    return [{**event, "sequence_number": number} for number, event in enumerate(events)]


def response(status: str, output: list[Json] | None = None, **fields: Any) -> Json:
    unset = "completed_at incomplete_details previous_response_id instructions error reasoning"
    unset += " usage max_output_tokens max_tool_calls safety_identifier prompt_cache_key"
    numbers = dict.fromkeys(("presence_penalty", "frequency_penalty", "top_logprobs"), 0)
    choices = {"tools": [], "tool_choice": "auto", "parallel_tool_calls": True}
    modes = {"truncation": "disabled", "service_tier": "auto", "store": True, "background": False}
    name = {"id": "resp_1", "object": "response", "created_at": 1, "model": "m", "status": status}
    rest = {"text": {"format": {"type": "text"}}, "top_p": 1, "temperature": 1, "metadata": {}}
    known = {**dict.fromkeys(unset.split()), **numbers, **choices, **modes, **name, **rest}
    return {**known, "output": output or [], **fields}


def embedded(kind: str, status: str = "", output: list[Json] | None = None, **more: Any) -> Json:
    return {"type": f"response.{kind}", "response": response(status or kind, output, **more)}


def opening() -> list[Json]:
    return [embedded("created", "in_progress"), embedded("in_progress")]


def completed(output: list[Json]) -> Json:
    return embedded("completed", output=output, completed_at=2, usage=USAGE)


def item_events(added: Json, done: Json, index: int, *between: Json) -> list[Json]:
    place = {"item_id": added["id"], "output_index": index}
    return [
        {"type": "response.output_item.added", "output_index": index, "item": added},
        *({**event, **place} for event in between),
        {"type": "response.output_item.done", "output_index": index, "item": done},
    ]


def part_events(stem: str, part: Json, index: int = 0, *, key: str = "text") -> list[Json]:
    """Return the events of a text part, with one delta for each character."""
    place = {"summary_index" if "summary" in stem else "content_index": index}
    around = "reasoning_summary_part" if "summary" in stem else "content_part"
    logprobs: Json = {"logprobs": []} if stem == "output_text" else {}
    notes = part.get("annotations", [])
    empty = part | {key: ""} | ({"annotations": []} if "annotations" in part else {})
    events: list[Json] = [
        {"type": f"response.{around}.added", "part": empty},
        *({"type": f"response.{stem}.delta", "delta": each, **logprobs} for each in part[key]),
        *(
            {"type": f"response.{stem}.annotation.added", "annotation_index": n, "annotation": note}
            for n, note in enumerate(notes)
        ),
        {"type": f"response.{stem}.done", key: part[key], **logprobs},
        {"type": f"response.{around}.done", "part": part},
    ]
    return [event | place for event in events]


def output_text(text: str, *annotations: Json) -> Json:
    return {"type": "output_text", "text": text, "annotations": list(annotations)}


def message(item_id: str, status: str, *content: Json) -> Json:
    kept = {"id": item_id, "status": status, "content": list(content)}
    return {"type": "message", "role": "assistant", **kept}


def message_events(index: int, text: str, status: str = "completed") -> list[Json]:
    name, part = f"msg_{index}", output_text(text, CITATION)
    between = part_events("output_text", part)
    return item_events(message(name, "in_progress"), message(name, status, part), index, *between)


def call_events(index: int) -> list[Json]:
    call = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "add"}
    return item_events(
        {**call, "status": "in_progress", "arguments": ""},
        {**call, "status": "completed", "arguments": '{"a": 1}'},
        index,
        {"type": "response.function_call_arguments.delta", "delta": '{"a"'},
        {"type": "response.function_call_arguments.delta", "delta": ": 1}"},
        {"type": "response.function_call_arguments.done", "arguments": '{"a": 1}'},
    )


def reasoning_events(index: int) -> list[Json]:
    summary = [{"type": "summary_text", "text": text} for text in ("one", "two")]
    content = {"type": "reasoning_text", "text": "hm"}
    return item_events(
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "reasoning", "id": "rs_1", "summary": summary, "content": [content]},
        index,
        *part_events("reasoning_summary_text", summary[0]),
        *part_events("reasoning_summary_text", summary[1], 1),
        *part_events("reasoning", content),
    )


def refusal_events(index: int) -> list[Json]:
    parts = [output_text("Well."), {"type": "refusal", "refusal": "No."}]
    return item_events(
        message("msg_no", "in_progress"),
        message("msg_no", "completed", *parts),
        index,
        *part_events("output_text", parts[0]),
        *part_events("refusal", parts[1], 1, key="refusal"),
    )


def other_events(index: int) -> list[Json]:
    answer = {"type": "function_call_output", "id": "fco_1", "call_id": "call_1", "output": "2"}
    vendor = {"type": "acme:plot", "id": "plot_1", "points": [1, 2]}
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    return [
        *item_events({**answer, "status": "in_progress"}, {**answer, "status": "completed"}, index),
        {"type": "acme:progress", "percent": 50, "item": 7},
        *item_events(vendor, vendor, index + 1),
        *item_events(search, search, index + 2),
    ]


def done_items(events: list[Json]) -> list[Json]:
    return [event["item"] for event in events if event["type"] == "response.output_item.done"]


def text_stream() -> list[Json]:
    events = message_events(0, "Hi!")
    return numbered([*opening(), *events, completed(done_items(events))])


def rich_stream() -> list[Json]:
    events = [*reasoning_events(0), *call_events(1), *other_events(2), *refusal_events(5)]
    events += message_events(6, "")
    return numbered([*opening(), *events, completed(done_items(events))])


def queued_stream() -> list[Json]:
    queued = [embedded("created", "queued"), embedded("queued"), embedded("in_progress")]
    return numbered([*queued, completed([])])


def failed_stream() -> list[Json]:
    first, second = message_events(0, "Hi!"), message_events(1, "Hi!")[:4]
    call = call_events(2)[:2]
    unfinished = [
        message("msg_1", "in_progress", output_text("Hi")),
        {**call[0]["item"], "arguments": '{"a"'},
    ]
    error = {"type": "error", **ERROR, "error": {"type": "model_error", **ERROR}}
    told = {"code": ERROR["code"], "message": ERROR["message"]}
    end = embedded("failed", output=done_items(first) + unfinished, error=told)
    return numbered([*opening(), *first, *second, *call, error, end])


def incomplete_stream() -> list[Json]:
    events = [*message_events(0, "Hi!"), *message_events(1, "Hi", "incomplete")]
    reason = {"incomplete_details": {"reason": "max_output_tokens"}}
    return numbered([*opening(), *events, embedded("incomplete", "", done_items(events), **reason)])


def cancelled_stream() -> list[Json]:
    unfinished = message("msg_0", "in_progress", output_text("H"))
    end = embedded("incomplete", "cancelled", [unfinished])
    return numbered([*opening(), *message_events(0, "Hi!")[:3], end])


GOOD = [text_stream, rich_stream, queued_stream, failed_stream, incomplete_stream, cancelled_stream]


@pytest.mark.parametrize("stream", GOOD)
def test_good_stream(stream: Callable[[], list[Json]]) -> None:
    events = stream()
    for event in events:
        validate_event(event)
    final = check_stream(events, cancelled=stream is cancelled_stream)
    validate_response(final)
    assert final == events[-1]["response"]
    assert fold(events) == final["output"]
    if final["status"] == "completed":
        assert accumulate(events) == final
    else:
        with pytest.raises(RuntimeError, match=r"Didn't receive"):
            accumulate(events)


def test_open_reasoning_stands_in_the_output() -> None:
    events = [*opening(), *reasoning_events(0)[:4]]
    told = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "on"}]}
    events.append(embedded("incomplete", "cancelled", [told]))
    check_stream(numbered(events), cancelled=True)


def test_the_client_misses_a_lost_delta() -> None:
    events = drop("output_text.delta")(text_stream())
    assert fold(events) != events[-1]["response"]["output"]


def nth(events: list[Json], kind: str, number: int = 0) -> int:
    places = [n for n, event in enumerate(events) if event["type"] in (kind, f"response.{kind}")]
    return places[number]


def drop(kind: str) -> Mutation:
    def mutate(events: list[Json]) -> list[Json]:
        del events[nth(events, kind)]
        return numbered(events)

    return mutate


def move(kind: str, behind: str, *, keep: bool = False) -> Mutation:
    """Move the first event of a type, or with `keep` a copy of it, after the last of another."""

    def mutate(events: list[Json]) -> list[Json]:
        place = nth(events, kind)
        event = deepcopy(events[place]) if keep else events.pop(place)
        events.insert(nth(events, behind, -1) + 1, event)
        return numbered(events)

    return mutate


def repeat(kind: str) -> Mutation:
    return move(kind, kind, keep=True)


def change(kind: str, number: int = 0, /, *, into: str = "", **fields: Any) -> Mutation:
    """Set fields of an event, or of the value at the path `into`; `...` removes a field."""

    def mutate(events: list[Json]) -> list[Json]:
        found: Any = events[nth(events, kind, number)]
        for step in into.split():
            found = found[int(step) if step.isdigit() else step]
        found.update(fields)
        for key in [key for key, value in fields.items() if value is ...]:
            del found[key]
        return events

    return mutate


def both(first: Mutation, second: Mutation) -> Mutation:
    return lambda events: second(first(events))


ANNOTATION = "output_text.annotation.added"
ARGUMENTS = "function_call_arguments"
SUMMARY = "reasoning_summary_text"
SUMMARY_PART = "reasoning_summary_part"

TEXT_BREAKS = {
    "gap": (change("in_progress", sequence_number=5), "sequence_number is 5"),
    "number missing": (change("created", sequence_number=...), "sequence_number is None"),
    "number is a bool": (change("in_progress", sequence_number=True), "sequence_number is True"),
    "no created": (drop("created"), "opens with"),
    "no in_progress": (drop("in_progress"), "opens with"),
    "created twice": (repeat("created"), "opens with"),
    "in_progress twice": (repeat("in_progress"), "out of place or repeated"),
    "in_progress late": (move("in_progress", "output_item.added"), "opens with"),
    "queued late": (move("created", "in_progress"), "opens with"),
    "no terminal": (drop("completed"), "ends with"),
    "two terminals": (repeat("completed"), "out of place or repeated"),
    "after the terminal": (move("output_item.done", "completed"), "ends with"),
    "error on success": (lambda e: numbered([*e[:-1], {"type": "error"}, e[-1]]), "error events"),
    "unknown event": (change("output_text.delta", type="response.nope"), "not known"),
    "other response id": (change("created", into="response", id="x"), "several response ids"),
    "no response id": (change("created", into="response", id=""), "id is empty"),
    "created as done": (change("created", into="response", status="completed"), "due is one"),
    "failed as completed": (change("completed", into="response", status="failed"), "due is one"),
    "error in completed": (change("completed", into="response", error=ERROR), "error is"),
    "no completed_at": (change("completed", into="response", completed_at=None), "completed_at"),
    "output too early": (change("created", into="response", output=[{}]), "before the first item"),
    "usage": (change("completed", into="response usage", total_tokens=8), "total_tokens is 8"),
    "output lost": (change("completed", into="response", output=[]), "1 items told, 0 in"),
    "output differs": (change("completed", into="response output 0", id="x"), "item 0: the output"),
    "item never added": (drop("output_item.added"), "no item has output_index 0"),
    "item added twice": (repeat("output_item.added"), "output_index is 0 where 1"),
    "item never done": (drop("output_item.done"), "open at the end"),
    "item done twice": (repeat("output_item.done"), "done already"),
    "output_index skips": (change("output_item.added", output_index=1), "1 where 0 is due"),
    "index of no item": (change("output_text.delta", output_index=-1), "no item has"),
    "wrong item id": (change("output_text.delta", item_id="x"), "item_id is 'x'"),
    "no item id": (change("output_item.added", into="item", id=""), "id is empty"),
    "done under other id": (change("output_item.done", into="item", id="x"), "id is 'x'"),
    "done as other type": (change("output_item.done", into="item", type="x"), "type is 'x'"),
    "done in progress": (change("output_item.done", into="item", status="in_progress"), "done as"),
    "added completed": (change("output_item.added", into="item", status="completed"), "added with"),
    "added full": (change("output_item.added", into="item", content=[{}]), "at the start"),
    "item content differs": (change("output_item.done", into="item", content=[]), "its parts were"),
    "no part added": (drop("content_part.added"), "no part has content_index 0"),
    "part added twice": (repeat("content_part.added"), "content_index is 0 where 1"),
    "part added full": (change("content_part.added", into="part", text="x"), "not empty"),
    "part of no type": (change("content_part.added", into="part", type=...), "type is None"),
    "part out of place": (change("content_part.added", into="part", type="summary_text"), "a part"),
    "part never done": (drop("content_part.done"), "is open"),
    "part done twice": (repeat("content_part.done"), "part 0 is done already"),
    "part done late": (move("content_part.done", "output_item.done"), "is open"),
    "part text differs": (change("content_part.done", into="part", text="x"), "deltas told 'Hi!'"),
    "part done as other": (change("content_part.done", into="part", type="x"), "done as x"),
    "delta lost": (drop("output_text.delta"), "deltas told 'i!'"),
    "delta after done": (move("output_text.delta", "output_text.done"), "deltas told"),
    "delta too many": (move("output_text.delta", "output_text.done", keep=True), "text is done"),
    "delta of refusal": (change("output_text.delta", type="response.refusal.delta"), "of type"),
    "delta is no text": (change("output_text.delta", delta=None), "delta is None"),
    "annotated at once": (change("content_part.added", into="part", annotations=[1]), "at the st"),
    "no logprobs": (change("output_text.delta", logprobs=...), "logprobs is None"),
    "no logprobs in done": (change("output_text.done", logprobs=None), "logprobs is None"),
    "text never done": (drop("output_text.done"), "text is not done"),
    "annotation lost": (drop(ANNOTATION), "annotations are"),
    "annotation_index": (change(ANNOTATION, annotation_index=1), "annotation_index is 1"),
    "annotation late": (move(ANNOTATION, "content_part.done"), "annotations are"),
    "arguments of message": (change("output_text.delta", type=f"response.{ARGUMENTS}.delta"), "of"),
    "summary of message": (
        change("content_part.added", type=f"response.{SUMMARY_PART}.added"),
        "has no parts in summary",
    ),
}
RICH_BREAKS = {
    "vendor event unnumbered": (change("acme:progress", sequence_number=...), "is None"),
    "id again": (change("output_item.added", 1, into="item", id="rs_1"), "comes again"),
    "index again": (change("output_item.added", 1, output_index=0), "0 where 1 is due"),
    "call_id changes": (change("output_item.done", 1, into="item", call_id="x"), "call_id is 'x'"),
    "arguments lost": (drop(f"{ARGUMENTS}.delta"), "deltas told ': 1}'"),
    "arguments not done": (drop(f"{ARGUMENTS}.done"), f"no {ARGUMENTS}.done"),
    "arguments done twice": (repeat(f"{ARGUMENTS}.done"), "done already"),
    "arguments at once": (change("output_item.added", 1, into="item", arguments="{}"), "at the st"),
    "item arguments": (change("output_item.done", 1, into="item", arguments="{}"), "differ from"),
    "summary part missing": (drop(f"{SUMMARY_PART}.added"), "no part has summary_index 0"),
    "summary_index": (change(f"{SUMMARY_PART}.added", 1, summary_index=2), "summary_index is 2"),
    "summary differs": (change(f"{SUMMARY}.done", text="x"), "the text is 'x'"),
    "summary part open": (drop(f"{SUMMARY_PART}.done"), "part of the summary is open"),
    "summary at once": (change("output_item.added", into="item", summary=[{}]), "at the start"),
    "reasoning at once": (change("output_item.added", into="item", content=[{}]), "at the start"),
    "reasoning differs": (change("reasoning.done", text="x"), "the text is 'x'"),
    "reasoning unsaid": (change("output_item.done", into="item", content=...), "content is []"),
    "refusal differs": (change("refusal.done", refusal="x"), "the text is 'x'"),
    "content_index": (change("refusal.delta", content_index=0), "part 0 is done"),
    "annotated refusal": (
        change("refusal.delta", content_index=1, type=f"response.{ANNOTATION}"),
        "of type refusal",
    ),
    "order of output": (
        lambda e: [*e[:-1], completed(done_items(e)[::-1]) | {"sequence_number": len(e) - 1}],
        "item 0: the output has",
    ),
    "incomplete on completed": (
        both(
            change("output_item.done", -1, into="item", status="incomplete"),
            change("completed", into="response output 6", status="incomplete"),
        ),
        "item 6 is incomplete",
    ),
}
FAILED_BREAKS = {
    "no error": (drop("error"), "error events"),
    "error twice": (repeat("error"), "error events"),
    "error too early": (move("error", "in_progress"), "error events"),
    "error not nested": (change("error", error=...), "error is None"),
    "error not flat": (change("error", message=...), "message is missing beside"),
    "error without param": (change("error", into="error", param=...), "missing under"),
    "error without type": (change("error", into="error", type=""), "error.type is empty"),
    "errors differ": (change("error", code="x"), "code differs"),
    "response's error": (change("failed", into="response error", message="x"), "error is"),
    "no response error": (change("failed", into="response", error=None), "error is None"),
    "open item lost": (
        change("failed", into="response", output=done_items(message_events(0, "Hi!"))),
        "3 items told, 1 in",
    ),
    "open item closed": (
        change("failed", into="response output 1", status="completed"),
        "item 1: the output has",
    ),
    "open text lost": (
        change("failed", into="response output 1 content 0", text="H"),
        "item 1: the output has",
    ),
    "open arguments lost": (
        change("failed", into="response output 2", arguments=""),
        "item 2: the output has",
    ),
}
INCOMPLETE_BREAKS = {
    "status cancelled": (change("incomplete", into="response", status="cancelled"), "due is one"),
    "first incomplete": (
        both(
            change("output_item.done", into="item", status="incomplete"),
            change("incomplete", into="response output 0", status="incomplete"),
        ),
        "item 0 is incomplete",
    ),
    "open at the end": (drop("output_item.done"), "item 0 is open at the end"),
}
QUEUED_BREAKS = {
    "created runs": (change("created", into="response", status="in_progress"), "due is one"),
    "queued runs": (change("queued", into="response", status="in_progress"), "due is one"),
    "queued twice": (repeat("queued"), "opens with"),
    "queued first": (move("created", "queued"), "opens with"),
}
BREAKS = {
    text_stream: TEXT_BREAKS,
    rich_stream: RICH_BREAKS,
    failed_stream: FAILED_BREAKS,
    incomplete_stream: INCOMPLETE_BREAKS,
    queued_stream: QUEUED_BREAKS,
}
BROKEN = [
    pytest.param(stream, mutate, why, id=f"{stream.__name__}: {name}")
    for stream, breaks in BREAKS.items()
    for name, (mutate, why) in breaks.items()
]


@pytest.mark.parametrize(("stream", "mutate", "why"), BROKEN)
def test_broken_stream(stream: Callable[[], list[Json]], mutate: Mutation, why: str) -> None:
    apart = json.loads(json.dumps(stream()))
    with pytest.raises(AssertionError, match=re.escape(why)):
        check_stream(mutate(apart))


@pytest.mark.parametrize(
    ("stream", "cancelled", "why"),
    [
        (cancelled_stream, False, "status 'cancelled'"),
        (incomplete_stream, True, "status 'incomplete'"),
        (text_stream, True, "a cancelled run ends in response.completed"),
        (list, False, "opens with"),
        (lambda: ["[DONE]"], False, "no object"),
    ],
)
def test_cancelled_is_told(stream: Callable[[], list[Json]], cancelled: bool, why: str) -> None:
    with pytest.raises(AssertionError, match=re.escape(why)):
        check_stream(stream(), cancelled=cancelled)


@pytest.mark.parametrize(
    ("kind", "mutate", "why"),
    [
        ("created", change("created", into="response", temperature=None), "$.response.temperature"),
        ("completed", change("completed", into="response output 0", role="x"), "output[0].role"),
        (
            "completed",
            change("completed", into="response usage", total_tokens=...),
            "$.response.us",
        ),
        ("output_item.done", change("output_item.done", into="item", id=...), "$.item: 'id' is"),
        ("output_item.done", change("output_item.done", item=1), "$.item: 1 is not valid"),
        ("content_part.done", change("content_part.done", into="part", type="x"), "no type of the"),
        (ANNOTATION, change(ANNOTATION, into="annotation", title=...), "'title' is a required"),
        ("output_text.delta", change("output_text.delta", type="response.x"), "knows no event"),
        ("output_text.delta", change("output_text.delta", type=...), "type is a string"),
    ],
)
def test_event_against_the_schema(kind: str, mutate: Mutation, why: str) -> None:
    events = json.loads(json.dumps(text_stream()))
    place = nth(events, kind)
    with pytest.raises(AssertionError, match=re.escape(why)):
        validate_event(mutate(events)[place])


def test_request_against_the_schema() -> None:
    validate_request({"model": "m", "input": [message("msg_1", "completed", output_text("Hi"))]})
    with pytest.raises(AssertionError, match=r"\$\.input\[0\]\.content\[0\]: 'text' is"):
        validate_request({"input": [message("msg_1", "completed", {"type": "output_text"})]})
