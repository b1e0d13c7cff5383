"""Calls of the agent's own tools in logs and stores: followers, replays, other processes, turns."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agent_asgi import AgentApp, AgentRouter, FunctionCall, FunctionCallOutput, ResponsesRequest
from agent_asgi.store import MemoryStore
from agent_asgi.store.lines import Lines
from tests.support.asking import fetch
from tests.support.calling import (
    QUICK,
    Serve,
    client_of,
    connect,
    ended,
    events_of,
    plain,
    replayed,
    streamed,
)
from tests.support.openresponses_schema import validate_event, validate_response
from tests.support.stream_rules import check_stream

Json = dict[str, Any]
MODES = ("mcp_call", "function_call", "hidden")
SHOWN = {
    "mcp_call": ["message", "mcp_call", "mcp_call", "message"],
    "function_call": ["message", *["function_call"] * 2, *["function_call_output"] * 2, "message"],
    "hidden": ["message", "message"],
}


def agent(mode: Any, seen: list[ResponsesRequest] | None = None) -> AgentRouter:
    """Make an agent that calls two tools at once."""
    router = AgentRouter("tutor", own_tools=mode)

    @router.stream
    async def tutor(request: ResponsesRequest) -> AsyncIterator[Any]:
        if seen is not None:
            seen.append(request)
        yield "Let me see. "
        one, two = FunctionCall("secret_add", {"a": 1}), FunctionCall("secret_add", {"a": 2})
        yield one
        yield two
        yield FunctionCallOutput(two.call_id, error="secret reason")
        yield FunctionCallOutput(one.call_id, "secret result")
        for word in ["It", "is", "three", "."]:
            yield f"{word} "

    return router


def types(output: list[Json]) -> list[str]:
    """Return the types of items."""
    return [item["type"] for item in output]


def check(mode: str, events: list[Json], stored: Json) -> None:
    """Check a whole stream, and that it ends with the stored response."""
    for event in events:
        validate_event(event)
    validate_response(stored)
    assert check_stream(events) == stored
    assert types(stored["output"]) == SHOWN[mode]
    if mode == "hidden":
        assert "secret" not in str(events)
    assert "call_id" not in str(events) or mode == "function_call"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("background", [True, False])
def test_replays_and_their_tails(serve: Serve, store_url: str, mode: str, background: bool) -> None:
    client = client_of(serve, store_url, agent(mode))
    made = client.responses.create(input="x", background=background)
    ended(client, made.id)
    stored = plain(client.responses.retrieve(made.id))
    events = replayed(client, made.id)
    check(mode, events, stored)
    for number in range(len(events) - 1):
        assert replayed(client, made.id, starting_after=number) == events[number + 1 :]
    listed = client.responses.input_items.list(made.id)
    assert [item.type for item in listed] == ["message"]


@pytest.mark.parametrize("mode", MODES)
def test_in_a_process_that_did_not_run_it(serve: Serve, tmp_path: Path, mode: str) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    first = client_of(serve, url, agent(mode))
    sent = streamed(first, input="x", background=True)
    id_ = sent[0]["response"]["id"]
    second = client_of(serve, url, agent(mode))
    stored = plain(second.responses.retrieve(id_))
    check(mode, sent, stored)
    assert replayed(second, id_) == sent
    assert plain(second.responses.cancel(id_)) == stored


@pytest.mark.parametrize("later", ["mcp_call", "function_call"])
def test_hidden_calls_stay_hidden_if_the_mode_changes(
    serve: Serve, tmp_path: Path, later: str
) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    sent = streamed(client_of(serve, url, agent("hidden")), input="x", background=True)
    client = client_of(serve, url, agent(later))
    for number in range(-1, len(sent) - 1):
        found = replayed(client, sent[0]["response"]["id"], starting_after=max(number, 0))
        assert found == sent[max(number, 0) + 1 :]


class Watched(MemoryStore):
    """A store that notes after which event its logs are read."""

    def __init__(self) -> None:
        super().__init__()
        self.read_after: list[int] = []

    async def events(self, id: str, after: int) -> list[Lines]:
        self.read_after.append(after)
        return await super().events(id, after)


@pytest.mark.parametrize(("mode", "begin"), [("mcp_call", 9), ("function_call", 9), ("hidden", -1)])
def test_of_a_log_whose_numbers_are_shown_only_the_tail_is_read(
    serve: Serve, mode: str, begin: int
) -> None:
    store = Watched()
    client = connect(serve(AgentApp(agent(mode), store=store, timeouts=QUICK)))
    sent = streamed(client, input="x", background=True)
    store.read_after.clear()
    assert replayed(client, sent[0]["response"]["id"], starting_after=9) == sent[10:]
    assert store.read_after[0] == begin


@pytest.mark.parametrize("mode", MODES)
def test_a_retried_invocation_has_pairs(serve: Serve, mode: str) -> None:
    url = serve(AgentApp(agent(mode), timeouts=QUICK))
    headers = {"idempotency-key": "k"}
    body = {"input": [{"role": "user", "content": "x"}], "stream": True}
    found = [
        events_of(fetch(url, "POST", "/invocations", body=body, headers=headers).body)
        for _ in range(2)
    ]
    assert found[0] == found[1]
    events = [event for event in found[0] if "sequence_number" in event]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    check_stream([event for event in events if event["type"] != "x"])
    output = events[-1]["response"]["output"]
    assert types(output) == SHOWN["function_call"]
    assert [item["output"] for item in output[3:5]] == ["secret reason", "secret result"]


@pytest.mark.parametrize("mode", MODES)
def test_a_conversation_lists_and_remembers_them(serve: Serve, store_url: str, mode: str) -> None:
    seen: list[ResponsesRequest] = []
    app = AgentApp(agent(mode, seen), store=store_url, timeouts=QUICK, single_user=True)
    client = connect(serve(app))
    id_ = client.conversations.create().id
    for text in ("x", "y"):
        client.responses.create(input=text, conversation=id_)
    pages = client.conversations.items.list(id_, order="asc", limit=2)
    items = [plain(item) for item in pages]
    assert types(items) == ["message", *SHOWN[mode]] * 2
    assert "secret" not in str(items) or mode != "hidden"
    for item in items:
        assert plain(client.conversations.items.retrieve(item["id"], conversation_id=id_)) == item
    history = [item.type for item in seen[1].input if not isinstance(item, dict)]
    assert history == ["message", *SHOWN["function_call"], "message"]
    again: Any = [*items, {"role": "user", "content": "z"}]
    mine = client.responses.create(input=again, conversation=id_)
    assert mine.status == "completed"
    repeated = [item["id"] for item in map(plain, client.conversations.items.list(id_, limit=100))]
    assert len(repeated) == len(set(repeated)) == 3 * (1 + len(SHOWN[mode]))


@pytest.mark.parametrize("mode", MODES)
def test_lists_of_responses(serve: Serve, mode: str) -> None:
    url = serve(AgentApp(agent(mode), single_user=True))
    connect(url).responses.create(input="x")
    listed = json.loads(fetch(url, "GET", "/v1/responses").body)
    assert [types(each["output"]) for each in listed["data"]] == [SHOWN[mode]]
