"""Followers of a run: in its process and in others, late, slow, many, and gone."""

import asyncio
import contextlib
import gc
import os
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest

from agent_asgi import AgentApp, AgentRouter, Limits, ResponsesRequest
from agent_asgi.background.feed import FOLLOWER_BYTES, Feed, Follower
from agent_asgi.store import MemoryStore
from agent_asgi.store.lines import Lines
from agent_asgi.testing import AgentClient, Stream, parse_frame
from tests.store.test_store import group
from tests.support.apps import started
from tests.support.calling import QUICK
from tests.support.commands import command, running
from tests.support.servers import free_port, serving
from tests.support.stream_rules import check_stream
from tests.tools.hostile.wire import Address, connect, post

BODY = {"input": "x", "background": True}
WORDS = 30
FOLLOWERS = 10
NOBODY = Limits(worker_concurrency=0)
"""The limits of a process that executes no runs, with PostgreSQL."""


class Speaker:
    """An agent that says a word as often as it is asked to."""

    def __init__(self) -> None:
        self.router = AgentRouter("speaker")
        self.router.stream(self.speak)
        self._words: asyncio.Queue[str | None] = asyncio.Queue()

    async def speak(self, request: ResponsesRequest) -> AsyncIterator[str]:
        yield "begun "
        while (word := await self._words.get()) is not None:
            yield word

    def say(self, word: str | None) -> None:
        """Say a word; None ends the run."""
        self._words.put_nowait(word)


@contextlib.asynccontextmanager
async def two_apps(url: str, speaker: Speaker) -> AsyncIterator[tuple[AgentApp, AgentApp]]:
    """Yield two apps with a connection each to the same store; the first executes all runs."""
    limits = NOBODY if url.startswith("postgres") else Limits()
    async with asyncio.timeout(60), contextlib.AsyncExitStack() as stack:
        first = AgentApp(speaker.router, store=url, timeouts=QUICK)
        other = AgentApp(speaker.router, store=url, timeouts=QUICK, limits=limits)
        yield (
            await stack.enter_async_context(started(first)),
            await stack.enter_async_context(started(other)),
        )


@contextlib.asynccontextmanager
async def followed(app: AgentApp, id: str, after: int = -1) -> AsyncIterator[Stream]:
    """Follow a run in an app."""
    path = f"/responses/{id}?stream=true" + (f"&starting_after={after}" if after >= 0 else "")
    async with AgentClient(app).stream(path, None, method="GET") as stream:
        yield stream


async def begin(app: AgentApp) -> str:
    """Begin a run, and return its id when its first word has been stored."""
    id_: str = (await AgentClient(app).post("/responses", BODY)).json()["id"]
    async with followed(app, id_) as stream:
        await until_said(stream, "begun ")
    return id_


async def until_said(stream: Stream, word: str) -> None:
    """Read a stream until a word has been said."""
    async for event in stream.each_event():
        if event.get("delta") == word:
            return
    raise AssertionError(f"The stream ended without {word!r}: {stream.body[-300:]!r}")


async def rest_of(stream: Stream) -> list[dict[str, Any]]:
    """Read a stream to its end; return all its events, in their order and without a gap."""
    async for _ in stream.bodies():
        pass
    events = stream.events()
    assert events, (stream.status, stream.body)
    first = events[0]["sequence_number"]
    assert [each["sequence_number"] for each in events] == [
        *range(first, first + len(events)),
    ]
    return events


async def reads(app: AgentApp) -> float:
    """Return how often an app has read logs from its store."""
    text = (await AgentClient(app).get("/metrics")).body.decode()
    counts = re.findall(r'store_seconds_count\{.*operation="(\w+)"\} ([0-9.]+)', text)
    return sum(float(count) for name, count in counts if name in ("events", "tails"))


