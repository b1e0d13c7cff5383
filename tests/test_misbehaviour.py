"""Handlers that misbehave: other runs go on, the client gets an ending, nothing is left behind."""

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
from calling import Json, events_of, until
from conftest import started, traces
from test_cli import command, free_port, running

from agent_asgi import AgentApp, AgentRouter, Context, ResponsesRequest, Timeouts
from agent_asgi.testing import AgentClient, Answer

TIMES = Timeouts(run=2.0, cleanup=0.3, tracing=30)
CIRCLE: list[Any] = []
CIRCLE.append(CIRCLE)


async def raises_at_once(request: ResponsesRequest) -> AsyncIterator[Any]:
    raise ValueError("a secret")
    yield


async def raises_in_a_message(request: ResponsesRequest) -> AsyncIterator[Any]:
    yield "so far"
    raise ValueError("a secret")


async def raises_after_a_wait(request: ResponsesRequest) -> AsyncIterator[Any]:
    yield "so far"
    await asyncio.sleep(0.01)
    raise ValueError("a secret")


async def raises_in_an_arguments_delta(request: ResponsesRequest) -> AsyncIterator[Any]:
    yield {"type": "response.function_call_arguments.delta", "item_id": "f", "delta": "{"}
    raise ValueError("a secret")


async def raises_while_it_is_closed(request: ResponsesRequest) -> AsyncIterator[Any]:
    try:
        yield "so far"
        yield object()
    finally:
        raise ValueError("a secret")


async def raises_while_it_cleans_up(request: ResponsesRequest) -> AsyncIterator[Any]:
    try:
        yield "so far"
        await asyncio.sleep(3600)
    finally:
        raise ValueError("a secret")


async def raises_what_cannot_be_told(request: ResponsesRequest) -> AsyncIterator[Any]:
    yield "so far"
    raise Unspeakable


class Unspeakable(Exception):
    """An error of the handler's own."""

    def __str__(self) -> str:
        raise RuntimeError("an error that cannot be told")


async def raises_a_group(request: ResponsesRequest) -> AsyncIterator[Any]:
    yield "so far"
    async with asyncio.TaskGroup() as group:
        group.create_task(_fails())
        await asyncio.sleep(3600)


async def _fails() -> None:
    raise ValueError("a secret")


async def raises_a_cancellation_of_its_own(request: ResponsesRequest) -> AsyncIterator[Any]:
    yield "so far"
    raise asyncio.CancelledError


async def never_returns(request: ResponsesRequest) -> AsyncIterator[Any]:
    yield "so far"
    await asyncio.sleep(3600)


async def never_says_a_word(request: ResponsesRequest) -> AsyncIterator[Any]:
    await asyncio.Event().wait()
    yield


async def ignores_its_cancellation(request: ResponsesRequest) -> AsyncIterator[Any]:
    yield "so far"
    for _ in range(100):
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(3600)


async def goes_on_after_its_cancellation(request: ResponsesRequest) -> AsyncIterator[Any]:
    yield "so far"
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        for _ in range(100):
            yield "more"


async def yields_for_ever_after_its_cancellation(request: ResponsesRequest) -> AsyncIterator[Any]:
    while True:
        try:
            yield "word "
            await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            yield "no"


async def recurses(request: ResponsesRequest) -> AsyncIterator[Any]:
    def deeper() -> Any:
        return deeper()

    yield "so far"
    yield deeper()


def recurses_in_a_thread(request: ResponsesRequest) -> Iterator[Any]:
    yield "so far"
    yield from recurses_in_a_thread(request)


def raises_in_a_thread(request: ResponsesRequest) -> Iterator[Any]:
    yield "so far"
    raise ValueError("a secret")


def stops_by_stop_iteration(request: ResponsesRequest) -> Iterator[Any]:
    yield "so far"
    raise StopIteration("a secret")


def garbage(value: Callable[[], Any]) -> Callable[[ResponsesRequest], Any]:
    """Make a handler that gives something that no handler may give."""

    async def gives_garbage(request: ResponsesRequest) -> AsyncIterator[Any]:
        yield "so far"
        yield value()

    return gives_garbage


