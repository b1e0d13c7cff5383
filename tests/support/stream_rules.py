"""The rules of a stream of events, checked independently of the package.

`check_stream` checks a whole stream against the rules; `accumulate` and `fold` show how the
OpenAI client reads it.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, TypeVar, cast

from openai import omit
from openai._models import construct_type
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import ResponseStreamEvent

Json = dict[str, Any]
T = TypeVar("T")


class Text(NamedTuple):
    """Where a text part belongs: the item's type, the list in the item, and the text's field."""

    item: str
    place: str
    key: str


TEXTS = {
    "output_text": Text("message", "content", "text"),
    "refusal": Text("message", "content", "refusal"),
    "reasoning_text": Text("reasoning", "content", "text"),
    "summary_text": Text("reasoning", "summary", "text"),
}
PLACES = {"message": ("content",), "reasoning": ("content", "summary")}
CALLS = {"function_call": "arguments", "custom_tool_call": "input", "mcp_call": "arguments"}
EMPTY: dict[str, Json] = {
    "message": {"content": []},
    **{kind: {name: ""} for kind, name in CALLS.items() if kind != "mcp_call"},  # a hosted one's
    "reasoning": {"summary": []},
}
WITH_STATUS = ("message", "function_call", "function_call_output")
STATUSES = {
    "response.created": ("in_progress", "queued"),
    "response.queued": ("queued",),
    "response.in_progress": ("in_progress",),
    "response.completed": ("completed",),
    "response.failed": ("failed",),
    "response.incomplete": ("incomplete",),
}
TERMINAL = ("response.completed", "response.failed", "response.incomplete")


@dataclass
class Part:
    """A part of an item's content or summary, as built from the events so far."""

    added: Json
    text: str = ""
    annotations: list[Json] = field(default_factory=list)
    closed: bool = False
    done: Json | None = None

    def so_far(self) -> Json:
        if self.done is not None:
            return self.done
        kind = self.added["type"]
        told = {TEXTS[kind].key: self.text} if kind in TEXTS else {}
        return self.added | told | ({"annotations": self.annotations} if self.annotations else {})


@dataclass
class Item:
    """An output item, as built from the events so far."""

    added: Json
    parts: dict[str, list[Part]] = field(default_factory=lambda: {"content": [], "summary": []})
    arguments: str = ""
    closed: bool = False
    begun: bool = False
    ended: str | None = None
    done: Json | None = None

    def so_far(self) -> Json:
        if self.done is not None:
            return self.done
        told = {name: [part.so_far() for part in parts] for name, parts in self.parts.items()}
        arguments = {CALLS[self.added["type"]]: self.arguments} if self.arguments else {}
        return self.added | {name: parts for name, parts in told.items() if parts} | arguments


def check_stream(events: Sequence[Json], *, cancelled: bool = False) -> Json:
    """Return the final response of a stream; raise AssertionError if it breaks a rule."""
    _check_numbers(events)
    _check_order([event["type"] for event in events])
    items: list[Item] = []
    for event in events:
        try:
            _check_event(items, event)
        except AssertionError as error:
            where = f"event {event['sequence_number']} ({event['type']})"
            raise AssertionError(f"{where}: {error}") from None
    _check_responses(events, cancelled=cancelled)
    response = cast("Json", events[-1]["response"])
    _check_output(response, items)
    return response


def _take(event: Json, key: str, kind: type[T]) -> T:
    value = event.get(key)
    right = isinstance(value, kind) and not (kind is int and isinstance(value, bool))
    assert right, f"{key} is {value!r}, not of type {kind.__name__}"
    return cast("T", value)


def _check_index(event: Json, key: str, due: int) -> None:
    index = _take(event, key, int)
    assert index == due, f"{key} is {index} where {due} is due"


def _check_numbers(events: Sequence[Json]) -> None:
    for number, event in enumerate(events):
        assert isinstance(event, dict), f"event {number} is no object: {event!r}"
        _take(event, "type", str)
        _check_index(event, "sequence_number", number)


def _check_order(types: list[str]) -> None:
    """Check that the events of the response as a whole come once each, in the right places."""
    opening = ["response.created", "response.in_progress"]
    if types[1:2] == ["response.queued"]:
        opening.insert(1, "response.queued")
    assert types[: len(opening)] == opening, f"the stream opens with {types[:3]}"
    assert types[-1] in TERMINAL, f"the stream ends with {types[-1]}"
    lifecycle = [kind for kind in types if kind in STATUSES]
    assert lifecycle == [*opening, types[-1]], f"out of place or repeated: {lifecycle}"
    errors = [place for place, kind in enumerate(types) if kind == "error"]
    due = [len(types) - 2] if types[-1] == "response.failed" else []
    assert errors == due, f"error events at {errors}, due at {due}"


