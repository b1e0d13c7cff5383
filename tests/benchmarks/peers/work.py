"""The model behind the agent of the benchmark: what it says is asked for in the input's text.

All peers take their tokens from here, so the work is the same and only the serving differs.
"""

import asyncio
import time
from collections.abc import AsyncIterator

ANSWER = "token " * 100
"""What an invocation answers."""
PACE = 0.05
"""Seconds between two tokens of a paced stream: 20 a second."""
NAP = 0.1
"""How long the sync handler blocks its thread."""


async def tokens(command: str) -> AsyncIterator[str]:
    """Say what a command such as "burst 100" asks for."""
    kind, _, count = command.partition(" ")
    if kind == "burst":  # all ready at once
        for _ in range(int(count)):
            yield "token "
    elif kind == "long":  # each text an object of its own, as those of a model
        for number in range(int(count)):
            yield f"token {number:07d} "
    elif kind == "paced":  # each says when it left, in nanoseconds
        for _ in range(int(count)):
            await asyncio.sleep(PACE)
            yield f"{time.time_ns()} "
    elif kind == "first":  # one at once, then a while of nothing
        yield "token "
        await asyncio.sleep(0.005)
    else:  # "silent": one token, then nothing for ever
        yield "token "
        await asyncio.Event().wait()
