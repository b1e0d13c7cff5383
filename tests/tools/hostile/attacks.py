"""The attackers, in a separate process: `attacks.py NAME HOST PORT` prints the answers they got."""

import asyncio
import json
import os
import resource
import sys
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

from tests.tools.hostile.wire import Address, answer, connect, outcome, post

Attack = Callable[[Address], Awaitable[str]]
STREAM = '{"input": "%s", "stream": true}'
PART = b"x" * 65_536
GIBIBYTE = 1 << 30
ITEM = '{"type": "message", "id": "msg_same", "role": "user", "content": "x"}'
ALIKE = ('{"input": [' + ",".join([ITEM] * 100_000) + "]}").encode()


async def slow_sender(address: Address) -> str:
    """Declare a body and send it slowly, byte by byte."""
    return await _drip(address, post(b"x" * 1000)[:-1000])


async def slow_head(address: Address) -> str:
    """Send headers that never end."""
    return await _drip(address, b"POST /responses HTTP/1.1\r\nx-a: ")


async def _drip(address: Address, begin: bytes) -> str:
    connection = await connect(address)
    connection.writer.write(begin)
    answered = asyncio.create_task(outcome(connection))
    while not answered.done():
        connection.writer.write(b"x")
        await asyncio.wait([answered], timeout=0.5)
    connection.leave()
    return answered.result()


async def stalled_stream(address: Address) -> str:
    """Request a long stream and read none of it."""
    return await _stall(address, post((STREAM % "flood").encode()))


async def stalled_answer(address: Address) -> str:
    """Request a large answer and read none of it."""
    return await _stall(address, post(b'{"input": "long 1000000"}'))


async def stalled_pipeline(address: Address) -> str:
    """Pipeline many requests and read no answer."""
    return await _stall(address, post(b'{"input": "long 20000"}') * 40)


async def _stall(address: Address, sent: bytes) -> str:
    connection = await connect(address, narrow=True)
    connection.writer.transport.pause_reading()  # type: ignore[attr-defined]  # asyncio has it
    connection.writer.write(sent)
    await asyncio.sleep(6)
    connection.writer.transport.resume_reading()  # type: ignore[attr-defined]
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(5):
            while await connection.reader.read(1 << 16):
                pass
            return "closed"
        return "still open"
    connection.leave()
    return "cut"


async def stalled_read(address: Address) -> str:
    """Request a stored response of 1 MB and read none of it."""
    made = await asked(address, b'{"input": "long 1000000"}')
    path = f"/responses/{made['id']}"
    return await _stall(address, f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())


async def pings(address: Address) -> str:
    """Send pings over a WebSocket, and read no pong."""
    connection = await connect(address, narrow=True)
    connection.writer.write(UPGRADE)
    await connection.reader.readuntil(b"\r\n\r\n")
    connection.writer.transport.pause_reading()  # type: ignore[attr-defined]  # asyncio has it
    with suppress(OSError):
        for _ in range(400):
            connection.writer.write(PINGS)
            await connection.writer.drain()
            await asyncio.sleep(0.02)
        return "still open"
    return "cut"


async def long_chain(address: Address) -> str:
    """Continue a conversation of 8 MB again and again."""
    previous = None
    for part in (b"x" * 1_000_000,) * 8 + (b"x",) * 8:
        link = b"null" if previous is None else b'"%b"' % previous
        body = b'{"input": "%b", "previous_response_id": %b}' % (part, link)
        answered = await asked(address, body)
        if "id" not in answered:  # others have filled the store
            return str(answered["error"]["code"])
        previous = answered["id"].encode()
    return "continued"


async def asked(address: Address, body: bytes) -> Any:
    """Send a request; return the body of its answer."""
    connection = await connect(address)
    connection.writer.write(post(body, "/responses", "connection: close"))
    _, answered = await answer(connection.reader)
    connection.leave()
    return json.loads(answered)


