"""What tests of stored responses share: short timings, a client that asks once, bounded waits."""

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
"""Those that the test has made; conftest closes them at its end."""
QUICK = Timeouts(heartbeat=0.2, stalled=1, rescue=0.3, poll=0.2)


def connect(url: str, **options: Any) -> openai.OpenAI:
    """Make a client that asks once and waits for some seconds."""
    defaults: Any = {"api_key": "none", "max_retries": 0, "timeout": 10}
    CLIENTS.append(openai.OpenAI(base_url=url + "/v1", **(defaults | options)))
    return CLIENTS[-1]


def client_of(serve: Serve, store_url: str, *routers: AgentRouter, **options: Any) -> openai.OpenAI:
    """Serve agents with a store and make a client of them."""
    return connect(serve(AgentApp(*routers, store=store_url, timeouts=QUICK, **options)))


def plain(model: Any) -> Json:
    """Give what the server sent, as the client took it in."""
    sent: Json = model.to_dict(mode="json", warnings=False)
    return sent


def streamed(client: openai.OpenAI, **body: Any) -> list[Json]:
    """Create a response and give all its events, those after an `error` too."""
    with client.responses.with_streaming_response.create(stream=True, **body) as answer:
        return events_of(answer.read())


def replayed(client: openai.OpenAI, id: str, **query: Any) -> list[Json]:
    """Retrieve a response as a stream and give all its events."""
    with client.responses.with_streaming_response.retrieve(id, stream=True, **query) as answer:
        return events_of(answer.read())


def events_of(body: bytes) -> list[Json]:
    """Give the events of a stream that has ended as it should."""
    assert body.endswith(b"data: [DONE]\n\n"), body[-200:]
    return [event for frame in body.split(b"\n\n") if (event := parse_frame(frame))]


def until(look: Callable[[], T], fits: Callable[[T], object] = bool, seconds: float = 10) -> T:
    """Look again and again until what is seen fits; give it."""
    end = time.monotonic() + seconds
    while not fits(found := look()):
        assert time.monotonic() < end, f"after {seconds} s it is still {found!r}"
        time.sleep(0.02)
    return found


def ended(client: openai.OpenAI, id: str) -> Response:
    """Give a response once its run has ended."""
    return until(
        lambda: client.responses.retrieve(id),
        lambda found: found.status not in ("queued", "in_progress"),
    )


def there(client: openai.OpenAI, id: str) -> bool:
    """Tell whether a response is stored."""
    try:
        return client.responses.retrieve(id).id == id
    except openai.NotFoundError:
        return False


def error_of(raised: Any) -> tuple[int, str | None, str | None]:
    """Give status, code and param of the error that a client raised."""
    error = raised.value
    assert isinstance(error, openai.APIStatusError)
    assert isinstance(error.body, dict)
    return error.status_code, error.body["code"], error.body["param"]


def texts(items: Sequence[Any]) -> list[str]:
    """Give what messages say, whatever form they have."""
    return [_text(each if isinstance(each, dict) else plain_item(each)) for each in items]


def plain_item(item: Any) -> Json:
    """Give an item as a dict."""
    found: Json = msgspec.to_builtins(item)
    return found


def _text(item: Json) -> str:
    content: Any = item.get("content", item.get("output", ""))
    return content if isinstance(content, str) else "".join(each["text"] for each in content)
