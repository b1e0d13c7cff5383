"""Debug records tell of requests, never of what they say."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest
from conftest import started

from agent_asgi import AgentApp, AgentRouter, ResponsesRequest
from agent_asgi.testing import AgentClient

SECRET = "xyzzy-is-the-word"


@pytest.mark.parametrize("stream", [True, False])
def test_records_have_sizes_and_names_but_no_content(
    stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    router = AgentRouter("logged")

    @router.stream
    async def say(request: ResponsesRequest) -> AsyncIterator[str]:
        yield f"{SECRET} out"

    async def main() -> int:
        async with started(AgentApp(router)) as app:
            body = {"input": f"{SECRET} in", "stream": stream}
            headers = {"authorization": f"Bearer {SECRET}"}
            answer = await AgentClient(app, headers).post("/v1/responses", body)
            return len(answer.body)

    with caplog.at_level(logging.DEBUG):
        size = asyncio.run(main())
    ours = [vars(each) for each in caplog.records if each.name == "agent_asgi"]
    received, sent = (each for each in ours if "endpoint" in each)
    assert received["message"] == "Request received"
    assert (received["endpoint"], received["agent"]) == ("/v1/responses", "logged")
    assert received["stream_requested"] is stream
    assert received["request_size"] > len(SECRET)
    assert received["function_name"] == sent["function_name"] == "say"
    assert sent["message"] == ("Streaming response completed" if stream else "Response sent")
    assert sent["response_size"] == size
    assert sent.get("total_chunks", 1) == 1
    told = [f"{each.name} {each.getMessage()} {vars(each)}" for each in caplog.records]
    assert not [each for each in told if SECRET in each and not each.startswith("mlflow")]