def _check_event(items: list[Item], event: Json) -> None:
    kind = event["type"]
    if kind in STATUSES:
        _check_response(event)
    elif kind == "error":
        _check_error(event)
    elif ":" not in kind:
        assert kind in STEPS, "a type that is not known"
        STEPS[kind](items, event)


def _check_response(event: Json) -> None:
    response = _take(event, "response", dict)
    assert _take(response, "id", str), "the response's id is empty"
    output = _take(response, "output", list)
    assert event["type"] in TERMINAL or output == [], "output before the first item"
    if event["type"] == "response.completed":
        _take(response, "completed_at", int)
    if response.get("usage") is not None:
        usage = _take(response, "usage", dict)
        both = _take(usage, "input_tokens", int) + _take(usage, "output_tokens", int)
        _check_index(usage, "total_tokens", both)


def _check_error(event: Json) -> None:
    nested = _take(event, "error", dict)
    assert _take(nested, "type", str), "error.type is empty"
    for key in ("code", "message", "param"):
        assert key in event, f"{key} is missing beside error"
        assert key in nested, f"{key} is missing under error"
        assert event[key] == nested[key], f"{key} differs: {event[key]!r} and {nested[key]!r}"


def _check_responses(events: Sequence[Json], *, cancelled: bool) -> None:
    """Check that the embedded responses agree with each other and with their events."""
    lifecycle = [event for event in events if event["type"] in STATUSES]
    ids = {event["response"]["id"] for event in lifecycle}
    assert len(ids) == 1, f"several response ids: {ids}"
    due = [STATUSES[event["type"]] for event in lifecycle]
    if lifecycle[1]["type"] == "response.queued":
        due[0] = ("queued",)
    end = lifecycle[-1]
    if cancelled:
        assert end["type"] == "response.incomplete", f"a cancelled run ends in {end['type']}"
        due[-1] = ("cancelled",)
    for event, statuses in zip(lifecycle, due, strict=True):
        status = event["response"].get("status")
        assert status in statuses, f"status {status!r} in {event['type']}, due is one of {statuses}"
    error = end["response"].get("error")
    message = events[-2]["message"] if end["type"] == "response.failed" else None
    found = error.get("message", "") if isinstance(error, dict) else error
    assert found == message, f"the final response's error is {error}, due is {message!r}"


def _check_output(response: Json, items: list[Item]) -> None:
    """Check that the final output matches the items' events."""
    output, status = response["output"], response["status"]
    assert len(output) == len(items), f"{len(items)} items told, {len(output)} in the output"
    for index, (final, item) in enumerate(zip(output, items, strict=True)):
        told = item.so_far()
        ended = item.done is not None or status in ("failed", "cancelled")
        assert ended, f"item {index} is open at the end"
        assert final == told, f"item {index}: the output has {final}, its events told {told}"
        if told["type"] in WITH_STATUS and told["status"] == "incomplete":
            last = status == "incomplete" and item is items[-1]
            assert last, f"item {index} is incomplete, which only the last of an incomplete run is"


def _item_added(items: list[Item], event: Json) -> None:
    item = _take(event, "item", dict)
    kind = _take(item, "type", str)
    _check_index(event, "output_index", len(items))
    assert _take(item, "id", str), "the item's id is empty"
    assert item["id"] not in [one.added["id"] for one in items], f"id {item['id']} comes again"
    if kind in WITH_STATUS or (kind == "reasoning" and "status" in item):
        assert item.get("status") == "in_progress", f"added with status {item.get('status')!r}"
    for key, value in EMPTY.get(kind, {}).items():
        assert item.get(key) == value, f"{key} is {item.get(key)!r} at the start"
    assert kind != "reasoning" or not item.get("content"), "reasoning has content at the start"
    items.append(Item(added=item))


def _item_done(items: list[Item], event: Json) -> None:
    item = _open(items, event)
    done = _take(event, "item", dict)
    for key in ("id", "type", "call_id"):
        found, due = done.get(key), item.added.get(key)
        assert found == due, f"{key} is {found!r}, it was added as {due!r}"
    kind = done["type"]
    if kind in WITH_STATUS:
        assert done.get("status") in ("completed", "incomplete"), f"done as {done.get('status')}"
    if kind == "mcp_call" and item.begun:
        ended = item.ended or "incomplete"
        assert done.get("status") == ended, f"the events told {ended!r}, done is {done}"
        assert (done.get("error") is not None) == (ended == "failed"), f"error of {done}"
    if kind == "mcp_call" and not item.begun:
        pass
    elif kind in CALLS and done.get("status") != "incomplete":
        assert item.closed, f"no {kind}_{CALLS[kind]}.done"
        assert done.get(CALLS[kind]) == item.arguments, f"{CALLS[kind]} differ from the deltas"
    for place in PLACES.get(kind, ()):
        assert all(part.done for part in item.parts[place]), f"a part of the {place} is open"
        told = [part.done for part in item.parts[place]]
        found = done.get(place, [] if kind == "reasoning" and place == "content" else None)
        assert found == told, f"{place} is {found}, its parts were {told}"
    item.done = done


