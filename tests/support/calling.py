"""Helpers for tests of stored responses: short timings, a client without retries, bounded waits."""

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec
import openai
from openai.types.responses import Response

from agent_asgi import AgentApp, AgentRouter, Timeouts
from agent_asgi.testing import parse_frame

Json = dict[str, Any]
Serve = Callable[[Any], str]
T = TypeVar("T")
CLIENTS: list[openai.OpenAI] = []
"""The clients that the test has created; conftest closes them when it ends."""
QUICK = Timeouts(heartbeat=0.2, stalled=1, rescue=0.3, poll=0.2)


def connect(url: str, **options: Any) -> openai.OpenAI:
    """Create a client without retries and with a timeout of a few seconds."""
    defaults: Any = {"api_key": "none", "max_retries": 0, "timeout": 10}
    CLIENTS.append(openai.OpenAI(base_url=url + "/v1", **(defaults | options)))
    return CLIENTS[-1]


def client_of(serve: Serve, store_url: str, *routers: AgentRouter, **options: Any) -> openai.OpenAI:
    """Serve agents with a store and create a client for them."""
    return connect(serve(AgentApp(*routers, store=store_url, timeouts=QUICK, **options)))


def plain(model: Any) -> Json:
    """Return what the server sent, as the client parsed it."""
    sent: Json = model.to_dict(mode="json", warnings=False)
    return sent


def streamed(client: openai.OpenAI, **body: Any) -> list[Json]:
    """Create a response and return all its events, including those after an `error`."""
    with client.responses.with_streaming_response.create(stream=True, **body) as answer:
        return events_of(answer.read())


def replayed(client: openai.OpenAI, id: str, **query: Any) -> list[Json]:
    """Retrieve a response as a stream and return all its events."""
    with client.responses.with_streaming_response.retrieve(id, stream=True, **query) as answer:
        return events_of(answer.read())


def events_of(body: bytes) -> list[Json]:
    """Return the events of a stream; check that it ended properly."""
    assert body.endswith(b"data: [DONE]\n\n"), body[-200:]
    return [event for frame in body.split(b"\n\n") if (event := parse_frame(frame))]


def until(look: Callable[[], T], fits: Callable[[T], object] = bool, seconds: float = 10) -> T:
    """Poll until the value fits; return it."""
    end = time.monotonic() + seconds
    while not fits(found := look()):
        assert time.monotonic() < end, f"after {seconds} s it is still {found!r}"
        time.sleep(0.02)
    return found


def ended(client: openai.OpenAI, id: str) -> Response:
    """Return a response once its run has ended."""
    return until(
        lambda: client.responses.retrieve(id),
        lambda found: found.status not in ("queued", "in_progress"),
    )


def there(client: openai.OpenAI, id: str) -> bool:
    """Return whether a response is stored."""
    try:
        return client.responses.retrieve(id).id == id
    except openai.NotFoundError:
        return False


def error_of(raised: Any) -> tuple[int, str | None, str | None]:
    """Return status, code and param of an error that the client raised."""
    error = raised.value
    assert isinstance(error, openai.APIStatusError)
    assert isinstance(error.body, dict)
    return error.status_code, error.body["code"], error.body["param"]


def texts(items: Sequence[Any]) -> list[str]:
    """Return the texts of messages, in any form."""
    return [_text(each if isinstance(each, dict) else plain_item(each)) for each in items]


def plain_item(item: Any) -> Json:
    """Return an item as a dict."""
    found: Json = msgspec.to_builtins(item)
    return found


def _text(item: Json) -> str:
    content: Any = item.get("content", item.get("output", ""))
    return content if isinstance(content, str) else "".join(each["text"] for each in content)
