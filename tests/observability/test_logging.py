"""Debug records describe requests but not their content; handshake headers are not logged."""

import asyncio
import logging
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from websockets.sync.client import connect as connect_to

from agent_asgi import AgentApp, AgentRouter, ResponsesRequest
from agent_asgi.testing import AgentClient
from tests.support.apps import started
from tests.support.calling import until
from tests.support.commands import ask_text, command
from tests.support.servers import free_port

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


SERVED = """
import logging
from contextlib import asynccontextmanager
from agent_asgi import AgentApp, AgentRouter, ResponsesRequest

router = AgentRouter("echo")

@router.invoke
async def echo(request: ResponsesRequest) -> str:
    for name in ("agent_asgi", "agent_asgi.tracing"):
        logging.getLogger(name).warning("as the package would")
    return "hi"

@asynccontextmanager
async def lifespan(app):
    logging.getLogger("uvicorn.error").setLevel(logging.DEBUG)
    own = logging.StreamHandler()
    own.setFormatter(logging.Formatter("own %(name)s %(request_id)s"))
    logging.getLogger("agent_asgi").handlers.insert(0, own)  # before one that sets the id
    yield

app = AgentApp(router, lifespan=lifespan)
"""


def test_a_served_app_s_own_handlers_get_the_ids_and_no_handshake(tmp_path: Path) -> None:
    (tmp_path / "served.py").write_text(SERVED)
    port = free_port()
    with (tmp_path / "log").open("w") as log:
        argv = command("serve", "served:app", "--port", str(port))
        process = subprocess.Popen(argv, cwd=tmp_path, stdout=log, stderr=log)
    try:
        until(lambda: _answers(port), seconds=60)
        headers = {"x-request-id": "req_shake", "authorization": f"Bearer {SECRET}"}
        with connect_to(f"ws://127.0.0.1:{port}/responses", additional_headers=headers) as socket:
            socket.send('{"type": "response.create", "input": "x"}')
            assert socket.recv(10)
    finally:
        process.terminate()
        process.wait(30)
    text = (tmp_path / "log").read_text()
    assert "= connection is OPEN" in text  # uvicorn's other DEBUG output about connections
    for name in ("agent_asgi", "agent_asgi.tracing", "agent_asgi.runs"):
        assert f"own {name} req_shake" in text
    assert SECRET not in text


def _answers(port: int) -> bool:
    try:
        return ask_text(port) == "hi"
    except OSError:
        return False