def test_followers_in_the_process_of_a_run_read_nothing_from_the_store(durable_url: str) -> None:
    speaker = Speaker()

    async def main() -> None:
        app = AgentApp(speaker.router, store=durable_url, timeouts=QUICK)
        async with asyncio.timeout(60), started(app), contextlib.AsyncExitStack() as stack:
            id_ = await begin(app)
            follows = [followed(app, id_) for _ in range(FOLLOWERS)]
            streams = [await stack.enter_async_context(each) for each in follows]
            for stream in streams:
                await until_said(stream, "begun ")
            before = await reads(app)
            for number in range(WORDS):
                speaker.say(f"{number} ")
                for stream in streams:
                    await until_said(stream, f"{number} ")
            assert await reads(app) == before
            speaker.say(None)
            for stream in streams:
                check_stream(await rest_of(stream))

    asyncio.run(main())


def test_followers_in_another_process_read_the_store_together(durable_url: str) -> None:
    speaker = Speaker()

    async def main() -> None:
        async with two_apps(durable_url, speaker) as (app, other), contextlib.AsyncExitStack() as s:
            id_ = await begin(app)
            streams = [await s.enter_async_context(followed(other, id_)) for _ in range(FOLLOWERS)]
            for stream in streams:
                await until_said(stream, "begun ")
            before = await reads(other)
            for number in range(WORDS):
                speaker.say(f"{number} ")
                for stream in streams:
                    await until_said(stream, f"{number} ")
            assert await reads(other) <= before + WORDS + 2
            speaker.say(None)
            for stream in streams:
                check_stream(await rest_of(stream))

    asyncio.run(main())


def test_each_place_of_a_log_can_be_resumed_while_it_grows(store_url: str) -> None:
    speaker = Speaker()

    async def main() -> None:
        async with contextlib.AsyncExitStack() as stack, asyncio.timeout(60):
            if store_url == "memory://":
                app = AgentApp(speaker.router, store=store_url)
                apps = [await stack.enter_async_context(started(app))]
            else:
                apps = [*await stack.enter_async_context(two_apps(store_url, speaker))]
            id_ = await begin(apps[0])
            reading: list[asyncio.Task[list[dict[str, Any]]]] = []

            async def follow(app: AgentApp, after: int) -> list[dict[str, Any]]:
                async with followed(app, id_, after) as stream:
                    return await rest_of(stream)

            for number in range(0, WORDS, 3):
                for word in range(number, number + 3):
                    speaker.say(f"{word} ")
                reading += [asyncio.create_task(follow(app, number)) for app in apps]
                reading += [asyncio.create_task(follow(app, WORDS - number)) for app in apps]
                await asyncio.sleep(0.01)
            speaker.say(None)
            whole = await follow(apps[-1], -1)
            check_stream(whole)
            for events in await asyncio.gather(*reading):
                assert events == whole[events[0]["sequence_number"] :]

    asyncio.run(main())


def test_a_follower_beyond_the_end_waits_for_its_place(store_url: str) -> None:
    speaker = Speaker()

    async def main() -> None:
        app = AgentApp(speaker.router, store=store_url)
        async with asyncio.timeout(60), started(app):
            id_ = await begin(app)
            async with followed(app, id_, 20) as far, followed(app, id_) as near:
                await until_said(near, "begun ")
                for number in range(WORDS):
                    speaker.say(f"{number} ")
                    await until_said(near, f"{number} ")
                speaker.say(None)
                assert (await rest_of(far))[0]["sequence_number"] == 21

    asyncio.run(main())


def test_a_follower_who_does_not_read_misses_nothing(store_url: str) -> None:
    """What its socket does not take is not kept in memory, but read again."""
    router = AgentRouter()
    words = 400

    @router.stream
    async def shout(request: ResponsesRequest) -> AsyncIterator[str]:
        for _ in range(words):
            yield "x" * 10_000
            await asyncio.sleep(0.001)

    async def main(url: str) -> None:
        async with httpx2.AsyncClient(base_url=url, timeout=60) as client, asyncio.timeout(60):
            id_ = (await client.post("/responses", json=BODY)).json()["id"]
            port = int(url.rpartition(":")[2])
            slow = await connect(Address("127.0.0.1", port), narrow=True)
            path = f"/responses/{id_}?stream=true"
            head = post(b"", path, "connection: close").replace(b"POST", b"GET", 1)
            slow.writer.write(head)
            whole = (await client.get(path)).content
            read = await slow.reader.read()
            slow.leave()
            assert read.count(b"x" * 10_000) == whole.count(b"x" * 10_000)
            assert read.count(b"event: response.output_text.delta") == words
            assert b"[DONE]" in read

    with serving(AgentApp(router, store=store_url)) as server:
        asyncio.run(main(server.url))


