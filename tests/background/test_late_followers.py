"""Followers who come when a log has been passed on, and logs that are read in turn."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from agent_asgi.background import log_reader
from agent_asgi.background.log_reader import LAST_NUMBER, LogReader
from agent_asgi.runs.admission import Admission
from agent_asgi.store import Store, log_sql, open_store
from agent_asgi.store.lines import Lines
from tests.store.test_store import ENDING, begin, group, run

END = Lines(2, 1, b'{"type":"response.completed","sequence_number":2}\n')


def test_who_joins_after_the_last_line_ends_at_once(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_reader, "CHECK_SECONDS", 1000)

    async def main(store: Store) -> None:
        record = await begin(store)
        store.signals.writing.add("r1")
        reader = LogReader(store, Admission())
        async with AsyncExitStack() as stack, asyncio.timeout(10):
            stack.push_async_callback(reader.stop)
            reader.start()
            early = reader.tail(record, -1)
            stack.push_async_callback(early.aclose)
            assert await anext(early) == group(0, 2).data
            await store.finish("r1", 1, END, ENDING)
            ended = await reader.wait_for_end(record)
            assert ended is not None
            assert ended.status == "completed"
            assert [lines async for lines in reader.tail(record, 1)] == [END.data]
            assert [lines async for lines in early] == [END.data]

    run(store_url, main)


def test_all_of_many_logs_are_read_in_turn(
    durable_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_reader, "LOGS", 4)
    monkeypatch.setattr(log_sql, "ROWS", 2)
    ids = [f"r{number}" for number in range(8)]

    async def main(store: Store) -> None:
        reader = LogReader(store, Admission())
        async with AsyncExitStack() as stack:
            other = open_store(durable_url)
            stack.push_async_callback(other.close)
            await other.open()
            feeds = []
            for id_ in ids:
                followed = reader._followed(await begin(other, id_))
                feeds.append(stack.enter_context(followed)[0])
            await reader._look(reader._due(0))
            assert {feed.last for feed in feeds} == {1}
            for number in range(2, 2 + 2 * len(ids)):
                await other.append({id_: (1, group(number)) for id_ in ids})
                await reader._look(reader._due(LAST_NUMBER))
            assert all(feed.last > 1 for feed in feeds)

    run(durable_url, main)
