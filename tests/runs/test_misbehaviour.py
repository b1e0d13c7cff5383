"""If a handler misbehaves, other runs continue, the client gets an ending, and nothing leaks."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

from agent_asgi import AgentApp, AgentRouter, Context, ResponsesRequest, Timeouts
from agent_asgi.testing import AgentClient, Answer
from tests.support.apps import nothing_is_left, started
from tests.support.calling import Json, events_of, until
from tests.support.commands import command, running
from tests.support.misbehaviour import (
    FAILS,
    LEAVES,
    TIMED_OUT,
    raises_a_cancellation_of_its_own,
)
from tests.support.servers import free_port
from tests.support.traces import traces

TIMES = Timeouts(run=2.0, cleanup=0.3, tracing=30)


async def well_behaved(request: ResponsesRequest) -> AsyncIterator[str]:
    for _ in range(20):
        yield "word "
        await asyncio.sleep(0.01)


def misbehaving(handler: Callable[..., Any], agent: str) -> AgentApp:
    """Make an app with an agent that misbehaves and one that does not."""
    bad, good = AgentRouter(agent), AgentRouter("good")
    bad.stream(handler)
    good.stream(well_behaved)
    return AgentApp(bad, good, timeouts=TIMES)


async def both_ways(app: AgentApp, agent: str) -> tuple[Answer, Answer, Json]:
    """Request JSON, a stream and a background run while another agent is running."""
    client = AgentClient(app)
    body = {"model": agent, "input": "x"}
    asked = [
        client.post("/responses", body),
        client.post("/responses", body | {"stream": True}),
        client.post("/responses", body | {"background": True}),
        client.post("/responses", {"model": "good", "input": "x", "stream": True}),
    ]
    as_json, stream, background, other = await asyncio.wait_for(asyncio.gather(*asked), 20)
    done = other.events()[-1]
    assert done["type"] == "response.completed"
    assert done["response"]["output"][0]["content"][0]["text"] == "word " * 20
    until_done = time.monotonic() + 10
    path = f"/responses/{background.json()['id']}"
    while (stored := (await client.get(path)).json())["status"] in ("queued", "in_progress"):
        assert time.monotonic() < until_done
        await asyncio.sleep(0.02)
    await nothing_is_left(app)
    return as_json, stream, stored


def run_all(handler: Callable[..., Any], agent: str) -> tuple[Answer, Answer, Json]:
    """Run an app with a handler to the end; check the traces of its three runs."""

    async def main() -> tuple[Answer, Answer, Json]:
        async with started(misbehaving(handler, agent)) as app:
            return await both_ways(app, agent)

    as_json, stream, stored = asyncio.run(main())
    of_agent = traces(agent=agent)
    assert len(of_agent) == 3
    assert {each.info.state.value for each in of_agent} <= {"OK", "ERROR"}
    assert all("agent_asgi.status" in each.info.tags for each in of_agent)
    for text in (as_json.body, stream.body, str(stored).encode()):
        assert b"a secret" not in text
    return as_json, stream, stored


def terminal_of(answer: Answer) -> Json:
    """Return the response of a stream's only terminal event, the last one."""
    events = answer.events()
    kinds = [each["type"] for each in events]
    ends = {"response.completed", "response.failed", "response.incomplete"}
    assert len(ends.intersection(kinds)) == 1
    assert kinds[-1] in ends
    response: Json = events[-1]["response"]
    return response


@pytest.mark.parametrize("name", FAILS | LEAVES)
def test_a_handler_that_fails(name: str) -> None:
    agent = name.replace(" ", "_")
    as_json, stream, stored = run_all((FAILS | LEAVES)[name], agent)
    assert as_json.status == 500
    assert as_json.json()["error"]["code"] == "agent_error"
    assert as_json.headers["x-should-retry"] == "false"
    if stream.status == 500:  # it failed before its first output
        assert stream.json()["error"]["code"] == "agent_error"
    else:
        assert stream.body.endswith(b"data: [DONE]\n\n")
        assert terminal_of(stream)["status"] == "failed"
    assert (stored["status"], stored["error"]["code"]) == ("failed", "agent_error")