def test_what_waits_for_a_slow_follower_is_bounded() -> None:
    feed, follower, size = Feed(), Follower(), FOLLOWER_BYTES // 10
    feed.followers.add(follower)
    feed.begin(-1)
    for number in range(25):
        assert feed.put(Lines(number, 1, b"x" * size))
    first = follower.take(-1)
    assert first is None, "it missed something, and reads the store"
    assert feed.last == 24

    for number in range(25, 30):
        feed.put(Lines(number, 1, b"x" * size))
    taken = [follower.take(number - 1) for number in range(25, 30)]
    assert [lines.first for lines in taken if lines] == [25, 26, 27, 28, 29]


def test_lines_larger_than_the_bound_are_passed_on_too() -> None:
    feed, follower = Feed(), Follower()
    feed.followers.add(follower)
    feed.begin(-1)
    feed.put(Lines(0, 1, b"x" * 2 * FOLLOWER_BYTES))
    assert follower.take(-1) == Lines(0, 1, b"x" * 2 * FOLLOWER_BYTES)


def test_a_feed_passes_nothing_on_twice_or_after_a_gap() -> None:
    feed, follower = Feed(), Follower()
    feed.followers.add(follower)
    assert not feed.put(group(0)), "it is not known yet how far the log has been written"
    feed.begin(4)
    assert feed.put(group(3))
    assert not feed.put(group(6))
    assert feed.put(group(4, 2))
    assert feed.last == 5
    assert follower.take(4) == group(4, 2)
    assert follower.take(4) is None


@pytest.mark.parametrize("place", ["same", "other"])
def test_a_deleted_run_ends_its_followers(durable_url: str, place: str) -> None:
    speaker = Speaker()

    async def main() -> None:
        async with two_apps(durable_url, speaker) as apps:
            id_ = await begin(apps[0])
            there, elsewhere = apps if place == "same" else reversed(apps)
            async with followed(there, id_) as near, followed(elsewhere, id_) as far:
                await until_said(near, "begun ")
                await until_said(far, "begun ")
                async with AgentClient(there).stream(
                    f"/responses/{id_}", None, method="DELETE"
                ) as answer:
                    async for _ in answer.bodies():
                        pass
                for stream in (near, far):
                    async for _ in stream.bodies():
                        pass
                    assert stream.body.endswith(b"data: [DONE]\n\n")

    asyncio.run(main())


def test_followers_that_are_gone_leave_nothing_behind(store_url: str) -> None:
    speaker = Speaker()

    async def main() -> None:
        app = AgentApp(speaker.router, store=store_url)
        async with asyncio.timeout(60), started(app):
            id_ = await begin(app)
            tasks = len(asyncio.all_tasks())
            async with contextlib.AsyncExitStack() as stack:
                for _ in range(FOLLOWERS):
                    stream = await stack.enter_async_context(followed(app, id_))
                    await until_said(stream, "begun ")
            while len(asyncio.all_tasks()) > tasks:
                await asyncio.sleep(0.01)
            gc.collect()
            assert not [each for each in gc.get_objects() if isinstance(each, Feed | Follower)]
            signals: Any = app.store.signals
            assert not signals._watchers
            speaker.say(None)

    asyncio.run(main())


