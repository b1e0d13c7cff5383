"""A cancel scope for a run, where its task needs one."""

import asyncio
from collections.abc import Container

import anyio
from anyio._backends import _asyncio as anyio_backend

_scoped: Container[object] | None = getattr(anyio_backend, "_task_states", None)
"""The tasks that have a cancel scope, as anyio knows them: to enter one takes a tenth of a short
request. Where anyio keeps them elsewhere, each run has a scope."""


def scope_for(task: "asyncio.Task[object] | None") -> anyio.CancelScope | None:
    """Give the scope in which a request's own task pulls a run; None where it needs none.

    Where a host has a cancel scope of anyio's around the request, it cancels again and again until
    that is left; a handler could not clean up.
    """
    if _scoped is not None and task not in _scoped:
        return None
    return anyio.CancelScope()