def _open(items: list[Item], event: Json) -> Item:
    index = _take(event, "output_index", int)
    assert 0 <= index < len(items), f"no item has output_index {index}"
    assert items[index].done is None, f"item {index} is done already"
    return items[index]


def _named(items: list[Item], event: Json) -> Item:
    item = _open(items, event)
    found, due = _take(event, "item_id", str), item.added["id"]
    assert found == due, f"item_id is {found!r}, the item's is {due!r}"
    return item


def _part_added(place: str, items: list[Item], event: Json) -> None:
    item = _named(items, event)
    kind = item.added["type"]
    assert place in PLACES.get(kind, ()), f"an item of type {kind} has no parts in {place}"
    _check_index(event, f"{place}_index", len(item.parts[place]))
    part = _take(event, "part", dict)
    if (text := TEXTS.get(_take(part, "type", str))) is not None:
        assert text[:2] == (kind, place), f"a part of type {part['type']} in {kind}.{place}"
        assert part.get(text.key) == "", f"the part is not empty: {part}"
        assert not part.get("annotations"), f"annotations at the start: {part}"
    item.parts[place].append(Part(added=part))


def _part(place: str, items: list[Item], event: Json) -> Part:
    parts = _named(items, event).parts[place]
    index = _take(event, f"{place}_index", int)
    assert 0 <= index < len(parts), f"no part has {place}_index {index}"
    assert parts[index].done is None, f"part {index} is done already"
    return parts[index]


def _part_done(place: str, items: list[Item], event: Json) -> None:
    part = _part(place, items, event)
    done = _take(event, "part", dict)
    kind = part.added["type"]
    assert done.get("type") == kind, f"the part was added as {kind}, done as {done.get('type')}"
    if kind in TEXTS:
        assert part.closed, "the part's text is not done"
        assert done.get(TEXTS[kind].key) == part.text, f"deltas told {part.text!r}: {done}"
        annotations = done.get("annotations", [])
        assert annotations == part.annotations, f"annotations are {annotations}"
    part.done = done


def _text_part(kind: str, items: list[Item], event: Json) -> Part:
    part = _part(TEXTS[kind].place, items, event)
    assert part.added["type"] == kind, f"the part is of type {part.added['type']}"
    assert not part.closed, "the part's text is done already"
    if kind == "output_text":
        _take(event, "logprobs", list)
    return part


def _text_delta(kind: str, items: list[Item], event: Json) -> None:
    _text_part(kind, items, event).text += _take(event, "delta", str)


def _text_done(kind: str, items: list[Item], event: Json) -> None:
    part = _text_part(kind, items, event)
    text = _take(event, TEXTS[kind].key, str)
    assert text == part.text, f"deltas told {part.text!r}, the text is {text!r}"
    part.closed = True


def _annotation_added(items: list[Item], event: Json) -> None:
    """Take in an annotation; one may come late, after its part or its item is done."""
    item = items[_take(event, "output_index", int)]
    assert event["item_id"] == item.added["id"], f"item_id is {event['item_id']!r}"
    part = item.parts["content"][_take(event, "content_index", int)]
    assert part.added["type"] == "output_text", f"the part is of type {part.added['type']}"
    _check_index(event, "annotation_index", len(part.annotations))
    part.annotations.append(_take(event, "annotation", dict))
    if part.done is not None:
        part.done = part.done | {"annotations": part.annotations}
    if item.done is not None:
        parts = [one.done for one in item.parts["content"]]
        item.done = item.done | {"content": parts}


def _call(kind: str, items: list[Item], event: Json) -> Item:
    item = _named(items, event)
    assert item.added["type"] == kind, f"{CALLS[kind]} of a {item.added['type']}"
    assert not item.closed, "the arguments are done already"
    return item


def _arguments_delta(kind: str, items: list[Item], event: Json) -> None:
    _call(kind, items, event).arguments += _take(event, "delta", str)


def _arguments_done(kind: str, items: list[Item], event: Json) -> None:
    item = _call(kind, items, event)
    arguments = _take(event, CALLS[kind], str)
    assert arguments == item.arguments, f"deltas told {item.arguments!r}, not {arguments!r}"
    item.closed = True


def _mcp_begun(items: list[Item], event: Json) -> None:
    item = _call("mcp_call", items, event)
    assert not item.begun, "the call is in progress already"
    assert not item.arguments, "the call is in progress after its arguments have begun"
    assert item.added.get("status") == "in_progress", f"begun as {item.added}"
    assert item.added.get("arguments") == "", f"begun with {item.added}"
    item.begun = True