@pytest.mark.parametrize("name", TIMED_OUT)
def test_a_handler_that_does_not_end(name: str) -> None:

    async def main() -> tuple[Answer, Answer]:
        async with started(misbehaving(TIMED_OUT[name], name)) as app:
            client = AgentClient(app)
            body = {"model": name, "input": "x"}
            answers = await asyncio.wait_for(
                asyncio.gather(
                    client.post("/responses", body),
                    client.post("/responses", body | {"stream": True}),
                    client.post("/responses", {"model": "good", "input": "x"}),
                ),
                20,
            )
            assert answers[2].status == 200
            await nothing_is_left(app)
            return answers[0], answers[1]

    as_json, stream = asyncio.run(main())
    assert (as_json.status, as_json.json()["error"]["code"]) == (504, "timeout")
    if stream.status == 504:
        assert stream.json()["error"]["code"] == "timeout"
    else:
        assert stream.body.endswith(b"data: [DONE]\n\n")
        assert terminal_of(stream)["error"]["code"] == "timeout"
    assert {each.info.tags["agent_asgi.cause"] for each in traces(agent=name)} == {"timeout"}


def test_a_handler_that_raises_a_cancellation_of_its_own() -> None:
    as_json, stream, stored = run_all(raises_a_cancellation_of_its_own, "cancels")
    assert as_json.status == 503
    assert terminal_of(stream)["status"] == "cancelled"
    assert stored["status"] == "cancelled"


def test_a_handler_that_leaks_tasks_and_threads() -> None:
    """The framework ignores them; this run and the next ones still end."""
    leaked: list[asyncio.Task[Any]] = []
    ends = threading.Event()

    async def leaks(request: ResponsesRequest, context: Context) -> AsyncIterator[str]:
        leaked.append(asyncio.create_task(asyncio.sleep(3600)))
        threading.Thread(target=ends.wait, args=(30,), daemon=True).start()
        yield f"attempt {context.attempt}"

    async def main() -> list[Answer]:
        async with started(misbehaving(leaks, "leaks")) as app:
            client = AgentClient(app)
            body = {"model": "leaks", "input": "x"}
            answers = [await client.post("/responses", body) for _ in range(5)]
            await nothing_is_left(app)
            for each in leaked:
                each.cancel()
            return answers

    assert [each.status for each in asyncio.run(main())] == [200] * 5
    ends.set()
    assert len(leaked) == 5


EXITS = """
import asyncio, os
from agent_asgi import AgentApp, AgentRouter, ResponsesRequest

router = AgentRouter("agent")

@router.stream
async def agent(request: ResponsesRequest):
    yield f"{os.getpid()} "
    if request.input_text == "exit":
        await asyncio.sleep(2)
        os._exit(42)
    await asyncio.sleep(10 if request.input_text == "long" else 0)
    yield "done"

app = AgentApp(router)
"""


def test_a_handler_that_ends_its_worker(tmp_path: Path) -> None:
    """The other worker's runs continue, and the worker is replaced."""
    (tmp_path / "exits.py").write_text(EXITS)
    port = free_port()
    argv = command("serve", "exits:app", "--port", str(port), "--workers", "2")
    with running(argv, tmp_path, port), ThreadPoolExecutor(21) as pool:
        streams = []
        for _ in range(20):  # one at a time, or one worker may take them all
            streams.append(pool.submit(stream_of, port, "long"))
            time.sleep(0.05)
        with pytest.raises(httpx2.TransportError):
            stream_of(port, "exit")
        whole = [each.result() for each in streams if each.exception() is None]
        pids = {text.split()[0] for text in whole}
        assert len(pids) == 1  # only the surviving worker's
        assert {text.split()[1] for text in whole} == {"done"}
        until(lambda: {pid_of(port) for _ in range(10)} - pids, seconds=60)


def stream_of(port: int, text: str) -> str:
    """Request a stream on a new connection; return its whole text."""
    body = {"input": text, "stream": True}
    answer = httpx2.post(f"http://127.0.0.1:{port}/responses", json=body, timeout=30)
    whole: str = events_of(answer.content)[-1]["response"]["output"][0]["content"][0]["text"]
    return whole


def pid_of(port: int) -> str:
    """Return the process id of whichever worker answers."""
    return stream_of(port, "short").split()[0]
