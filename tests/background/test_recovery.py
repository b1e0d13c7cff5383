"""Take over runs whose process died, by the rules and with real processes that are killed."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agent_asgi import (
    AgentApp,
    AgentRouter,
    Context,
    FunctionCall,
    FunctionCallOutput,
    Limits,
    ResponsesRequest,
    Timeouts,
)
from agent_asgi.background.log_writer import LINES
from agent_asgi.events.lifecycle import Lifecycle
from agent_asgi.events.own_calls import OwnTools
from agent_asgi.schema import codec
from agent_asgi.schema.decode import decode_request
from agent_asgi.schema.responses import echo
from agent_asgi.store.base import Record, Store
from agent_asgi.store.caller import Caller
from agent_asgi.store.lines import Lines
from agent_asgi.testing import AgentClient
from tests.support.apps import started
from tests.support.openresponses_schema import validate_event
from tests.support.stream_rules import check_stream
from tests.support.traces import traces
from tests.tools.chaos import Size, chaos

TIMEOUTS = Timeouts(heartbeat=0.2, stalled=1, rescue=0.2, poll=0.2)
BODY = b'{"input":"go on","background":true,"stream":true}'


async def leave_behind(store: Store, *outputs: Any, deaths: int = 1, **more: Any) -> str:
    """Store a run as if its processes had died in the middle of it."""
    request = decode_request(BODY)
    response = echo(request, "resp_dead", "agent")
    response.created_at = int(time.time())
    lifecycle = Lifecycle(response, LINES, tools=OwnTools("agent", "mcp_call"))
    lifecycle.queue()
    queued = _taken(lifecycle, 0)
    record = Record(
        id=response.id,
        owner="",
        agent="agent",
        status="queued",
        created_at=time.time(),
        background=True,
        request=BODY,
        response=codec.encode(response),
        caller=codec.encode(Caller(session_id="s", user="u", headers={"x-tenant": "t"})),
        **more,
    )
    await store.accept(record, queued, "", 0.0)
    for _ in range(deaths):
        claimed = await store.claim(record.id, "dead", 0.0)
        assert claimed is not None
    lifecycle.start()
    for output in outputs:
        lifecycle.feed(output)
    await store.append({record.id: (deaths, _taken(lifecycle, queued.count))})
    return record.id


def _taken(lifecycle: Lifecycle, first: int) -> Lines:
    """Return the events from a number on, and clear the buffer."""
    lines = bytes(lifecycle.buffer)
    lifecycle.buffer.clear()
    return Lines(first, lifecycle.events - first, lines)


def take_over(
    url: str, router: AgentRouter, *outputs: Any, limits: Limits | None = None, **left: Any
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Start an app on a store with a dead run; return the final response and its events."""

    async def main() -> tuple[dict[str, Any], list[dict[str, Any]]]:
        app = AgentApp(router, store=url, timeouts=TIMEOUTS, limits=limits)
        await app.store.open()
        id_ = await leave_behind(app.store, *outputs, **left)
        await app.store.close()
        async with asyncio.timeout(20), started(app):
            client = AgentClient(app)
            stream = await client.get(f"/responses/{id_}?stream=true")
            return (await client.get(f"/responses/{id_}")).json(), stream.events()

    response, events = asyncio.run(main())
    for event in events:
        validate_event(event)
    check_stream(events, cancelled=response["status"] == "cancelled")
    return response, events


def seen_by(contexts: list[Context], **options: Any) -> AgentRouter:
    """Make an agent that records its contexts."""
    router = AgentRouter(**options)

    @router.stream
    async def go_on(request: ResponsesRequest, context: Context) -> AsyncIterator[str]:
        contexts.append(context)
        yield "and more"

    return router


def test_the_item_left_open_is_closed_as_commentary(durable_url: str) -> None:
    contexts: list[Context] = []
    response, events = take_over(durable_url, seen_by(contexts), "half ", "a sentence")
    assert response["status"] == "completed"
    first, second = response["output"]
    assert (first["status"], first["phase"]) == ("completed", "commentary")
    assert first["content"][0]["text"] == "half a sentence"
    assert second["content"][0]["text"] == "and more"
    assert "phase" not in second
    assert [each["sequence_number"] for each in events] == list(range(len(events)))
    kinds = [each["type"] for each in events]
    assert kinds.count("response.created") == kinds.count("response.in_progress") == 1


