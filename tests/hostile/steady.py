"""The well-behaved client, a process of its own: `steady.py HOST PORT`, until its input ends.

It asks at a fixed pace, over connections that it keeps, and tells of each request when it was due,
how long from then it took until its answer had come whole, and the status: one line each.
"""

import asyncio
import sys
import time

from wire import Address, Connection, answer, connect, post

CONNECTIONS = 8
PACE = 0.16
"""Seconds between two requests of one connection: 50 a second in all."""
ASKED = (post(b'{"input": "hi"}'), post(b'{"input": "words", "stream": true}'))


async def ask(address: Address, number: int) -> None:
    """Ask in turn for an answer and for a short stream."""
    connection: Connection | None = None
    due = time.monotonic() + number * PACE / CONNECTIONS
    turn = number
    while True:
        await asyncio.sleep(due - time.monotonic())
        try:
            connection = connection or await connect(address)
            connection.writer.write(ASKED[turn % 2])
            status, _ = await answer(connection.reader)
        except (OSError, asyncio.IncompleteReadError):
            status, connection = 0, None
        sys.stdout.write(f"{due} {time.monotonic() - due} {status}\n")
        turn += 1
        due = max(due + PACE, time.monotonic() - 1)


async def main() -> None:
    """Ask until nobody listens any more."""
    address = Address(sys.argv[1], int(sys.argv[2]))
    tasks = [asyncio.create_task(ask(address, each)) for each in range(CONNECTIONS)]
    await asyncio.to_thread(sys.stdin.read)
    for task in tasks:
        task.cancel()


if __name__ == "__main__":
    asyncio.run(main())
