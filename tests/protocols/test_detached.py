"""Runs under an idempotency key, and runs in the background, answer in each protocol's form."""

import asyncio
import json
from typing import Any

import pytest

from agent_asgi import AgentApp, AgentRouter, ResponsesRequest
from agent_asgi.testing import AgentClient, Answer
from tests.support.apps import started

BODIES: dict[str, dict[str, Any]] = {
    "/v1/responses": {"input": "x"},
    "/invocations": {"input": "x"},
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "x"}]},
}
KEY = {"idempotency-key": "k"}


def counting() -> tuple[AgentApp, list[str]]:
    """Return an app and a list that grows with each run of its agent."""
    router, asked = AgentRouter(), list[str]()

    @router.stream
    async def count(request: ResponsesRequest) -> Any:
        asked.append("x")
        yield "one "
        await asyncio.sleep(0.01)
        yield str(len(asked))

    return AgentApp(router), asked


async def posts(app: AgentApp, path: str, *bodies: dict[str, Any]) -> list[Answer]:
    """Send requests with the same key, one after another."""
    async with started(app):
        return [await AgentClient(app).post(path, body, headers=KEY) for body in bodies]


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("stream", [False, True])
def test_a_key_runs_once_and_gets_the_same_answer(path: str, stream: bool) -> None:
    app, asked = counting()
    body = BODIES[path] | {"stream": stream}
    first, again, other = asyncio.run(posts(app, path, body, body, body | {"user": "u"}))
    assert (first.status, again.status, other.status) == (200, 200, 409)
    assert asked == ["x"]
    assert first.body == again.body
    if path.endswith("completions") and stream:
        deltas = [chunk["choices"][0]["delta"] for chunk in first.events()]
        assert "".join(delta.get("content") or "" for delta in deltas) == "one 1"
        assert first.body.endswith(b"data: [DONE]\n\n")
    elif not stream:
        assert b"one 1" in first.body


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("stream", [False, True])
def test_a_key_has_the_frames_that_a_run_without_one_has(path: str, stream: bool) -> None:
    app, _ = counting()
    body = BODIES[path] | {"stream": stream}

    async def main() -> tuple[Answer, Answer]:
        async with started(app):
            client = AgentClient(app)
            return await client.post(path, body), await client.post(path, body, headers=KEY)

    plain, keyed = asyncio.run(main())
    assert plain.headers["content-type"] == keyed.headers["content-type"]
    if not stream:
        assert shape(plain.json()) == shape(keyed.json())
        return
    assert names(plain) == names(keyed)
    assert list(map(shape, plain.events())) == list(map(shape, keyed.events()))


def names(answer: Answer) -> list[bytes]:
    """Return the lines of a stream that carry no JSON."""
    return [line for line in answer.body.splitlines() if line and not line.startswith(b"data: {")]


def shape(value: Any) -> Any:
    """Return JSON with each value replaced by the name of its type."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    return type(value).__name__


@pytest.mark.parametrize("path", ["/v1/responses", "/invocations"])
def test_a_background_run_is_answered_at_once(path: str) -> None:
    app, _ = counting()

    async def main() -> tuple[Any, Any]:
        async with started(app):
            client = AgentClient(app)
            body = {"input": "x", "background": True}
            queued = (await client.post(path, body)).json()
            async with client.stream(
                f"/v1/responses/{queued['id']}?stream=true", None, method="GET"
            ) as answer:
                events = [event async for event in answer.each_event()]
            return queued, events[-1]["response"]

    queued, done = asyncio.run(main())
    assert (queued["status"], done["status"]) == ("queued", "completed")
    assert "one 1" in json.dumps(done["output"])
