"""The requests of tests/tools/soak.py: all kinds, well and badly behaved."""

import asyncio
import collections
import contextlib
import json
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2 as httpx
import websockets

TOKENS = ("alice-token", "bob-token")
Status = collections.Counter[str]
LARGE = 500_000
"""The characters of a large message."""


class Traffic:
    """Sends requests of random kinds.

    Args:
        port: The server's port.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.done: collections.Counter[str] = collections.Counter()
        self.problems: collections.Counter[str] = collections.Counter()
        self.deleted: Status = collections.Counter()
        self.metrics: dict[str, Status] = {}
        self._url = f"http://127.0.0.1:{port}"
        limits = httpx.Limits(max_connections=200)
        self._client = httpx.AsyncClient(base_url=self._url, timeout=30, limits=limits)
        self._kept: collections.deque[tuple[str, str]] = collections.deque(maxlen=50)
        self._kinds: dict[Callable[[], Awaitable[None]], int] = {
            self.json: 20,
            self.stream: 20,
            self.failing: 8,
            self.cut: 6,
            self.stalled: 1,
            self.never: 1,
            self.background: 6,
            self.cancelled: 3,
            self.keyed: 4,
            self.turn: 4,
            self.chained: 2,
            self.pinged: 1,
            self.compacted: 3,
            self.threaded: 6,
            self.numbers: 6,
            self.stored: 8,
            self.refused: 8,
            self.asked: 6,
        }

    async def one(self) -> None:
        """Send a random kind of request and count it."""
        [kind] = random.choices(list(self._kinds), list(self._kinds.values()))
        name = kind.__name__
        try:
            await kind()
        except (httpx.HTTPError, OSError, websockets.WebSocketException) as error:
            self.problems[f"{name}: {type(error).__name__}"] += 1
        self.done[name] += 1

    async def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        """Send a POST request as one of two principals."""
        token = headers.pop("token", None) or random.choice(TOKENS)
        sent = {"authorization": f"Bearer {token}", **headers}
        return await self._client.post(path, json=body, headers=sent)

    async def create(self, text: str, **fields: Any) -> dict[str, Any]:
        """Create a response; keep its id for later requests."""
        token = random.choice(TOKENS)
        answer = await self.post(
            "/v1/responses", {"model": "soak", "input": text, **fields}, token=token
        )
        found: dict[str, Any] = answer.json()
        if "id" in found:
            self._kept.append((found["id"], token))
        elif answer.status_code not in (429, 500, 504):
            self.problems[f"{text}: {answer.status_code}"] += 1
        return found | {"token": token}

    async def json(self) -> None:
        """Request a plain response, sometimes one that continues a previous one."""
        previous = random.choice(self._kept) if self._kept and random.random() < 0.1 else None
        if previous is None:
            await self.create("words")
            return
        id_, token = previous
        body = {"model": "soak", "input": "words", "previous_response_id": id_}
        await self.post("/responses", body, token=token)

    async def stream(self) -> None:
        """Request a stream and check how it ends."""
        path = random.choice(("/responses", "/soak/v1/responses", "/soak/invocations"))
        text = random.choice(("words 5", "burst 50", "call 3", "block 2", "words 20"))
        answer = await self.post(path, {"model": "soak", "input": text, "stream": True})
        if answer.status_code == 429:
            return
        if not answer.content.endswith(b"data: [DONE]\n\n") or b"completed" not in answer.content:
            self.problems[f"stream {text}: no end"] += 1

    async def failing(self) -> None:
        """Make the agent fail in various ways."""
        text = random.choice(("fail", "garbage 1", "late 2", "ignore 1"))
        stream = random.random() < 0.5 or text == "ignore 1"
        answer = await self.post("/responses", {"model": "soak", "input": text, "stream": stream})
        if stream and answer.status_code == 200 and not answer.content.endswith(b"[DONE]\n\n"):
            self.problems[f"failing {text}: no end"] += 1

    async def never(self) -> None:
        """Start a run that lasts until it times out."""
        await self.post("/responses", {"model": "soak", "input": "never 1", "stream": True})

    async def cut(self) -> None:
        """Disconnect in the middle of a stream."""
        body = {"model": "soak", "input": "words 50", "stream": True}
        headers = {"authorization": f"Bearer {TOKENS[0]}"}
        async with self._client.stream("POST", "/responses", json=body, headers=headers) as answer:
            async for _ in answer.aiter_raw():
                return

    async def stalled(self) -> None:
        """Read nothing from a stream for longer than the server waits."""
        body = b'{"model": "soak", "input": "flood 1", "stream": true}'
        _, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1024)
        head = (
            f"POST /responses HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {TOKENS[0]}\r\n"
        )
        writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()
        await asyncio.sleep(3)
        writer.transport.abort()

    async def background(self) -> None:
        """Start a background run and poll it until it has ended."""
        text = random.choice(("words 5", "fail", "never 1", "words 30"))
        begun = await self.create(text, background=True, stream=False)
        end = time.monotonic() + 25
        while begun.get("status") in ("queued", "in_progress") and time.monotonic() < end:
            await asyncio.sleep(0.2)
            found = await self.get(f"/responses/{begun['id']}", begun["token"])
            if found.status_code == 404:  # it ended and `stored` deleted it
                return
            begun |= found.json()
        if begun.get("status") in ("queued", "in_progress"):
            self.problems["background: no end"] += 1

    async def cancelled(self) -> None:
        """Cancel a background run."""
        begun = await self.create("words 50", background=True)
        if "id" in begun:
            await asyncio.sleep(random.random() / 2)
            await self.post(f"/responses/{begun['id']}/cancel", {}, token=begun["token"])

    async def keyed(self) -> None:
        """Send two concurrent requests with the same idempotency key."""
        key = {"idempotency-key": f"{random.random()}", "token": TOKENS[0]}
        body = {"model": "soak", "input": "words 3", "stream": random.random() < 0.5}
        await asyncio.gather(*(self.post("/responses", body, **key) for _ in range(2)))

    async def turn(self) -> None:
        """Take two turns over a WebSocket."""
        headers = {"authorization": f"Bearer {TOKENS[1]}"}
        url = f"ws://127.0.0.1:{self.port}/v1/responses"
        async with websockets.connect(url, additional_headers=headers) as socket:
            for text in ("words 3", random.choice(("words 3", "fail"))):
                await socket.send(
                    json.dumps({"type": "response.create", "model": "soak", "input": text})
                )
                async with asyncio.timeout(20):
                    while not _ends(json.loads(await socket.recv())):
                        pass

    async def chained(self) -> None:
        """Continue a large response, and leave the stream of the third turn."""
        large = [
            {"role": "developer", "content": "x" * LARGE},
            {"role": "user", "content": "words"},
        ]
        first = await self.create("words", input=large)
        if "id" not in first:
            return
        headers = {"authorization": f"Bearer {first['token']}"}
        body = {"model": "soak", "input": "words 3", "previous_response_id": first["id"]}
        second = await self.post("/responses", body, token=first["token"])
        if second.status_code != 200:
            return
        body |= {"previous_response_id": second.json()["id"], "stream": True}
        async with self._client.stream("POST", "/responses", json=body, headers=headers) as answer:
            async for _ in answer.aiter_raw():
                return

    async def pinged(self) -> None:
        """Send pings, and read none of the answers."""
        headers = {"authorization": f"Bearer {TOKENS[1]}"}
        url = f"ws://127.0.0.1:{self.port}/v1/responses"
        async with websockets.connect(
            url, additional_headers=headers, ping_interval=None, close_timeout=1
        ) as socket:
            socket.transport.pause_reading()
            for _ in range(500):
                await socket.ping()
            await asyncio.sleep(1)
            socket.transport.abort()

    async def compacted(self) -> None:
        """Compact a conversation."""
        await self.post("/responses/compact", {"model": "other", "input": "x"})

    async def threaded(self) -> None:
        """Call an agent that runs in a thread."""
        await self.post("/responses", {"model": "other", "input": "x", "store": False})

    async def numbers(self) -> None:
        """Call the agent with the plain JSON protocol."""
        await self.post("/numbers/invocations", {"stream": True})

    async def stored(self) -> None:
        """Retrieve a response, list its input, replay it, and sometimes delete it."""
        if not self._kept:
            return
        id_, token = random.choice(self._kept)
        await self.get(f"/responses/{id_}", token)
        await self.get(f"/responses/{id_}/input_items", token)
        await self.get(f"/responses/{id_}?stream=true", token)
        if random.random() < 0.2:
            await self._delete(id_, token)

    async def _delete(self, id_: str, token: str) -> None:
        found = (await self.get(f"/responses/{id_}", token)).json()
        if found.get("status") in (None, "queued", "in_progress"):  # None: it was refused
            return
        headers = {"authorization": f"Bearer {token}"}
        answer = await self._client.delete(f"/responses/{id_}", headers=headers)
        if answer.status_code == 200:
            self.deleted[found["status"]] += 1
            with contextlib.suppress(ValueError):
                self._kept.remove((id_, token))

    async def refused(self) -> None:
        """Send invalid requests."""
        await self.post("/responses", random.choice(([], {"input": 7}, {"model": "x"}, "text")))
        await self.post("/responses", {"model": "soak", "input": "x" * 2_000_000})
        await self._client.post("/responses", content=b"{" * 999)
        await self._client.get(f"/{random.random()}")

    async def asked(self) -> None:
        """Request the endpoints that need no agent."""
        for path in ("/health", "/ready", "/ping", "/models", "/agent/info", "/metrics", "/docs"):
            await self.get(path, TOKENS[0])
        await self.get("/openapi.json", TOKENS[1])

    async def get(self, path: str, token: str) -> httpx.Response:
        """Send a GET request as a principal."""
        return await self._client.get(path, headers={"authorization": f"Bearer {token}"})

    async def tell(self) -> dict[str, int]:
        """Return the counts of tasks, threads and open traces in the server's process."""
        found: dict[str, int] = (await self.post("/debug/invocations", {})).json()
        return found

    async def close(self) -> None:
        """Close the client."""
        await self._client.aclose()


def _ends(event: dict[str, Any]) -> bool:
    kinds = ("response.completed", "response.failed", "response.incomplete", "error")
    return event["type"] in kinds
