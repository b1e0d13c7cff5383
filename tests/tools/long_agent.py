"""The agents of tests.tools.long_conversations, and what their event loop costs."""

import asyncio
import os
import time

import msgspec
import psutil
from msgspec import structs
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
from agent_asgi.store.open import open_store

LIMITS = Limits(max_conversation_items=1_000_000, max_conversation_bytes=1 << 30)
WORDS = "The answer takes a sentence or two, as most of them do in a chat. " * 2

deaf, reader = AgentRouter("deaf"), AgentRouter("reader")


@deaf.invoke
async def answer(request: ResponsesRequest) -> str:
    """Answer without the history, as an agent does that has a memory of its own."""
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


async def lengthen_chain(request: Request) -> PlainTextResponse:
    """Continue a response by turns like it; return the last one's id."""
    last = str(request.query_params["of"])
    record = await store.get(last, "")
    if record is None:
        raise LookupError(last)
    for _ in range(int(request.query_params["turns"])):
        record = copy_of(record, last)
        await store.save(record)
        last = record.id
    return PlainTextResponse(last)


async def lengthen_conversation(request: Request) -> PlainTextResponse:
    """Repeat the first turn of a conversation; return the conversation's id."""
    name = str(request.query_params["of"])
    items = await store.conversations.items(name, "", limit=2) or []
    more: list[StoredItem] = []
    for _ in range(int(request.query_params["turns"])):
        for item in items:
            id_ = new_id("msg")
            more.append(StoredItem(id_, item.data.replace(item.id.encode(), id_.encode())))
    await store.conversations.add(name, "", more)
    return PlainTextResponse(name)


url = os.environ.get("AGENT_ASGI_STORE", "memory://")
in_memory = url == "memory://"
store = MemoryStore(max_responses=200_000, max_bytes=4 << 30) if in_memory else open_store(url)
routes = [
    Route("/loop", Loop().look),
    Route("/chain", lengthen_chain),
    Route("/conversation", lengthen_conversation),
]
fallback = Starlette(routes=routes)
app = AgentApp(deaf, reader, store=store, limits=LIMITS, fallback=fallback, single_user=True)
