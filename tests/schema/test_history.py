"""A request's history is decoded only if somebody reads it."""

import asyncio
import copy
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from agent_asgi import Message, ResponsesRequest
from agent_asgi.agents.handler import Handler
from agent_asgi.schema.decode import decode_request
from agent_asgi.schema.requests import continue_with, unread
from agent_asgi.store.histories import Items
from agent_asgi.store.history import with_input


def encoded(text: str) -> bytes:
    return json.dumps({"type": "message", "role": "user", "content": text}).encode()


def continued(text: str = "new", earlier: int = 2, **more: Any) -> ResponsesRequest:
    """Return a request that continues a conversation of messages 0, 1 and so on."""
    request = decode_request(json.dumps({"input": text, **more}).encode())
    history = Items([encoded(str(number)) for number in range(earlier)])
    continue_with(request, history, request.new_input)
    return request


def texts(request: ResponsesRequest) -> list[str]:
    return [item.text for item in request.input if isinstance(item, Message)]


def contents(items: list[dict[str, Any]]) -> list[Any]:
    return [item["content"] for item in items]


@pytest.mark.parametrize(
    "use",
    [
        lambda request: request.input_text == "new",
        lambda request: len(request.new_input) == 1,
        lambda request: not request.is_text,
        lambda request: request.received() == {"input": "new"},
        lambda request: with_input(request, request.new_input).new_input == request.new_input,
    ],
)
def test_what_needs_no_history_does_not_decode_it(use: Callable[[ResponsesRequest], bool]) -> None:
    request = continued()
    assert use(request)
    assert unread(request) is not None
    assert texts(request) == ["0", "1", "new"]


@pytest.mark.parametrize(
    "use",
    [
        lambda request: len(request.input) == 3,
        lambda request: request.earlier == 2,
        lambda request: [each["content"] for each in request.messages] == ["0", "1", "new"],
        lambda request: (
            [each["content"] for each in request.to_dict()["input"]] == ["0", "1", "new"]
        ),
    ],
)
def test_what_needs_it_does(use: Callable[[ResponsesRequest], bool]) -> None:
    request = continued()
    assert use(request)
    assert unread(request) is None
    assert (texts(request), request.earlier) == (["0", "1", "new"], 2)
    assert len(request.new_input) == 1


def test_the_newest_text_may_be_earlier() -> None:
    request = continued()
    call = {"type": "function_call_output", "call_id": "c", "output": "x"}
    request = with_input(request, decode_request(json.dumps({"input": [call]}).encode()).input)
    assert request.input_text == "1"


def test_a_request_without_bytes_has_its_history_as_a_dict() -> None:
    request = ResponsesRequest(input="new")
    continue_with(request, Items([encoded("0")]), request.new_input)
    assert contents(request.to_dict()["input"]) == ["0", "new"]


async def turns_of_the_loop(handler: Handler, request: ResponsesRequest) -> int:
    """Return how often others had a turn until a handler's value was there."""
    turns, ended = 0, False

    async def count() -> None:
        nonlocal turns
        while not ended:
            await asyncio.sleep(0)
            turns += 1

    counting = asyncio.create_task(count())
    await handler.value_of(request)
    ended = True
    await counting
    return turns


def test_a_function_that_read_its_history_gets_the_next_one_decoded_in_slices() -> None:
    def listen(request: ResponsesRequest) -> None: ...

    async def main() -> None:
        handler = Handler(listen)
        request = continued(earlier=1000)
        assert await turns_of_the_loop(handler, request) <= 1
        assert unread(request) is not None
        assert len(request.input) == 1001
        assert await turns_of_the_loop(handler, continued(earlier=1000)) > 5

    asyncio.run(main())


def test_the_history_of_a_function_that_takes_text_stays_encoded() -> None:
    def listen(text: str) -> None: ...

    async def main() -> None:
        request = continued(earlier=1000)
        assert await Handler(listen).value_of(request) == "new"
        history = unread(request)
        assert history is not None
        assert history.is_encoded

    asyncio.run(main())


@pytest.mark.parametrize("attempt", range(5))
def test_threads_that_read_at_once_get_the_whole_history(attempt: int) -> None:
    request = continued(earlier=4000)
    barrier = Barrier(4)

    def read() -> tuple[list[str], int]:
        barrier.wait(10)
        return texts(request), request.earlier

    with ThreadPoolExecutor(4) as threads:
        readers = [threads.submit(read) for _ in range(4)]
    whole = [*map(str, range(4000)), "new"]
    assert all(reader.result() == (whole, 4000) for reader in readers)


def test_a_copy_has_the_history() -> None:
    request = continued()
    copied = copy.deepcopy(request)
    assert texts(copied) == ["0", "1", "new"]
    assert copied.input[0] is not request.input[0]