def test_what_the_next_attempt_knows(durable_url: str) -> None:
    contexts: list[Context] = []
    router = seen_by(contexts, keep_headers=["X-Tenant", "x-none"])
    take_over(durable_url, router, "half ", "a sentence")
    (context,) = contexts
    assert context.attempt == 2
    deltas = [each["delta"] for each in context.previous_events if "delta" in each]
    assert deltas == ["half ", "a sentence"]
    assert (context.session_id, context.user) == ("s", "u")
    assert dict(context.headers) == {"x-tenant": "t"}


def test_items_that_were_done_stay_as_they_are(durable_url: str) -> None:
    call = FunctionCall("f", call_id="c", client=True)
    response, _ = take_over(durable_url, seen_by([]), "I call. ", call)
    assert [each["type"] for each in response["output"]] == ["message", "function_call", "message"]
    assert "phase" not in response["output"][0]


def test_the_next_attempt_gives_the_output_of_a_call(durable_url: str) -> None:
    contexts: list[Context] = []
    router = AgentRouter()

    @router.stream
    async def go_on(request: ResponsesRequest, context: Context) -> AsyncIterator[Any]:
        contexts.append(context)
        yield FunctionCallOutput("c1", "3")
        yield "It is 3."

    half = {"type": "function_call", "id": "h", "call_id": "c3", "name": "cut", "arguments": ""}
    outputs = [
        FunctionCall("add", {"a": 1}, "c1"),
        FunctionCall("mul", {}, "c2"),
        FunctionCallOutput("c2", error="no"),
        {"type": "response.output_item.added", "output_index": 0, "item": half},
        {"type": "response.function_call_arguments.delta", "item_id": "h", "delta": '{"a'},
    ]
    response, _ = take_over(durable_url, router, *outputs)
    add, mul, cut, said = response["output"]
    assert (add["status"], add["output"]) == ("completed", "3")
    assert (mul["status"], mul["output"]) == ("failed", None)
    assert (cut["arguments"], cut["output"], cut["error"]) == ('{"a', None, None)
    assert said["type"] == "message"
    done = [
        each["item"]
        for each in contexts[0].previous_events
        if each["type"] == "response.output_item.done"
    ]
    assert [(each["type"], each["call_id"]) for each in done] == [
        ("function_call", "c1"),
        ("function_call", "c2"),
        ("function_call_output", "c2"),
    ]
    assert not any("mcp_call" in each["type"] for each in contexts[0].previous_events)


def test_a_call_without_output_stands_when_no_attempt_can_be_made(durable_url: str) -> None:
    router = AgentRouter(recover=False)

    @router.stream
    async def go_on(request: ResponsesRequest) -> AsyncIterator[str]:
        yield "never"

    response, _ = take_over(durable_url, router, FunctionCall("add", {}, "c1"))
    assert response["status"] == "failed"
    [call] = response["output"]
    assert (call["type"], call["status"], call["output"]) == ("mcp_call", "in_progress", None)


def test_a_call_left_open_is_closed_too(durable_url: str) -> None:
    added = {"type": "function_call", "name": "f", "call_id": "c", "arguments": ""}
    begun = {"type": "response.output_item.added", "output_index": 0, "item": added}
    delta = {
        "type": "response.function_call_arguments.delta",
        "output_index": 0,
        "delta": '{"a": ',
    }
    response, _ = take_over(durable_url, seen_by([]), begun, delta)
    assert response["output"][0]["arguments"] == '{"a": '
    assert response["output"][0]["status"] == "completed"


@pytest.mark.parametrize(
    ("options", "limits", "deaths"),
    [({"recover": False}, None, 1), ({}, Limits(max_attempts=3), 3)],
    ids=["not to be recovered", "too many attempts"],
)
def test_a_run_that_is_not_begun_again(
    durable_url: str, options: Any, limits: Limits | None, deaths: int
) -> None:
    contexts: list[Context] = []
    router = seen_by(contexts, **options)
    response, events = take_over(durable_url, router, "half", limits=limits, deaths=deaths)
    assert not contexts
    assert response["status"] == "failed"
    assert response["error"]["code"] == "interrupted"
    assert events[-2]["type"] == "error"


