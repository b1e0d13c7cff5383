"""One transaction for all that MLflow's SQL store writes in a block; it has one for each itself."""

import contextlib
import functools
from collections.abc import Iterator
from typing import Any


class RolledBack(Exception):
    """The store has rolled back inside the block: what it wrote is gone."""


@contextlib.contextmanager
def one_transaction(store: Any) -> Iterator[None]:
    """Have a store use one session in the block, and look up an experiment once.

    For a process that has the store for itself.

    Args:
        store: MLflow's SQL store.

    Raises:
        RolledBack: Nothing has been written.
    """
    opened = store.ManagedSessionMaker
    with opened(read_only=False) as session:
        begun = session.get_transaction() or session.begin()
        store.ManagedSessionMaker = lambda **_: contextlib.nullcontext(session)
        store.get_experiment = functools.cache(store.get_experiment)
        try:
            yield
        finally:
            store.ManagedSessionMaker = opened
            del store.get_experiment
        if session.get_transaction() is not begun:
            raise RolledBack
