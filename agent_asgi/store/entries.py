"""The responses of the memory store, and the order in which they make room for others."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator

from msgspec import Struct

from .base import Record
from .lines import Lines

now: Callable[[], float] = time.monotonic


class Entry(Struct):
    """A response, its log and the lease of its run."""

    record: Record
    approvals: dict[str, str | None]
    """The approval requests, each with the run that answers it."""
    log: list[Lines] = []
    size: int = 0
    holder: str = ""
    lease_until: float = 0.0
    root: str = ""
    """The first response of its chain, whose expiry is the chain's."""
    continues: tuple[int, int] = (0, 0)
    """The size of the chain before it."""

    @property
    def held(self) -> bool:
        return self.record.active and self.lease_until > now()

    def chain_size(self) -> tuple[int, int]:
        """Return the size of the chain up to this response."""
        record, (items, size) = self.record, self.continues
        items += record.items or len(record.item_ids)
        return items, size + len(record.request) + len(record.response)

    def count(self) -> int:
        """Return the number of bytes: of the request, the response, the state and the log."""
        record, size = self.record, sum([len(lines.data) for lines in self.log]) if self.log else 0
        return size + len(record.request) + len(record.response) + len(record.state or b"")


class Recent:
    """The responses, those whose chain was used least recently first."""

    def __init__(self) -> None:
        self._chains: OrderedDict[str, Entry | dict[str, Entry]] = OrderedDict()

    def __iter__(self) -> Iterator[Entry]:
        for chain in self._chains.values():
            if isinstance(chain, Entry):
                yield chain
            else:
                yield from chain.values()

    def add(self, entry: Entry) -> None:
        """Add a response; its chain is the last one used."""
        chain = self._chains.setdefault(entry.root, entry)
        if chain is entry:  # most responses are never continued
            return
        if isinstance(chain, Entry):
            chain = self._chains[entry.root] = {chain.record.id: chain}
        chain[entry.record.id] = entry
        self._chains.move_to_end(entry.root)

    def remove(self, entry: Entry) -> None:
        """Remove a response."""
        chain = self._chains[entry.root]
        if isinstance(chain, dict):
            del chain[entry.record.id]
        if chain is entry or not chain:
            del self._chains[entry.root]
