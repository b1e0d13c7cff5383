"""Tasks that handlers create: `sys.exit` in one fails its run, and not the server."""

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any

from ..context import current

Body = Coroutine[Any, Any, Any] | Generator[Any, None, Any]


class TaskExit(RuntimeError):
    """A task of a handler raised `SystemExit` or `KeyboardInterrupt`.

    In a task asyncio lets these end the event loop, whoever waits for the task.
    """


def contain(loop: asyncio.AbstractEventLoop) -> None:
    """Make all tasks that handlers create from now on raise `TaskExit` in their place.

    A loop that has a task factory keeps it.
    """
    if loop.get_task_factory() is None:
        loop.set_task_factory(_create)


def _create(loop: asyncio.AbstractEventLoop, body: Body, **options: Any) -> asyncio.Task[Any]:
    if current.get(None) is None or not asyncio.iscoroutine(body):
        return asyncio.Task(body, loop=loop, **options)
    task = asyncio.Task(_contained(body), loop=loop, **options)
    task.add_done_callback(lambda _: body.close())  # if it never began
    return task


async def _contained(body: Coroutine[Any, Any, Any]) -> Any:
    try:
        return await body
    except (SystemExit, KeyboardInterrupt) as error:
        raise TaskExit(f"A task of the handler raised {error!r}.") from error