def _mcp_ended(status: str, items: list[Item], event: Json) -> None:
    item = _named(items, event)
    assert item.added["type"] == "mcp_call", f"the end of a {item.added['type']}"
    assert item.closed, "the call has ended before its arguments"
    assert item.ended is None, "the call has ended already"
    item.ended = status


def _steps_of(stem: str, kind: str) -> dict[str, Callable[[list[Item], Json], None]]:
    return {f"{stem}.delta": partial(_text_delta, kind), f"{stem}.done": partial(_text_done, kind)}


STEPS: dict[str, Callable[[list[Item], Json], None]] = {
    "response.output_item.added": _item_added,
    "response.output_item.done": _item_done,
    "response.content_part.added": partial(_part_added, "content"),
    "response.content_part.done": partial(_part_done, "content"),
    "response.reasoning_summary_part.added": partial(_part_added, "summary"),
    "response.reasoning_summary_part.done": partial(_part_done, "summary"),
    "response.output_text.annotation.added": _annotation_added,
    "response.function_call_arguments.delta": partial(_arguments_delta, "function_call"),
    "response.function_call_arguments.done": partial(_arguments_done, "function_call"),
    "response.mcp_call.in_progress": _mcp_begun,
    "response.mcp_call_arguments.delta": partial(_arguments_delta, "mcp_call"),
    "response.mcp_call_arguments.done": partial(_arguments_done, "mcp_call"),
    "response.mcp_call.completed": partial(_mcp_ended, "completed"),
    "response.mcp_call.failed": partial(_mcp_ended, "failed"),
    "response.custom_tool_call_input.delta": partial(_arguments_delta, "custom_tool_call"),
    "response.custom_tool_call_input.done": partial(_arguments_done, "custom_tool_call"),
    **_steps_of("response.output_text", "output_text"),
    **_steps_of("response.refusal", "refusal"),
    **_steps_of("response.reasoning", "reasoning_text"),
    **_steps_of("response.reasoning_summary_text", "summary_text"),
}


def accumulate(events: Sequence[Json]) -> Json:
    """Return the final response of `client.responses.stream()`; RuntimeError if it has none.

    Vendor events are included: the client takes them for an event it knows and ignores them.
    Fields that were not sent, and fields that the client parses itself, are left out.
    """
    state = _feed(events)
    if state._completed_response is None:
        raise RuntimeError("Didn't receive a `response.completed` event.")
    response = _plain(state._completed_response)
    return response | {"output": [_unparsed(item) for item in response["output"]]}


def fold(events: Sequence[Json]) -> list[Json]:
    """Return the output as the OpenAI client sees it just before the terminal event.

    Texts of messages and arguments of calls are the sum of their deltas, annotations may come
    after their item; everything else comes from the item's `done`. An open item has no refusal,
    annotation or reasoning yet.
    """
    state = _feed([event for event in events if event["type"] not in TERMINAL])
    items = {index: _folded(state, index) for index in sorted(state._output_items)}
    for event in events:
        if event["type"] == "response.output_text.annotation.added":
            _annotate(items[event["output_index"]], event)
    return list(items.values())


def _annotate(item: Json, event: Json) -> None:
    """Add an annotation to a message, unless its `done` had it."""
    if item["status"] != "in_progress":
        annotations = item["content"][event["content_index"]]["annotations"]
        if event["annotation_index"] == len(annotations):
            annotations.append(event["annotation"])


def _feed(events: Sequence[Json]) -> ResponseStreamState[Any]:
    state: ResponseStreamState[Any] = ResponseStreamState(input_tools=omit, text_format=omit)
    with warnings.catch_warnings():
        # Items and parts of types unknown to the client make pydantic warn.
        warnings.simplefilter("ignore")
        for event in events:
            state.handle_event(cast("Any", construct_type(type_=ResponseStreamEvent, value=event)))
    return state


def _folded(state: ResponseStreamState[Any], index: int) -> Json:
    told = _unparsed(_plain(state._output_items[index]))
    if index not in state._completed_output:
        return told
    done = _plain(state._completed_output[index])
    if done["type"] == "function_call":
        return done | {"arguments": told["arguments"]}
    if done["type"] == "message":
        pairs = zip(done["content"], told["content"], strict=True)
        return done | {"content": [_with_text_of(part, other) for part, other in pairs]}
    return done


def _with_text_of(part: Json, other: Json) -> Json:
    return part | {"text": other["text"]} if part["type"] == "output_text" else part


def _plain(model: Any) -> Json:
    return cast("Json", model.to_dict(mode="json", warnings=False))


def _unparsed(item: Json) -> Json:
    item = {key: value for key, value in item.items() if key != "parsed_arguments"}
    if item["type"] == "message":
        for part in item["content"]:
            part.pop("parsed", None)
    return item