def test_a_run_that_was_cancelled_while_nobody_had_it(durable_url: str) -> None:
    contexts: list[Context] = []
    response, _ = take_over(durable_url, seen_by(contexts), "half", cancel_wanted=True)
    assert not contexts
    assert response["status"] == "cancelled"


def test_a_server_that_ends_hands_over_and_each_attempt_has_a_trace(
    durable_url: str,
) -> None:
    contexts: list[Context] = []
    router = AgentRouter()

    @router.stream
    async def slow(request: ResponsesRequest, context: Context) -> AsyncIterator[str]:
        contexts.append(context)
        yield f"attempt {context.attempt}"
        if context.attempt == 1:
            await asyncio.sleep(60)

    async def main() -> dict[str, Any]:
        first = AgentApp(
            router, store=durable_url, timeouts=Timeouts(drain=0.1, heartbeat=0.2, stalled=60)
        )
        async with started(first):
            body = {"input": "x", "background": True}
            id_ = (await AgentClient(first).post("/responses", body)).json()["id"]
            while not contexts:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.2)
        second = AgentApp(router, store=durable_url, timeouts=TIMEOUTS)
        async with asyncio.timeout(20), started(second):
            client = AgentClient(second)
            stream = await client.get(f"/responses/{id_}?stream=true")
            check_stream(stream.events())
            response: dict[str, Any] = (await client.get(f"/responses/{id_}")).json()
            return response

    response = asyncio.run(main())
    assert contexts[0].cancelled.cause == "shutdown"
    said = [each["content"][0]["text"] for each in response["output"]]
    assert said == ["attempt 1", "attempt 2"]
    found = traces(response_id=response["id"])
    statuses = [each.info.tags["agent_asgi.status"] for each in found]
    assert statuses == ["cancelled", "completed"]


def test_a_run_is_handed_over_at_once_with_all_its_events(postgres: str) -> None:
    """Neither the log's pause nor the time between two sweeps is waited for."""
    router = AgentRouter()
    going, said = asyncio.Event(), asyncio.Event()

    @router.stream
    async def slow(request: ResponsesRequest, context: Context) -> AsyncIterator[str]:
        before = [each for each in context.previous_events if each["type"].endswith("text.delta")]
        for number in range(len(before), 4):
            yield f"{context.attempt}:{number}"
            await going.wait()
            await asyncio.sleep(0.03)  # the next event comes in the pause after a write
            if context.attempt == 1 and number == 2:
                said.set()
                await asyncio.sleep(60)

    async def main() -> Any:
        times = Timeouts(drain=0, heartbeat=0.2, stalled=60, rescue=60)
        first = AgentApp(router, store=postgres, timeouts=times)
        second = AgentApp(router, store=postgres, timeouts=times)
        async with started(first):
            body = {"input": "x", "background": True}
            id_ = (await AgentClient(first).post("/responses", body)).json()["id"]
            async with asyncio.timeout(20), started(second):
                going.set()
                await said.wait()
                leaving = asyncio.create_task(first.drain())
                stream = await AgentClient(second).get(f"/responses/{id_}?stream=true")
                await leaving
                return stream.events()

    events = asyncio.run(main())
    check_stream(events)
    deltas = [each["delta"] for each in events if each["type"].endswith("text.delta")]
    assert deltas == ["1:0", "1:1", "1:2", "2:3"]


@pytest.mark.alone
@pytest.mark.parametrize("durable", ["sqlite", "postgres"])
def test_processes_that_are_killed(
    durable: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    size = Size(runs=6, steps=60, pause=0.03, kills=3, between=1.5, patience=90)
    if durable == "sqlite":
        url, servers, workers = f"sqlite:///{tmp_path}/responses.db", 1, 0
    else:
        url, servers, workers = request.getfixturevalue("postgres"), 2, 1
    followers = chaos(url, tmp_path, size, servers=servers, workers=workers)
    assert len(followers) == size.runs
