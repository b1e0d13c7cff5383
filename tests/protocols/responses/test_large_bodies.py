"""Photos fit a request by default; large messages do not pile up behind a turn."""

import asyncio
import base64
import os
import threading
from typing import Any

import pytest

from agent_asgi import AgentApp, AgentRouter, Limits, ResponsesRequest
from agent_asgi.protocols.responses.websocket import MAX_WAITING
from tests.support.calling import Serve, connect
from tests.support.websocket_client import connect as open_websocket
from tests.support.websocket_client import read, send, turn

MESSAGES = 40
"""More than are kept and than the system's buffers hold, 32 MiB or so."""


def viewer() -> AgentRouter:
    """Create an agent that returns the size of the image that it gets."""
    router = AgentRouter()

    @router.invoke
    async def view(request: ResponsesRequest) -> str:
        content: Any = request.input[-1]
        return str(len(content.content[-1].image_url))

    return router


def photo(size: int) -> Any:
    url = "data:image/jpeg;base64," + base64.b64encode(os.urandom(size)).decode()
    return [{"role": "user", "content": [{"type": "input_image", "image_url": url}]}]


@pytest.mark.parametrize("way", ["http", "websocket"])
def test_a_photo_as_a_data_url_fits_a_request(serve: Serve, way: str) -> None:
    url, given = serve(AgentApp(viewer())), photo(5 << 20)
    due = str(len(given[0]["content"][0]["image_url"]))
    if way == "http":
        assert connect(url).responses.create(input=given).output_text == due
    else:
        with open_websocket(url) as ws:
            assert turn(ws, given)["output"][0]["content"][0]["text"] == due


def test_large_messages_do_not_pile_up_behind_a_turn(serve: Serve) -> None:
    """Sixteen of them were kept, each as large as a body may be."""
    router, go = AgentRouter(), asyncio.Event()
    sent: list[int] = []
    loops: list[asyncio.AbstractEventLoop] = []

    @router.invoke
    async def wait(request: ResponsesRequest) -> str:
        loops.append(asyncio.get_running_loop())
        await go.wait()
        return "done"

    size = 4 << 20
    app = AgentApp(router, limits=Limits(max_body_bytes=size))
    with open_websocket(serve(app), compression=None) as ws:
        send(ws, "first")

        def send_many() -> None:
            for number in range(MESSAGES):
                send(ws, "x" * (size - 1000))
                sent.append(number)

        thread = threading.Thread(target=send_many)
        thread.start()
        thread.join(3)
        assert thread.is_alive()
        assert len(sent) < MAX_WAITING
        loops[0].call_soon_threadsafe(go.set)
        for _ in range(1 + MESSAGES):
            assert read(ws)[-1]["type"] == "response.completed"
        thread.join(30)
        assert len(sent) == MESSAGES
