"""The model behind the benchmark agent, which produces what the input text asks for.

All peers get their tokens from here, so the work is the same and only the serving differs.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator

ANSWER = "token " * 100
"""The answer to an invocation."""
PACE = float(os.environ.get("BENCH_PACE", "0.05"))
"""Seconds between two tokens of a paced stream. Default 0.05: 20 a second."""
NAP = 0.1
"""Seconds for which the sync handler blocks its thread."""


async def tokens(command: str) -> AsyncIterator[str]:
    """Yield the tokens for a command such as "burst 100"."""
    kind, _, count = command.partition(" ")
    if kind == "burst":  # all available at once
        for _ in range(int(count)):
            yield "token "
    elif kind == "long":  # each text is a distinct object, as with a real model
        for number in range(int(count)):
            yield f"token {number:07d} "
    elif kind == "paced":  # each contains its send time in nanoseconds
        for _ in range(int(count)):
            await asyncio.sleep(PACE)
            yield f"{time.time_ns()} "
    elif kind == "first":  # one at once, then a short silence
        yield "token "
        await asyncio.sleep(0.005)
    else:  # "silent": one token, then nothing more
        yield "token "
        await asyncio.Event().wait()
