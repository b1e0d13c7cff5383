"""Every way in which a handler can end, in every mode: one ending, and nothing is left."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from agent_asgi import AgentApp, AgentRouter, Timeouts
from agent_asgi.testing import AgentClient, Answer
from tests.support.apps import nothing_is_left, started
from tests.support.asgi_websocket import websocket_turn
from tests.support.misbehaviour import FAILS, LEAVES, RECOVERS, TIMED_OUT
from tests.support.traces import traces

Json = dict[str, Any]
ENDINGS = ["response.completed", "response.failed", "response.incomplete"]
TEXT = "so far, recovered"


class Seen(NamedTuple):
    """What the clients of one agent saw, each in a mode of its own."""

    json: Answer
    stream: Answer
    websocket: list[Json]
    keyed: Answer
    keyed_stream: Answer
    background: Json
    chat: Answer
    chat_stream: Answer


async def all_modes(app: AgentApp, agent: str) -> Seen:
    """Run an agent in all modes at once; each run is in a conversation of its own."""
    client = AgentClient(app)

    def post(path: str = "/responses", key: str = "", **body: Any) -> Any:
        headers = {"idempotency-key": key} if key else None
        return client.post(path, {"model": agent, **body}, headers=headers)

    chat: Any = {"messages": [{"role": "user", "content": "x"}]}
    seen: Any = await asyncio.wait_for(
        asyncio.gather(
            post(input="x", conversation="json"),
            post(input="x", conversation="stream", stream=True),
            websocket_turn(app, model=agent, input="x", conversation="websocket"),
            post(input="x", conversation="keyed", key="k1"),
            post(input="x", conversation="keyed stream", key="k2", stream=True),
            post(input="x", conversation="background", background=True),
            post("/chat/completions", **chat),
            post("/chat/completions", **chat, stream=True),
        ),
        90,
    )
    until, path = time.monotonic() + 20, f"/responses/{seen[5].json()['id']}"
    while (stored := (await client.get(path)).json())["status"] in ("queued", "in_progress"):
        assert time.monotonic() < until
        await asyncio.sleep(0.02)
    await nothing_is_left(app)
    for name in ("json", "stream", "websocket", "keyed", "keyed stream", "background"):
        assert await app.store.lock(name, "", "resp_other", 1), f"{name} is locked"
    return Seen._make([*seen[:5], stored, *seen[6:]])


def run(handler: Callable[..., Any], agent: str, seconds: float = 60.0) -> Seen:
    """Run an agent in all modes; check that the server lives and each run has its trace."""
    router, good = AgentRouter(agent), AgentRouter("good")
    router.stream(handler)

    @good.invoke
    async def answer(request: Any) -> str:
        return "good"

    app = AgentApp(router, good, timeouts=Timeouts(run=seconds, background=seconds, cleanup=0.3))

    async def main() -> Seen:
        async with started(app):
            seen = await all_modes(app, agent)
            after = await AgentClient(app).post("/responses", {"model": "good", "input": "x"})
            assert after.output_text == "good"
            return seen

    seen = asyncio.run(main())
    statuses = [each.info.tags["agent_asgi.status"] for each in traces(agent=agent)]
    assert len(statuses) == len(seen)
    for answer_ in (seen.json, seen.stream, seen.keyed, seen.keyed_stream, seen.chat):
        assert b"a secret" not in answer_.body
    assert "a secret" not in str((seen.websocket, seen.background, seen.chat_stream.body))
    return seen


def check_stream_ended(answer: Answer) -> None:
    """Check that a stream that began has one terminal event, the last."""
    if answer.status == 200:
        assert answer.body.endswith(b"data: [DONE]\n\n")
        kinds = Counter(each["type"] for each in answer.events())
        assert sum(kinds[each] for each in ENDINGS) == 1
        assert answer.events()[-1]["type"] in ENDINGS


@pytest.mark.parametrize("name", FAILS | LEAVES)
def test_failures(name: str) -> None:
    seen = run((FAILS | LEAVES)[name], f"fails_{name.replace(' ', '_')}")
    check_stream_ended(seen.stream)
    check_stream_ended(seen.keyed_stream)
    for answer in (seen.json, seen.keyed, seen.chat):
        assert (answer.status, answer.json()["error"]["code"]) == (500, "agent_error")
    assert seen.background["error"]["code"] == "agent_error"
    assert seen.websocket[-1]["type"] in ("error", "response.failed")
    assert b'"agent_error"' in seen.chat_stream.body


@pytest.mark.parametrize("name", TIMED_OUT)
def test_timeouts(name: str) -> None:
    seen = run(TIMED_OUT[name], f"late_{name}", 2.0)
    check_stream_ended(seen.stream)
    check_stream_ended(seen.keyed_stream)
    for answer in (seen.json, seen.keyed, seen.chat):
        assert answer.status == 504
    assert seen.background["status"] == "failed"
    assert seen.websocket[-1]["type"] in ("error", "response.failed")


@pytest.mark.parametrize("name", RECOVERS)
def test_recoveries(name: str) -> None:
    seen = run(RECOVERS[name], name)
    for answer in (seen.json, seen.keyed):
        assert answer.output_text == TEXT
    for stream in (seen.stream, seen.keyed_stream):
        check_stream_ended(stream)
        assert stream.events()[-1]["response"]["output"][0]["content"][0]["text"] == TEXT
    assert seen.background["output"][0]["content"][0]["text"] == TEXT
    assert seen.websocket[-1]["response"]["output"][0]["content"][0]["text"] == TEXT
    assert seen.chat.json()["choices"][0]["message"]["content"] == TEXT
    assert seen.chat_stream.body.endswith(b"data: [DONE]\n\n")