async def stalled_chat(address: Address) -> str:
    """Ask in a chat of the AI SDK and read none of the stream."""
    message = {"id": "m", "role": "user", "parts": [{"type": "text", "text": "flood"}]}
    body = {"id": str(uuid.uuid4()), "messages": [message]}
    return await _stall(address, post(json.dumps(body).encode(), "/api/chat"))


async def stalled_agui(address: Address) -> str:
    """Begin a run of AG-UI and read none of its events."""
    message = {"id": "m", "role": "user", "content": "flood"}
    body = {"threadId": "t", "runId": "r", "messages": [message]}
    return await _stall(address, post(json.dumps(body).encode(), "/agui"))


async def same_session(address: Address) -> str:
    """Begin an invocation in a session that all attackers share."""
    connection = await connect(address)
    body = {"id": str(uuid.uuid4()), "session_id": "s", "input": "words"}
    sent = post(json.dumps(body).encode(), "/api/invocations", "connection: close")
    connection.writer.write(sent)
    result = await outcome(connection)
    connection.leave()
    return result


async def connect_and_leave(address: Address) -> str:
    """Disconnect immediately, or in the middle of a request."""
    connection = await connect(address)
    if id(connection) % 32:
        connection.writer.write(post(b'{"input": "x"}')[:70])
        await asyncio.sleep(0)
    connection.leave(reset=True)
    return "left"


async def cut_stream(address: Address) -> str:
    """Disconnect in the middle of an event."""
    connection = await connect(address)
    connection.writer.write(post((STREAM % "flood").encode()))
    await connection.reader.readexactly(9000)
    connection.leave(reset=True)
    return "left"


