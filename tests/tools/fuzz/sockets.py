"""WebSocket messages in any order: each is answered once, with a stream or an error."""

import asyncio
import json
from typing import Any

from hypothesis import strategies as st
from starlette.types import Message, Scope

from tests.support.stream_rules import TERMINAL
from tests.tools.fuzz import agents
from tests.tools.fuzz.bodies import bodies, items, nearly_right
from tests.tools.fuzz.harness import SECONDS, Property

Said = tuple[str, bytes]
"""The type of a message, "text" or "bytes", and its content."""


def _turn(body: bytes) -> bytes:
    return b'{"type":"response.create",' + body[1:]


turns = st.one_of(
    nearly_right.map(_turn),
    items.map(lambda item: _turn(b'{"model":"echo","input":[' + item + b"]}")),
    st.just(_turn(b'{"model":"echo","input":"hi"}')),
    st.just(_turn(b'{"model":"echo","input":"on","previous_response_id":"LATEST"}')),
    st.just(_turn(b'{"model":"echo","input":[],"store":false,"previous_response_id":"LATEST"}')),
    st.just(_turn(b'{"model":"echo","input":"one at a time","conversation":"c"}')),
)
messages = st.one_of(
    turns, turns, turns, bodies, st.binary(max_size=50), st.integers(65_000, 66_000).map(bytes)
)
cases = st.lists(st.tuples(st.sampled_from(["text", "bytes"]), messages), max_size=5)


class Talk:
    """The client's side of a connection."""

    def __init__(self) -> None:
        self.inbox: asyncio.Queue[Message] = asyncio.Queue()
        self.outbox: asyncio.Queue[Message] = asyncio.Queue()
        self.latest = "resp_none"

    async def say(self, how: str, what: bytes) -> None:
        """Send a message the way a server passes it to the app."""
        what = what.replace(b"LATEST", self.latest.encode())
        given: Any = what.decode(errors="replace") if how == "text" else what
        await self.inbox.put({"type": "websocket.receive", how: given})

    async def hear(self) -> dict[str, Any]:
        """Check the messages of an answer; return the last one."""
        number = 0
        while True:
            message = await self.outbox.get()
            assert message["type"] == "websocket.send", message
            event: dict[str, Any] = json.loads(message["text"])
            if event["type"] == "error" and "status" in event:
                assert number == 0 or event["status"] >= 400
                assert set(event["error"]) == {"message", "type", "param", "code"}
                return event
            assert event["sequence_number"] == number, event
            number += 1
            if event["type"] in TERMINAL:
                self.latest = event["response"]["id"]
                return event


async def check(app: Any, case: list[Said]) -> None:
    """Send the messages one by one, and wait for the answer to each."""
    talk = Talk()
    scope: Scope = {
        "type": "websocket",
        "path": "/responses",
        "raw_path": b"/responses",
        "root_path": "",
        "query_string": b"",
        "headers": [],
        "state": {},
    }
    await talk.inbox.put({"type": "websocket.connect"})
    served = asyncio.create_task(app(scope, talk.inbox.get, talk.outbox.put))
    assert (await talk.outbox.get())["type"] == "websocket.accept"
    for how, what in case:
        await talk.say(how, what)
        hearing = asyncio.create_task(talk.hear())
        await asyncio.wait({served, hearing}, return_when="FIRST_COMPLETED", timeout=SECONDS)
        if not hearing.done():
            hearing.cancel()
            served.cancel()
            raise AssertionError(f"no answer to {what[:200]!r}")
        last = hearing.result()
        assert last["type"] != "response.failed", last
        assert last.get("status", 400) in (400, 404, 409, 413), last
    await talk.inbox.put({"type": "websocket.disconnect", "code": 1000})
    await served
    assert talk.outbox.empty(), talk.outbox


SOCKETS = Property("WebSocket messages", 12, cases, agents.app, check)
