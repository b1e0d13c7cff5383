"""References to the items of many responses: looked up together, however many there are."""

from collections import Counter
from collections.abc import Callable

import msgspec
import pytest

from agent_asgi import Limits, ResponsesRequest
from agent_asgi.errors import InvalidRequest
from agent_asgi.schema.decode import decode_stored
from agent_asgi.store import Store
from agent_asgi.store.chain import resolve
from agent_asgi.store.timed import timed
from tests.store.test_store import make, run

COUNT = 150
MANY = 40_000
"""More than a statement of SQLite may have parameters."""


def referring(*ids: str) -> ResponsesRequest:
    """Make a request that refers to items."""
    items = [{"type": "item_reference", "id": id_} for id_ in ids]
    return decode_stored(msgspec.json.encode({"input": items}))


async def fill(store: Store) -> list[str]:
    """Save responses of one message each; return the ids of the messages."""
    ids = [f"msg_{number:064}" for number in range(COUNT)]
    for number, id_ in enumerate(ids):
        output = [{"type": "message", "id": id_, "role": "assistant", "content": str(number)}]
        response = msgspec.json.encode({"output": output})
        await store.save(make(f"r{number}", response=response, item_ids=(id_,)))
    return ids


def counting(calls: Counter[str]) -> Callable[[str], Callable[[float], None]]:
    """Return a timer that counts the operations of a store."""
    return lambda name: lambda _: calls.update([name])


def test_many_references_are_few_queries(store_url: str) -> None:
    async def main(store: Store) -> None:
        ids = await fill(store)
        measured = timed(store, counting(calls))
        request = await resolve(measured, referring(*ids), "ann", {}, Limits(), any_id=True)
        assert [item.id for item in request.new_input if not isinstance(item, dict)] == ids
        with pytest.raises(InvalidRequest, match="does not exist"):
            await resolve(measured, referring(ids[0]), "bob", {}, Limits(), any_id=True)

    calls: Counter[str] = Counter()
    run(store_url, main)
    assert calls.total() <= 4


def test_any_number_of_ids_is_looked_up(store_url: str) -> None:
    async def main(store: Store) -> None:
        (id_, *_) = await fill(store)
        ids = [id_, *(f"msg_none_{number}" for number in range(MANY))]
        assert await store.find_items(ids, "ann") == {id_: "r0"}
        assert [each.id for each in await store.get_all(["r0", *ids], "ann")] == ["r0"]
        assert await store.get_all(["r0"], "bob") == []

    run(store_url, main)