def huge(begin: bytes, part: bytes) -> Attack:
    """Make an attack that sends a body of 1 GiB."""

    async def send(address: Address) -> str:
        connection = await connect(address)
        connection.writer.write(begin)
        answered = asyncio.create_task(outcome(connection))
        with suppress(OSError):
            for _ in range(GIBIBYTE // len(part)):
                if answered.done() or connection.writer.is_closing():
                    break
                connection.writer.write(part)
                await connection.writer.drain()
                await asyncio.sleep(0.01)
        result = await answered
        connection.leave()
        return result

    return send


def request(body: bytes, path: str = "/responses") -> Attack:
    """Make an attack that sends one request."""

    async def ask(address: Address) -> str:
        connection = await connect(address)
        connection.writer.write(post(body, path, "connection: close"))
        result = await outcome(connection)
        connection.leave()
        return result

    return ask


async def forged(address: Address) -> str:
    """Make the agent output text that would be parsed as events if written unescaped."""
    connection = await connect(address)
    connection.writer.write(post((STREAM % "forge").encode(), "/responses", "connection: close"))
    _, body = await answer(connection.reader)
    connection.leave()
    frames = body.decode().split("\n\n")
    types = [each.splitlines()[0] for each in frames[:-2]]
    wellformed = frames[-2:] == ["data: [DONE]", ""] and all(
        len(each.splitlines()) == 2 for each in frames[:-2]
    )
    once = (
        types.count("event: response.completed") == 1 and types[-1] == "event: response.completed"
    )
    return "intact" if wellformed and once else "FORGED"


DECLARED = (
    f"POST /responses HTTP/1.1\r\nhost: localhost\r\ncontent-length: {GIBIBYTE}\r\n\r\n".encode()
)
CHUNKED = b"POST /responses HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n"
DEEP = b'{"input": "x", "a": ' + b"[" * 10_000 + b"]" * 10_000 + b"}"
LONG = b'{"input": "' + b"x" * 5_000_000 + b'"}'
LARGE = b'{"input": "' + b"x" * 1_000_000 + b'"}'
TOO_LONG = b'{"input": "' + b"x" * 9_000_000 + b'"}'
UPGRADE = (
    b"GET /responses HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
PINGS = (b"\x89\xfd\0\0\0\0" + b"x" * 125) * 500
ATTACKS: dict[str, tuple[Attack, int, float, set[str]]] = {
    "500 slow senders": (slow_sender, 500, 3, {"408"}),
    "500 slow heads": (slow_head, 500, 3, {"408"}),
    "500 streams not read": (stalled_stream, 500, 4, {"cut"}),
    "200 answers not read": (stalled_answer, 200, 4, {"cut"}),
    "100 pipelines not read": (stalled_pipeline, 100, 4, {"cut"}),
    "2000 leave at once": (connect_and_leave, 2000, 8, {"left"}),
    "200 streams cut": (cut_stream, 200, 6, {"left"}),
    "1 GiB declared": (huge(DECLARED, PART), 10, 4, {"413", "cut"}),
    "1 GiB in chunks": (huge(CHUNKED, b"10000\r\n" + PART + b"\r\n"), 10, 4, {"413", "cut"}),
    "JSON 10,000 deep": (request(DEEP), 200, 6, {"400"}),
    "9 MB in one string": (request(TOO_LONG), 20, 6, {"413", "cut"}),
    "300 of 1 MB, stored": (request(LARGE), 300, 15, {"200"}),
    "10 chains of 8 MB": (long_chain, 10, 10, {"continued", "previous_response_not_found"}),
    "50 stored answers not read": (stalled_read, 50, 4, {"cut"}),
    "200 chats not read": (stalled_chat, 200, 4, {"cut"}),
    "200 runs of AG-UI not read": (stalled_agui, 200, 4, {"cut"}),
    "500 in one session": (same_session, 500, 4, {"200", "409"}),
    "50 send pings": (pings, 50, 4, {"cut"}),
    "invalid UTF-8": (request(b'{"input": "\xff\xfe"}'), 200, 6, {"400"}),
    "lone surrogates": (request(b'{"input": "\\ud800"}'), 200, 6, {"400"}),
    "NaN": (request(b'{"input": "x", "temperature": NaN}'), 200, 6, {"400"}),
    "names twice": (request(b'{"input": "a", "input": "b"}'), 100, 6, {"200"}),
    "floods of headers": (
        huge(b"GET / HTTP/1.1\r\n", b"x-header: 0123456789\r\n" * 3000),
        20,
        6,
        {"431", "cut"},
    ),
    "one header of 1 GiB": (huge(b"GET / HTTP/1.1\r\nx-a: ", PART), 20, 6, {"431", "cut"}),
    "forged events": (forged, 100, 6, {"intact"}),
    "100,000 items alike": (request(ALIKE), 10, 6, {"400"}),
    "wide: 5 MB in one string": (request(LONG, "/wide/responses"), 10, 6, {"200"}),
    "wide: 100,000 items in": (request(ALIKE, "/wide/responses"), 1, 6, {"200"}),
    "wide: 100,000 items out": (
        request(b'{"input": "alike 100000"}', "/wide/responses"),
        1,
        6,
        {"200"},
    ),
}
"""The attack, the number of attackers, the seconds over which they start, the answers allowed."""


async def attack(name: str, address: Address) -> Counter[str]:
    """Start all attackers, spread evenly over the time, and count their answers."""
    one, count, seconds, _ = ATTACKS[name]

    async def begun() -> AsyncIterator[asyncio.Task[str]]:
        for _ in range(count):
            yield asyncio.ensure_future(one(address))
            await asyncio.sleep(seconds / count)

    tasks = [each async for each in begun()]
    results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 90)
    return Counter(each if isinstance(each, str) else type(each).__name__ for each in results)


def main() -> None:
    """Attack, at a lower priority than everything else on the machine."""
    os.nice(10)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 8192), most))
    counted = asyncio.run(attack(sys.argv[1], Address(sys.argv[2], int(sys.argv[3]))))
    sys.stdout.write(json.dumps(counted))


if __name__ == "__main__":
    main()
