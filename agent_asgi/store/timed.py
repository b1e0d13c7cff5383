"""A store whose calls are timed."""

from collections.abc import Callable
from time import perf_counter
from typing import Any, cast

from .base import Store

Add = Callable[[str, float], None]


class _Timed:
    def __init__(self, store: Store, add: Add) -> None:
        self._store = store
        self._add = add

    def __getattr__(self, name: str) -> Any:
        if name not in Store.__abstractmethods__:
            return getattr(self._store, name)

        async def call(*args: Any) -> Any:
            began = perf_counter()
            try:
                return await getattr(self._store, name)(*args)
            finally:
                self._add(name, perf_counter() - began)

        self.__dict__[name] = call
        return call


def timed(store: Store, add: Add) -> Store:
    """Give a store whose calls are timed.

    One that is not durable stays as it is: what it does takes less time than to look at the clock.

    Args:
        store: The store.
        add: Called after each call with its name and its time in seconds.
    """
    return cast(Store, _Timed(store, add)) if store.durable else store
