"""The well-behaved client, in a separate process: `steady HOST PORT`, until stdin closes.

It sends requests at a fixed pace over persistent connections and prints a line for each: when the
request was due, how long after that the whole answer had arrived, and the status.
"""

import asyncio
import sys
import time

from tests.tools.hostile.wire import Address, Connection, answer, connect, post

CONNECTIONS = 8
PACE = 0.16
"""Seconds between two requests on a connection: 50 requests a second in total."""
ASKED = (post(b'{"input": "hi"}'), post(b'{"input": "words", "stream": true}'))


async def keep_asking(address: Address, number: int) -> None:
    """Alternate between requesting an answer and a short stream."""
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
    """Send requests until stdin closes."""
    address = Address(sys.argv[1], int(sys.argv[2]))
    tasks = [asyncio.create_task(keep_asking(address, each)) for each in range(CONNECTIONS)]
    await asyncio.to_thread(sys.stdin.read)
    for task in tasks:
        task.cancel()


if __name__ == "__main__":
    asyncio.run(main())
