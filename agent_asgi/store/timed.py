"""A store that measures its calls."""

from collections.abc import Callable, Collection
from time import perf_counter
from typing import Any, cast

from .base import Store
from .conversation_store import ConversationStore
from .delivery_store import DeliveryStore

Timer = Callable[[str], Callable[[float], None]]
"""Returns, for the name of an operation, the function that records a duration in seconds."""


class _Timed:
    def __init__(self, store: Any, methods: Collection[str], timer: Timer, prefix: str) -> None:
        self._store = store
        self._methods = methods
        self._timer = timer
        self._prefix = prefix

    def __getattr__(self, name: str) -> Any:
        if name not in self._methods:
            return getattr(self._store, name)

        record = self._timer(self._prefix + name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            start = perf_counter()
            try:
                return await getattr(self._store, name)(*args, **kwargs)
            finally:
                record(perf_counter() - start)

        self.__dict__[name] = call
        return call


def timed(store: Store, timer: Timer) -> Store:
    """Return a store that measures its calls.

    A store that is not durable is returned as it is: its calls take less time than the measuring.

    Args:
        store: The store.
        timer: Returns the function that records the durations of an operation.
    """
    if not store.durable:
        return store
    measured = _Timed(store, Store.__abstractmethods__, timer, "")
    parts = (
        ("conversations", ConversationStore.__abstractmethods__, "conversation_"),
        ("deliveries", DeliveryStore.__abstractmethods__, "delivery_"),
    )
    for name, methods, prefix in parts:
        measured.__dict__[name] = _Timed(getattr(store, name), methods, timer, prefix)
    return cast(Store, measured)