FAILS: dict[str, Callable[..., Any]] = {
    each.__name__: each
    for each in (
        raises_at_once,
        raises_in_a_message,
        raises_after_a_wait,
        raises_in_an_arguments_delta,
        raises_while_it_is_closed,
        raises_what_cannot_be_told,
        raises_a_group,
        recurses,
        recurses_in_a_thread,
        raises_in_a_thread,
        stops_by_stop_iteration,
    )
} | {
    f"gives {name}": garbage(value)
    for name, value in {
        "an object": object,
        "a number": lambda: 7,
        "bytes": lambda: b"bytes",
        "a class": lambda: ResponsesRequest,
        "an empty dict": dict,
        "a circle": lambda: {"type": "acme:x", "of": CIRCLE},
        "a set": lambda: {1, 2},
        "an item without its fields": lambda: {"type": "function_call"},
        "an item of wrong fields": lambda: {"type": "message", "content": 7},
        "an event of wrong fields": lambda: {"type": "response.output_text.delta", "delta": 7},
        "an item that is no item": lambda: {"type": "response.output_item.added", "item": "x"},
        "a type that is no name": lambda: {"type": "acme:x\n\ndata: [DONE]", "id": None},
        "what cannot be JSON": lambda: {"type": "acme:x", "of": object()},
    }.items()
}
TIMED_OUT: dict[str, Callable[..., Any]] = {
    each.__name__: each
    for each in (
        raises_while_it_cleans_up,
        never_returns,
        never_says_a_word,
        ignores_its_cancellation,
        goes_on_after_its_cancellation,
        yields_for_ever_after_its_cancellation,
    )
}


async def well_behaved(request: ResponsesRequest) -> AsyncIterator[str]:
    for _ in range(20):
        yield "word "
        await asyncio.sleep(0.01)


def misbehaving(handler: Callable[..., Any], agent: str) -> AgentApp:
    """Make an app of an agent that misbehaves and one that does not."""
    bad, good = AgentRouter(agent), AgentRouter("good")
    bad.stream(handler)
    good.stream(well_behaved)
    return AgentApp(bad, good, timeouts=TIMES)


async def both_ways(app: AgentApp, agent: str) -> tuple[Answer, Answer, Json]:
    """Ask for JSON, a stream and a background run, while another agent is at work."""
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


async def nothing_is_left(app: AgentApp) -> None:
    """Check that all counters are back at zero and no task of a run goes on."""
    live = app._service.started()
    assert live is not None
    end = time.monotonic() + 5
    while live.executor._tasks or live.executor._runs:
        assert time.monotonic() < end
        await asyncio.sleep(0.01)
    assert not live.drain.runs
    limits = app._service.limits
    assert {gate.free for gate in live.gates.values()} == {limits.max_runs}
    assert live.streams.free == limits.max_streams
    tasks = [getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()]
    at_work = ("Run.", "Watch.", "EventStreamResponse.", "AgentClient.", "Executor._execute")
    assert not [each for each in tasks if each.startswith(at_work)]


def run_all(handler: Callable[..., Any], agent: str) -> tuple[Answer, Answer, Json]:
    """Run an app with a handler to its end; check the traces of its three runs."""

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
    """Give the response of a stream's one terminal event, the last one."""
    events = answer.events()
    kinds = [each["type"] for each in events]
    ends = {"response.completed", "response.failed", "response.incomplete"}
    assert len(ends.intersection(kinds)) == 1
    assert kinds[-1] in ends
    response: Json = events[-1]["response"]
    return response


@pytest.mark.parametrize("name", FAILS)
def test_a_handler_that_fails(name: str) -> None:
    agent = name.replace(" ", "_")
    as_json, stream, stored = run_all(FAILS[name], agent)
    assert as_json.status == 500
    assert as_json.json()["error"]["code"] == "agent_error"
    assert as_json.headers["x-should-retry"] == "false"
    if stream.status == 500:  # it failed before it said a word
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
    """They are its own affair; the run ends all the same, and the next ones too."""
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
    if request.input == "exit":
        await asyncio.sleep(2)
        os._exit(42)
    await asyncio.sleep(4 if request.input == "long" else 0)
    yield "done"

app = AgentApp(router)
"""


def test_a_handler_that_ends_its_worker(tmp_path: Path) -> None:
    """The other worker's runs go on, and the worker is replaced."""
    (tmp_path / "exits.py").write_text(EXITS)
    port = free_port()
    argv = command("serve", "exits:app", "--port", str(port), "--workers", "2")
    with running(argv, tmp_path, port), ThreadPoolExecutor(21) as pool:
        streams = []
        for _ in range(20):  # one by one, or one worker may take all
            streams.append(pool.submit(stream_of, port, "long"))
            time.sleep(0.05)
        with pytest.raises(httpx2.TransportError):
            stream_of(port, "exit")
        whole = [each.result() for each in streams if each.exception() is None]
        pids = {text.split()[0] for text in whole}
        assert len(pids) == 1  # those of the worker that lives
        assert {text.split()[1] for text in whole} == {"done"}
        until(lambda: {pid_of(port) for _ in range(10)} - pids, seconds=60)


def stream_of(port: int, text: str) -> str:
    """Ask for a stream on a connection of its own; give its whole text."""
    body = {"input": text, "stream": True}
    answer = httpx2.post(f"http://127.0.0.1:{port}/responses", json=body, timeout=20)
    whole: str = events_of(answer.content)[-1]["response"]["output"][0]["content"][0]["text"]
    return whole


def pid_of(port: int) -> str:
    """Give the id of a worker, whichever answers."""
    return stream_of(port, "short").split()[0]
