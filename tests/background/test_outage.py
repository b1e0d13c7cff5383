"""PostgreSQL goes down for some seconds in the middle of runs, then comes back."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx2
import openai
import pytest

from agent_asgi import AgentApp, AgentRouter, ResponsesRequest, Timeouts
from agent_asgi.testing import parse_frame
from tests.support.postgres import postgres_running
from tests.support.stream_rules import check_stream

pytestmark = pytest.mark.alone

AWAY = 5.0
TIMEOUTS = Timeouts(heartbeat=0.5, stalled=10, rescue=0.5, poll=0.5)


@pytest.fixture
def database() -> Iterator[Any]:
    """Run a separate PostgreSQL that the test may stop and start."""
    with postgres_running() as server:
        yield server


def counting() -> AgentRouter:
    """Make an agent that counts for as many tenths of a second as its input says."""
    router = AgentRouter("counter")

    @router.stream
    async def count(request: ResponsesRequest) -> AsyncIterator[str]:
        for number in range(int(request.input_text)):
            yield f"{number} "
            await asyncio.sleep(0.1)

    return router


def test_a_database_that_is_away_for_five_seconds(
    database: Any, serve: Callable[[Any], str]
) -> None:
    app = AgentApp(counting(), store=database.get_uri(), timeouts=TIMEOUTS)
    url = serve(app)
    client = openai.OpenAI(base_url=url, api_key="none", max_retries=0)
    create = client.responses.create
    before = create(model="m", input="1")
    run = create(model="m", input="100", background=True)
    time.sleep(1)
    database.stop()
    began = time.monotonic()
    untouched = create(model="m", input="2", store=False)
    assert untouched.output_text == "0 1 "
    assert time.monotonic() - began < AWAY
    assert create(model="m", input="1").to_dict()["store"] is False
    for wanted in ({"background": True}, {"previous_response_id": before.id}):
        with pytest.raises(openai.InternalServerError) as refused:
            create(model="m", input="1", **wanted)
        assert refused.value.status_code == 503
        assert refused.value.response.headers["retry-after"] == "1"
    patient = client.with_options(max_retries=20)
    time.sleep(max(0.0, AWAY - (time.monotonic() - began)))
    database.start()
    accepted = patient.responses.create(model="m", input="3", background=True)
    with client.responses.stream(response_id=run.id, starting_after=0) as stream:
        events = [event.type for event in stream]
    assert client.responses.retrieve(before.id).output_text == "0 "
    text = "".join(f"{number} " for number in range(100))
    assert client.responses.retrieve(run.id).output_text == text
    whole = httpx2.get(f"{url}/responses/{run.id}", params={"stream": "true"}, timeout=30)
    check_stream([event for frame in whole.content.split(b"\n\n") if (event := parse_frame(frame))])
    assert events[-1] == "response.completed"
    assert _finished(client, accepted.id).output_text == "0 1 2 "
    assert create(model="m", input="1").to_dict()["store"] is True


def _finished(client: openai.OpenAI, id: str) -> Any:
    until = time.monotonic() + 20
    while (response := client.responses.retrieve(id)).status in ("queued", "in_progress"):
        assert time.monotonic() < until, response
        time.sleep(0.05)
    return response