def test_followers_hear_without_notifications(postgres: str) -> None:
    """A listener that has lost its connection is slow to come back."""
    speaker = Speaker()

    async def main() -> None:
        async with two_apps(postgres, speaker) as (app, other):
            id_ = await begin(app)
            async with followed(other, id_) as stream:
                await until_said(stream, "begun ")
                with psycopg.connect(postgres, autocommit=True) as connection:
                    for number in range(5):
                        connection.execute(
                            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                            " WHERE query LIKE 'LISTEN %' AND datname = current_database()"
                        )
                        speaker.say(f"{number} ")
                        await until_said(stream, f"{number} ")
                speaker.say(None)
                check_stream(await rest_of(stream))

    asyncio.run(main())


SERVED = """
import asyncio
from agent_asgi import AgentApp, AgentRouter, Limits, ResponsesRequest, Timeouts

router = AgentRouter("echo")

@router.stream
async def count(request: ResponsesRequest):
    for number in range(40 if request.input_text == "count" else 1):
        yield f"{number} "
        await asyncio.sleep(0.05)

times = Timeouts(heartbeat=0.2, stalled=1, rescue=0.3, poll=0.2)
app = AgentApp(router, timeouts=times)
"""


def detached(url: str) -> str:
    """Begin a run that its process executes itself; return its id."""
    options: Any = {"headers": {"idempotency-key": "k"}, "timeout": 60}
    body = {"input": "count", "stream": True}
    with httpx2.stream("POST", f"{url}/responses", json=body, **options) as answer:
        event = parse_frame(next(answer.iter_bytes()).split(b"\n\n")[0])
    assert event is not None
    return str(event["response"]["id"])


def test_followers_of_a_run_that_another_process_takes_over(
    durable_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "served.py").write_text(SERVED)
    monkeypatch.setenv("AGENT_ASGI_STORE", durable_url)
    ports = [free_port(), free_port()]
    with contextlib.ExitStack() as stack:
        processes = [
            stack.enter_context(
                running(command("serve", "served:app", "--port", str(port)), tmp_path, port)
            )
            for port in ports
        ]
        urls = [f"http://127.0.0.1:{port}" for port in ports]
        id_ = detached(urls[0])
        bodies = [b"", b""]
        with contextlib.ExitStack() as streams:
            query: dict[str, Any] = {"stream": "true"}
            answers = [
                streams.enter_context(
                    httpx2.stream("GET", f"{url}/responses/{id_}", params=query, timeout=60)
                )
                for url in urls
            ]
            chunks = [each.iter_bytes() for each in answers]
            for number, chunk in enumerate(chunks):
                while b'"delta":"3 "' not in bodies[number]:
                    bodies[number] += next(chunk)
            os.killpg(processes[0].pid, signal.SIGKILL)
            bodies[1] += b"".join(chunks[1])
        events = [event for frame in bodies[1].split(b"\n\n") if (event := parse_frame(frame))]
        response = check_stream(events)
        assert response["status"] == "completed"


class SlowStore(MemoryStore):
    """A store that takes its time to write, and could pause for long."""

    write_seconds = 60.0
    seconds = 0.02

    async def append(self, groups: Any) -> Any:
        await asyncio.sleep(self.seconds)
        return await super().append(groups)


def test_the_pause_between_writes_follows_the_time_that_they_take() -> None:
    speaker = Speaker()

    async def main() -> None:
        app = AgentApp(speaker.router, store=SlowStore())
        async with asyncio.timeout(30), started(app):
            id_ = await begin(app)
            async with followed(app, id_) as stream:
                for number in range(5):
                    speaker.say(f"{number} ")
                    await until_said(stream, f"{number} ")
            speaker.say(None)

    asyncio.run(main())


def test_the_first_events_of_a_run_do_not_wait_for_the_pause() -> None:
    speaker, store = Speaker(), SlowStore()
    store.seconds = 2.0  # so that the pause is 20 s

    async def main() -> None:
        app = AgentApp(speaker.router, store=store)
        async with asyncio.timeout(60), started(app):
            await begin(app)
            async with asyncio.timeout(12):
                await begin(app)
            speaker.say(None)
            speaker.say(None)

    asyncio.run(main())
