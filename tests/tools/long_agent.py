"""The agents of tests.tools.long_conversations, and what their event loop costs."""

import asyncio
import os
import time
from collections.abc import Sequence

import msgspec
import psutil
from msgspec import structs
from sqlalchemy import func, select
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from agent_asgi import AgentApp, AgentRouter, Limits, ResponsesRequest
from agent_asgi.schema.ids import new_id
from agent_asgi.store.base import Record
from agent_asgi.store.conversation_store import StoredItem
from agent_asgi.store.history import item_ids
from agent_asgi.store.memory import MemoryStore
from agent_asgi.store.sql import SqlStore
from agent_asgi.store.tables import items, responses

LIMITS = Limits(max_conversation_items=1_000_000, max_conversation_bytes=1 << 30)
WORDS = "The answer takes a sentence or two, as most of them do in a chat. " * 2

deaf, reader = AgentRouter("deaf"), AgentRouter("reader")


@deaf.invoke
async def answer(request: ResponsesRequest) -> str:
    """Answer without the history, as an agent whose framework keeps a memory."""
    return WORDS


@reader.invoke
async def read(request: ResponsesRequest) -> str:
    """Read the whole conversation."""
    return WORDS if request.input else ""


class Loop:
    """The longest time for which the event loop's thread served nothing else."""

    longest = 0.0
    watching: asyncio.Task[None] | None = None

    async def watch(self) -> None:
        """Take a turn of the event loop again and again."""
        before = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            self.longest, before = max(self.longest, now - before), now

    async def look(self, request: Request) -> JSONResponse:
        """Return the CPU of the event loop's thread, and `longest` if it was watched."""
        if self.watching is not None:
            self.watching.cancel()
        state = {"cpu": time.thread_time(), "longest": self.longest}
        state["memory"] = psutil.Process().memory_info().rss
        watches = "watch" in request.query_params
        self.longest, self.watching = 0.0, asyncio.create_task(self.watch()) if watches else None
        return JSONResponse(state)


def copy_of(record: Record, previous: str) -> Record:
    """Return a turn like another one, after a previous one."""
    response = msgspec.json.decode(record.response)
    response |= {"id": new_id("resp"), "previous_response_id": previous}
    for item in response["output"]:
        item["id"] = new_id("msg")
    body = msgspec.json.encode(response)
    copied = structs.replace(record, id=response["id"], previous_id=previous, response=body)
    return structs.replace(copied, item_ids=item_ids(copied))


async def insert(store: SqlStore, records: Sequence[Record]) -> None:
    """Write turns in one transaction, some at once."""
    first = select(func.coalesce(responses.c.root_id, responses.c.id))
    first = first.where(responses.c.id == records[0].previous_id)
    async with store._database.writing() as db:
        root = (await db.execute(first)).scalar_one()
        for begin in range(0, len(records), 500):
            some = records[begin : begin + 500]
            rows = [store._row(each, "", 0.0) | {"root_id": root} for each in some]
            await db.execute(responses.insert(), rows)
            ids = [
                {"response_id": each.id, "id": id_, "owner": ""}
                for each in some
                for id_ in each.item_ids
            ]
            await db.execute(items.insert(), ids)


async def lengthen_chain(request: Request) -> PlainTextResponse:
    """Continue a response by turns like it; return the last one's id."""
    last = str(request.query_params["of"])
    record = await store.get(last, "")
    if record is None:
        raise LookupError(last)
    records: list[Record] = []
    for _ in range(int(request.query_params["turns"])):
        records.append(copy_of(record, last))
        last = records[-1].id
        await asyncio.sleep(0)
    if isinstance(store, MemoryStore):
        for each in records:
            await store.save(each)
    else:
        await insert(store, records)
    return PlainTextResponse(last)


async def lengthen_conversation(request: Request) -> PlainTextResponse:
    """Repeat the first turn of a conversation; return the conversation's id."""
    name = str(request.query_params["of"])
    first = await store.conversations.items(name, "", limit=2) or []
    more: list[StoredItem] = []
    for _ in range(int(request.query_params["turns"])):
        for item in first:
            id_ = new_id("msg")
            more.append(StoredItem(id_, item.data.replace(item.id.encode(), id_.encode())))
    await store.conversations.add(name, "", more)
    return PlainTextResponse(name)


url = os.environ.get("AGENT_ASGI_STORE", "memory://")
in_memory = url == "memory://"
store: MemoryStore | SqlStore = (
    MemoryStore(max_responses=200_000, max_bytes=4 << 30) if in_memory else SqlStore(url)
)
routes = [
    Route("/loop", Loop().look),
    Route("/chain", lengthen_chain),
    Route("/conversation", lengthen_conversation),
]
fallback = Starlette(routes=routes)
app = AgentApp(deaf, reader, store=store, limits=LIMITS, fallback=fallback, single_user=True)
